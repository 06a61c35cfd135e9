"""Writes phantom cases to disk: DICOM series, truth masks (NIfTI), truth (JSON), history, dictation and reference reports (text).

seed, region -> case-0007/ {dicom, truth.nii.gz, lesions.nii.gz, truth.json, *.txt, *.png, prior/}
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from medomni.phantom.body import Body
from medomni.phantom.case import DEFAULT_SHAPE, DEFAULT_SPACING_MM, PhantomCase, copy_of, healthy_body, scan_person
from medomni.phantom.cohort import BodyRegion, draw_findings
from medomni.phantom.dicom import Labels, write_series
from medomni.phantom.dictation import dictate
from medomni.phantom.disease import Placed
from medomni.phantom.disease.apply import prepare_person
from medomni.phantom.facts import Fact, compare
from medomni.phantom.person import Person, make_person
from medomni.phantom.picture import write_pictures
from medomni.phantom.prior import Visit, earlier_visit, has_prior, study_date
from medomni.phantom.report import Told, compose, voice_of, write_report
from medomni.phantom.truth import organs_in_view, write_truth
from medomni.types.segmentation import Segmentation

_HALF_WIDTH_MM, _AIR_MM = 158.0, 24.0
"""Half width of the muscles of a mean adult at the widest level in view; air on both sides together."""
_PIXELS_MM = (1.2, 1.75)
_SPOKEN_REGION = {
    ("en", BodyRegion.CHEST): "chest",
    ("en", BodyRegion.ABDOMEN): "abdomen",
    ("zh", BodyRegion.CHEST): "胸部",
    ("zh", BodyRegion.ABDOMEN): "腹部",
}


@dataclass(frozen=True, eq=False)
class Patient:
    """A case with its comparison: today's scan, the earlier one if there was any, and what a report tells of both."""

    case: PhantomCase
    told: Told
    prior: PhantomCase | None
    visit: Visit | None


def make_patient(
    seed: int,
    region: BodyRegion = BodyRegion.CHEST,
    shape: tuple[int, int, int] = DEFAULT_SHAPE,
    spacing_mm: tuple[float, float, float] | None = None,
) -> Patient:
    """Return the default patient of a seed; the same arguments give the same bytes.

    Without ``spacing_mm``, pixels are as large as the body needs.
    """
    last: ValueError | None = None
    for placed in _ever_easier(draw_findings(seed, region)):
        try:
            with threadpool_limits(1):  # a product of matrices that threads share rounds otherwise on some processors
                return _make_patient(seed, placed, region, shape, spacing_mm)
        except ValueError as error:  # a nodule does not fit beside the other diseases
            last = error
    raise last or AssertionError("no attempt was made")


def _ever_easier(placed: tuple[Placed, ...]) -> Iterator[tuple[Placed, ...]]:
    """The diseases; with small nodules anywhere; without nodules."""
    yield placed
    if any(item.kind == "lung_nodule" for item in placed):
        yield tuple(replace(item, zone="", severity="mild") if item.kind == "lung_nodule" else item for item in placed)
        yield tuple(item for item in placed if item.kind != "lung_nodule")


def _make_patient(
    seed: int,
    placed: tuple[Placed, ...],
    region: BodyRegion,
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] | None,
) -> Patient:
    person = prepare_person(make_person(seed), placed)
    body = healthy_body(person, shape, spacing_mm or fitting_spacing_mm(person, shape[2]), region)
    before = copy_of(body) if has_prior(seed, placed) else None
    case = scan_person(body, placed, region)
    if before is None:
        return Patient(case, _told(case, case.facts), None, None)
    return _with_prior(case, before)


def fitting_spacing_mm(person: Person, columns: int) -> tuple[float, float, float]:
    """The spacing at which the trunk fills the image as radiographers set it: little air beside it, raised arms outside."""
    pixel_mm = (2 * (_HALF_WIDTH_MM * person.size[0] + person.fat_mm) + _AIR_MM) / columns
    pixel_mm = float(np.clip(round(pixel_mm, 2), *_PIXELS_MM))
    return (DEFAULT_SPACING_MM[0], pixel_mm, pixel_mm)


def write_dicom(case: PhantomCase, folder: Path, study: Visit | None = None) -> Path:
    """Write the case as one CT series into ``folder`` and return it; ``study`` is given for a scan before today's."""
    is_chest = case.region is BodyRegion.CHEST
    labels = Labels(
        key=f"case/{case.seed}",
        number=case.seed,
        age_years=case.age_years,
        sex=case.sex,
        body_part="CHEST" if is_chest else "ABDOMEN",
        series_description="Synthetic chest" if is_chest else "Synthetic abdomen",
        kernel=case.technique.kernel,
        visit="prior" if study else "",
        study_date=study.study_date if study else study_date(case.seed),
        kvp=case.technique.kvp,
        slice_thickness_mm=case.technique.slice_thickness_mm,
        exposure_mas=case.technique.exposure_mas,
        contrast_phase=f"{case.phase.replace('_', ' ')} phase" if case.phase else "",
    )
    return write_series(case.volume, folder, labels)


def write_case(out: Path, seed: int, region: BodyRegion = BodyRegion.CHEST, language: str = "en") -> Path:
    """Write the default case of a seed and return its folder ``out/case-<seed>``.

    ``language`` (en or zh) is the one of the dictation; history and report are written in both.
    """
    patient = make_patient(seed, region)
    folder = out / f"case-{seed:04d}"
    _write_study(patient.case, folder, None)
    for spoken in ("en", "zh"):
        suffix = "" if spoken == "en" else "_zh"
        _write_text(folder / f"history{suffix}.txt", patient.case.history[spoken])
        _write_text(folder / f"report{suffix}.txt", write_report(patient.told, voice_of(seed, spoken)))
    _write_text(folder / "dictation.txt", dictation_of(patient, language))
    if patient.prior is not None and patient.visit is not None:
        _write_prior(patient.prior, patient.visit, folder / "prior")
    write_pictures(patient.case, folder)
    write_truth(patient.case, patient.told, folder / "truth.json", language)
    return folder


def dictation_of(patient: Patient, language: str) -> str:
    """The dictation of a patient's reference report in a language."""
    case = patient.case
    sections = compose(patient.told, voice_of(case.seed, language))
    opening = opening_of(case.region, case.age_years, case.sex, language)
    return dictate(sections, opening, voice_of(case.seed + 1, language))


def opening_of(region: BodyRegion, age_years: int, sex: str, language: str) -> dict[str, str]:
    """The slots of the first sentence of a dictation: what was scanned and of whom."""
    word = {"en": {"M": "man", "F": "woman"}, "zh": {"M": "男性", "F": "女性"}}[language][sex]
    who = f"{age_years}岁{word}" if language == "zh" else f"{age_years}-year-old {word}"
    return {"region": _SPOKEN_REGION[language, region], "who": who}


def _with_prior(case: PhantomCase, before: Body) -> Patient:
    visit = earlier_visit(case.seed, case.drawn, case.placed)
    prior = scan_person(before, visit.placed, case.region, visit=1)
    prior = replace(prior, age_years=case.age_years - visit.months // 12)
    facts, resolved = compare(case.facts, prior.facts)
    return Patient(case, _told(case, facts, visit, resolved), prior, visit)


def _told(case: PhantomCase, facts: tuple[Fact, ...], visit: Visit | None = None, resolved: tuple[Fact, ...] = ()) -> Told:
    return Told(
        region=case.region,
        facts=facts,
        technique=case.technique,
        phase=case.phase,
        organs=organs_in_view(case),
        prior_date=visit.study_date if visit else "",
        prior_months=visit.months if visit else 0,
        resolved=resolved,
    )


def _write_prior(prior: PhantomCase, visit: Visit, folder: Path) -> None:
    told = _told(prior, prior.facts)
    _write_study(prior, folder, visit)
    for language, suffix in (("en", ""), ("zh", "_zh")):
        _write_text(folder / f"report{suffix}.txt", write_report(told, voice_of(prior.seed + 2, language)))
    write_truth(prior, told, folder / "truth.json", "")


def _write_study(case: PhantomCase, folder: Path, visit: Visit | None) -> None:
    write_dicom(case, folder / "dicom", visit)
    for name, masks in (("truth", case.truth), ("lesions", case.lesions)):
        _write_nifti(masks, folder / f"{name}.nii.gz")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text + "\n", encoding="utf-8")


def _write_nifti(masks: Segmentation, path: Path) -> None:
    import nibabel

    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ masks.grid.affine
    image = nibabel.Nifti1Image(masks.labels.transpose(2, 1, 0), to_ras)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.to_filename(path)
