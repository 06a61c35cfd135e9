"""A large heart is drawn, not painted: the person changes first."""

from dataclasses import replace

import numpy as np
import pytest

from medomni.phantom.body import draw_body
from medomni.phantom.canvas import Canvas
from medomni.phantom.disease.apply import prepare_person
from medomni.phantom.disease.heart import cardiothoracic_ratio
from medomni.phantom.disease.placed import Placed
from medomni.phantom.person import make_person


def ratio(person):
    return cardiothoracic_ratio(
        draw_body(Canvas((26, 50, 100), (6.0, 6.0, 4.0), 130.0), person, np.random.default_rng([person.seed, 2]))
    )


@pytest.mark.parametrize("seed", [0, 3])
def test_a_large_heart_is_wider_than_half_the_chest_and_a_healthy_one_is_not(seed):
    person = make_person(seed)
    assert 0.35 < ratio(prepare_person(person, (Placed("lung_opacity"),))) < 0.5
    for severity in ("mild", "severe"):
        placed = Placed("cardiomegaly", severity=severity)
        assert ratio(prepare_person(person, (placed,))) == pytest.approx(placed.size, abs=0.03)


def test_a_narrow_heart_stays_as_it_is():
    person = replace(make_person(0), heart_scale=0.6)
    assert prepare_person(person, ()) == person
