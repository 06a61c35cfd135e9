"""What the cues of a clause do to its terms: denied, asked, unknown, or said of somebody else.

    Clause + index of a term -> whether the cue reaches it

A clause is a part of a history that cues do not leave; commas part it into segments that most cues do not leave either.
"""

import re

from medomni.reporting.lexicon import lexicon
from medomni.types.context import FactKind
from preprocessing.history_clause import NEAR, SEGMENT_END, Clause, amount_of
from preprocessing.history_marks import Mark

CLOSING = re.compile(r"[ ]{0,3}(?:[,，;；.。!！?？\n)）]|$)")
"""What ends a segment."""
ANSWERED = re.compile(r"[ ]{0,3}(?:[?？][ ]{0,3})?(?:[:：=\-][ ]{0,3})?[(（]?")
"""What stands between a term and its answer: "Fever: no", "Fever? No"."""
ABOUT = re.compile(r"[ ]{0,3}(?:status|history|use|史|情况)?[ ]{0,3}(?:is[ ]|was[ ])?")
"""What may follow a term that is said to be unknown: "smoking status unknown"."""
NEXT_ITEM = re.compile(r"[ ]{0,3}[:：=?？]")
ENDING = 4
CAN_BE_ASKED = (FactKind.CONDITION, FactKind.MALIGNANCY)


def is_others(clause: Clause, mark: Mark) -> bool:
    """Whether the clause speaks of a relative, or of what may happen."""
    speaker = ""
    for cue in clause.cues:
        if cue.start >= mark.start:
            break
        for kind in ("family", "hypothetical", "patient"):
            speaker = kind if kind in cue.kinds else speaker
    if speaker in ("family", "hypothetical"):
        return True
    after = [cue for cue in clause.cues if mark.end <= cue.start <= mark.end + NEAR and "family" in cue.kinds]
    return any(not SEGMENT_END.search(clause.between(mark.end, cue.start)) for cue in after) and speaker != "patient"


def is_negated(clause: Clause, index: int) -> bool:
    """Whether the term is denied or over: "no fever", "fever resolved", "fever: no", "cancer-free"."""
    return (
        _reaches(clause, index, "negation_before")
        or _follows(clause, index, "negation_after")
        or _is_answered(clause, index, "answers_no")
        or _is_joined(clause, index)
    )


def is_asked(clause: Clause, index: int) -> bool:
    """Whether the text asks for the term instead of stating it."""
    if _is_answered(clause, index, "answers_no"):
        return False
    is_ended = _ends_asked(clause, index) or (_is_last_asked(clause, index) and _follows(clause, index, "negation_after"))
    return (
        is_ended
        or _is_marked(clause, index)
        or _reaches(clause, index, "question_before")
        or _follows(clause, index, "question_after")
    )


def is_unknown(clause: Clause, index: int) -> bool:
    """Whether the text says that it does not know; an exposure with a question mark is not known either."""
    is_exposure = lexicon().concepts[clause.concepts[index].text].kind is FactKind.EXPOSURE
    if is_exposure and (_ends_asked(clause, index) or _is_marked(clause, index)):
        return True
    return _is_answered(clause, index, "answers_unknown")


def _is_marked(clause: Clause, index: int) -> bool:
    mark = clause.concepts[index]
    return clause.between(max(clause.start, mark.start - 3), mark.start).rstrip().endswith(("?", "？"))


def _ends_asked(clause: Clause, index: int) -> bool:
    return _is_last_asked(clause, index) and len(clause.after(clause.concepts[index].end)) <= ENDING


def _is_last_asked(clause: Clause, index: int) -> bool:
    return clause.is_question and index == len(clause.concepts) - 1


def _is_answered(clause: Clause, index: int, kind: str) -> bool:
    """Whether the term is followed at once by an answer of that kind that ends its segment or its line of a form."""
    mark = clause.concepts[index]
    cue = next((cue for cue in clause.cues if cue.start >= mark.end and kind in cue.kinds), None)
    if cue is None or cue.start > clause.next_start(index) or cue.start - mark.end > NEAR:
        return False
    gap = clause.between(mark.end, cue.start)
    about = ABOUT.match(gap) if kind == "answers_unknown" else None
    return bool(ANSWERED.fullmatch(gap[about.end() if about else 0 :])) and _closes(clause, index, cue)


def _closes(clause: Clause, index: int, cue: Mark) -> bool:
    """Whether a cue behind a term is the last word of its segment, or the next term starts a line of a form ("Cough:")."""
    if CLOSING.match(clause.after(cue.end)):
        return True
    if index + 1 == len(clause.concepts):
        return False
    following = clause.concepts[index + 1]
    return not clause.between(cue.end, following.start).strip() and bool(NEXT_ITEM.match(clause.after(following.end)))


def _is_joined(clause: Clause, index: int) -> bool:
    end = clause.concepts[index].end
    return any(end <= cue.start <= end + 1 and "negation_joined" in cue.kinds for cue in clause.cues)


def _reaches(clause: Clause, index: int, kind: str) -> bool:
    """Whether a cue of that kind stands before the term and nothing between them stops its reach."""
    mark = clause.concepts[index]
    cue = next((cue for cue in reversed(clause.cues) if cue.end <= mark.start and cue.kinds & {kind, "ends"}), None)
    if cue is None or kind not in cue.kinds or _is_of_earlier(clause, cue):
        return False
    if not SEGMENT_END.search(clause.between(cue.end, mark.start)):
        return True
    if not cue.text.isascii() or amount_of(clause, index):
        return False
    first = next((other for other in clause.concepts if other.start >= cue.end), mark)
    if SEGMENT_END.search(clause.between(cue.end, first.start)):
        return False
    kinds = [lexicon().concepts[other.text].kind for other in (first, mark)]
    return kinds[0] is kinds[1]


def _follows(clause: Clause, index: int, kind: str) -> bool:
    """Whether a cue of that kind stands close behind the term, before the next term.

    It stands in the same segment ("fever resolved") or is the next one's last word ("fever, now resolved").
    """
    mark, stop = clause.concepts[index], clause.next_start(index)
    for cue in clause.cues:
        if mark.end <= cue.start <= min(mark.end + NEAR, stop) and kind in cue.kinds:
            if not SEGMENT_END.search(clause.between(mark.end, cue.start)):
                return "negation_before" not in cue.kinds or _is_of_earlier(clause, cue)
            return kind == "negation_after" and _closes(clause, index, cue)
    return False


def _is_of_earlier(clause: Clause, cue: Mark) -> bool:
    """Whether a cue that can deny either way, or an answer, belongs to the term before it and so not to the next one."""
    index = next((i for i, other in reversed(list(enumerate(clause.concepts))) if other.end <= cue.start), None)
    if index is None:
        return False
    if cue.kinds & {"answers_no", "answers_unknown"} and any(_is_answered(clause, index, k) for k in cue.kinds):
        return True
    if not {"negation_before", "negation_after"} <= cue.kinds:
        return False
    if SEGMENT_END.search(clause.between(clause.concepts[index].end, cue.start)):
        return _closes(clause, index, cue)
    is_direct = not clause.between(cue.end, clause.next_start(index)).strip() and index + 1 < len(clause.concepts)
    return not is_direct
