"""``medomni draft``: one CT study in, a folder with its draft report out."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from app import options
from app.commands.style import read_style
from app.options import DEFAULT_SEGMENTER, Force, Json, Quiet, SegmenterName, Source, TrustBundle

if TYPE_CHECKING:
    import numpy as np

    from medomni.reporting.influence import Explanation
    from medomni.types.report import Report
    from medomni.types.run import RunRecord
    from preprocessing.speech import Recording

LONGEST_HISTORY_BYTES = 1 << 20
LONGEST_PATH = 1024

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder that will hold the draft.", show_default=False)]
History = Annotated[str, typer.Option("--history", metavar="TEXT|FILE", help="Clinical history, English or Chinese.")]
Dictation = Annotated[
    str, typer.Option("--dictation", metavar="WAV|TEXT|FILE", help="What the radiologist dictates about the images.")
]
PriorPath = Annotated[
    Path | None, typer.Option("--prior", metavar="STUDY|REPORT", help="Earlier CT study, or report.json of one.")
]
PriorReport = Annotated[
    Path | None,
    typer.Option("--prior-report", metavar="REPORT", help="report.json of the earlier study: what changed is reckoned."),
]
Adapter = Annotated[Path | None, typer.Option("--adapter", metavar="FOLDER", help="Adapter of the drafter, or its name.")]
Drafter = Annotated[
    str | None, typer.Option("--drafter", metavar="NAME", help="What words the draft; as MEDOMNI_DRAFTER says by default.")
]
Language = Annotated[Literal["en", "zh"], typer.Option("--lang", help="Language of the draft.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Also tell how much of each sentence is due to the image (explain.json).")
]
Track = Annotated[bool, typer.Option("--track/--no-track", help="Log the run in MLflow, without patient data.")]


def draft(
    source: Source,
    out: Out,
    history: History = "",
    dictation: Dictation = "",
    prior: PriorPath = None,
    prior_report: PriorReport = None,
    adapter: Adapter = None,
    segmenter: SegmenterName = DEFAULT_SEGMENTER,
    trust_bundle: TrustBundle = False,
    drafter: Drafter = None,
    language: Language = "en",
    explain: Explain = False,
    track: Track = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draft the report of one CT study.

    Writes report.json, report.txt, report.html, fhir-r4.json, segmentation.nii.gz and run.json into DIR, or nothing.
    """
    from app import atomic, handover, release, wiring
    from app.progress import StageWatch
    from medomni.export.report_file import read_report
    from medomni.pipeline import Request, draft_report
    from medomni.reporting.influence import explained

    settings = wiring.start()
    recording, said = read_dictation(dictation)
    ears = wiring.ears(settings) if recording is not None else None
    request = Request(
        source=source,
        history=read_history(history),
        dictation=said,
        is_heard=recording is not None,
        sound=_sound(recording) if recording is not None else None,
        prior=prior or prior_report,
        prior_report=read_report(prior_report) if prior and prior_report else None,
        style=read_style(settings.style) if settings.style else None,
        language=language,
    )
    if drafter is None:
        drafter, adapter = settings.drafter, adapter or settings.adapter
    stages = wiring.stages(segmenter, settings, drafter=drafter, adapter=adapter, is_bundle_trusted=trust_bundle)
    with StageWatch(is_quiet=quiet) as watch, atomic.new_folder(out, replace=force) as folder:
        if recording is not None and ears is not None:
            with watch.stage("hear") as progress:
                heard = ears.hear(recording, progress)
            request = replace(request, dictation=heard.text)
            handover.write_heard(heard, folder)
        drafted = draft_report(request, stages, watch)
        release.refuse_unsafe(drafted.report.notices)
        with watch.stage("write"):
            handover.write_draft(drafted, settings, folder)
            told = explained(drafted.report, drafted.opinion) if explain else None
            if told:
                handover.write_explanation(told, folder)
        run = handover.record(drafted, request, settings, watch, folder)
        handover.write_run(run, folder)
    if track:
        _track(run, settings.tracking_uri)
    if as_json:
        influence = {"influence": [one.model_dump() for one in told.sentences]} if told else {}
        options.answer_json(_summary(out, drafted.report, run) | influence)
    else:
        options.answer(_summary_text(out, drafted.report, run) + (_explained_text(told) if told else ""))


def read_dictation(text: str) -> "tuple[Recording | None, str]":
    """Return the recording that is named, or else the words: the text itself, or the content of the file it names.

    Raises:
        BadInput: the file is no recording that can be used, is missing, too large or no UTF-8 text.
    """
    from preprocessing import speech

    if len(text) <= LONGEST_PATH and Path(text).suffix.lower() in speech.SUFFIXES:
        return speech.read_wav(Path(text)), ""
    return None, read_history(text, "dictation")


def _sound(recording: "Recording") -> "np.ndarray":
    """The recording as a drafter that can hear takes it."""
    from medomni.model.audio import heard
    from preprocessing.speech import LONGEST_SECONDS

    return heard(recording.samples, recording.sample_rate_hz, LONGEST_SECONDS).numpy()


def read_history(text: str, what: str = "history") -> str:
    """Return the history: the text itself, or the content of the file it names.

    Raises:
        BadInput: the file is missing, too large or no UTF-8 text.
    """
    from medomni.errors import BadInput
    from medomni.safety.bounded import read_regular

    path = Path(text)
    if not text or len(text) > LONGEST_PATH or "\n" in text or not (_looks_like_path(text) or path.exists()):
        return text
    try:
        return read_regular(path, LONGEST_HISTORY_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"the {what} is not UTF-8 text", remedy="save it as a plain UTF-8 text file", where=path.name) from error


def _looks_like_path(text: str) -> bool:
    return len(text.split()) == 1 and text.lower().endswith((".txt", ".md"))


def _track(run: "RunRecord", uri: str) -> None:
    """Log the run; a tracking store that is down costs the person one line, never the draft."""
    from adapters.tracking import log_draft
    from medomni.errors import MissingPart

    try:
        log_draft(run, uri)
    except MissingPart as error:
        options.warn(str(error))


def _summary(out: Path, report: "Report", run: "RunRecord") -> dict[str, object]:
    from medomni.reporting.phrases import notice_text
    from medomni.types.section import SectionName

    impression = report.sections.get(SectionName.IMPRESSION)
    return {
        "out": str(out),
        "impression": [sentence.text for sentence in impression.sentences] if impression else [],
        "notices": [
            {"code": notice.code, "level": notice.level, "text": notice_text(notice, report.language)}
            for notice in report.notices
        ],
        "run": run.model_dump(mode="json"),
    }


def _explained_text(told: "Explanation") -> str:
    """How much of each sentence is due to the image, and how the model weighed what it was given, as a person reads it."""
    lines = ["", "", "Due to the image (0 to 1)"]
    lines += [f"  {one.influence:4.2f}  {one.section}: {one.text}" for one in told.sentences]
    for heading, shares in (
        ("Importance to the omni model (in all 1)", told.importance),
        ("Gates of the omni model (0 to 1)", told.gates),
    ):
        lines += [heading, *(f"  {share:4.2f}  {name}" for name, share in shares.items())] if shares else []
    return "\n".join(lines)


def _summary_text(out: Path, report: "Report", run: "RunRecord") -> str:
    from app import handover
    from medomni.reporting.phrases import notice_text
    from medomni.types.section import SectionName

    impression = report.sections.get(SectionName.IMPRESSION)
    lines = [impression.heading, *(f"  {sentence.text}" for sentence in impression.sentences)] if impression else []
    if report.notices:
        lines += ["", {"en": "Notices", "zh": "提示"}[report.language]]
        lines += [f"  [{notice.level}] {notice_text(notice, report.language)}" for notice in report.notices]
    lines += ["", *(str(out / name) for name in run.files), str(out / handover.RUN_FILE)]
    lines += [f"{run.cpu_seconds:.1f} CPU-seconds, peak {run.peak_mib:.0f} MiB"]
    return "\n".join(lines)
