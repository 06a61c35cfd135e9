import numpy as np
import pytest

from medomni.types.segmentation import Segmentation
from medomni.types.volume import Volume
from preprocessing.segment.classes import CLASSES
from preprocessing.segment.training.guides import (
    BACKGROUND,
    GUIDES,
    IGNORE,
    NOT_JUDGED,
    Guide,
    Guides,
    KeySlice,
    guide_labels,
    label_of,
    outline_mask,
    read_guides,
    signed_distance_mm,
)
from tests import factories

SHAPE = (20, 40, 44)
SPACING = (3.0, 3.0, 3.0)
ORIGIN = (-60.0, -58.0, -30.0)
LIVER, SPLEEN = label_of("liver"), label_of("spleen")


def square(x, y, half):
    return ((x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half))


def key(z, *polygons):
    return KeySlice(z_mm=z, polygons=polygons)


def guides(*structures):
    return Guides(series="made", source="none", licence="none", attribution="none", drawn_by="a test", structures=structures)


def volume(hu=0.0):
    grid = factories.grid(SHAPE, SPACING, ORIGIN)
    return Volume(np.full(SHAPE, hu, np.float32), grid)


def world(grid):
    return grid.to_world_mm(np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1))


def test_distance_is_exact_inside_and_outside_a_square():
    distance = signed_distance_mm((square(0, 0, 10),), np.array([0.0, 7.0, 14.0]), np.array([0.0, 13.0]))
    assert np.allclose(distance, [[10, 3, -4], [-3, -3, -5]])


def test_polygon_inside_another_is_a_hole():
    distance = signed_distance_mm((square(0, 0, 10), square(0, 0, 4)), np.array([0.0, 7.0]), np.array([0.0]))
    assert np.allclose(distance, [[-4, 3]])


def test_outline_lies_where_its_patient_coordinates_say():
    made = outline_mask((key(-9, square(21, -12, 9)), key(9, square(21, -12, 9))), volume().grid)
    place = world(volume().grid)[made]
    assert np.allclose(place.mean(axis=0), [21, -12, 0], atol=1.6)
    assert np.ptp(place[:, 2]) == 18


def test_size_between_key_slices_lies_between_theirs():
    areas = outline_mask((key(-30, square(0, 0, 9)), key(24, square(0, 0, 36))), volume().grid).sum(axis=(1, 2))
    rising = areas[:19]
    assert np.all(np.diff(rising) >= 0)
    middle = volume().grid.slice_origins_mm[9, 2]
    assert np.sqrt(rising[9]) * 3 == pytest.approx(2 * np.interp(middle, [-30, 24], [9, 36]), abs=4)
    assert areas[19] == 0


def test_oblique_tube_does_not_thin_between_key_slices():
    areas = outline_mask((key(-30, square(-30, 0, 9)), key(27, square(30, 0, 9))), volume().grid).sum(axis=(1, 2))
    assert areas.min() >= 0.7 * areas.max()


def test_gate_keeps_only_tissue_of_its_ct_numbers():
    ct = volume(-100.0)
    x = world(ct.grid)[..., 0]
    ct.hu[x > 0] = 100.0
    outline = (key(-30, square(0, 0, 30)), key(27, square(0, 0, 30)))
    labels = guide_labels(ct, guides(Guide(name="liver", slices=outline, hu=(0, 200))))
    assert set(np.unique(labels)) == {0, LIVER}
    assert np.all(x[labels == LIVER] > -1.5)


def test_later_guide_paints_over_an_earlier_one_unless_told_where():
    wide, narrow = (tuple(key(z, square(0, 0, half)) for z in (-30, 27)) for half in (30, 12))
    liver, spleen = Guide(name="liver", slices=wide), Guide(name="spleen", slices=narrow)
    over = guide_labels(volume(), guides(liver, spleen))
    assert over[10, 19, 20] == SPLEEN
    beside = guide_labels(volume(), guides(spleen, liver.model_copy(update={"over": (BACKGROUND,)})))
    assert np.array_equal(over, beside)


def test_doubt_leaves_the_border_open_but_not_a_neighbour():
    left, right = (tuple(key(z, square(x, 0, 15)) for z in (-30, 27)) for x in (-15, 15))
    labels = guide_labels(volume(), guides(Guide(name="liver", slices=left), Guide(name="pancreas", slices=right, doubt_mm=3)))
    x = world(volume().grid)[..., 0]
    assert set(np.unique(labels)) == {0, LIVER, label_of("pancreas"), IGNORE}
    assert np.all(labels[(np.abs(x + 15) < 14) & (labels == IGNORE)] != LIVER)
    assert np.sum(labels == LIVER) == np.sum(guide_labels(volume(), guides(Guide(name="liver", slices=left))) == LIVER)


def test_rules_bound_a_structure_and_closing_fills_it():
    ct = volume()
    bone = np.zeros(SHAPE, np.uint8)
    bone[:, 10:20, 10:20] = 1
    bone[8:10, 14:16, 14:16] = 0
    rules = Segmentation(bone, ct.grid, {1: "bone"}, "made", "none")
    open_bone = guide_labels(ct, guides(Guide(name="vertebrae", rules=("bone",))), rules)
    closed = guide_labels(ct, guides(Guide(name="vertebrae", rules=("bone",), closing_mm=6)), rules)
    assert np.array_equal(open_bone > 0, bone > 0)
    assert np.all(closed[:, 10:20, 10:20] == label_of("vertebrae"))


def test_guides_that_say_nothing_or_unknown_names_are_refused():
    with pytest.raises(ValueError, match="nothing bounds liver"):
        Guide(name="liver")
    with pytest.raises(ValueError, match="known are"):
        Guide(name="lever", hu=(0, 1))
    with pytest.raises(ValueError, match="must rise"):
        Guide(name="liver", slices=(key(3, square(0, 0, 3)), key(0, square(0, 0, 3))))


def test_grid_that_is_not_along_the_patient_is_refused():
    with pytest.raises(ValueError, match="working grid first"):
        outline_mask((key(0, square(0, 0, 3)),), factories.rotated_grid())


@pytest.mark.parametrize("path", sorted(GUIDES.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_guide_names_its_source_and_its_series(path):
    shipped = read_guides(path)
    assert shipped.series == path.stem
    assert shipped.licence.startswith(("CC BY", "Apache", "BSD"))
    assert "radiologist" in shipped.drawn_by
    assert {guide.name for guide in shipped.structures} <= {*CLASSES, NOT_JUDGED, BACKGROUND}
