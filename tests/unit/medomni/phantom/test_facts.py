"""Facts: instances find their prior partner, small differences are none, what is gone is told."""

import pytest

from medomni.phantom.facts import Fact, compare


def nodule(mm, place=(0.0, 0.0, 0.0), side="left"):
    return Fact("lung_nodule", side=side, measurements={"mean_diameter": mm}, centre_mm=place)


@pytest.mark.parametrize(("before", "change"), [(8.0, "larger"), (19.0, "smaller"), (11.2, "same")])
def test_a_nodule_changes_when_its_diameter_differs_by_more_than_measuring_does(before, change):
    (now,), gone = compare((nodule(12.0),), (nodule(before),))
    assert now.change == change
    assert now.before == {"mean_diameter": before}
    assert not gone


def test_each_nodule_is_compared_with_the_one_that_lay_there():
    now, _ = compare((nodule(12.0, (50, 0, 0)), nodule(7.0)), (nodule(6.8, (1, 0, 0)), nodule(6.0, (51, 0, 0))))
    assert [(fact.change, fact.before["mean_diameter"]) for fact in now] == [("larger", 6.0), ("same", 6.8)]


def test_a_nodule_elsewhere_is_new_and_the_other_is_gone():
    (now,), gone = compare((nodule(12.0, (80, 0, 0)),), (nodule(12.0),))
    assert (now.change, now.before, len(gone)) == ("new", {}, 1)


def test_volumes_within_fifteen_percent_are_the_same():
    def fluid(ml):
        return Fact("pleural_effusion", side="left", measurements={"volume": ml})

    assert compare((fluid(110.0),), (fluid(100.0),))[0][0].change == "same"
    assert compare((fluid(130.0),), (fluid(100.0),))[0][0].change == "larger"


def test_what_was_there_and_is_not_now_is_gone():
    assert compare((), (nodule(9.0),)) == ((), (nodule(9.0),))
