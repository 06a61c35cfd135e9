"""The second look: where text and coded findings do not agree, both ways."""

import pytest

from medomni.reporting.edit import apply
from medomni.reporting.second_look import Difference, Kind, second_look
from medomni.types.edit import Insert, Remove, Reword
from medomni.types.finding import Laterality
from medomni.types.report import Draft, Receipt, ReceiptKind, Report, Sentence
from medomni.types.section import SectionName
from tests import drafts, reports

FINDINGS, IMPRESSION = SectionName.FINDINGS, SectionName.IMPRESSION
TEXTS = {
    "asserted": {"en": "Large hiatal hernia.", "zh": "食管裂孔疝。"},
    "denied": {"en": "No opacity in either lung.", "zh": "两肺未见密度增高影。"},
    "left": {"en": "Opacity in the left lower lobe.", "zh": "左肺下叶见密度增高影。"},
}


def report(*present, language="en"):
    draft = drafts.draft(drafts.findings(*present), language)
    return Report(**{name: getattr(draft, name) for name in Draft.model_fields}, provenance=reports.report().provenance)


def only_saying(text, *present, language="en"):
    """A report whose findings and impression say one sentence."""
    of = report(*present, language=language)
    edits = [Remove(section=name, index=0) for name in (FINDINGS, IMPRESSION) for _ in of.sections[name].sentences]
    return apply(of, [*edits, Insert(section=FINDINGS, index=0, text=text)])


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "present", [(), (drafts.opacity(), drafts.nodule()), (drafts.effusion(), drafts.dense(), drafts.opacity())]
)
def test_a_composed_report_agrees_with_its_findings(language, present):
    assert second_look(report(*present, language=language)) == ()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("section", [FINDINGS, IMPRESSION])
def test_what_only_the_text_claims_is_told(language, section):
    of = report(language=language)
    for index in (0, len(of.sections[section].sentences)):
        typed = apply(of, [Insert(section=section, index=index, text=TEXTS["asserted"][language])])
        assert second_look(typed) == (Difference(kind=Kind.ONLY_IN_TEXT, label="hiatal_hernia"),)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_the_text_denies_although_it_was_found_is_told(language):
    of = only_saying(TEXTS["denied"][language], drafts.opacity(), language=language)
    assert Difference(kind=Kind.DENIED_BUT_FOUND, label="lung_opacity", finding_ids=("lung-opacity",)) in second_look(of)


def test_what_the_text_leaves_out_is_told():
    of = only_saying("Nothing else.", drafts.effusion())
    assert second_look(of) == (
        Difference(kind=Kind.ONLY_IN_FINDINGS, label="pleural_effusion", finding_ids=("pleural-effusion",)),
    )


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_wrong_side_is_told(language):
    of = only_saying(TEXTS["left"][language], drafts.opacity(), language=language)
    assert [(one.kind, one.label) for one in second_look(of)] == [(Kind.SIDE, "lung_opacity")]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_denial_is_told_also_where_another_sentence_states_the_finding(language):
    of = report(drafts.opacity(), language=language)
    typed = apply(of, [Insert(section=FINDINGS, index=0, text=TEXTS["denied"][language])])
    assert [(one.kind, one.label) for one in second_look(typed)] == [(Kind.DENIED_BUT_FOUND, "lung_opacity")]


def test_a_denial_of_the_other_side_is_no_difference():
    typed = apply(report(drafts.opacity()), [Insert(section=FINDINGS, index=0, text="No opacity in the left lung.")])
    assert second_look(typed) == ()


def test_a_side_too_many_is_told_also_where_another_sentence_names_the_right_one():
    typed = apply(report(drafts.opacity()), [Insert(section=FINDINGS, index=0, text=TEXTS["left"]["en"])])
    assert [(one.kind, one.label) for one in second_look(typed)] == [(Kind.SIDE, "lung_opacity")]


def test_what_repeats_the_history_is_not_read_until_somebody_changes_it():
    receipt = Receipt(kind=ReceiptKind.HISTORY, span=(0, 7))
    asked = Sentence(text="The question of nodule is not answered.", receipt=receipt)
    of = report()
    section = of.sections[IMPRESSION].model_copy(update={"sentences": (*of.sections[IMPRESSION].sentences, asked)})
    of = of.model_copy(update={"sections": {**of.sections, IMPRESSION: section}})
    assert second_look(of) == ()
    changed = apply(of, [Reword(section=IMPRESSION, index=len(section.sentences) - 1, text="Nodule in the left upper lobe.")])
    assert [one.label for one in second_look(changed)] == ["lung_nodule"]


def test_one_side_of_two_is_no_wrong_side():
    of = only_saying("Right pleural effusion.", drafts.effusion(laterality=Laterality.BILATERAL))
    assert second_look(of) == ()


def test_a_denial_of_what_is_absent_is_no_difference():
    assert second_look(only_saying("No pleural effusion.")) == ()


def test_a_line_that_reads_as_a_heading_hides_nothing_after_it():
    of = report()
    typed = apply(
        of,
        [Insert(section=FINDINGS, index=0, text="Limitations: motion."), Insert(section=IMPRESSION, index=0, text="Emphysema.")],
    )
    assert [one.label for one in second_look(typed)] == ["emphysema"]


def test_other_sections_are_not_read():
    of = report()
    assert second_look(apply(of, [Insert(section=SectionName.INDICATION, index=0, text="Emphysema?")])) == ()


def test_differences_come_in_the_order_of_the_vocabulary():
    of = only_saying("Emphysema and consolidation.")
    reworded = apply(of, [Reword(section=FINDINGS, index=0, text="Consolidation. Emphysema.")])
    assert [one.label for one in second_look(of)] == [one.label for one in second_look(reworded)]
