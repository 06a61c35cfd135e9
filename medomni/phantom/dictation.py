"""What a radiologist would speak into a recorder for a reference report: findings and impression, as spoken words.

    Sections -> text

Numbers and units are words; some speakers say the punctuation, some leave it to the writer.
"""

import re

from medomni.phantom.report import Sections
from medomni.phantom.sentences import Voice

_SPEAKS_PUNCTUATION = 0.5
_UNITS = {"mm": "unit_mm", "cm": "unit_cm", "mL": "unit_ml", "HU": "unit_hu"}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)\s*(mm|cm|mL|HU|L|%)?(?![A-Za-z])")
_LEVEL = re.compile(r"\b([TL])(\d+)\b")
_BEFORE_ADJECTIVE = re.compile(r"(^|[.:] |\b[Aa]n? )$")
_SENTENCE = re.compile(r"(?:^|(?<=\. ))[a-z]")
_LITRE = {"en": "liters", "zh": "升"}
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DIGITS = "零一二三四五六七八九"


def dictate(sections: Sections, opening: dict[str, str], voice: Voice) -> str:
    """Return the spoken text.

    Args:
        sections: the report that is dictated.
        opening: slots of the first sentence: ``region`` and ``who``.
        voice: language and chance.
    """
    words = voice.words
    gap = "" if voice.language == "zh" else " "
    first = voice.say(list(words.openings), opening)
    findings = [text for _, text in sections.findings]
    impression = gap.join(sections.impression)
    paragraphs = [first, gap.join(findings), f"{voice.heading('impression').capitalize()}. {impression}"]
    if voice.language == "zh":
        paragraphs[2] = f"{voice.heading('impression')}：{impression}"
    spoken = [_numbers_spoken(text, voice) for text in paragraphs]
    if voice.rng.random() >= _SPEAKS_PUNCTUATION:
        return "\n".join(spoken)
    said = [_punctuation_spoken(text, voice) for text in spoken]
    return f"{gap}{words.spoken['paragraph']}{gap}".join(said)


def number_in_words(text: str, language: str) -> str:
    """A decimal number below ten thousand as spoken words."""
    whole, _, part = text.partition(".")
    said = _english(int(whole)) if language == "en" else _chinese(int(whole))
    if not part:
        return said
    if language == "zh":
        return said + "点" + "".join(_DIGITS[int(digit)] for digit in part)
    return f"{said} point {' '.join(_SMALL[int(digit)] for digit in part)}"


def _numbers_spoken(text: str, voice: Voice) -> str:
    def say(found: re.Match[str]) -> str:
        number, unit = number_in_words(found.group(1), voice.language), found.group(2) or ""
        spoken = voice.words.spoken
        if unit == "%":
            return f"{spoken['percent']}{number}" if voice.language == "zh" else f"{number} {spoken['percent']}"
        name = _LITRE[voice.language] if unit == "L" else spoken[_UNITS[unit]] if unit else ""
        if voice.language == "zh":
            return f"{number}{name}"
        is_adjective = bool(_BEFORE_ADJECTIVE.search(found.string[: found.start()])) and name.endswith("s")
        return f"{number} {name[:-1] if is_adjective else name}".strip()

    spoken = _QUANTITY.sub(say, _LEVEL.sub(r"\1 \2", text))
    return _SENTENCE.sub(lambda found: found.group(0).upper(), spoken)


def _punctuation_spoken(text: str, voice: Voice) -> str:
    marks = {"。": ".", "，": ",", "：": ":", "；": ";", "、": ","} if voice.language == "zh" else {}
    said = []
    for letter in text:
        mark = marks.get(letter, letter)
        said.append(voice.words.spoken.get(mark, letter))
    spoken = "".join(said).replace("(", " ").replace(")", " ").replace("（", "").replace("）", "")
    return re.sub(r" {2,}", " ", spoken).strip().lower() if voice.language == "en" else spoken


def _english(number: int) -> str:
    if number < len(_SMALL):
        return _SMALL[number]
    if number < 100:
        tens, rest = divmod(number, 10)
        return f"{_TENS[tens]} {_SMALL[rest]}" if rest else _TENS[tens]
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    many, rest = divmod(number, size)
    return f"{_english(many)} {name} {_english(rest)}" if rest else f"{_english(many)} {name}"


def _chinese(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    for size, name in ((1000, "千"), (100, "百"), (10, "十")):
        if number >= size:
            many, rest = divmod(number, size)
            head = "" if size == 10 and many == 1 else _DIGITS[many]
            filler = "零" if rest and rest < size // 10 else ""
            return head + name + filler + (_chinese(rest) if rest else "")
    return ""
