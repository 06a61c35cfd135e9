"""The words and the cleaned text that all exporters share; the report's own words come with the report.

Text of a report can stem from a file that a stranger wrote, so every exporter passes it through
``medomni.reporting.cleaned.clean`` first and escapes it afterwards.
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import groupby

from medomni.reporting.cleaned import clean
from medomni.reporting.numerals import amount
from medomni.reporting.phrases import bank, notice_texts
from medomni.reporting.vocabulary import read_table, rows, vocabulary
from medomni.types.finding import Finding, Laterality, Measurement
from medomni.types.notice import NoticeLevel
from medomni.types.report import Report, ReportState, Section, Sentence

UNSIGNED = (ReportState.DRAFT, ReportState.PRELIMINARY)
"""States that no person has signed."""


def say(key: str, language: str, **slots: str) -> str:
    """Return the phrase of ``medomni/data/export.toml`` in the language, slots filled."""
    return _phrases()[language][key].format_map(slots)


@cache
def _phrases() -> dict[str, dict[str, str]]:
    table = read_table("export.toml")
    return {language: {key: str(text) for key, text in rows(table, language).items()} for language in table}


def standing_line(report: Report) -> str:
    """Return the line that says what the text is: an unsigned draft of software that is no medical device."""
    return say("not_a_device" if report.state in UNSIGNED else "not_a_device_after_draft", report.language)


def state_word(report: Report) -> str:
    """Return the word for the state of the report."""
    return say(f"state_{report.state}", report.language)


def notice_lines(report: Report) -> tuple[tuple[NoticeLevel, str], ...]:
    """Return the sentence of every notice with its level, the most serious first."""
    order = (NoticeLevel.UNSAFE, NoticeLevel.WARNING, NoticeLevel.INFO)
    told = [(notice.level, clean(text)) for notice, text in notice_texts(report.notices, report.language)]
    return tuple(dict.fromkeys(sorted(told, key=lambda line: order.index(line[0]))))


def organ_groups(section: Section, language: str) -> Iterator[tuple[str, tuple[Sentence, ...]]]:
    """Yield the runs of sentences about one organ with the organ's name, "" when they are about none."""
    for organ, sentences in groupby(section.sentences, key=lambda sentence: sentence.organ):
        yield (name(organ, language) if organ else ""), tuple(sentences)


@lru_cache(maxsize=4096)
def name(key: str, language: str) -> str:
    """Return the name of a label, organ, structure, zone or measurement, with a capital where the language has them."""
    text = clean(vocabulary().name(key, language))
    return text[:1].upper() + text[1:]


def value(measurement: Measurement, language: str) -> str:
    """Return a measurement as the report's text writes it: "120 mL", "at least 1.2 L"."""
    return clean(amount(measurement, bank(language)))


def places(finding: Finding, language: str) -> str:
    """Return where a finding lies: its anatomy, else the structures it was seen on, and its side; "" when not stated."""
    structures = tuple(dict.fromkeys(e.structure for e in finding.evidence if e.structure not in ("", finding.label)))
    words = bank(language)
    text = clean(words.listed([words.name(key) for key in finding.anatomy or structures]))
    if finding.laterality is not Laterality.NONE and not finding.anatomy:
        side = say(f"side_{finding.laterality}", language)
        text = f"{text} ({side})" if text else side
    return text


def reason(finding: Finding, language: str) -> str:
    """Return why a finding was not evaluated."""
    words = bank(language).words
    return words.get(f"reason.{finding.reason}", words["reason.other"])


def is_number(finding: Finding) -> bool:
    """Whether a finding is a measurement and no clinical finding."""
    entry = vocabulary().labels.get(finding.label)
    return bool(entry and entry.is_measurement_only)


def slices(finding: Finding) -> tuple[int, ...]:
    """Return the slice numbers (from 1, as the report's text counts) that show a finding."""
    indexes = [e.slice_index for e in finding.evidence] + [m.slice_index for m in finding.measurements]
    return tuple(sorted({index + 1 for index in indexes if index is not None}))
