import numpy as np

from preprocessing.segment.classes import LABELS
from preprocessing.segment.training import tissues as t
from preprocessing.segment.training.bank import phantom_case


def test_vessels_beside_the_classes_are_known_by_name() -> None:
    case = phantom_case(1_000_001)
    assert {t.VEIN, t.ARTERY, LABELS["aorta"], LABELS["pulmonary_artery"]} <= set(np.unique(case.tissues))
    assert not t.targets(np.array([[[t.VEIN, t.ARTERY]]], np.uint8)).any()
    heights = {tissue: np.flatnonzero((case.tissues == tissue).any(axis=(1, 2))) for tissue in (t.VEIN, LABELS["liver"])}
    assert heights[t.VEIN].max() > heights[LABELS["liver"]].max()
