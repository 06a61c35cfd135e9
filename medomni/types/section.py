"""The sections of a report by name."""

from enum import StrEnum


class SectionName(StrEnum):
    """Sections of the report in reading order."""

    EXAMINATION = "examination"
    INDICATION = "indication"
    TECHNIQUE = "technique"
    COMPARISON = "comparison"
    FINDINGS = "findings"
    IMPRESSION = "impression"
    ADDENDUM = "addendum"
