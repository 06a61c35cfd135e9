"""What a recogniser heard, with words of chest CT put right where it wrote their sound, and marked where it may be wrong.

    Word, Word... -> Heard (text, doubtful spans)

"solid module" becomes "solid nodule", "plural effusion" "pleural effusion". A clinical word that was heard is never made another;
numbers, sides, denials and doubt are neither changed nor put in. Every word that was changed is doubtful, and so shown.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter

from medomni.reporting.vocabulary import read_table

LONGEST_RUN = 3
"""Heard words that may have been one ("media still" for "mediastinal")."""
NEAR_ALONE, NEAR_BESIDE = 0.74, 0.6
"""Likeness from which an unknown word is a clinical one, and from which a neighbour completes a pair."""
_CLEARER = 0.04
"""By how much the best word must be more like than any other."""
_CORE = re.compile(r"[A-Za-z][A-Za-z'’-]*[A-Za-z]|[A-Za-z]")
_SOUNDS = (("ph", "f"), ("ck", "k"), ("x", "ks"), ("qu", "kw"), ("ae", "e"), ("oe", "e"), ("y", "i"), ("z", "s"))


@dataclass(frozen=True)
class Word:
    """One word as the recogniser wrote it, with the blank before and the mark behind it.

    Attributes:
        probability: of the recogniser, 0 to 1.
        is_common: whether everyday English has the word, as far as the recogniser's own vocabulary tells.
    """

    text: str
    probability: float
    is_common: bool

    @property
    def core(self) -> str:
        """The letters alone, in lower case; "" for numbers."""
        found = _CORE.search(self.text)
        return found[0].lower() if found and not re.search("[0-9]", self.text) else ""


@dataclass(frozen=True)
class Heard:
    """What was heard.

    Attributes:
        text: corrected.
        doubtful: characters (start, end) of the text that the person should confirm.
    """

    text: str
    doubtful: tuple[tuple[int, int], ...] = ()

    @property
    def marked(self) -> str:
        """The text with each doubtful stretch in [?...?].

        >>> Heard("No plural effusion", ((3, 9),)).marked
        'No [?plural?] effusion'
        """
        parts, at = list[str](), 0
        for start, end in self.doubtful:
            parts += [self.text[at:start], f"[?{self.text[start:end]}?]"]
            at = end
        return "".join((*parts, self.text[at:]))


@dataclass(frozen=True)
class Lexicon:
    """The table ``heard.toml``: ``partners`` holds, for a word and a direction (1 behind it, -1 before it), what stands there."""

    doubtful_below: float
    words: frozenset[str]
    kept: frozenset[str]
    small: frozenset[str]
    partners: Mapping[tuple[str, int], tuple[str, ...]]
    instead: Mapping[str, str]
    mistaken: Mapping[str, tuple[str, ...]]


def corrected(words: Sequence[Word]) -> Heard:
    """Return what was heard with clinical words put right, and what of it is doubtful."""
    table = lexicon()
    parts, doubtful, at, k = list[str](), list[tuple[int, int]](), 0, 0
    while k < len(words):
        run, right = _better(words, k)
        text = _as_written(words[k : k + run], right) if right else words[k].text
        text = text.lstrip() if not parts else text
        least = min(word.probability for word in words[k : k + run])
        if right or least < table.doubtful_below:
            bare = re.search(r"\w(?:.*\w)?", text)
            if bare:
                doubtful.append((at + bare.start(), at + bare.end()))
        parts.append(text)
        at += len(text)
        k += run
    return Heard("".join(parts).rstrip(), tuple(doubtful))


def _better(words: Sequence[Word], k: int) -> tuple[int, str]:
    """How many words from the k-th on are one clinical word, and which; (1, "") where they stay."""
    table = lexicon()
    for run in range(min(LONGEST_RUN, len(words) - k), 0, -1):
        cores = [word.core for word in words[k : k + run]]
        if not all(cores) or any(part in table.kept for core in cores for part in core.split("-")) or _is_cut(words[k : k + run]):
            continue
        if run == 1:
            return 1, _alone(words, k)
        right = _joined(words[k : k + run], cores)
        if right:
            return run, right
    return 1, ""


def _alone(words: Sequence[Word], k: int) -> str:
    table, word = lexicon(), words[k]
    if is_clinical(word.core):
        return ""
    beside = _beside(words, k)
    listed = (right for right in beside if word.core in table.mistaken.get(right, ()))
    right = table.instead.get(word.core) or next(listed, "") or _nearest(word.core, beside, NEAR_BESIDE)
    if right and _may_be(word.core, right):
        return right
    if word.is_common or len(word.core) < 5:
        return ""
    right = _nearest(word.core, tuple(sorted(table.words)), NEAR_ALONE)
    return right if right and _may_be(word.core, right) else ""


def _beside(words: Sequence[Word], k: int) -> tuple[str, ...]:
    """What stands between the neighbours of a word: beside a clinical word, or between two small ones ("the ... in")."""
    table, found = lexicon(), list[tuple[str, bool]]()
    for step in (-1, 1):
        if 0 <= k + step < len(words):
            neighbour = words[k + step].core
            found += [(partner, neighbour in table.small) for partner in table.partners.get((neighbour, -step), ())]
    names = [partner for partner, _ in found]
    return tuple(dict.fromkeys(partner for partner, is_small in found if not is_small or names.count(partner) > 1))


def _joined(words: Sequence[Word], cores: list[str]) -> str:
    """The long clinical word that was heard as several, of which at least one is no common word."""
    table = lexicon()
    if all(word.is_common or is_clinical(word.core) for word in words):
        return ""
    long = tuple(sorted(word for word in table.words if len(word) >= 8))
    right = _nearest("".join(cores), long, NEAR_ALONE)
    swallowed = [core for core in cores if is_clinical(core) and core not in right]
    return "" if swallowed or any(len(core) > len(right) for core in cores) or _is_better_apart(words, right) else right


def _is_better_apart(words: Sequence[Word], right: str) -> bool:
    """Whether one of several words alone is already as like."""
    joined = likeness("".join(word.core for word in words), right)
    return any(likeness(word.core, right) >= joined for word in words)


def _may_be(heard: str, right: str) -> bool:
    """Whether the change is one of sound and not of meaning: inflections and opposites of a word stay as they were heard."""
    return right not in lexicon().kept and heard != right and not _is_same_stem(heard, right)


def _is_same_stem(heard: str, right: str) -> bool:
    shorter = min(len(heard), len(right))
    return (heard.startswith(right) or right.startswith(heard)) and shorter >= 4


def is_clinical(core: str) -> bool:
    """Whether a heard word is of the lexicon, alone or joined by hyphens or as a plural of it."""
    table = lexicon()
    known = table.words | table.kept
    return bool(core) and (core in known or core.removesuffix("s") in known or all(part in known for part in core.split("-")))


def _is_cut(words: Sequence[Word]) -> bool:
    """Whether a sentence ends, or a pause stands, inside a run."""
    return any(re.search(r"[.;:!?]\s*$", word.text) for word in words[:-1])


def _nearest(heard: str, among: tuple[str, ...], least: float) -> str:
    """The one word that sounds most like; "" where none does enough, or two do."""
    ranked = sorted(((likeness(heard, word), word) for word in among if abs(len(word) - len(heard)) <= 4), reverse=True)
    if not ranked or ranked[0][0] < least:
        return ""
    best, right = ranked[0]
    rivals = [word for score, word in ranked[1:] if best - score < _CLEARER and not _is_kin(word, right)]
    return "" if rivals else right


def _is_kin(one: str, other: str) -> bool:
    """Forms of one word: "nodule" and "nodules"."""
    return one.removesuffix("s") == other.removesuffix("s")


@cache
def likeness(one: str, other: str) -> float:
    """How much two words sound alike, 0 to 1: 1 less the share of sounds to change, the like of vowels counting half.

    >>> round(likeness("plural", "pleural"), 2), likeness("module", "module")
    (0.86, 1.0)
    """
    a, b = _sounds(one), _sounds(other)
    row = [float(k) for k in range(len(b) + 1)]
    for i, x in enumerate(a, start=1):
        before, row[0] = row[0], float(i)
        for j, y in enumerate(b, start=1):
            cost = 0.0 if x == y else 0.5 if _is_near_sound(x, y) else 1.0
            before, row[j] = row[j], min(row[j] + 1.0, row[j - 1] + 1.0, before + cost)
    return 1.0 - row[-1] / max(len(a), len(b), 1)


_NEAR_SOUNDS = ("aeiou", "bp", "dt", "gk", "fv", "mn", "sk")


def _is_near_sound(x: str, y: str) -> bool:
    return any(x in group and y in group for group in _NEAR_SOUNDS)


def _sounds(word: str) -> str:
    """A word as it sounds, roughly."""
    now = re.sub("[^a-z]", "", word.lower())
    now = re.sub("c(?=[eiy])", "s", now)
    for written, spoken in _SOUNDS:
        now = now.replace(written, spoken)
    return re.sub(r"(.)\1", r"\1", now.replace("c", "k"))


def _as_written(words: Sequence[Word], right: str) -> str:
    """The right word in place of the heard ones, with the blank before them, their capital and the mark behind them."""
    first, last = words[0].text, words[-1].text
    blank = first[: len(first) - len(first.lstrip())]
    mark = re.search(r"[^\w]*$", last)
    body = right[:1].upper() + right[1:] if first.strip()[:1].isupper() else right
    return blank + body + (mark[0] if mark else "")


@cache
def lexicon() -> Lexicon:
    """The lexicon, read once."""
    table = read_table("heard.toml")
    listed = TypeAdapter(tuple[str, ...])
    small = frozenset(listed.validate_python(table["small"]))
    partners = dict[tuple[str, int], tuple[str, ...]]()
    for pair in listed.validate_python(table["pairs"]):
        first, second = pair.split()
        partners[first, 1] = (*partners.get((first, 1), ()), second)
        partners[second, -1] = (*partners.get((second, -1), ()), first)
    return Lexicon(
        doubtful_below=TypeAdapter(float).validate_python(table["doubtful_below"]),
        words=frozenset(listed.validate_python(table["words"])),
        kept=frozenset(listed.validate_python(table["kept"])) | small,
        small=small,
        partners=partners,
        mistaken=TypeAdapter(dict[str, tuple[str, ...]]).validate_python(table["mistaken"]),
        instead=TypeAdapter(dict[str, str]).validate_python(table["instead"]),
    )
