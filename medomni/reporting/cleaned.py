"""Text that a stranger or a person wrote, without what is invisible.

text -> text on one line

Knows nothing about where it is shown: whoever shows it escapes it besides.
"""

import re

UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2060\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffc\ufffe\uffff\ud800-\udfff]"
)
"""Controls, text-direction overrides and non-characters: invisible, and able to make a text read as another one."""


def clean(text: str) -> str:
    """Return text on one line, without characters that are invisible, forbidden in XML or change its direction."""
    return " ".join(UNPRINTABLE.sub("", text).split())
