"""Turns a finished draft into the files a person takes away, and into the record of the run.

Every file is written into the folder it is given; whether that folder appears is the caller's matter.
"""

import hashlib
import platform
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from app.progress import StageWatch
from medomni.export.fhir import FhirOptions, to_fhir_json
from medomni.export.html import to_html
from medomni.export.text import to_text
from medomni.pipeline import Drafted, Request, overlay
from medomni.reporting.influence import Explanation
from medomni.reporting.rewording import Rewording
from medomni.settings import TEMPLATE, Settings
from medomni.types.finding import Presence
from medomni.types.run import RunNotice, RunRecord
from preprocessing.heard import Heard
from preprocessing.nifti import write_nifti
from preprocessing.screenshot import key_images

RUN_FILE: Final = "run.json"
EXPLAIN_FILE: Final = "explain.json"
HEARD_FILE: Final = "dictation.txt"
SOFTWARE: Final = ("numpy", "scipy", "pydicom", "torch", "monai", "fhir.resources")
"""Packages whose version can change a draft."""


def write_draft(drafted: Drafted, settings: Settings, folder: Path) -> None:
    """Write the report as JSON, text, HTML and FHIR, and the label map."""
    report = drafted.report
    _write(folder / "report.json", report.model_dump_json(indent=1) + "\n")
    _write(folder / "report.txt", to_text(report))
    images = key_images(drafted.volume, drafted.segmentation, drafted.lesions, report)
    _write(folder / "report.html", to_html(report, images))
    how = FhirOptions(recorded=datetime.now(UTC), patient_system=settings.patient_id_system)
    (folder / "fhir-r4.json").write_bytes(to_fhir_json(report, drafted.study, how))
    labelled = overlay(drafted.segmentation, drafted.lesions)
    write_nifti(labelled.labels, labelled.grid, folder / "segmentation.nii.gz")


def record(drafted: Drafted, request: Request, settings: Settings, watch: StageWatch, folder: Path) -> RunRecord:
    """Return what the draft in ``folder`` was made with and what it cost, free of identifiers and of patient text."""
    report = drafted.report
    counts = Counter(finding.presence for finding in report.findings)
    return RunRecord(
        provenance=report.provenance,
        settings={
            "segmenter": drafted.segmentation.segmenter,
            "drafter": drafted.drafter or TEMPLATE,
            "language": request.language,
            "threads": settings.threads,
            "history_characters": len(request.history),
            "dictation_characters": len(request.dictation),
            "dictation_is_heard": request.is_heard,
            "prior": report.prior.kind if report.prior else "none",
        },
        stages=watch.records,
        cpu_seconds=watch.cpu_seconds,
        wording=_wording(drafted.rewording),
        findings={presence: counts[presence] for presence in Presence},
        gates=drafted.opinion.gates if drafted.opinion else {},
        importance=drafted.opinion.importance if drafted.opinion else {},
        notices=tuple(RunNotice(code=notice.code, level=notice.level) for notice in report.notices),
        files={file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())},
        software={"python": platform.python_version()} | {name: version(name) for name in SOFTWARE},
    )


def _wording(rewording: Rewording) -> dict[str, int]:
    """How many sentences were asked of a drafter, kept, and replaced, by reason; empty without a drafter."""
    if not rewording.asked:
        return {}
    replaced = {f"replaced_{reason}": count for reason, count in rewording.replaced.items()}
    return {"asked": rewording.asked, "kept": rewording.kept, **replaced}


def write_heard(heard: Heard, folder: Path) -> None:
    """Write ``dictation.txt``: what was heard, doubtful words in [?...?], for the person to check; it alone may hold names."""
    _write(folder / HEARD_FILE, heard.marked + "\n")


def write_explanation(told: Explanation, folder: Path) -> None:
    """Write ``explain.json``: how much of each sentence is due to the image, and how the omni model weighed what it was given."""
    _write(folder / EXPLAIN_FILE, told.model_dump_json(indent=1) + "\n")


def write_run(run: RunRecord, folder: Path) -> None:
    """Write ``run.json``, the last file of a draft."""
    _write(folder / RUN_FILE, run.model_dump_json(indent=1) + "\n")


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
