"""Probabilities from raw measures: monotone curves that can be fitted and written."""

import numpy as np
import pytest

from medomni.reporting.hedge import presence_of
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Presence
from preprocessing.detect import calibrate
from preprocessing.detect.calibration import TABLE, Curve, Scale, calibrated, curves


def test_every_curve_belongs_to_a_label_and_rises():
    assert set(curves()) <= set(vocabulary().labels)
    for curve in curves().values():
        assert curve.slope > 0
        assert curve.probability(curve.middle) == pytest.approx(min(0.5, curve.ceiling), abs=0.01)


def test_a_ceiling_keeps_a_finding_uncertain():
    assert calibrated("lymphadenopathy", 60.0) == 0.65
    assert presence_of(0.65) is Presence.UNCERTAIN


def test_fit_finds_the_border_between_two_groups():
    curve = Curve(measure="length, mm", scale=Scale.LINEAR, middle=1.0, slope=1.0, source="test")
    values = np.random.default_rng(2).normal(0, 1, 200)
    pairs = [(10.0 + value + 4.0 * (k % 2), bool(k % 2)) for k, value in enumerate(values)]
    found = calibrate.fit_curve(curve, pairs, (1, 200))
    assert found.middle == pytest.approx(12.0, abs=0.4)
    assert (found.present, found.absent) == (100, 100)
    assert found.probability(15.0) > 0.9
    assert found.probability(9.0) < 0.1


def test_groups_that_part_completely_give_a_finite_slope():
    curve = Curve(measure="volume, mL", scale=Scale.LOG, middle=1.0, slope=1.0, source="test")
    found = calibrate.fit_curve(curve, [(0.0, False)] * 20 + [(100.0, True)] * 20, (1, 40))
    assert 0 < found.slope < 100
    assert 1 < found.middle < 100


def test_a_fit_leaves_curves_set_by_hand_alone_unless_they_are_named():
    ill, well = ("cardiomegaly", "consolidation"), ()
    rows = tuple(
        calibrate.Row(seed, {"cardiomegaly": 0.45 + 0.2 * there, "consolidation": 2.0 + 50.0 * there}, ill if there else well)
        for seed, there in enumerate([True, False] * 20)
    )
    assert curves()["consolidation"].present == 0
    table = calibrate.fitted(rows, calibrate.fitted_before())
    assert table["consolidation"] == curves()["consolidation"]
    assert (table["cardiomegaly"].present, table["cardiomegaly"].absent) == (20, 20)
    named = calibrate.fitted(rows, ["consolidation"])
    assert named["consolidation"].present == 20
    assert named["cardiomegaly"] == curves()["cardiomegaly"]


def test_a_written_table_reads_back_the_same(tmp_path):
    copy = tmp_path / "calibration.toml"
    copy.write_text(TABLE.read_text(encoding="utf-8"), encoding="utf-8")
    calibrate.write_curves(curves(), copy)
    import tomllib

    assert {name: Curve(**row) for name, row in tomllib.loads(copy.read_text(encoding="utf-8")).items()} == curves()
