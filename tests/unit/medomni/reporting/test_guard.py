import pytest

from medomni.reporting import guard
from medomni.reporting.guard import Reason, objection
from medomni.reporting.rewording import Rewording, reword
from medomni.reporting.statement import Statement
from medomni.types.finding import Laterality, Presence
from medomni.types.report import Receipt, ReceiptKind, Sentence
from medomni.types.section import SectionName
from tests import drafts

RECEIPT = Receipt(kind=ReceiptKind.MEASURED)


def statement(label="pleural_effusion", step="stated", side=Laterality.RIGHT, **slots):
    return Statement(label, step, side, slots, Sentence(text="As the bank says.", receipt=RECEIPT))


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("Right pleural effusion, {numbers}.", statement(numbers="about 120 mL")),
        ("There is a right pleural effusion.", statement()),
        ("Possible bilateral pleural effusion.", statement(step="possible", side=Laterality.BILATERAL)),
        ("A nodule is probably present in {place}, {numbers} (slice {image}).", statement(
            "lung_nodule", "probable", Laterality.NONE, place="the left upper lobe", numbers="8 x 6 mm", image="88")),
        ("Consolidation in {place}.", statement("consolidation", side=Laterality.NONE, place="the right lung")),
        ("Splenomegaly, {numbers}.", statement("splenomegaly", side=Laterality.NONE, numbers="volume 520 mL")),
    ],
)  # fmt: skip
def test_sentence_that_says_its_statement_may_stand(text, of):
    assert objection(text, of, "en") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", Reason.EMPTY),
        ("right pleural effusion, {numbers}.", Reason.WORDING),
        ("Right pleural effusion, {numbers}", Reason.FORM),
        ("Right pleural effusion.", Reason.SLOTS),
        ("Right pleural effusion, {numbers}, {numbers}.", Reason.SLOTS),
        ("Right pleural effusion, {numbers} in {place}.", Reason.SLOTS),
        ("Right pleural effusion, {numbers} of 3.", Reason.NUMBER),
        ("Right malignant pleural effusion, {numbers}.", Reason.WORDING),
        ("Right pleural effusion, {numbers}. Normal.", Reason.WORDING),
        ("Right pleural effusion and kidney stone, {numbers}.", Reason.WORDING),
        ("Right pleural effusion with splenomegaly, {numbers}.", Reason.WORDING),
        ("Right pleural effusion, nodule in the liver, {numbers}.", Reason.WORDING),
        ("Loss of right pleural fluid, {numbers}.", Reason.WORDING),
        ("Right pleural effusion measuring slice {numbers}.", Reason.WORDING),
        ("{numbers} right pleural effusion.", Reason.WORDING),
        ("Right pericardial effusion, {numbers}.", Reason.CLAIM),
        ("Right pleural effusion and atelectasis, {numbers}.", Reason.CLAIM),
        ("There is {numbers} on the right.", Reason.CLAIM),
        ("Left pleural effusion, {numbers}.", Reason.SIDE),
        ("Pleural effusion, {numbers}.", Reason.SIDE),
        ("Right and left pleural effusion, {numbers}.", Reason.SIDE),
        ("Possible right pleural effusion, {numbers}.", Reason.CERTAINTY),
    ],
)
def test_sentence_that_says_anything_else_may_not(text, reason):
    assert objection(text, statement(numbers="about 120 mL"), "en") is reason


def test_denial_may_never_stand():
    assert objection("No right pleural effusion.", statement(), "en") is Reason.DENIAL


def test_slots_keep_their_roles():
    one = statement("lung_nodule", side=Laterality.NONE, place="the left upper lobe", numbers="8 x 6 mm", image="88")
    assert objection("Nodule in {place}, {numbers} (slice {image}).", one, "en") is None
    for text in ("Nodule in {place}, {image} (slice {numbers}).", "{image} nodule in {place}, {numbers}."):
        assert objection(text, one, "en") is Reason.WORDING


def test_doubt_may_not_be_left_out():
    assert objection("Right pleural effusion.", statement(step="possible"), "en") is Reason.CERTAINTY
    assert objection("Probable right pleural effusion.", statement(step="possible"), "en") is Reason.CERTAINTY
    assert objection("Right pleural effusion is present, possible.", statement(step="possible"), "en") is Reason.WORDING


def test_every_label_of_the_vocabulary_has_nouns_that_are_read_as_it():
    from medomni.reporting.vocabulary import vocabulary

    for name, entry in vocabulary().labels.items():
        if entry.is_measurement_only:
            continue
        for noun in guard.nouns(name):
            text = f"{noun[:1].upper()}{noun[1:]}."
            assert objection(text, statement(name, side=Laterality.NONE), "en") is None, (name, noun)


FORMS = {"place": " in {place}", "numbers": ", {numbers}", "image": " (slice {image})"}


def echo(statements, _language):
    """A writer that says what it is asked to in its own words."""
    texts = []
    for one in statements:
        noun = guard.nouns(one.label)[0]
        hedge = "" if one.step == "stated" else f"{one.step} "
        side = "" if one.side is Laterality.NONE else f"{one.side.value} "
        text = f"{hedge}{side}{noun}" + "".join(FORMS[name] for name in ("place", "numbers", "image") if name in one.slots) + "."
        texts.append(text[:1].upper() + text[1:])
    return texts


def test_draft_is_worded_anew_with_its_receipts_and_numbers():
    draft = drafts.draft(drafts.findings(drafts.effusion(), drafts.nodule()))
    new, counts = reword(draft, drafts.grid(), echo)
    before, after = (one.sections[SectionName.FINDINGS].sentences for one in (draft, new))
    assert counts == Rewording(asked=3, kept=3)
    assert [(s.receipt, s.finding_ids, s.organ) for s in before] == [(s.receipt, s.finding_ids, s.organ) for s in after]
    said = {b.text: a.text for b, a in zip(before, after, strict=True)}
    one = "Nodule in the left upper zone, 8 x 6 mm, volume 0.21 mL (slice 88)."
    assert said[one] == one
    assert "Possible right pleural effusion, 240 mL." in said.values()
    assert new.model_copy(update={"sections": draft.sections}) == draft


def test_what_the_guard_refuses_is_the_phrase_banks_sentence():
    draft = drafts.draft(drafts.findings(drafts.nodule()))
    new, counts = reword(draft, drafts.grid(), lambda statements, _: ["Malignant tumour."] * len(statements))
    assert new == draft
    assert counts.kept == 0
    assert sum(counts.replaced.values()) == counts.asked == 1


def test_writer_that_says_too_little_is_no_failure():
    draft = drafts.draft(drafts.findings(drafts.nodule()))
    new, counts = reword(draft, drafts.grid(), lambda *_: [])
    assert new == draft
    assert counts.replaced == {Reason.EMPTY: 1}


def test_chinese_keeps_the_phrase_bank():
    draft = drafts.draft(drafts.findings(drafts.nodule()), "zh")
    assert reword(draft, drafts.grid(), echo)[0] == draft


def test_nothing_is_asked_when_nothing_is_claimed():
    draft = drafts.draft(drafts.findings())
    assert reword(draft, drafts.grid(), lambda *_: pytest.fail("asked")) == (draft, Rewording())
    assert all(f.presence is not Presence.PRESENT or f.label.startswith(("lung_", "low_", "high_")) for f in draft.findings)
