from evaluation.metrics.sentences import changed, unexplained
from medomni.types.section import SectionName
from tests.drafts import draft, effusion, emphysema, findings


def with_first_text(of, section, text):
    told = of.sections[section]
    first = told.sentences[0].model_copy(update={"text": text})
    new = told.model_copy(update={"sentences": (first, *told.sentences[1:])})
    return of.model_copy(update={"sections": of.sections | {section: new}})


def test_drafts_of_the_same_differ_in_nothing():
    assert changed(draft(), draft()) == () == unexplained(draft(), draft())


def test_indication_repeats_the_history_and_is_not_compared():
    one, other = draft(history="Cough for 3 weeks."), draft(history="Fever.")
    assert one.sections[SectionName.INDICATION] != other.sections[SectionName.INDICATION]
    assert changed(one, other) == ()


def test_question_that_the_impression_quotes_changes_and_may():
    asked, other = draft(history="Pulmonary embolism?"), draft(history="Fever.")
    quoted = changed(asked, other)
    assert quoted and all(sentence.receipt.kind == "history" for sentence in quoted)
    assert unexplained(asked, other) == ()


def test_sentence_of_a_finding_may_change_with_its_certainty():
    sure, unsure = (draft(findings(effusion(probability=p), emphysema())) for p in (0.75, 0.5))
    differing = changed(sure, unsure)
    assert {key for sentence in differing for key in sentence.finding_ids} == {effusion().id}
    assert unexplained(sure, unsure) == ()


def test_sentence_that_changes_for_no_reason_is_found_in_both_drafts():
    one, other = draft(), with_first_text(draft(), SectionName.FINDINGS, "Something else.")
    assert [sentence.text for sentence in unexplained(one, other)] == [
        one.sections[SectionName.FINDINGS].sentences[0].text,
        "Something else.",
    ]


def test_sentence_told_once_more_is_a_change():
    one = draft()
    told = one.sections[SectionName.FINDINGS]
    twice = told.model_copy(update={"sentences": (*told.sentences, told.sentences[0])})
    assert changed(one, one.model_copy(update={"sections": one.sections | {SectionName.FINDINGS: twice}})) == (told.sentences[0],)
