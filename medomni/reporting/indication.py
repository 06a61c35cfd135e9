"""The Indication section: the recognised facts of the history, each with the characters that state it."""

from medomni.reporting.case import Case, template
from medomni.reporting.lexicon import lexicon
from medomni.reporting.phrases import PhraseBank
from medomni.reporting.technique import duration
from medomni.types.context import ContextFact, FactKind
from medomni.types.report import Receipt, ReceiptKind, Sentence


def indication(case: Case) -> tuple[Sentence, ...]:
    """One sentence for each fact; a history in which nothing was recognised is said to be unread, not empty."""
    words, context = case.words, case.context
    if not context.history_characters:
        return (Sentence(text=words.sentence("indication.none"), receipt=template()),)
    if not context.facts:
        whole = Receipt(kind=ReceiptKind.HISTORY, span=(0, context.history_characters))
        return (Sentence(text=words.sentence("indication.unrecognized"), receipt=whole),)
    said = [
        Sentence(text=_text(words, fact), receipt=Receipt(kind=ReceiptKind.HISTORY, span=(fact.start, fact.end)))
        for fact in context.facts
    ]
    return (*said, Sentence(text=words.sentence("indication.read_original"), receipt=template()))


def unanswered(case: Case) -> tuple[Sentence, ...]:
    """One impression line for each question or disease of the history that nothing in this draft looked into."""
    said: dict[str, Sentence] = {}
    for fact in sorted(case.context.facts, key=lambda fact: fact.kind is not FactKind.QUESTION):
        concept = lexicon().concepts[fact.concept]
        key = _unanswered_key(case, fact)
        if key and fact.concept not in said:
            text = case.words.sentence(key, fact=concept.named(case.words.language))
            receipt = Receipt(kind=ReceiptKind.HISTORY, span=(fact.start, fact.end))
            said[fact.concept] = Sentence(text=text, receipt=receipt)
    return tuple(said.values())


def _unanswered_key(case: Case, fact: ContextFact) -> str:
    """The phrase for a fact that was not looked into, "" where it was or where nothing would show it.

    A question of malignancy stays open even when a lesion was found: the draft says nothing about its nature.
    """
    concept = lexicon().concepts[fact.concept]
    is_looked_into = any(case.is_answered(label) for label in concept.labels)
    if fact.kind is FactKind.QUESTION:
        return "" if is_looked_into and concept.kind is not FactKind.MALIGNANCY else "impression.unanswered"
    is_disease = fact.kind in (FactKind.CONDITION, FactKind.MALIGNANCY) and not fact.is_negated
    return "impression.named" if is_disease and concept.labels and not is_looked_into else ""


def _text(words: PhraseBank, fact: ContextFact) -> str:
    name = lexicon().concepts[fact.concept].named(words.language)
    if fact.laterality:
        name = words.say("indication.sided", side=words.say(f"side.{fact.laterality}"), fact=name)
    if fact.detail:
        number, unit = fact.detail.split(" ")
        unit = unit.replace("-", "_")
        unit = unit if f"duration.{unit}" in words.words else f"{unit}s"
        name = words.say("indication.detailed", fact=name, detail=duration(words, number, unit))
    if fact.kind is FactKind.QUESTION:
        return words.sentence("indication.question", fact=name)
    return words.sentence("indication.negated" if fact.is_negated else "indication.fact", fact=name)
