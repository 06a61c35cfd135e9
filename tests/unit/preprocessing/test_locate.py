"""A pasted cut-out is found at its place, one of somebody else is not, and what is no picture is refused in words."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from medomni.errors import BadInput
from medomni.phantom.write import make_patient
from preprocessing import locate as located
from preprocessing.locate import locate, read_picture
from tests import factories

SHAPE, SPACING_MM = (50, 150, 150), (5.0, 2.6, 2.6)


@pytest.fixture(scope="module")
def volume():
    return make_patient(4100, shape=SHAPE, spacing_mm=SPACING_MM).case.volume


@pytest.fixture(scope="module")
def stranger():
    return make_patient(4177, shape=SHAPE, spacing_mm=SPACING_MM).case.volume


def pasted(part, window, zoom=(3, 3), drawn=False, form="PNG"):
    """The picture of a part of a slice on a screen."""
    low, high = window
    grey = (np.clip((part - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    image = (
        Image.fromarray(grey)
        .resize((round(grey.shape[1] * zoom[1]), round(grey.shape[0] * zoom[0])), Image.Resampling.BILINEAR)
        .convert("RGB")
    )
    if drawn:
        ImageDraw.Draw(image).ellipse([40, 40, 100, 90], outline=(255, 176, 0), width=2)
    stream = io.BytesIO()
    image.save(stream, form)
    return stream.getvalue()


def in_voxels(volume, position_mm, index):
    grid = volume.grid
    offset = np.asarray(position_mm) - grid.to_world_mm(np.array(index))
    axes = np.stack([grid.normal, grid.column_direction, grid.row_direction])
    return np.abs(axes @ offset) / grid.spacing_mm


@pytest.mark.parametrize(
    ("window", "more"),
    [
        ((-1350, 150), {}),
        ((-160, 240), {"zoom": (4, 4)}),
        ((-1200, 300), {"drawn": True}),
        ((-200, 300), {"form": "JPEG"}),
    ],
)
def test_axial_cut_out_is_found_within_two_voxels(volume, window, more):
    part = volume.hu[24, 40:110, 30:90]

    found = locate(volume, read_picture(pasted(part, window, **more)))

    assert found.plane == "axial"
    assert np.all(in_voxels(volume, found.position_mm, (24, 74.5, 59.5)) <= 1)
    assert found.likeness > 0.95


def test_coronal_cut_out_is_found_with_its_box(volume):
    part = volume.hu[::-1][5:45, 70, 20:120]

    found = locate(volume, read_picture(pasted(part, (-1350, 150), zoom=(10, 5.2))))

    assert found.plane == "coronal"
    assert np.all(in_voxels(volume, found.position_mm, (24.5, 70, 69.5)) <= 2)
    low, high = np.array(found.box_mm)
    assert np.allclose(high - low, [100 * 2.6, 0, 40 * 5.0], atol=6)


def test_black_margin_counts_as_part_of_the_picture(volume):
    part = np.pad(volume.hu[24, 40:110, 30:90], ((0, 30), (20, 0)), constant_values=-2000)

    found = locate(volume, read_picture(pasted(part, (-1350, 150))))

    assert np.all(in_voxels(volume, found.position_mm, (24, 89.5, 49.5)) <= 2)


def test_cut_out_of_another_patient_is_not_found(volume, stranger):
    part = volume.hu[24, 40:110, 30:90]

    assert locate(stranger, read_picture(pasted(part, (-1350, 150)))) is None


def test_volume_stored_the_other_way_round_gives_the_same_place(volume):
    from dataclasses import replace

    grid = volume.grid
    turned = replace(
        volume,
        hu=np.ascontiguousarray(volume.hu[:, ::-1, ::-1]),
        grid=replace(
            grid,
            row_direction=-grid.row_direction,
            column_direction=-grid.column_direction,
            slice_origins_mm=np.array([grid.to_world_mm(np.array((z, SHAPE[1] - 1, SHAPE[2] - 1))) for z in range(SHAPE[0])]),
        ),
    )
    picture = read_picture(pasted(volume.hu[24, 40:110, 30:90], (-1350, 150)))

    assert np.allclose(locate(turned, picture).position_mm, locate(volume, picture).position_mm, atol=0.05)


def test_picture_larger_than_any_slice_is_not_found():
    small = factories.volume()
    noise = np.random.default_rng(0).integers(0, 255, (300, 60), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "PNG")

    assert locate(small, read_picture(stream.getvalue())) is None


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a" + bytes(30), b"<svg/>"])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(BadInput, match="no picture that can be read"):
        read_picture(data)


def test_picture_that_is_too_large_or_shows_nothing_is_refused(monkeypatch):
    black = io.BytesIO()
    Image.new("L", (64, 64)).save(black, "PNG")
    with pytest.raises(BadInput, match="shows too little"):
        read_picture(black.getvalue())
    monkeypatch.setattr(located, "LARGEST_PIXELS", 64)
    with pytest.raises(BadInput, match="too large"):
        read_picture(black.getvalue())
