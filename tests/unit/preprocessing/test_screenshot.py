"""Key images: right slice, right way up, nothing from a source with burned-in text."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from medomni.types.finding import Evidence, Presence
from preprocessing.screenshot import OUTLINE_RGB, key_images
from tests import factories, reports

ON = factories.grid(shape=(20, 60, 80), spacing_mm=(3.0, 2.0, 2.0), origin_mm=(-80.0, -60.0, 0.0))
LUNG = factories.ball(ON, (-40.0, 0.0, 30.0), 25.0)
SPOT = factories.ball(ON, (-40.0, -15.0, 30.0), 6.0)


def _images(volume_grid=ON, flip=False, **changes):
    step = slice(None, None, -1 if flip else 1)
    lung, spot = (mask[:, step, step] for mask in (LUNG, SPOT))
    volume = factories.volume(fill=-1000, on=volume_grid, parts=((lung, -850), (spot, -300)))
    finding = factories.finding("lung_opacity", evidence=(Evidence(structure="lung_opacity", slice_index=10),))
    absent = factories.finding("emphysema", presence=Presence.ABSENT)
    report = reports.report().model_copy(update={"findings": (finding, absent), **changes})
    segmentation = factories.segmentation({"lung_right": lung}, volume_grid)
    return key_images(volume, segmentation, factories.segmentation({"lung_opacity": spot}, volume_grid), report)


def _pixels(image):
    return np.asarray(Image.open(BytesIO(image.png)).convert("RGB"))


def test_the_slice_of_a_finding_and_an_overview_are_shown():
    images = _images()
    assert len(images) == 2
    assert "11" in images[0].caption
    outline = np.argwhere((_pixels(images[0]) == OUTLINE_RGB).all(axis=-1))
    rows, columns = outline.mean(axis=0)
    assert rows < 30  # the spot lies in front: in the upper half of the picture
    assert columns < 40  # and on the patient's right: in the left half


def test_a_prone_stack_gives_the_same_picture():
    far = tuple(ON.to_world_mm(np.array([0, ON.shape[1] - 1, ON.shape[2] - 1])))
    prone = factories.oblique_grid(((-1, 0, 0), (0, -1, 0), (0, 0, 1)), ON.shape, (3.0, 2.0, 2.0), far)
    assert [image.png for image in _images(prone, flip=True)] == [image.png for image in _images()]


def test_burned_in_text_gives_no_picture():
    assert _images(acquisition=factories.acquisition(has_burned_in_annotation=True)) == ()


def test_evidence_without_a_structure_is_shown_by_its_box():
    box = ((-50.0, -25.0, 20.0), (-30.0, -5.0, 40.0))
    volume = factories.volume(fill=-1000, on=ON, parts=((LUNG, -850), (SPOT, -300)))
    finding = factories.finding("lung_nodule", evidence=(Evidence(slice_index=10, box_mm=box, source="omni"),))
    report = reports.report().model_copy(update={"findings": (finding,)})
    nothing = factories.segmentation({}, ON)
    (image,) = key_images(volume, nothing, nothing, report)
    outline = np.argwhere((_pixels(image) == OUTLINE_RGB).all(axis=-1))
    assert outline.min(axis=0) == pytest.approx([(-25 + 60) / 2, (-50 + 80) / 2], abs=2)
    assert outline.max(axis=0) == pytest.approx([(-5 + 60) / 2, (-30 + 80) / 2], abs=2)
