"""Clinical codes in a text -> the terms they stand for: "J43.9" is read as "emphysema", in Chinese text as "肺气肿".

ICD-10 codes are those of ``medomni/data/clinical_codes.toml``, RadLex and SNOMED CT codes those of ``findings.toml`` that mean
just what a label means. A code inside a date, a lot number or a longer number is none.
"""

import re
from functools import cache

from pydantic import Field

from medomni.reporting.lexicon import lexicon
from medomni.reporting.vocabulary import Match, read_table, vocabulary
from medomni.types.codes import Value

SNOMED, RADLEX = "http://snomed.info/sct", "http://radlex.org"
_CHINESE = re.compile("[\u4e00-\u9fff]")


class Coded(Value):
    """The ICD-10 codes of one term; where they were read."""

    codes: tuple[str, ...] = Field(min_length=1)
    source: str = Field(min_length=1)


class Codes(Value):
    """The table; the fields are explained at its head."""

    not_after: tuple[str, ...]
    not_before: tuple[str, ...]
    snomed_after: tuple[str, ...]
    alone: str
    icd10: dict[str, Coded]


def spelled_out(text: str) -> str:
    """The text with each code that is known replaced by its term, in the language of the text; codes alone become a sentence."""
    language = "zh" if _CHINESE.search(text) else "en"
    spelled = _pattern().sub(lambda found: _term(found, language), text)
    others = _pattern().sub(lambda found: found[0] if _term(found, language) == found[0] else "", text)
    if spelled == text or any(letter.isalnum() for letter in others):
        return spelled
    return clinical_codes().alone.format(terms=spelled.strip(" .,;\n"))


@cache
def clinical_codes() -> Codes:
    """The one table, read once from ``medomni/data/clinical_codes.toml``."""
    return Codes.model_validate(read_table("clinical_codes.toml"))


def _term(found: re.Match[str], language: str) -> str:
    if found["number"]:
        return found[0]
    code = (found["icd10"] or found["radlex"] or found["snomed"]).upper()
    names = _names()
    ends = range(len(code), 2, -1) if found["icd10"] else (len(code),)
    name = next((names[code[:end]] for end in ends if code[:end] in names), "")
    if not name:
        return found[0]
    entry = vocabulary().labels.get(name)
    if entry:
        return entry.zh if language == "zh" else entry.en
    return lexicon().concepts[name].named(language)


@cache
def _names() -> dict[str, str]:
    """Label or concept of each code."""
    names = {code: name for name, coded in clinical_codes().icd10.items() for code in coded.codes}
    for label, entry in vocabulary().labels.items():
        for mapped in entry.codes:
            if mapped.match is Match.EXACT and mapped.code.system in (SNOMED, RADLEX):
                names[mapped.code.code] = label
    return names


@cache
def _pattern() -> re.Pattern[str]:
    table = clinical_codes()
    others, before, snomed = (
        "|".join(map(re.escape, words)) for words in (table.not_after, table.not_before, table.snomed_after)
    )
    start, end = r"(?<![A-Za-z0-9._/-])", rf"(?![A-Za-z0-9_/-]|\.[0-9]|{before})"
    return re.compile(
        rf"(?P<number>(?<![A-Za-z])(?:(?:{others})[ :：#]{{0,3}}){{1,3}}[A-Za-z0-9][A-Za-z0-9._/-]*)"
        rf"|(?P<icd10>{start}[A-Z][0-9]{{2}}(?:\.[0-9]{{1,4}})?){end}"
        rf"|(?P<radlex>{start}RID[0-9]{{1,8}}){end}"
        rf"|(?<![A-Za-z])(?:{snomed})[ :：#]{{0,3}}(?P<snomed>[0-9]{{6,18}}){end}",
        re.IGNORECASE,
    )
