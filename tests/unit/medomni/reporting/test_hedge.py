"""The ladder from probability to wording."""

import pytest

from medomni.reporting.hedge import hedge, is_claimed
from medomni.types.finding import Finding, Presence
from tests.drafts import seen


@pytest.mark.parametrize(
    ("probability", "expected"),
    [
        (1.0, "stated"),
        (0.9, "stated"),
        (0.899, "probable"),
        (0.7, "probable"),
        (0.4, "possible"),
        (0.399, None),
        (None, "stated"),
    ],
)
def test_a_present_finding_is_worded_by_its_probability(probability, expected):
    assert hedge(seen("lung_opacity", probability=probability)) == expected


@pytest.mark.parametrize(
    ("probability", "expected"), [(0.99, "probable"), (0.7, "probable"), (0.5, "possible"), (None, "possible")]
)
def test_an_uncertain_finding_never_reads_as_stated(probability, expected):
    assert hedge(seen("lung_opacity", Presence.UNCERTAIN, probability=probability)) == expected


@pytest.mark.parametrize("presence", [Presence.ABSENT, Presence.NOT_EVALUATED])
def test_an_absent_or_unknown_finding_is_no_claim(presence):
    assert not is_claimed(Finding(id="a", label="lung_opacity", presence=presence, probability=0.99))
