"""The one rounding rule of all text."""

import pytest

from medomni.reporting.numerals import Numeral, amount, numeral, plain, rounded
from medomni.reporting.phrases import bank
from medomni.types.finding import Measurement


def of(value, unit, decimals=0, **changes):
    return Measurement(name="volume", value=value, unit=unit, decimals=decimals, **changes)


@pytest.mark.parametrize(
    ("value", "unit", "decimals", "expected"),
    [
        (7.5, "mm", 1, Numeral("8", "mm")),
        (6.49, "mm", 2, Numeral("6", "mm")),
        (120.4, "mL", 0, Numeral("120", "mL")),
        (0.214, "mL", 2, Numeral("0.21", "mL")),
        (999.4, "mL", 0, Numeral("999", "mL")),
        (999.6, "mL", 0, Numeral("1.0", "L")),
        (2712.0, "mL", 0, Numeral("2.7", "L")),
        (-842.3, "[hnsf'U]", 0, Numeral("-842", "HU")),
        (7.0, "%", 1, Numeral("7.0", "%")),
        (3.0, "1", 0, Numeral("3", "")),
    ],
)
def test_values_are_rounded_by_their_unit(value, unit, decimals, expected):
    assert numeral(of(value, unit, decimals)) == expected


def test_a_lower_bound_is_rounded_down_so_that_at_least_stays_true():
    assert numeral(of(1290.0, "mL", is_lower_bound=True)) == Numeral("1.2", "L")
    assert numeral(of(7.9, "mm", is_lower_bound=True)) == Numeral("7", "mm")


def test_a_small_value_never_reads_as_zero():
    assert rounded(0.3, 0) == "0.3"
    assert rounded(0.0004, 1) == "<0.01"
    assert rounded(0.0, 1) == "0.0"


def test_zero_has_no_sign():
    assert rounded(-0.0, 0) == "0"
    assert rounded(-0.00001, 0) == "0"


def test_header_values_lose_their_trailing_zeros():
    assert [plain(value, 2) for value in (1.5, 120.0, 0.703125, 1e300)][:3] == ["1.5", "120", "0.7"]


def test_a_number_too_large_for_any_scanner_is_still_written():
    assert len(plain(1e300, 0)) == 301


def test_amounts_in_words():
    assert amount(of(120.4, "mL"), bank("en")) == "120 mL"
    assert amount(of(4.44, "%", 1), bank("en")) == "4.4%"
    assert amount(of(1290.0, "mL", is_lower_bound=True), bank("en")) == "at least 1.2 L"
    assert amount(of(1290.0, "mL", is_lower_bound=True), bank("zh")) == "至少1.2 L"
