"""The sections about how the study was made: Examination and Technique.

Each sentence names the DICOM attributes it was drawn from; what the header does not state is said to be not stated.
"""

from medomni.reporting.case import Case, tagged, template
from medomni.reporting.numerals import plain
from medomni.reporting.phrases import PhraseBank
from medomni.types.report import Receipt, ReceiptKind, Sentence

CHILD_YEARS = 18
INFANT_YEARS = 2
"""Below this age is given in months."""
TILT_DEGREES = 0.5
"""Smallest gantry tilt worth a word: below it a slice of 500 mm is off by less than 5 mm from edge to edge."""
KERNEL_CHARACTERS = 16
"""Length of ConvolutionKernel (0018,1210), VR SH."""

GRID_TAGS = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
"""Attributes whose numbers come from the geometry of the whole volume."""


def examination(case: Case) -> tuple[Sentence, ...]:
    """What was scanned, and of whom (age and sex only)."""
    words, coverage = case.words, case.coverage
    seen = Receipt(kind=ReceiptKind.MEASURED, structure="body") if coverage.region != "none" else template()
    key = coverage.region if f"examination.{coverage.region}" in words.words else "other"
    said = [Sentence(text=words.sentence(f"examination.{key}"), receipt=seen)]
    said.append(Sentence(text=_patient(case), receipt=tagged("PatientSex", "PatientAge")))
    if coverage.is_partial:
        said.append(Sentence(text=words.sentence("examination.partial"), receipt=seen))
    return tuple(said)


def technique(case: Case) -> tuple[Sentence, ...]:
    """How the images were made, as far as the header states it."""
    words, acquisition = case.words, case.acquisition
    contrast_tags = tagged("ContrastBolusAgent", "ContrastBolusRoute")
    said = [
        _slices(case),
        *_parameters(case),
        Sentence(text=words.sentence(f"contrast.{acquisition.contrast.value}"), receipt=contrast_tags),
    ]
    if acquisition.is_lossy:
        said.append(Sentence(text=words.sentence("technique.lossy"), receipt=tagged("LossyImageCompression")))
    if acquisition.has_burned_in_annotation:
        said.append(Sentence(text=words.sentence("technique.burned_in"), receipt=tagged("BurnedInAnnotation")))
    if not case.grid.is_side_known:
        said.append(Sentence(text=words.sentence("technique.side_unknown"), receipt=template()))
    if any(finding.measurements for finding in case.findings):
        said.append(Sentence(text=words.sentence(f"technique.{_counting(case)}"), receipt=template()))
        said.append(Sentence(text=words.sentence("technique.rounding"), receipt=template()))
    return tuple(said)


def duration(words: PhraseBank, number: str, unit: str) -> str:
    """A span of time or another counted amount: "3 weeks", "1 day"."""
    return words.say(f"duration.{unit}_one" if number == "1" else f"duration.{unit}", number=number)


def age_text(words: PhraseBank, age_years: float) -> str:
    """An age in whole years, in months below two years."""
    number, unit = age_number(age_years)
    return words.say(f"age.{unit}_one" if number == 1 else f"age.{unit}", number=str(number))


def age_number(age_years: float) -> tuple[int, str]:
    """The number and unit in which an age is given."""
    return (int(age_years * 12), "months") if age_years < INFANT_YEARS else (int(age_years), "years")


def _patient(case: Case) -> str:
    words, age, sex = case.words, case.context.age_years, case.context.sex
    shown_age = age_text(words, age) if age is not None else ""
    is_child = age is not None and age < CHILD_YEARS
    key = {"M": "boy" if is_child else "man", "F": "girl" if is_child else "woman", "O": "other"}.get(sex)
    if key is None:
        return words.sentence("patient.age", age=shown_age) if shown_age else words.sentence("patient.neither")
    shown_sex = words.say(f"patient.{key}")
    if not shown_age:
        return words.sentence("patient.sex", sex=shown_sex)
    return words.sentence("patient.sex_and_age", sex=shown_sex, age=shown_age)


def _slices(case: Case) -> Sentence:
    words, grid = case.words, case.grid
    row, column = (plain(value, 2) for value in grid.pixel_spacing_mm)
    pixel = words.say("measured.number", number=row if row == column else f"{row} x {column}", unit="mm")
    spacing = words.say("measured.number", number=plain(grid.slice_spacing_mm, 2), unit="mm")
    key = "slices" if grid.is_uniform else "slices_uneven"
    key = "slice_single" if grid.shape[0] == 1 else key
    text = words.sentence(f"technique.{key}", slices=str(grid.shape[0]), spacing=spacing, pixel=pixel)
    return Sentence(text=text, receipt=tagged(*GRID_TAGS))


def _parameters(case: Case) -> tuple[Sentence, ...]:
    words, header = case.words, case.acquisition
    thickness = header.slice_thickness_mm
    stated = {
        "thickness": words.say("measured.number", number=plain(thickness, 2), unit="mm") if thickness else "",
        "kvp": plain(header.kvp, 0) if header.kvp else "",
        "kernel": header.kernel[:KERNEL_CHARACTERS],
        "ctdi": plain(header.ctdi_vol_mgy, 1) if header.ctdi_vol_mgy else "",
        "dlp": plain(header.dlp_mgy_cm, 0) if header.dlp_mgy_cm else "",
        "tilt": _tilt(header.gantry_tilt_deg),
    }
    items = [words.say(f"technique.{key}", value=value) for key, value in stated.items() if value]
    names = {"thickness": stated["thickness"], "kvp": stated["kvp"], "kernel": stated["kernel"]}
    names["dose"] = stated["ctdi"] or stated["dlp"]
    missing = [words.say(f"technique.{key}_name") for key, value in names.items() if not value]
    said = []
    if items:
        text = words.sentence("technique.stated", items=words.listed(items, "items"))
        said.append(Sentence(text=text, receipt=tagged(*(PARAMETER_TAGS[key] for key, value in stated.items() if value))))
    if missing:
        text = words.sentence("technique.not_stated", items=words.listed(missing))
        said.append(Sentence(text=text, receipt=template()))
    return tuple(said)


PARAMETER_TAGS = {
    "thickness": "SliceThickness",
    "kvp": "KVP",
    "kernel": "ConvolutionKernel",
    "ctdi": "CTDIvol",
    "dlp": "DLP",
    "tilt": "GantryDetectorTilt",
}
"""DICOM keyword of each parameter; DLP is no attribute of an image but the dose report's Dose Length Product."""


def _tilt(degrees: float | None) -> str:
    return plain(degrees, 1) if degrees is not None and abs(degrees) >= TILT_DEGREES else ""


def _counting(case: Case) -> str:
    upward = float(case.grid.normal[2])
    if not case.grid.is_side_known or abs(upward) < 0.5:
        return "numbered_as_stored"
    return "numbered_from_feet" if upward > 0 else "numbered_from_head"
