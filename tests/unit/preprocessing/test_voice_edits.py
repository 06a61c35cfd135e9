"""What a person says of a report becomes edits that fit it, or a question: never a guess, never applied."""

import time

import pytest

from medomni.reporting.edit import apply, signed
from medomni.types.edit import Insert, Judge, Remove, Resize, Reword, State
from medomni.types.finding import Finding, Laterality, Presence
from medomni.types.provenance import Provenance
from medomni.types.report import Origin, Report, ReportState, Signature, Verdict
from medomni.types.section import SectionName
from preprocessing.voice_edits import LONGEST_UTTERANCE, understand
from tests import drafts

FINDINGS, IMPRESSION = SectionName.FINDINGS, SectionName.IMPRESSION
RIGHT_UPPER, LEFT_LOWER = "lung_upper_lobe_right", "lung_lower_lobe_left"


def report(language="en", effusion_side=Laterality.RIGHT):
    """Two nodules, an effusion and an opacity; no emphysema or consolidation, the rest not evaluated."""
    found = drafts.findings(
        drafts.nodule(1, 11.2, 9.1, laterality=Laterality.RIGHT, anatomy=(RIGHT_UPPER,)),
        drafts.nodule(2, 6.1, 5.2, laterality=Laterality.LEFT, anatomy=(LEFT_LOWER,)),
        drafts.effusion(presence=Presence.PRESENT, probability=0.97, laterality=effusion_side),
        drafts.opacity(
            laterality=Laterality.LEFT, anatomy=(LEFT_LOWER,), measurements=drafts.measured("opacity_volume", left=42.0)
        ),
    )
    draft = drafts.draft(found, language)
    parts = {name: getattr(draft, name) for name in type(draft).model_fields}
    return Report(**parts, provenance=Provenance(study_key="k", input_sha256="0" * 64))


def edits(said, of=None):
    """The edits of an utterance, after they were carried out once: what is understood fits."""
    of = of or report()
    understood = understand(said, of)
    if understood.edits:
        apply(of, understood.edits)
    assert len(understood.edits) == len(understood.lines)
    return understood.edits


def texts(of, *sections):
    return [sentence.text for name in sections or (FINDINGS, IMPRESSION) for sentence in of.sections[name].sentences]


def after(said, of=None):
    of = of or report()
    return apply(of, understand(said, of).edits)


@pytest.mark.parametrize(
    ("said", "finding", "size"),
    [
        ("Change the nodule in the right upper lobe to eight millimeters.", 1, 8),
        ("set the RUL nodule to 8mm", 1, 8),
        ("The left lower lobe nodule measures seven millimeters", 2, 7),
        ("make the left nodule 1.2 cm please", 2, 12),
        ("change the 11 mm nodule to 9 mm", 1, 9),
        ("the smallest nodule is 4 mm", 2, 4),
        ("change the nodule in the upper lobe of the right lung from 11 mm to 10 mm", 1, 10),
        ("A nine millimeter nodule in the right upper lobe", 1, 9),
        ("note that the right nodule is 8 mm", 1, 8),
        ("把右肺上叶结节改为八毫米", 1, 8),
        ("左肺下叶结节大小为7毫米", 2, 7),
    ],
)
def test_size_that_is_said_of_one_finding_becomes_its_size(said, finding, size):
    (edit,) = edits(said)
    assert edit == Resize(finding_id=f"lung-nodule-{finding}", diameter_mm=size)
    sentences = after(said).sections[FINDINGS].sentences
    (text,) = [one.text for one in sentences if one.finding_ids == (edit.finding_id,)]
    assert f" {size:g} mm" in text
    assert " x " not in text, "the measured pair has gone"


def test_preview_tells_old_and_new_size_and_what_was_measured():
    understood = understand("change the nodule in the right upper lobe to 8 mm", report())
    assert understood.lines == ("Nodule, right upper lobe: 11 mm -> 8 mm",)
    assert understood.conflicts == ("measured 11 mm, you said 8 mm",)
    assert understood.unclear == ()


def test_size_that_only_the_shorter_diameter_has_is_a_conflict():
    assert understand("change the right nodule to 9 mm", report()).conflicts == ("measured 11 mm, you said 9 mm",)


def test_preview_is_in_the_language_of_the_report():
    understood = understand("change the nodule in the right upper lobe to 8 mm", report("zh"))
    assert understood.lines == ("结节影，右肺上叶：11 mm -> 8 mm",)
    assert understood.conflicts == ("测得11 mm，您说8 mm",)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("change the nodule to 8 mm", "which one? Nodule, right upper lobe (11 mm); Nodule, left lower lobe (6 mm)"),
        ("remove the nodule", "which one?"),
        ("删除结节", "which one?"),
        ("change the nodule in the right lower lobe to 8 mm", "elsewhere"),
        ("remove the lymph node", "no such finding"),
        ("change the right nodule to 8", "millimeters or centimeters"),
        ("change the right nodule to 900 mm", "between 0 and 500"),
        ("change both nodules to 5 mm", "a size belongs to one finding"),
        ("the opacity is not 8 mm", "there, or not there?"),
        ("do not remove the effusion", "nothing is done"),
        ("don't change the right nodule to 8 mm", "nothing is done"),
        ("不要删除胸腔积液", "nothing is done"),
        ("remove sentence three", "of which section"),
        ("remove sentence 90 of the findings", "no such sentence"),
        ("change left to right", "stand in"),
        ("replace elephant with mouse", "not in the report"),
        ("Mr Smithson was called", "no command"),
        ("add a right pleural effusion", "has it already"),
        ("the right nodule measures 11 mm", "has it already"),
        ("possible right pleural effusion", "another certainty"),
        ("change left-right in the opacity sentence", "no command"),
        ("free glass opacity with consolidation in the findings", "no command"),
        ("remove everything", "no finding is named"),
    ],
)
def test_what_is_not_clear_is_quoted_with_the_reason_and_changes_nothing(said, reason):
    understood = understand(said, report())
    assert understood.edits == ()
    (told,) = understood.unclear
    assert reason in told
    assert told.startswith('"')


@pytest.mark.parametrize("said", ["remove the left effusion", "no left effusion"])
def test_one_side_of_a_finding_on_both_is_denied_and_the_other_stays(said):
    of = report(effusion_side=Laterality.BILATERAL)
    assert edits(said, of) == (State(label="pleural_effusion", presence=Presence.ABSENT, laterality=Laterality.LEFT),)
    (effusion,) = [finding for finding in after(said, of).findings if finding.label == "pleural_effusion"]
    assert (effusion.presence, effusion.laterality) == (Presence.PRESENT, Laterality.RIGHT)


@pytest.mark.parametrize(
    ("said", "label"),
    [
        ("add no effusion", "pleural_effusion"),
        ("there is no evidence of emphysema", "emphysema"),
        ("Emphysema is not present.", "emphysema"),
        ("insert no pericardial effusion", "pericardial_effusion"),
        ("without lymphadenopathy", "lymphadenopathy"),
        ("添加无支气管扩张", "bronchiectasis"),
    ],
)
def test_denial_is_stated_as_absent(said, label):
    assert edits(said) == (State(label=label, presence=Presence.ABSENT),)
    assert all(finding.presence is Presence.ABSENT for finding in after(said).findings if finding.label == label)


def test_denial_of_what_was_found_says_so_in_its_preview():
    understood = understand("add no effusion", report())
    assert understood.lines == ("Instead of Pleural effusion, right: no pleural effusion",)
    assert not any("Right pleural effusion" in text for text in texts(after("add no effusion")))


def test_denial_of_one_side_leaves_the_other():
    (edit,) = edits("no left pleural effusion")
    assert (type(edit), edit.text) == (Insert, "No left pleural effusion.")
    now = after("no left pleural effusion")
    assert next(f for f in now.findings if f.label == "pleural_effusion").presence is Presence.PRESENT
    removed, written = edits("no right pleural effusion")
    assert removed == Judge(finding_id="pleural-effusion", verdict=Verdict.REJECTED)
    assert written.text == "No right pleural effusion."


@pytest.mark.parametrize("said", ["no large effusion", "no new nodules", "no lymph nodes larger than 10 mm enlarged"])
def test_narrowed_denial_is_no_denial_of_the_finding(said):
    assert not any(isinstance(edit, State | Judge) for edit in edits(said))


def test_denial_reaches_no_further_than_it_was_said():
    assert edits("no emphysema and an opacity in the right upper lobe") == (
        State(label="emphysema", presence=Presence.ABSENT),
        State(label="lung_opacity", presence=Presence.PRESENT, laterality=Laterality.RIGHT, anatomy=("lung_upper_lobe_right",)),
    )
    understood = understand("no emphysema and cardiomegaly", report())
    assert understood.edits == (State(label="emphysema", presence=Presence.ABSENT),)
    assert "there, or not there?" in understood.unclear[0]


@pytest.mark.parametrize(
    ("said", "edit"),
    [
        (
            "There is a small left effusion.",
            State(label="pleural_effusion", presence=Presence.PRESENT, laterality=Laterality.LEFT),
        ),
        ("add possible cardiomegaly", State(label="cardiomegaly", presence=Presence.UNCERTAIN)),
        (
            "add bilateral bronchiectasis",
            State(label="bronchiectasis", presence=Presence.PRESENT, laterality=Laterality.BILATERAL),
        ),
        (
            "atelectasis in the right upper and lower lobes",
            State(
                label="atelectasis",
                presence=Presence.PRESENT,
                laterality=Laterality.RIGHT,
                anatomy=("lung_upper_lobe_right", "lung_lower_lobe_right"),
            ),
        ),
        ("添加左侧胸腔积液", State(label="pleural_effusion", presence=Presence.PRESENT, laterality=Laterality.LEFT)),
    ],
)
def test_what_is_described_is_stated_with_side_and_lobe(said, edit):
    assert edits(said) == (edit,)


def test_two_findings_of_one_sentence_keep_their_own_sides():
    effusion, consolidation = edits("left effusion and right lower lobe consolidation")
    assert (effusion.laterality, consolidation.laterality) == (Laterality.LEFT, Laterality.RIGHT)


def test_second_nodule_of_a_lung_is_a_finding_of_its_own():
    said = "add a five millimeter nodule in the right middle lobe"
    (edit,) = edits(said)
    assert edit == State(
        label="lung_nodule",
        presence=Presence.PRESENT,
        laterality=Laterality.RIGHT,
        anatomy=("lung_middle_lobe_right",),
        diameter_mm=5.0,
    )
    now = texts(after(said), FINDINGS)
    assert any("right middle lobe, 5 mm as dictated" in text for text in now)
    assert any("right upper lobe, 11 x 9 mm" in text for text in now)
    third = after("add a seven millimeter nodule in the left upper lobe", after(said))
    assert [finding.id for finding in third.findings if finding.label == "lung_nodule"] == [
        *("dictated-lung-nodule-2", "dictated-lung-nodule", "lung-nodule-1", "lung-nodule-2"),
    ]


def test_second_nodule_of_a_lobe_is_written_and_not_taken_for_the_first():
    said = "add another nodule of five millimeters in the right upper lobe"
    assert edits(said) == (
        Insert(section=FINDINGS, index=2, text="Another nodule of 5 mm in the right upper lobe.", origin=Origin.DICTATED),
    )
    now = texts(after(said), FINDINGS)
    assert "Another nodule of 5 mm in the right upper lobe." in now
    assert any("right upper lobe, 11 x 9 mm" in text for text in now)


def test_findings_are_accepted_and_rejected():
    assert edits("accept the nodule in the right upper lobe, then reject the opacity") == (
        Judge(finding_id="lung-nodule-1", verdict=Verdict.ACCEPTED),
        Judge(finding_id="lung-opacity", verdict=Verdict.REJECTED),
    )
    assert {edit.finding_id for edit in edits("remove both nodules")} == {"lung-nodule-1", "lung-nodule-2"}
    assert [edit.finding_id for edit in edits("delete the effusion and the opacity")] == ["pleural-effusion", "lung-opacity"]
    assert {edit.verdict for edit in edits("accept all findings")} == {Verdict.ACCEPTED}


def test_sentences_are_counted_as_the_person_sees_them():
    of = report()
    second, third = texts(of, FINDINGS)[1:3]
    assert edits("remove sentence two and three of the findings", of) == (
        Remove(section=FINDINGS, index=1),
        Remove(section=FINDINGS, index=1),
    )
    now = texts(after("delete the second sentence of the findings, then delete the third sentence of the findings", of), FINDINGS)
    assert second not in now
    assert third not in now
    assert len(now) == len(texts(of, FINDINGS)) - 2


def test_last_sentence_is_that_of_the_report():
    of = report()
    assert edits("delete the last sentence", of) == (Remove(section=IMPRESSION, index=len(texts(of, IMPRESSION)) - 1),)


def test_words_are_replaced_in_every_sentence_about_the_finding():
    for said in ("change left to right in the opacity sentence", 'in the opacity sentence, change "left" to "right"'):
        done = edits(said)
        assert [type(edit) for edit in done] == [Reword, Reword], said
        assert all("right lower lobe" in edit.text for edit in done)
    assert edits("replace opacity with consolidation in the impression")[0].text.startswith("Consolidation")


def test_measured_number_that_is_written_over_is_a_conflict():
    assert understand("replace 42 mL with 60 mL in the findings", report()).conflicts == (
        "the report has 42 mL, it would read 60 mL",
    )


def test_sentence_is_written_as_it_was_said():
    of = report()
    end = len(texts(of, IMPRESSION))
    expected = (Insert(section=IMPRESSION, index=end, text="Follow-up CT in 3 months, no contrast.", origin=Origin.DICTATED),)
    assert edits("add to the impression: follow-up CT in 3 months, no contrast", of) == expected
    assert edits("Add to the impression. Follow-up CT in 3 months, no contrast.", of) == expected
    assert edits("印象加上：三个月后复查CT", of)[0].text == "三个月后复查CT。"


def test_several_commands_are_understood_together_and_the_unclear_one_left_out():
    understood = understand("Change the nodule to eight millimeters, add no effusion and delete the opacity.", report())
    assert [type(edit) for edit in understood.edits] == [State, Judge]
    assert len(understood.unclear) == 1
    assert '"Change the nodule to 8 mm"' in understood.unclear[0]


def test_typed_edits_keep_that_they_were_typed():
    (edit,) = understand("add mild emphysema", report(), Origin.TYPED).edits
    assert edit.origin is Origin.TYPED


def test_signed_report_takes_nothing_but_an_addendum():
    of = signed(report(), Signature(name="A", role="radiologist", at="2024-01-02T09:00:00Z", state=ReportState.FINAL))
    refused = understand("remove the opacity", of)
    assert refused.edits == ()
    assert "signed" in refused.unclear[0]
    (edit,) = edits("add to the addendum: the referring physician was told", of)
    assert (edit.section, edit.index) == (SectionName.ADDENDUM, 0)


def test_report_is_left_as_it_was():
    of = report()
    before = of.model_dump_json()
    understand("remove the opacity, add no effusion and delete the last sentence", of)
    assert of.model_dump_json() == before


@pytest.mark.parametrize(
    "piece",
    ["add ", "and ", "remove the nodule and ", "change the ", "nodule and ", "to 8 mm ", '"', "the is ", "不要", "no, a "],
)
def test_hostile_utterance_is_read_within_a_bounded_time(piece):
    start = time.process_time()
    understood = understand(piece * (LONGEST_UTTERANCE // len(piece)), report())
    assert time.process_time() - start < 10.0
    assert len(understood.edits) <= 100


def test_absent_finding_has_no_size_to_change():
    of = report()
    absent = Finding(id="emphysema", label="emphysema", presence=Presence.ABSENT)
    assert absent.presence is next(finding for finding in of.findings if finding.label == "emphysema").presence
    assert understand("change the emphysema to 8 mm", of).edits == ()
