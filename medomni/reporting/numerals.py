"""How a measured number is written: one rounding rule for all text, and the same digits in every language.

    Measurement -> Numeral ("2.7", "L")

Lengths are whole millimetres (half rounds up, as Fleischner asks), volumes are mL with the digits of the measurement
and, from one litre on, tenths of a litre. A lower bound is rounded down, so that "at least" stays true. A value that would
read as zero without being zero gets one more digit.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Context, Decimal
from functools import lru_cache
from typing import Final

from medomni.reporting.phrases import PhraseBank
from medomni.types.finding import Measurement

LONGEST_NUMBER: Final = 400
"""Digits that hold any float, so that no header value is too large to be written."""
UNIT_TEXT: Final = {"[hnsf'U]": "HU", "1": ""}


@dataclass(frozen=True)
class Numeral:
    """The digits of a number and its unit, as the text shows them."""

    digits: str
    unit: str


def numeral(measurement: Measurement) -> Numeral:
    """The digits and unit that stand for a measurement in every sentence."""
    value, unit, bound = measurement.value, measurement.unit, measurement.is_lower_bound
    if unit == "mL" and _quantized(value, measurement.decimals, bound) >= 1000:
        return Numeral(rounded(value / 1000, 1, bound), "L")
    decimals = 0 if unit == "mm" else measurement.decimals
    return Numeral(rounded(value, decimals, bound), UNIT_TEXT.get(unit, unit))


@lru_cache(maxsize=4096)
def rounded(value: float, decimals: int, is_lower_bound: bool = False) -> str:
    """The value with that many decimals, one more when it would read as zero, or "<0.01" when that is not enough."""
    for places in (decimals, decimals + 1):
        shown = _quantized(value, places, is_lower_bound)
        if shown != 0 or value == 0:
            return f"{shown:f}"
    if value > 0 and not is_lower_bound:
        return f"<{Decimal(1).scaleb(-decimals - 1):f}"
    return f"{Decimal(0).scaleb(-decimals):f}"


def _quantized(value: float, decimals: int, is_lower_bound: bool) -> Decimal:
    mode = ROUND_FLOOR if is_lower_bound else ROUND_HALF_UP
    return Decimal(repr(value + 0.0)).quantize(Decimal(1).scaleb(-decimals), mode, Context(prec=LONGEST_NUMBER))


def plain(value: float, decimals: int) -> str:
    """A header value with at most that many decimals and no trailing zeros: "1.5", "120"."""
    text = rounded(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount(measurement: Measurement, words: PhraseBank) -> str:
    """The measurement in words: "120 mL", "7%", "at least 1.2 L"."""
    shown = numeral(measurement)
    text = shown.digits
    if shown.unit == "%":
        text = words.say("measured.percent", number=shown.digits)
    elif shown.unit:
        text = words.say("measured.number", number=shown.digits, unit=shown.unit)
    if measurement.is_lower_bound:
        return words.say("measured.at_least", value=text)
    return words.say("measured.about", value=text) if measurement.crosses_gap else text
