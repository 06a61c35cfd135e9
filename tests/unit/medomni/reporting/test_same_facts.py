"""Whatever was found, English and Chinese state the same facts, and every claim reaches findings and impression."""

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from medomni.anatomy import anatomy
from medomni.reporting import reading
from medomni.reporting.hedge import is_claimed
from medomni.reporting.vocabulary import vocabulary
from medomni.types.finding import Evidence, Finding, Laterality, Measurement, Presence
from medomni.types.region import Coverage
from medomni.types.section import SectionName
from tests.drafts import (
    CLINICAL,
    draft,
    findings,
    grid,
)

LANGUAGES = ("en", "zh")
QUICK = settings(max_examples=60, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate))
"""Failing cases are not shrunk: with every call type-checked that takes minutes."""


sides = st.sampled_from(Laterality)
places = st.lists(st.sampled_from(sorted(anatomy().zones)), max_size=4, unique=True).map(tuple)
values = st.floats(0.0, 5000.0, allow_nan=False)
names = st.sampled_from(sorted(name for name in vocabulary().measurements if not name.startswith(("lung_", "haa"))))
measurements = st.lists(
    st.builds(
        lambda name, value, decimals, bound, index: Measurement(
            name=name,
            value=value,
            unit=vocabulary().measurements[name].unit,
            decimals=decimals,
            is_lower_bound=bound,
            slice_index=index,
        ),
        names,
        values,
        st.integers(0, 2),
        st.booleans(),
        st.none() | st.integers(0, 150),
    ),
    max_size=6,
    unique_by=lambda m: m.name,
).map(tuple)


@st.composite
def any_findings(draw):
    """Between none and three findings of every label, of any presence, side, place and size."""
    found = []
    for label in draw(st.lists(st.sampled_from(CLINICAL), max_size=6)):
        presence = draw(st.sampled_from(Presence))
        proof = (Evidence(structure=label, slice_index=draw(st.none() | st.integers(0, 150))),)
        found.append(
            Finding(
                id=f"{label.replace('_', '-')}-{len(found)}",
                label=label,
                presence=presence,
                probability=draw(st.none() | st.floats(0, 1)),
                laterality=draw(sides),
                anatomy=draw(places),
                measurements=draw(measurements),
                evidence=proof if presence in (Presence.PRESENT, Presence.UNCERTAIN) else (),
                reason=draw(st.sampled_from(["", "no_detector", "not_segmented", "new_reason"])),
            )
        )
    return findings(*found, absent=draw(st.sets(st.sampled_from(CLINICAL))))


organs = st.sets(st.sampled_from(sorted(anatomy().organs)))


def facts_of(sentence, language):
    """What a sentence claims, free of its language: numbers, sides, denied or not, certainty, receipt and findings."""
    numbers = sorted((n.digits, n.unit) for n in reading.numbers(sentence.text, language))
    named = sorted(side.value for side in reading.sides(sentence.text, language))
    denied = sorted(
        (label, reading.is_denied(clause, at, language))
        for clause in reading.claiming_clauses(sentence.text, language)
        for label, at in reading.labels(clause, language).items()
    )
    return numbers, named, [d for d in denied if d[1]], sentence.receipt, sentence.finding_ids, sentence.organ


@QUICK
@given(found=any_findings(), evaluated=organs, is_side_known=st.booleans())
def test_english_and_chinese_carry_the_same_facts(found, evaluated, is_side_known):
    left_out = dict.fromkeys(sorted(set(anatomy().organs) - evaluated), "no_detector")
    scope = Coverage(region="chest", evaluated=tuple(sorted(evaluated)), not_evaluated=left_out)
    english, chinese = (
        draft(found, language, coverage=scope, grid=grid(is_side_known=is_side_known), history="no fever, left chest pain 3 days")
        for language in LANGUAGES
    )

    assert english.notices == chinese.notices
    for name in english.sections:
        ours, theirs = english.sections[name].sentences, chinese.sections[name].sentences
        assert [facts_of(s, "en") for s in ours] == [facts_of(s, "zh") for s in theirs]


@QUICK
@given(found=any_findings(), evaluated=organs)
def test_every_claimed_finding_reaches_both_sections(found, evaluated):
    of = draft(found, coverage=Coverage(region="chest", evaluated=tuple(sorted(evaluated))))
    claimed = {f.id for f in found if is_claimed(f) and not vocabulary().label(f.label).is_measurement_only}
    for name in (SectionName.FINDINGS, SectionName.IMPRESSION):
        cited = {i for s in of.sections[name].sentences for i in s.finding_ids}
        assert claimed <= cited
