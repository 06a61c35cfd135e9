"""Notices: everything a reader of the draft must know about its limits, in any language.

A notice is a code with fields; its words live in ``medomni/data/notices.toml`` in each language, so that
the same facts are stated whatever the language of the draft. Fields hold plain numbers, file names and tag
names, never patient text, dates or UIDs.
"""

from enum import StrEnum

from pydantic import Field

from medomni.types.codes import Value


class NoticeLevel(StrEnum):
    """How much a notice matters to the person who reads the draft."""

    INFO = "info"
    WARNING = "warning"
    UNSAFE = "unsafe"


class Notice(Value):
    """One stated limit or event, for example a missing slice with its z range."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    level: NoticeLevel = NoticeLevel.WARNING
    fields: dict[str, str] = Field(default_factory=dict)
