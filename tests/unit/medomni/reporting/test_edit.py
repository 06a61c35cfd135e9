"""A person's edits: every character keeps its writer, findings and sentences change together, what is signed stays."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medomni.errors import BadInput
from medomni.reporting.edit import apply, origins, reopened, signed
from medomni.reporting.review import review
from medomni.reporting.second_look import second_look
from medomni.reporting.vocabulary import vocabulary
from medomni.types.edit import LONGEST_TEXT, Insert, Judge, Remove, Resize, Reword, State
from medomni.types.finding import Laterality, Presence
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.report import Draft, Origin, Report, ReportState, Sentence, Signature, Verdict
from medomni.types.section import SectionName
from tests import drafts, reports

FINDINGS, IMPRESSION, ADDENDUM = SectionName.FINDINGS, SectionName.IMPRESSION, SectionName.ADDENDUM
LANGUAGES = ("en", "zh")
SIGNATURE = Signature(name="Dr. Ana Rossi", role="radiologist", at=datetime(2024, 1, 2, tzinfo=UTC), state=ReportState.FINAL)


def report(*present, language="en", **changes):
    """The report of a composed draft, linted as it comes."""
    draft = drafts.draft(drafts.findings(*present), language, **changes)
    return Report(**{name: getattr(draft, name) for name in Draft.model_fields}, provenance=reports.report().provenance)


def said(of, section=FINDINGS):
    return [sentence.text for sentence in of.sections[section].sentences]


def about(of, finding_id, section=FINDINGS):
    return [sentence for sentence in of.sections[section].sentences if finding_id in sentence.finding_ids]


def found(of, finding_id):
    return next(finding for finding in of.findings if finding.id == finding_id)


def unsafe(of):
    return [notice for notice in of.notices if notice.level is NoticeLevel.UNSAFE]


def check_spans(of):
    """Every character of every sentence has one writer."""
    for section in of.sections.values():
        for sentence in section.sentences:
            ends = [0, *(span.end for span in origins(sentence))]
            assert [span.start for span in origins(sentence)] == ends[:-1]
            assert ends[-1] == len(sentence.text)


def by(sentence, origin):
    """The characters of a sentence that an origin wrote."""
    return "".join(sentence.text[span.start : span.end] for span in origins(sentence) if span.origin is origin)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_reworded_sentence_keeps_what_stayed_and_gives_the_rest_to_its_writer(language):
    old = said(report(drafts.opacity(), language=language))[0]
    new = apply(
        report(drafts.opacity(), language=language),
        [Reword(section=FINDINGS, index=0, text=old.replace("120 mL", "about 120 mL"), origin=Origin.DICTATED)],
    )
    sentence = new.sections[FINDINGS].sentences[0]
    assert by(sentence, Origin.DICTATED).strip() == "about"
    assert by(sentence, Origin.AI) == old
    assert sentence.finding_ids == ("lung-opacity",)
    check_spans(new)


def test_a_second_rewording_keeps_the_first_writer():
    first = apply(report(drafts.opacity()), [Insert(section=FINDINGS, index=0, text="Old scar", origin=Origin.DICTATED)])
    second = apply(first, [Reword(section=FINDINGS, index=0, text="Old thin scar")])
    assert by(second.sections[FINDINGS].sentences[0], Origin.TYPED).strip() == "thin"
    assert by(second.sections[FINDINGS].sentences[0], Origin.DICTATED).replace(" ", "") == "Oldscar"


def test_the_same_words_change_nothing():
    before = report(drafts.opacity())
    assert apply(before, [Reword(section=FINDINGS, index=0, text=said(before)[0])]).sections == before.sections


@given(
    old=st.text(min_size=1, max_size=900).filter(str.strip), new=st.text(min_size=1, max_size=900), writer=st.sampled_from(Origin)
)
@settings(max_examples=60, deadline=None)
def test_any_rewording_covers_the_text_without_gaps(old, new, writer):
    before = report()
    first = Sentence(text=old, receipt=None, spans=({"start": 0, "end": len(old), "origin": writer},))
    section = before.sections[FINDINGS].model_copy(update={"sentences": (first,)})
    before = before.model_copy(update={"sections": {FINDINGS: section}})
    try:
        after = apply(before, [Reword(section=FINDINGS, index=0, text=new)])
    except BadInput:
        return
    check_spans(after)
    kept = by(after.sections[FINDINGS].sentences[0], writer)
    assert writer is Origin.TYPED or len(kept) <= len(old)


def test_a_long_text_is_compared_by_words_and_stays_covered():
    words = " ".join(f"w{k}" for k in range(700))
    before = apply(report(), [Insert(section=FINDINGS, index=0, text=f"left {words} side")])
    after = apply(before, [Reword(section=FINDINGS, index=0, text=f"right {words} lung", origin=Origin.DICTATED)])
    assert by(after.sections[FINDINGS].sentences[0], Origin.TYPED).strip() == words
    check_spans(after)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_inserted_sentence_is_the_persons_and_joins_the_organ_beside_it(language):
    before = report(drafts.opacity(), language=language)
    after = apply(before, [Insert(section=FINDINGS, index=1, text="Old scar.")])
    made = after.sections[FINDINGS].sentences[1]
    assert (made.text, made.organ, made.receipt) == ("Old scar.", "lungs", None)
    assert by(made, Origin.TYPED) == made.text
    assert said(after)[:1] + said(after)[2:] == said(before)


def test_an_index_beyond_the_end_adds_at_the_end():
    assert said(apply(report(), [Insert(section=IMPRESSION, index=99, text="Control.")]), IMPRESSION)[-1] == "Control."


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_removed_sentence_is_gone_and_its_finding_is_missed(language):
    before = report(drafts.opacity(), language=language)
    after = apply(before, [Remove(section=IMPRESSION, index=0)])
    assert said(after, IMPRESSION) == said(before, IMPRESSION)[1:]
    assert {notice.code for notice in after.notices} == {"missing_in_impression"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rejected_finding_vanishes_from_findings_and_impression(language):
    before = report(drafts.opacity(), drafts.nodule(), language=language)
    after = apply(before, [Judge(finding_id="lung-opacity", verdict=Verdict.REJECTED)])
    gone = {sentence.text for section in (FINDINGS, IMPRESSION) for sentence in about(before, "lung-opacity", section)}
    assert set(said(after) + said(after, IMPRESSION)) == set(said(before) + said(before, IMPRESSION)) - gone
    assert found(after, "lung-opacity").presence is Presence.ABSENT
    assert (found(after, "lung-opacity").measurements, after.verdicts) == ((), {"lung-opacity": Verdict.REJECTED})
    assert (unsafe(after), second_look(after)) == ([], ())


def test_an_accepted_finding_stays_as_it_is():
    before = report(drafts.opacity())
    after = apply(before, [Judge(finding_id="lung-opacity", verdict=Verdict.ACCEPTED)])
    assert (after.sections, after.findings) == (before.sections, before.findings)
    assert after.verdicts == {"lung-opacity": Verdict.ACCEPTED}


@pytest.mark.parametrize("kind", [Reword, Remove])
def test_an_edit_of_a_sentence_that_is_another_one_by_now_is_refused(kind):
    of = report(drafts.opacity())
    text = {"text": "No opacity."} if kind is Reword else {}
    asked = kind(section=FINDINGS, index=0, was=said(of)[0], **text)
    assert said(apply(of, [asked]))[0] != said(of)[0]
    moved = apply(of, [Insert(section=FINDINGS, index=0, text="Old scar.")])
    with pytest.raises(BadInput, match="another one by now"):
        apply(moved, [asked])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_confirmed_finding_is_certain_and_no_other_one(language):
    first = drafts.opacity().model_copy(update={"presence": Presence.UNCERTAIN, "probability": 0.4})
    other = drafts.nodule().model_copy(update={"presence": Presence.UNCERTAIN, "probability": 0.4})
    done = apply(report(first, other, language=language), [Judge(finding_id=first.id, verdict=Verdict.CONFIRMED)])
    found = {finding.id: finding for finding in done.findings}
    assert (found[first.id].presence, found[first.id].probability) == (Presence.PRESENT, None)
    assert found[other.id].presence is Presence.UNCERTAIN
    assert second_look(done) == ()
    with pytest.raises(BadInput):
        apply(
            apply(done, [Judge(finding_id=first.id, verdict=Verdict.REJECTED)]),
            [Judge(finding_id=first.id, verdict=Verdict.CONFIRMED)],
        )


def test_a_rejected_finding_takes_the_notices_about_it_along():
    notices = tuple(Notice(code="model_is_less_sure", fields={"label": label}) for label in ("lung_opacity", "lung_nodule"))
    of = report(drafts.opacity(), drafts.nodule()).model_copy(update={"notices": notices})
    left = apply(of, [Judge(finding_id="lung-opacity", verdict=Verdict.REJECTED)]).notices
    assert [notice.fields["label"] for notice in left if notice.code == "model_is_less_sure"] == ["lung_nodule"]


def test_what_was_not_evaluated_is_never_made_absent_by_a_rejection():
    with pytest.raises(BadInput):
        apply(report(), [Judge(finding_id="bronchiectasis", verdict=Verdict.REJECTED)])


def test_a_rejected_finding_does_not_come_back_by_accepting_it():
    rejected = apply(report(drafts.opacity()), [Judge(finding_id="lung-opacity", verdict=Verdict.REJECTED)])
    with pytest.raises(BadInput):
        apply(rejected, [Judge(finding_id="lung-opacity", verdict=Verdict.ACCEPTED)])


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_says_what_is_left_when_its_largest_is_rejected(language):
    small, large = drafts.nodule(1), drafts.nodule(2, 12.5, 9.4)
    after = apply(report(small, large, language=language), [Judge(finding_id="lung-nodule-2", verdict=Verdict.REJECTED)])
    assert said(after, IMPRESSION)[0] == said(report(small, language=language), IMPRESSION)[0]
    assert "13" not in "".join(said(after) + said(after, IMPRESSION))
    assert unsafe(after) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_group_keeps_its_largest_when_a_smaller_one_is_rejected(language):
    nodules = (drafts.nodule(1), drafts.nodule(2, 12.5, 9.4), drafts.nodule(3, 5.0, 4.0))
    after = apply(report(*nodules, language=language), [Judge(finding_id="lung-nodule-3", verdict=Verdict.REJECTED)])
    assert said(after, IMPRESSION)[0] == said(report(*nodules[:2], language=language), IMPRESSION)[0]
    assert len(about(after, "lung-nodule-2", IMPRESSION)) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_consolidation_that_is_rejected_is_not_told_beside_the_opacity_either(language):
    after = apply(
        report(drafts.opacity(), drafts.dense(), language=language),
        [Judge(finding_id="consolidation", verdict=Verdict.REJECTED)],
    )
    assert said(after)[0] == said(report(drafts.opacity(), language=language))[0]
    assert unsafe(after) == []


def test_words_that_a_person_wrote_about_another_finding_stay():
    typed = "Opacity in the right lower zone, including the consolidation, typical of pneumonia."
    before = apply(report(drafts.opacity(), drafts.dense()), [Reword(section=FINDINGS, index=1, text=typed)])
    after = apply(before, [Judge(finding_id="consolidation", verdict=Verdict.REJECTED)])
    assert typed in said(after)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_resized_finding_has_its_number_in_both_sections_and_no_other(language):
    before = report(drafts.nodule(), language=language)
    after = apply(before, [Resize(finding_id="lung-nodule-1", diameter_mm=17)])
    for section in (FINDINGS, IMPRESSION):
        (sentence,) = about(after, "lung-nodule-1", section)
        assert "17 mm" in sentence.text
        assert "8 " not in sentence.text.replace("88", "")
        assert by(sentence, Origin.DICTATED) == sentence.text
    assert (review(after), second_look(after)) == ((), ())
    check_spans(after)


@given(diameter=st.floats(0.001, 500, allow_nan=False))
@settings(max_examples=40, deadline=None)
def test_every_size_has_a_source(diameter):
    after = apply(report(drafts.nodule()), [Resize(finding_id="lung-nodule-1", diameter_mm=diameter)])
    assert "number_without_source" not in {notice.code for notice in after.notices}


def test_one_of_a_group_that_is_resized_leaves_one_line_in_the_impression():
    after = apply(report(drafts.nodule(1), drafts.nodule(2, 12.5, 9.4)), [Resize(finding_id="lung-nodule-1", diameter_mm=6)])
    assert [sentence.finding_ids for sentence in about(after, "lung-nodule-2", IMPRESSION)] == [
        ("lung-nodule-1", "lung-nodule-2")
    ]
    assert unsafe(after) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_largest_of_a_group_is_the_one_that_a_person_measured_so(language):
    after = apply(
        report(drafts.nodule(1), drafts.nodule(2, 12.5, 9.4), language=language),
        [Resize(finding_id="lung-nodule-1", diameter_mm=30)],
    )
    assert "30 mm" in said(after, IMPRESSION)[0]


def test_what_is_not_there_has_no_size():
    with pytest.raises(BadInput):
        apply(report(), [Resize(finding_id="lung-opacity", diameter_mm=5)])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("side", [Laterality.LEFT, Laterality.RIGHT])
def test_what_a_person_states_is_in_both_sections_with_its_side_and_nowhere_denied(language, side):
    after = apply(
        report(language=language), [State(label="pleural_effusion", presence=Presence.PRESENT, laterality=side, diameter_mm=12)]
    )
    made = found(after, "dictated-pleural-effusion")
    assert (made.presence, made.laterality) == (Presence.PRESENT, side)
    words = {"en": side.value, "zh": {"left": "左", "right": "右"}[side.value]}[language]
    for section in (FINDINGS, IMPRESSION):
        (sentence,) = about(after, made.id, section)
        assert words in sentence.text.lower()
        assert "12 mm" in sentence.text
    assert (unsafe(after), second_look(after)) == ([], ())


def test_a_finding_that_was_listed_as_absent_leaves_the_list_when_it_is_stated():
    before = report()
    after = apply(before, [State(label="emphysema", presence=Presence.PRESENT)])
    assert "No consolidation, lung opacity or emphysema detected." in said(before)
    assert "No consolidation or lung opacity detected." in said(after)
    assert not any("emphysema" in text and "No " in text for text in said(after, IMPRESSION))
    assert unsafe(after) == []


def test_a_finding_that_was_not_assessed_leaves_that_list_when_it_is_stated():
    after = apply(report(), [State(label="bronchiectasis", presence=Presence.UNCERTAIN, laterality=Laterality.LEFT)])
    assert [text for text in said(after) if "ronchiectasis" in text] == ["Possible bronchiectasis in the left lung, as dictated."]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_denied_finding_is_absent_and_one_sentence_says_so(language):
    before = report(drafts.effusion(), language=language)
    after = apply(before, [State(label="pleural_effusion", presence=Presence.ABSENT)])
    assert [f.presence for f in after.findings if f.label == "pleural_effusion"] == [Presence.ABSENT]
    assert len(about(after, "dictated-pleural-effusion")) == 1
    assert about(after, "dictated-pleural-effusion", IMPRESSION) == []
    assert "denied_by_dictation" in {notice.code for notice in after.notices}
    assert (unsafe(after), second_look(after)) == ([], ())


@pytest.mark.parametrize("language", LANGUAGES)
def test_who_denies_one_side_leaves_the_other_as_it_was_measured(language):
    before = report(drafts.effusion(), language=language)
    after = apply(before, [State(label="pleural_effusion", presence=Presence.ABSENT, laterality=Laterality.LEFT)])
    (left,) = [finding for finding in after.findings if finding.label == "pleural_effusion"]
    assert (left.presence, left.laterality) == (Presence.UNCERTAIN, Laterality.RIGHT)
    assert [m.name for m in left.measurements] == ["effusion_volume_right"]
    for section in (FINDINGS, IMPRESSION):
        (sentence,) = about(after, left.id, section)
        assert "240 mL" in sentence.text
        assert "62" not in sentence.text
    assert unsafe(after) == []


def test_who_denies_the_side_where_nothing_was_found_denies_nothing_else():
    right = drafts.effusion(laterality=Laterality.RIGHT, measurements=drafts.measured("effusion_volume", right=240.0))
    with pytest.raises(BadInput):
        apply(report(right), [State(label="pleural_effusion", presence=Presence.ABSENT, laterality=Laterality.LEFT)])


def test_who_denies_the_only_side_denies_the_finding():
    after = apply(report(drafts.opacity()), [State(label="lung_opacity", presence=Presence.ABSENT, laterality=Laterality.RIGHT)])
    assert found(after, "dictated-lung-opacity").presence is Presence.ABSENT
    assert not any("zone" in text for text in said(after) + said(after, IMPRESSION))


@pytest.mark.parametrize(
    "edit",
    [
        Reword(section=FINDINGS, index=99, text="x"),
        Remove(section=ADDENDUM, index=0),
        Judge(finding_id="nobody", verdict=Verdict.REJECTED),
        Resize(finding_id="nobody", diameter_mm=5),
        State(label="nothing_known", presence=Presence.PRESENT),
    ],
)
def test_what_is_not_there_is_not_edited(edit):
    with pytest.raises(BadInput):
        apply(report(), [edit])


def test_edits_are_carried_out_together_or_not_at_all():
    before = report(drafts.opacity())
    kept = before.model_dump_json()
    with pytest.raises(BadInput):
        apply(before, [Remove(section=FINDINGS, index=0), Remove(section=FINDINGS, index=99)])
    assert before.model_dump_json() == kept


def test_hostile_text_is_cleaned_to_one_plain_line():
    after = apply(report(), [Insert(section=FINDINGS, index=0, text="No\x00\x07 nodule\u202e\u2028\n right\ufeff")])
    assert said(after)[0] == "No nodule right"


@pytest.mark.parametrize("text", [" \n\t", "\x00", "\u202e\u200f", "\u3000"])
def test_a_sentence_without_words_is_refused(text):
    with pytest.raises(BadInput):
        apply(report(), [Insert(section=FINDINGS, index=0, text=text)])
    with pytest.raises(BadInput):
        apply(report(drafts.opacity()), [Reword(section=FINDINGS, index=0, text=text)])


def test_a_page_of_text_is_taken_and_more_is_not():
    assert len(said(apply(report(), [Insert(section=FINDINGS, index=0, text="n" * LONGEST_TEXT)]))[0]) == LONGEST_TEXT
    with pytest.raises(ValueError, match="at most 4000"):
        Insert(section=FINDINGS, index=0, text="n" * (LONGEST_TEXT + 1))


def test_a_number_that_a_person_types_is_told_and_not_withheld():
    after = apply(report(drafts.opacity()), [Insert(section=FINDINGS, index=0, text="Cyst of 37 mm.")])
    assert [n.level for n in after.notices if n.code == "number_without_source"] == [NoticeLevel.WARNING]


def test_the_linter_speaks_of_the_text_as_it_is_now():
    wrong = apply(report(drafts.opacity()), [Insert(section=FINDINGS, index=0, text="Cyst of 37 mm.")])
    assert apply(wrong, [Remove(section=FINDINGS, index=0)]).notices == ()


def test_notices_that_are_not_the_linters_stay():
    before = reports.report()
    after = apply(before, [Insert(section=FINDINGS, index=0, text="Old scar.")])
    assert all(notice in after.notices for notice in before.notices)


def test_a_signed_report_takes_an_addendum_and_nothing_else():
    final = signed(report(drafts.opacity()), SIGNATURE)
    for edit in (
        Reword(section=FINDINGS, index=0, text="x"),
        Insert(section=FINDINGS, index=0, text="x"),
        Judge(finding_id="lung-opacity", verdict=Verdict.ACCEPTED),
        State(label="emphysema", presence=Presence.PRESENT),
    ):
        with pytest.raises(BadInput, match="signed"):
            apply(final, [edit])
    after = apply(final, [Insert(section=ADDENDUM, index=0, text="Seen again: unchanged.")])
    assert said(after, ADDENDUM) == ["Seen again: unchanged."]
    assert {name: after.sections[name] for name in final.sections} == final.sections


def test_a_signature_gives_its_state_and_drops_what_the_linter_said_alone():
    draft = apply(reports.report(), [Insert(section=FINDINGS, index=0, text="Cyst of 37 mm.")])
    final = signed(draft, SIGNATURE)
    assert (final.state, final.signatures) == (ReportState.FINAL, (SIGNATURE,))
    assert [notice.code for notice in final.notices] == ["gap_in_series", "no_code_of_ours"]


def test_a_reopened_report_can_be_edited_and_keeps_its_signatures():
    final = signed(report(drafts.opacity()), SIGNATURE)
    after = apply(reopened(final), [Remove(section=IMPRESSION, index=0)])
    assert (after.state, after.signatures) == (ReportState.DRAFT, (SIGNATURE,))
    assert "missing_in_impression" in {notice.code for notice in after.notices}


SECTIONS = st.sampled_from([FINDINGS, IMPRESSION, SectionName.INDICATION])
WORDS = st.text("No nodule, 12 mm left.右\u202e\n", min_size=1, max_size=40)
LABELS = st.sampled_from(sorted(label for label, entry in vocabulary().labels.items() if not entry.is_measurement_only))
IDS = st.sampled_from(
    ["lung-opacity", "lung-nodule-1", "lung-nodule-2", "pleural-effusion", "dictated-emphysema", "consolidation"]
)
EDITS = st.one_of(
    st.builds(Reword, section=SECTIONS, index=st.integers(0, 12), text=WORDS),
    st.builds(
        Insert, section=SECTIONS, index=st.integers(0, 20), text=WORDS, origin=st.sampled_from([Origin.TYPED, Origin.DICTATED])
    ),
    st.builds(Remove, section=SECTIONS, index=st.integers(0, 12)),
    st.builds(Judge, finding_id=IDS, verdict=st.sampled_from(Verdict)),
    st.builds(Resize, finding_id=IDS, diameter_mm=st.floats(0.1, 500)),
    st.builds(
        State,
        label=LABELS,
        presence=st.sampled_from([Presence.PRESENT, Presence.UNCERTAIN, Presence.ABSENT]),
        laterality=st.sampled_from(Laterality),
        diameter_mm=st.none() | st.floats(0.1, 500),
    ),
)


@given(edits=st.lists(EDITS, min_size=1, max_size=8), language=st.sampled_from(LANGUAGES))
@settings(max_examples=40, deadline=None)
def test_any_edits_leave_a_report_that_can_be_stored_and_whose_every_character_has_a_writer(edits, language):
    of = report(drafts.opacity(), drafts.nodule(1), drafts.nodule(2, 12.5, 9.4), drafts.effusion(), language=language)
    ids = {finding.id for finding in of.findings}
    for edit in edits:
        try:
            of = apply(of, [edit])
        except BadInput:
            continue
    check_spans(of)
    assert Report.model_validate_json(of.model_dump_json()) == of
    assert len({finding.id for finding in of.findings}) == len(of.findings)
    cited = {key for section in of.sections.values() for s in section.sentences for key in s.finding_ids}
    assert cited <= ids | {finding.id for finding in of.findings}
    rejected = {key for key, verdict in of.verdicts.items() if verdict is Verdict.REJECTED}
    assert not any(f.id in rejected and f.presence is not Presence.ABSENT for f in of.findings if not f.id.startswith("dictated"))
