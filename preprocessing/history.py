"""The patient's context from the history and the study: free text, English or Chinese or both, to facts with spans.

    history text + Study -> PatientContext

Only facts of a closed lexicon leave this module: no name, no sentence, no word of the text. What the text asks the
program to do is noted and changes nothing. A fact's span encloses the words that name it in the original text.
"""

import hashlib
import re
from functools import cache

from medomni.reporting.lexicon import lexicon
from medomni.types.context import ContextFact, FactKind, PatientContext
from medomni.types.study import Study
from preprocessing.history_amounts import amounts
from preprocessing.history_clause import NEAR, SEGMENT_END, Clause, amount_of, clause_end
from preprocessing.history_marks import (
    WORD_END,
    WORD_START,
    Folded,
    Mark,
    chinese,
    concept_marks,
    cue_marks,
    english,
    fold,
    instruction_marks,
)
from preprocessing.history_reach import CAN_BE_ASKED, is_asked, is_negated, is_others, is_unknown

NEAR_ZH = 4
LONGEST_CLAUSE = 600


def understand(history: str, study: Study) -> PatientContext:
    """Return age and sex of the study and the facts of the history, with spans into the history as given."""
    known = lexicon()
    used = history[: known.characters_used]
    folded = fold(used)
    instructions = instruction_marks(folded)
    clauses = [clause for clause in _clauses(folded) if not _holds(clause, instructions)]
    is_blank = not history.strip()
    return PatientContext(
        age_years=_whole(study.age_years),
        sex=study.sex,
        stated_sex=_stated_sex(clauses),
        language=_language(folded.plain),
        facts=_merged([fact for clause in clauses for fact in _facts(clause, folded)]),
        history_sha256="" if is_blank else keyed_digest(history, study),
        history_characters=0 if is_blank else len(history),
        has_instructions=bool(instructions),
    )


def _whole(age_years: float | None) -> float | None:
    """Age in whole years from two on: days of age would tell the date of birth."""
    return float(int(age_years)) if age_years is not None and age_years >= 2 else age_years


def keyed_digest(text: str, study: Study) -> str:
    """sha256 of a text, keyed by the study's UID: without it a short text could be guessed from its digest."""
    keyed = f"{study.identity.study_instance_uid}\0{text}"
    return hashlib.sha256(keyed.encode("utf-8", "surrogatepass")).hexdigest()


def _clauses(folded: Folded) -> list[Clause]:
    concepts, cues, found = concept_marks(folded), cue_marks(folded), amounts(folded.plain)
    ends = _clause_ends(folded.plain)
    clauses, start, c, q, a = [], 0, 0, 0, 0
    for end in ends:
        first = (c, q, a)
        while c < len(concepts) and concepts[c].start < end:
            c += 1
        while q < len(cues) and cues[q].start < end:
            q += 1
        while a < len(found) and found[a].start < end:
            a += 1
        text = folded.plain[start:end]
        inside = tuple(concepts[first[0] : c])
        own_cues, own_amounts = tuple(cues[first[1] : q]), tuple(found[first[2] : a])
        clauses.append(Clause(text, start, inside, own_cues, own_amounts, text[-1:] in ("?", "？")))
        start = end
    return clauses


def _clause_ends(text: str) -> list[int]:
    """Where clauses end; one that runs on is cut, so that the work stays linear in the length of the text."""
    ends: list[int] = []
    start = 0
    for end in [*(match.end() for match in clause_end().finditer(text)), len(text)]:
        ends.extend(range(start + LONGEST_CLAUSE, end, LONGEST_CLAUSE))
        ends.append(end)
        start = end
    return ends


def _holds(clause: Clause, marks: list[Mark]) -> bool:
    end = clause.start + len(clause.text)
    return any(mark.start < end and mark.end > clause.start for mark in marks)


def _facts(clause: Clause, folded: Folded) -> list[ContextFact]:
    facts = []
    for index, mark in enumerate(clause.concepts):
        if is_others(clause, mark) or is_unknown(clause, index):
            continue
        concept = lexicon().concepts[mark.text]
        asked = concept.kind in CAN_BE_ASKED and is_asked(clause, index)
        start, end = folded.span(mark.start, mark.end)
        facts.append(
            ContextFact(
                concept=mark.text,
                kind=FactKind.QUESTION if asked else concept.kind,
                start=start,
                end=end,
                is_negated=not asked and is_negated(clause, index),
                laterality=_laterality(clause, index),
                detail=_detail(clause, index),
            )
        )
    return facts


def _laterality(clause: Clause, index: int) -> str:
    mark = clause.concepts[index]
    earlier = clause.concepts[index - 1].end if index else clause.start
    sides = [cue for cue in clause.cues if cue.kinds & {"left", "right", "bilateral"}]
    before = [c for c in sides if earlier <= c.start and c.end <= mark.start and mark.start - c.end <= _near(c)]
    after = [c for c in sides if mark.end <= c.start < clause.next_start(index) and _is_closest(clause, index, c)]
    near = [c for c in before[-1:] if not SEGMENT_END.search(clause.between(c.end, mark.start))] + after[:1]
    return next(iter(near[0].kinds & {"left", "right", "bilateral"})) if near else ""


def _is_closest(clause: Clause, index: int, cue: Mark) -> bool:
    """Whether a side behind a term belongs to it and not to the next term, before which it stands."""
    distance = cue.start - clause.concepts[index].end
    is_last = index + 1 == len(clause.concepts)
    return distance <= _near(cue) and (is_last or distance <= clause.next_start(index) - cue.end)


def _near(cue: Mark) -> int:
    return NEAR if cue.text.isascii() else NEAR_ZH


def _detail(clause: Clause, index: int) -> str:
    amount = amount_of(clause, index)
    return amount.detail if amount else ""


def _stated_sex(clauses: list[Clause]) -> str:
    """The sex that the text states of the patient, or "" when it states none or both."""
    found: set[str] = set()
    for clause in clauses:  # "67M" states a sex only at the head of a clause
        family = next((cue.start for cue in clause.cues if "family" in cue.kinds), None)
        text = clause.text if family is None else clause.text[: family - clause.start]
        found |= {sex for sex, pattern in _sex_patterns().items() if pattern.search(text)}
    return found.pop() if len(found) == 1 else ""


@cache
def _sex_patterns() -> dict[str, re.Pattern[str]]:
    aged = r"\d{1,3}[ \-]?(?:y|yo|y/o|yr|yrs|year|years)(?:[ \-]?old)?[ \-]?,?[ ]?"
    patterns = {}
    for sex in ("M", "F"):
        words = [term for term in lexicon().sex["en"][sex] if len(term) > 1]
        letters = [term for term in lexicon().sex["en"][sex] if len(term) == 1]
        long = [term for term in lexicon().sex["zh"][sex] if len(term) > 1]
        short = [term for term in lexicon().sex["zh"][sex] if len(term) == 1]
        alone = rf"(?:^|[\s,，、：:（(]|患者|性别)(?:{chinese(short)})(?=$|[\s,，、。.；;）)\d])"
        spoken = rf"{WORD_START}(?:{english(words)}){WORD_END}|(?:^[ ]?\d{{2,3}}[ ]?|{aged})(?:{english(letters)}){WORD_END}"
        patterns[sex] = re.compile(rf"{spoken}|{chinese(long)}|{alone}")
    return patterns


def _language(plain: str) -> str:
    characters = sum("\u4e00" <= character <= "\u9fff" for character in plain)
    words = len(re.findall(r"[a-z]+", plain))
    if characters and characters >= words:
        return "zh"
    return "en" if words else ""


def _merged(facts: list[ContextFact]) -> tuple[ContextFact, ...]:
    """The facts in order of the text; a fact said twice counts once, the more detailed one."""
    kept: dict[tuple[str, FactKind, bool], ContextFact] = {}
    for fact in facts:
        key = (fact.concept, fact.kind, fact.is_negated)
        held = kept.get(key)
        if held is None or (held.laterality in ("", fact.laterality) and len(fact.detail) > len(held.detail)):
            kept[key] = fact
        elif held.laterality and fact.laterality and held.laterality != fact.laterality:
            kept[key] = held.model_copy(update={"laterality": "bilateral"})
    return tuple(sorted(kept.values(), key=lambda fact: (fact.start, fact.concept)))
