from collections import Counter

import numpy as np

from medomni.phantom import mixture
from medomni.phantom.cohort import BodyRegion
from medomni.phantom.facts import FINDINGS, ORGAN_CHANGES


def kinds(draw, count=400):
    rng = np.random.default_rng(0)
    return Counter(kind for _ in range(count) for kind in {item.kind for item in draw(rng)})


def test_every_disease_is_drawn_often_enough_to_be_learned():
    found = kinds(lambda rng: mixture.of_visit(rng, BodyRegion.CHEST)) + kinds(mixture.of_body)
    assert set(found) == {*FINDINGS, *ORGAN_CHANGES}
    assert min(found[kind] for kind in FINDINGS) >= 0.05 * 400


def test_diseases_of_the_body_are_not_drawn_again_for_a_visit():
    assert not set(kinds(lambda rng: mixture.of_visit(rng, BodyRegion.CHEST))) & set(mixture.OF_BODY)
    assert set(kinds(mixture.of_body)) == set(mixture.OF_BODY)


def test_same_seed_draws_the_same():
    draws = [mixture.of_visit(np.random.default_rng(5), BodyRegion.ABDOMEN) for _ in range(2)]
    assert draws[0] == draws[1]
