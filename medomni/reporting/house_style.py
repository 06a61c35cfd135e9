"""Signed reports of a department -> its house style: order of sections and organs, headings, and how it says what is not there.

    text, text... -> Learned (Style, and what it rests on)

No weights and no network: what most of the reports have in common is counted. A phrase is taken only where all of its words are
on a closed list (style.toml) and the rule labeler reads out of it exactly what it reads out of the usual one: no name, no other
finding and no degree gets in, so a style can change how a draft sounds and never what it says.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Final

from pydantic import TypeAdapter

from medomni.errors import BadInput
from medomni.reporting import labeler, reading
from medomni.reporting.phrases import bank, slots_of
from medomni.reporting.vocabulary import organ_order, read_table, vocabulary
from medomni.types.finding import Presence
from medomni.types.section import SectionName
from medomni.types.style import Style

LEAST_REPORTS: Final = 3
"""Reports that must have something in common before it is taken for a habit."""
PROBES: Final = ("pleural_effusion", "cardiomegaly")
"""Labels that a learned phrase is tried with: one that has sides and one that has none."""
_HEADING = re.compile(r"^[ \t]*(?P<heading>[^\W\d_][^:：\n]{0,40}?)[ \t]*(?:[:：][ \t]*(?P<rest>.*)|)$")
_SENTENCE = {"en": re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])"), "zh": re.compile(r"(?<=[。；！？])\s*")}
Seen = dict[str, tuple[int, int]]
_RULE = re.compile(r"^[-=_ \t]+$")
_BETWEEN = {"en": re.compile(r"^(?:,|,? ?(?:or|and|nor)|\s)*$"), "zh": re.compile(r"^[、，及或和与\s]*$")}


@dataclass(frozen=True)
class Learned:
    """A style and, for each thing that was learned, in how many reports it was seen of those that could have shown it."""

    style: Style
    seen: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Parts:
    """A report's sections in its own order: name, heading as written, sentences."""

    sections: tuple[tuple[SectionName, str, tuple[str, ...]], ...]

    def sentences(self, name: SectionName) -> tuple[str, ...]:
        """The sentences of a section; none where the report lacks it."""
        return tuple(sentence for other, _, said in self.sections if other is name for sentence in said)


def learn(texts: Sequence[str], language: str) -> Learned:
    """Return what most of the reports have in common.

    Raises:
        BadInput: fewer than three reports have sections that are known.
    """
    reports = [parts for parts in (split(text, language) for text in dict.fromkeys(texts)) if parts.sections]
    if len(reports) < LEAST_REPORTS:
        raise BadInput(
            "there are too few reports to learn a style from",
            found=f"{len(reports)} different ones with known headings of {len(texts)}",
            remedy=f"give at least {LEAST_REPORTS}, better ten, with headings such as FINDINGS and IMPRESSION",
        )
    seen: Seen = {}
    orders = [[name.value for name, _, _ in report.sections] for report in reports]
    habits = {
        "findings.absent": [_absences(report, language) for report in reports],
        "line.in_places": [_claims(report, language) for report in reports],
        "comparison.none": [_no_comparison(report, language) for report in reports],
    }
    phrases = {}
    for key, found in habits.items():
        phrase = _habit(key, found, seen)
        if phrase and phrase != bank(language).words[key] and is_read_alike(key, phrase, language):
            phrases[key] = phrase
        else:
            seen.pop(key, None)
    phrases |= _absence_in(phrases.get("findings.absent", ""), language)
    style = Style(
        language=language,
        sections=tuple(SectionName(name) for name in _order(orders, [name.value for name in SectionName], seen, "sections")),
        headings=_headings(reports, language, seen),
        organs=_order(
            [_organs(report, language) for report in reports], sorted(_known_organs(), key=organ_order), seen, "organs"
        ),
        phrases=phrases,
        reports=len(reports),
    )
    return Learned(style, seen)


def split(text: str, language: str) -> Parts:
    """The known sections of a report's text, in its order; what stands before the first belongs to none."""
    found: list[tuple[SectionName, str, list[str]]] = []
    for line in text.splitlines():
        if not line.strip() or _RULE.match(line):
            continue
        match = _HEADING.match(line)
        name = _section_names(language).get(match["heading"].strip().casefold()) if match else None
        if match and name:
            found.append((name, match["heading"].strip(), [match["rest"] or ""]))
        elif found:
            found[-1][2].append(line.strip())
    joined = "" if language == "zh" else " "
    return Parts(tuple((name, heading, _sentences(joined.join(lines), language)) for name, heading, lines in found))


def _sentences(text: str, language: str) -> tuple[str, ...]:
    said = (re.sub(r"^\s*(?:[-*•]|\d+[.)、])\s*", "", part).strip() for part in _SENTENCE[language].split(text))
    return tuple(part for part in said if part)


@cache
def _section_names(language: str) -> dict[str, SectionName]:
    table = TypeAdapter(dict[SectionName, tuple[str, ...]]).validate_python(read_table("style.toml")[language])
    return {heading.casefold(): name for name, headings in table.items() for heading in headings}


def _order(orders: Iterable[Sequence[str]], usual: Sequence[str], seen: Seen, key: str) -> tuple[str, ...]:
    """The order by majority: a thing goes before another where more reports have it so; () where that is the usual order."""
    firsts = [list(dict.fromkeys(order)) for order in orders]
    counts = Counter(one for order in firsts for one in order)
    common = [one for one in usual if counts[one] >= LEAST_REPORTS]
    wins = {one: sum(_before(one, other, firsts) > _before(other, one, firsts) for other in common) for one in common}
    ordered = sorted(common, key=lambda one: (-wins[one], usual.index(one)))
    if ordered == common:
        return ()
    agreeing = sum([one for one in ordered if one in order] == [one for one in order if one in ordered] for order in firsts)
    seen[key] = agreeing, len(firsts)
    return tuple(ordered)


def _before(one: str, other: str, orders: Sequence[list[str]]) -> int:
    return sum(one in order and other in order and order.index(one) < order.index(other) for order in orders)


def _headings(reports: Sequence[Parts], language: str, seen: Seen) -> dict[SectionName, str]:
    """The heading that most reports have, where it is another than the phrase bank's."""
    chosen = {}
    for name in SectionName:
        written = Counter(heading for report in reports for other, heading, _ in report.sections if other is name)
        if not written:
            continue
        heading, count = written.most_common(1)[0]
        if count >= LEAST_REPORTS and 2 * count > written.total() and heading != bank(language).say(f"headings.{name.value}"):
            chosen[name] = heading
            seen[f"headings.{name.value}"] = count, written.total()
    return chosen


def _known_organs() -> set[str]:
    return {entry.organ for entry in vocabulary().labels.values() if not entry.is_measurement_only}


def _organs(report: Parts, language: str) -> list[str]:
    """The organs of the findings section in the order in which its findings are named."""
    said = report.sentences(SectionName.FINDINGS)
    return [vocabulary().label(mention.label).organ for text in said for mention in labeler.mentions(text, language)]


def _habit(key: str, found: Sequence[list[str]], seen: Seen) -> str:
    """The phrase that most of those reports use in which there is any; "" without one, as for what may not be learned."""
    speaking = [phrases for phrases in found if phrases]
    counts = Counter(phrase for phrases in speaking for phrase in set(phrases) if phrase)
    if not counts:
        return ""
    phrase, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    seen[key] = count, len(speaking)
    return phrase if count >= LEAST_REPORTS and 2 * count > len(speaking) else ""


def _absences(report: Parts, language: str) -> list[str]:
    """Sentences that only deny findings, with a slot in the place of their names."""
    found = []
    for text in report.sentences(SectionName.FINDINGS):
        mentions = labeler.mentions(text, language)
        if mentions and all(mention.is_denied and not mention.sides for mention in mentions):
            span = _named(text, language, {mention.label for mention in mentions})
            if span:
                found.append(_ended(text[: span[0]] + "{findings}" + text[span[1] :], language))
    return [phrase if _is_plain(phrase, "absence", language) else "" for phrase in found]


def _claims(report: Parts, language: str) -> list[str]:
    """Sentences that begin with one finding and go on with its place: the words between are what is learned."""
    found = []
    places = sorted({name for place in _places() if (name := vocabulary().name(place, language))}, key=len, reverse=True)
    for text in report.sentences(SectionName.FINDINGS):
        mentions = labeler.mentions(text, language)
        span = _named(text, language, {mention.label for mention in mentions}) if len(mentions) == 1 else None
        if language != "en" or span is None or span[0] or mentions[0].is_denied or mentions[0].is_hedged:
            continue
        place = next((at for name in places if (at := text.lower().find(f"the {name.lower()}", span[1])) >= 0), -1)
        between = text[span[1] : place] if place >= 0 else ""
        phrase = "{finding}" + between + "{places}{details}{image}."
        if place >= 0:
            found.append(phrase if between.endswith(" ") and _is_plain(phrase, "claim", language) else "")
    return found


def _places() -> tuple[str, ...]:
    from medomni.anatomy import anatomy

    return anatomy().lung_places


def _no_comparison(report: Parts, language: str) -> list[str]:
    """What stands alone under Comparison when there is none."""
    said = report.sentences(SectionName.COMPARISON)
    is_none = len(said) == 1 and _is_plain(said[0], "none", language)
    return [_ended(said[0], language)] if is_none else []


def _named(text: str, language: str, labels: set[str]) -> tuple[int, int] | None:
    """The characters from the first named finding to the last, where nothing else stands between them."""
    plain, spans, cues = text.lower(), [], reading.cues(language)
    for label in labels:
        patterns = [found[label] for found in (cues.labels, cues.nouns) if label in found]
        match = next((match for pattern in patterns if (match := pattern.search(plain))), None)
        if match is None:
            return None
        end = match.end()
        while language == "en" and end < len(plain) and plain[end].isalpha():
            end += 1
        spans.append((match.start(), end))
    spans.sort()
    gaps = [text[end:start] for (_, end), (start, _) in pairwise(spans)]
    return (spans[0][0], spans[-1][1]) if spans and all(_BETWEEN[language].match(gap.lower()) for gap in gaps) else None


def _ended(text: str, language: str) -> str:
    stop = "。" if language == "zh" else "."
    return text if text.endswith(stop) else text.rstrip(".。;；") + stop


def _is_plain(phrase: str, kind: str, language: str) -> bool:
    """Whether a phrase holds nothing but slots and words of the closed list of its kind."""
    listed = TypeAdapter(dict[str, list[str]]).validate_python(read_table("style.toml")[f"words_{language}"])[kind]
    rest = re.sub(r"\{\w+\}", " ", phrase)
    if language == "zh":
        return "".join(rest.split()).strip("。") in listed
    return set(re.findall(r"[^\s.,]+", rest.lower())) <= set(listed)


def _absence_in(absent: str, language: str) -> dict[str, str]:
    """The phrase for what is absent in a place, made from the one for what is absent at all; {} where it does not fit."""
    if not absent:
        return {}
    if language == "zh":
        made = "{place}内" + absent
    elif absent.endswith("{findings}."):
        made = absent[:-1] + " in {place}."
    else:
        return {}
    return {"findings.absent_in": made} if is_read_alike("findings.absent_in", made, language) else {}


def is_read_alike(key: str, phrase: str, language: str) -> bool:
    """Whether a phrase has the slots of the phrase bank's and is read as that one is, by the labeler and by the linter."""
    usual = bank(language).words[key]
    if slots_of(phrase) != slots_of(usual):
        return False
    tried = [(_filled(phrase, names, language), _filled(usual, names, language)) for names in _TRIED]
    return all(_read(one, language) == _read(other, language) for one, other in tried)


_TRIED: Final[tuple[tuple[str, ...], ...]] = ((PROBES[0],), (PROBES[1],), PROBES)


def _filled(phrase: str, labels: tuple[str, ...], language: str) -> str:
    words = bank(language)
    names = words.listed([words.name(label) for label in labels], "or")
    place = words.say("line.the", place=words.name("lung_lower_lobe_right"))
    slots = {"findings": names, "finding": names, "place": place, "places": place, "details": "", "image": ""}
    text = phrase.format_map(slots)
    return text[:1].upper() + text[1:]


def _read(text: str, language: str) -> tuple[dict[str, Presence], list[tuple[str, bool]], set[object]]:
    """What is read out of a sentence: labels with their presence, the linter's denials, and sides."""
    named = reading.labels(text, language)
    denied = sorted((label, reading.is_denied(text, at, language)) for label, at in named.items())
    return labeler.presences(text, language), denied, set(reading.sides(text, language))
