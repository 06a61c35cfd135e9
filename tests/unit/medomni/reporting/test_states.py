"""States of a report and what may follow them."""

from medomni.reporting.states import FOLLOWS, SIGNED, may_follow
from medomni.types.report import ReportState


def test_every_state_has_its_followers():
    assert set(FOLLOWS) == set(ReportState)


def test_nothing_that_was_signed_becomes_unsigned():
    for signed in SIGNED:
        assert not may_follow(signed, ReportState.DRAFT)
        assert not may_follow(signed, ReportState.PRELIMINARY)
        assert not may_follow(signed, ReportState.FINAL)
        assert may_follow(signed, ReportState.APPENDED)


def test_what_was_taken_back_stays_taken_back():
    assert FOLLOWS[ReportState.ENTERED_IN_ERROR] == ()
