"""Writes a phantom case to disk: DICOM series, truth masks (NIfTI), true values (JSON) and history (text)."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from medomni.phantom.case import PhantomCase, draw_findings, make_case
from medomni.phantom.dicom import Labels, write_series
from medomni.types.segmentation import Segmentation


def write_dicom(case: PhantomCase, folder: Path) -> Path:
    """Write the case as one CT series into ``folder`` and return it."""
    labels = Labels(key=f"case/{case.seed}", number=case.seed, age_years=case.age_years, sex=case.sex)
    return write_series(case.volume, folder, labels)


def write_case(out: Path, seed: int) -> Path:
    """Write the default case of a seed and return its folder ``out/case-<seed>``.

    ``dicom/`` holds the series, ``truth.nii.gz`` and ``lesions.nii.gz`` the masks, ``truth.json`` the label names and true
    values, ``history.txt`` and ``history_zh.txt`` the history.
    """
    case = make_case(seed, draw_findings(seed))
    folder = out / f"case-{seed:04d}"
    write_dicom(case, folder / "dicom")
    for name, masks in (("truth", case.truth), ("lesions", case.lesions)):
        _write_nifti(masks, folder / f"{name}.nii.gz")
    text = json.dumps(_facts(case), indent=1, ensure_ascii=False, sort_keys=True)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8")
    (folder / "history.txt").write_text(case.history["en"] + "\n", encoding="utf-8")
    (folder / "history_zh.txt").write_text(case.history["zh"] + "\n", encoding="utf-8")
    return folder


def _facts(case: PhantomCase) -> dict[str, object]:
    return {
        "seed": case.seed,
        "age_years": case.age_years,
        "sex": case.sex,
        "history": case.history,
        "placed": [{**asdict(item), "amount": item.size} for item in case.placed],
        "nodules": [asdict(nodule) for nodule in case.nodules],
        "measurements": {name: round(value, 3) for name, value in case.measurements.items()},
        "truth_labels": {str(label): name for label, name in case.truth.names.items()},
        "lesion_labels": {str(label): name for label, name in case.lesions.names.items()},
    }


def _write_nifti(masks: Segmentation, path: Path) -> None:
    import nibabel

    to_ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ masks.grid.affine
    image = nibabel.Nifti1Image(np.ascontiguousarray(masks.labels.transpose(2, 1, 0)), to_ras)  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")  # type: ignore[no-untyped-call]
    image.to_filename(path)
