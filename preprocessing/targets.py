"""Which findings of a report a person means, by name, side, lobe and size; and which sentences.

    words, Report -> Meant (findings, or why not)

More than one that fits is an answer too: the caller asks. A side or lobe that was said is never dropped to find something.
"""

import re
from dataclasses import dataclass

from medomni.anatomy import LOBES, anatomy
from medomni.reporting.hedge import is_claimed
from medomni.reporting.phrases import bank
from medomni.types.finding import Finding, Laterality
from medomni.types.report import Report
from medomni.types.section import SectionName
from preprocessing.commands import grammar

SIDES = (Laterality.LEFT, Laterality.RIGHT)
_SHORT_LOBE = re.compile(r"\b([RL])([UML])L\b")
_LONG_SIDE = {"r": "right", "l": "left", "右": "right", "左": "left"}
_LONG_LEVEL = {"u": "upper", "m": "middle", "l": "lower", "上": "upper", "中": "middle", "下": "lower"}
_LEVEL = "(?:upper|middle|lower)"
_LOBES = re.compile(
    rf"\b(?P<side>right|left)(?P<levels> {_LEVEL}(?:(?:,| and|,? or| and the) {_LEVEL})*) (?:pulmonary )?lobes?\b", re.IGNORECASE
)
_LOBE_OF = re.compile(r"\b(upper|middle|lower) lobe (?:of the|on the|of|on) (right|left)(?: lung| side)?\b", re.IGNORECASE)
_ZH_LOBE = re.compile("(?P<side>[左右])肺?(?P<level>[上中下])(?:肺?叶)")
_BARE_MIDDLE = re.compile(r"(?<!right )(?<!left )\bmiddle lobe\b", re.IGNORECASE)
_LENGTH = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?: ?[x×*] ?([0-9]+(?:\.[0-9]+)?))? ?(mm|cm|毫米|厘米)", re.IGNORECASE)
SAME_MM = 0.5
"""Two lengths this close are one: the text rounds to whole millimetres."""
LINGULA = "lung_upper_lobe_left"
"""The lobe that the lingula belongs to."""
_DIAMETERS = ("dictated_diameter", "long_diameter", "mean_diameter")


@dataclass(frozen=True)
class Place:
    """Sides and lobes that words name."""

    sides: frozenset[Laterality]
    lobes: tuple[str, ...]


@dataclass(frozen=True)
class Meant:
    """The findings that words fit, and those of the same name that stand elsewhere; ``is_whole``: all of the report."""

    findings: tuple[Finding, ...]
    elsewhere: tuple[Finding, ...] = ()
    is_named: bool = True
    is_every: bool = False
    is_whole: bool = False


def lengths_mm(words: str) -> list[float]:
    """Each length in the words, the longer side of a pair, in mm."""
    found = []
    for match in _LENGTH.finditer(words):
        scale = 10.0 if match[3].lower() in ("cm", "厘米") else 1.0
        found.append(round(max(float(match[1]), float(match[2] or 0)) * scale, 2))
    return found


def spelled(words: str) -> str:
    """The words with each lobe written out, as the anatomy table has it: "RUL", "upper lobe of the right lung".

    >>> spelled("nodules in the right upper and lower lobes")
    'nodules in the right upper lobe and right lower lobe'
    """
    now = _SHORT_LOBE.sub(lambda found: f"{_LONG_SIDE[found[1].lower()]} {_LONG_LEVEL[found[2].lower()]} lobe", words)
    now = _LOBE_OF.sub(lambda found: f"{found[2]} {found[1]} lobe", now)
    now = _BARE_MIDDLE.sub("right middle lobe", now)
    return _LOBES.sub(lambda found: re.sub(r"(upper|middle|lower)", rf"{found['side']} \1 lobe", found["levels"].strip()), now)


def place(words: str, language: str) -> Place:
    """The sides and lobes that the words name."""
    text = spelled(words).lower()
    structures = anatomy().structures
    names = [name for lobes in LOBES.values() for name in lobes]
    lobes = [name for name in names if structures[name].en.lower().removeprefix("the ") in text]
    if language == "zh":
        lobes = [f"lung_{_LONG_LEVEL[found['level']]}_lobe_{_LONG_SIDE[found['side']]}" for found in _ZH_LOBE.finditer(text)]
    if language == "en" and "lingula" in text:
        lobes.append(LINGULA)
    sides = {side for side in SIDES for name in (side.value, "both_sides") if grammar(language).words[name].search(text)}
    sides |= {Laterality(side) for side in LOBES if any(name.endswith(side) for name in lobes)}
    return Place(frozenset(sides), tuple(dict.fromkeys(lobes)))


def labels_named(words: str, language: str) -> tuple[str, ...]:
    """The labels that the words may mean."""
    text = words.lower()
    return tuple(label for label, pattern in grammar(language).names.items() if pattern.search(text))


def claimed(report: Report, labels: tuple[str, ...]) -> tuple[Finding, ...]:
    """The findings of the labels that the report says are there, however hedged."""
    return tuple(finding for finding in report.findings if finding.label in labels and is_claimed(finding))


def meant(words: str, language: str, report: Report) -> Meant:
    """The findings that the words mean."""
    labels, sizes = labels_named(words, language), lengths_mm(words)
    words_of = grammar(language).words
    is_every = bool(words_of["every"].search(words.lower()))
    if is_every and not labels and words_of["whole"].search(words.lower()):
        return Meant(claimed(report, tuple(grammar("en").names)), is_whole=True)
    if not labels and not sizes:
        return Meant((), is_named=False)
    of_label = claimed(report, labels or tuple({finding.label for finding in report.findings}))
    fitting = tuple(finding for finding in of_label if is_there(finding, place(words, language)))
    if sizes:
        fitting = tuple(f for f in fitting if any(abs((size_mm(f) or 0.0) - size) <= SAME_MM for size in sizes))
    for name, pick in (("largest", max), ("smallest", min)):
        if words_of[name].search(words.lower()) and fitting:
            sized = [finding for finding in fitting if size_mm(finding) is not None]
            best = pick((size_mm(finding) or 0.0 for finding in sized), default=None)
            fitting = tuple(finding for finding in sized if size_mm(finding) == best)
    return Meant(
        fitting, tuple(finding for finding in of_label if finding not in fitting), is_every=is_every or _is_plural(words)
    )


def _is_plural(words: str) -> bool:
    return bool(re.search(r"\b(?:nodules|effusions|opacities|infiltrates|lymph nodes|consolidations|scars)\b", words.lower()))


def is_there(finding: Finding, said: Place) -> bool:
    """Whether a finding lies where the words say; one whose lobe is not known lies in none."""
    own = finding.laterality.sides
    if said.sides and finding.laterality is not Laterality.NONE and not own & said.sides:
        return False
    if said.sides and finding.laterality is Laterality.NONE and not finding.anatomy and said.lobes:
        return False
    return not said.lobes or any(_is_in(finding, lobe) for lobe in said.lobes)


def _is_in(finding: Finding, lobe: str) -> bool:
    """In the lobe itself, or, where only zones are known, in the zone of that side and height."""
    _, level, _, side = lobe.split("_")
    has_lobes = any("_lobe_" in name for name in finding.anatomy)
    return lobe in finding.anatomy or (not has_lobes and f"{side}_{level}_zone" in finding.anatomy)


def size_mm(finding: Finding) -> float | None:
    """The diameter that stands for a finding in the text, the longer one of two; None without any."""
    found = {m.name: m.value for m in finding.measurements if m.unit == "mm"}
    return next((found[name] for name in _DIAMETERS if name in found), None)


def is_dictated_size(finding: Finding) -> bool:
    """Whether the diameter of a finding is a person's and not a measured one."""
    return finding.measurement(_DIAMETERS[0]) is not None


def shown_mm(finding: Finding) -> str:
    """The diameter as the text has it: a measured one in whole millimetres; "" without any."""
    size = size_mm(finding)
    if size is None:
        return ""
    return f"{size if is_dictated_size(finding) else round(size):g} mm"


def called(finding: Finding, language: str) -> str:
    """A finding by name and place, as a person points at it: "Nodule, right upper lobe"."""
    return named(finding.label, finding.laterality, finding.anatomy, language)


def named(label: str, laterality: Laterality, where: tuple[str, ...], language: str) -> str:
    """A label and its place in words of the language."""
    words = bank(language)
    key = f"noun.{label}"
    noun = words.say(key) if key in words.words else words.name(label)
    side = words.say(f"side.{laterality.value}") if f"side.{laterality.value}" in words.words else ""
    at = words.listed([words.name(name) for name in where], "items") or side
    return words.listed([part for part in (noun, at) if part], "items")


def section_of(words: str, language: str) -> SectionName | None:
    """The section that the words name."""
    found = grammar(language).words["section"].search(words)
    if not found:
        return None
    said = found["section"].lower()
    if said.startswith(("finding", "检查所见", "所见")):
        return SectionName.FINDINGS
    return SectionName.ADDENDUM if said in ("addendum", "补充报告") else SectionName.IMPRESSION
