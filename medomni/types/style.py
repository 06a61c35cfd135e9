"""A house style: in which order and in which words a department writes its reports."""

from pydantic import Field

from medomni.types.codes import Value


class Style(Value):
    """What reports of one language have in common; what is empty stays as the phrase bank has it.

    Attributes:
        language: of the reports it was learned from, and of those it is for.
        sections: section names in their order; those not named follow in the usual one.
        headings: by section name.
        organs: organs of the findings in their order; others follow in the usual one.
        phrases: by key of the phrase bank, each with the same slots as there.
        reports: how many reports it was learned from.
    """

    language: str = Field(pattern=r"^(en|zh)$")
    sections: tuple[str, ...] = ()
    headings: dict[str, str] = Field(default_factory=dict)
    organs: tuple[str, ...] = ()
    phrases: dict[str, str] = Field(default_factory=dict)
    reports: int = Field(default=0, ge=0)
