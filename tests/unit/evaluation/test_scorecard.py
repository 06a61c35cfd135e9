import json

import pytest

from evaluation.scorecard import all_hold, as_line, at_least, at_most, not_measured, row


@pytest.mark.parametrize(
    ("score", "figure", "holds"), [(at_least, 0.9, True), (at_least, 0.89, False), (at_most, 0.9, True), (at_most, 0.91, False)]
)
def test_bar_itself_holds_and_the_wrong_side_does_not(score, figure, holds):
    assert score("Dice", figure, 0.9)["ok"] is holds
    assert all_hold([score("Dice", figure, 0.9)]) is holds


def test_verdict_is_of_the_exact_figure_not_of_the_rounded_one():
    missed = at_least("Dice", 0.8999, 0.9)
    assert missed["figure"] == 0.9 and not missed["ok"]


def test_row_has_the_words_of_the_contract_and_is_json():
    assert json.loads(json.dumps(row("Dice", 0.45, 0.9))) == {"figure": 0.45, "peer": 0.9, "ratio": 0.5, "what": "Dice"}


def test_figure_without_a_verdict_never_fails_a_benchmark():
    assert all_hold([row("share", 0.1, 0.9), row("volume", 0.0)])


def test_figure_that_was_not_measured_holds_no_bar():
    missing = not_measured("ratio to a peer", "the peer is not installed", 1.2)
    assert not all_hold([missing]) and all_hold([not_measured("share", "no voice")])
    assert json.loads(json.dumps(missing))["figure"] is None
    assert "not measured: the peer is not installed" in as_line(missing) and as_line(missing).endswith("NOT OK")


def test_line_says_figure_bar_and_verdict():
    line = as_line(at_least("Dice of the lungs", 0.5, 0.9))
    assert "Dice of the lungs" in line and "0.5" in line and "(bar 0.9)" in line and line.endswith("NOT OK")
    assert "bar" not in as_line(row("volume", 3.0))
