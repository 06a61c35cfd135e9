"""Whose report it is, for a copy that is filed with the patient: name, number, birth date, study date, accession number.

    Study, language -> (("Patient", "DOE JANE"), ...)

A report itself holds no identifier; only an export that is asked to name the patient gets these lines, beside the text.
"""

from medomni.export.words import say
from medomni.reporting.cleaned import clean
from medomni.types.study import Study

Whose = tuple[tuple[str, str], ...]
LONGEST = 120
"""Letters of a value; a header may hold more than a page has room for."""


def whose(study: Study | None, language: str) -> Whose:
    """Return name and value of each identifier that the header states; nothing without a study."""
    if study is None:
        return ()
    who = study.identity
    facts = {
        "name": who.patient_name.replace("^", " ").split("=")[0],
        "number": who.patient_id,
        "born": day(who.birth_date),
        "examined": day(who.study_date),
        "accession": who.accession_number,
    }
    cleaned = {key: clean(fact)[:LONGEST] for key, fact in facts.items()}
    return tuple((say(f"whose_{key}", language), fact) for key, fact in cleaned.items() if fact)


def day(stated: str) -> str:
    """Return a DICOM date (DA) as year-month-day, "" where it is none."""
    return f"{stated[:4]}-{stated[4:6]}-{stated[6:]}" if len(stated) == 8 and stated.isdecimal() else ""
