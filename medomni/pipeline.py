r"""The way of one study, from a folder to a reviewed draft; every stage is one function over frozen values.

    source -> Study -> Volume -> Segmentation -> Regions, Coverage -> Findings --> Findings of both -> Draft -> Report
                                            \-> Opinion of the omni model ------/       Dictation --/

The stages that touch files, pixels and text are handed in (``app/wiring.py`` chooses them); wording and review are the
core's own. This module knows nothing about DICOM, MONAI or the command line.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, runtime_checkable
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float32

from medomni import __version__, logs
from medomni.errors import MedOmniError, MissingPart
from medomni.reporting.compose import compose
from medomni.reporting.dictated import heed
from medomni.reporting.guard import LANGUAGES
from medomni.reporting.merge import HEARD_IN, merge
from medomni.reporting.review import review
from medomni.reporting.rewording import Rewording, reword
from medomni.reporting.statement import Statement
from medomni.types.context import PatientContext
from medomni.types.dictation import Dictation, Told
from medomni.types.finding import Finding
from medomni.types.notice import Notice, NoticeLevel
from medomni.types.opinion import Opinion
from medomni.types.provenance import Part, Provenance
from medomni.types.region import Coverage, Region
from medomni.types.report import Draft, Prior, Report
from medomni.types.segmentation import Segmentation
from medomni.types.study import Study
from medomni.types.style import Style
from medomni.types.volume import Volume

Progress = Callable[[float], None]
"""Told the share of the running stage that is done, 0 to 1."""
BEYOND_MODEL = {"history": Notice(code="history_beyond_model"), "dictation": Notice(code="dictation_beyond_model")}
"""What is said of a text whose end the omni model did not read."""


class Segmenter(Protocol):
    """Labels the structures of a volume. Entry-point group ``medomni.segmenters``."""

    @property
    def name(self) -> str:
        """Name a person chooses it by."""
        ...

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """Return one label per voxel on the volume's own grid."""
        ...


@dataclass(frozen=True, eq=False)
class Shown:
    """What a drafter may look at besides the statements; what is ``told``, and its sound, must not leave the machine.

    Attributes:
        sound: the recording of the dictation, mono, 16 kHz, full scale at 1.
    """

    volume: Volume
    segmentation: Segmentation
    told: Told = Told()  # noqa: RUF009  (frozen)
    sound: Float32[np.ndarray, " time"] | None = None


class Drafter(Protocol):
    """Words statements about findings. Entry-point group ``medomni.drafters``; what it writes passes the guard or is replaced."""

    @property
    def name(self) -> str:
        """Name a person chooses it by."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The model, its adapter and their digests, for the record."""
        ...

    def word(self, statements: Sequence[Statement], language: str, shown: Shown) -> Sequence[str]:
        """Return a text with slots for each statement, "" where there is none.

        Raises:
            MissingPart: the model cannot be reached or loaded; the draft keeps its fixed phrases and says so.
        """
        ...


@runtime_checkable
class Checkable(Protocol):
    """A drafter that can tell beforehand what it lacks; what others lack is found out when they word."""

    def check(self) -> None:
        """Look for what is needed, without a network.

        Raises:
            MissingPart: it is not there.
        """
        ...


@dataclass(frozen=True, eq=False)
class Detection:
    """What the detectors saw: findings, and the masks that prove them (``lung_opacity``, ``pleural_effusion``...)."""

    findings: tuple[Finding, ...]
    lesions: Segmentation
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Stages:
    """The replaceable stages of one draft, in the order in which they run; the drafter may depend on what is in view."""

    read: Callable[[Path], Study]
    assemble: Callable[[Study, Progress], Volume]
    understand: Callable[[str, Study], PatientContext]
    listen: Callable[[str, Study], Dictation]
    segmenter: Segmenter
    measure: Callable[[Volume, Segmentation], tuple[Region, ...]]
    scope: Callable[[Volume, Segmentation, tuple[Region, ...]], tuple[Coverage, tuple[Notice, ...]]]
    detect: Callable[[Volume, Segmentation, tuple[Region, ...], Coverage, Progress], Detection]
    look: Callable[[Volume, Segmentation, Told], Opinion]
    compare: Callable[[Path, Report | None, Study], tuple[Prior | None, tuple[Notice, ...]]]
    drafter: Callable[[Coverage], Drafter] | None = None


@dataclass(frozen=True)
class Request:
    """What a person asks for: a source, and what is known besides the images.

    Attributes:
        is_heard: whether a machine wrote the dictation down from sound.
        sound: that sound, mono, 16 kHz, full scale at 1.
        prior: an earlier study, or the report.json of one.
        prior_report: what was reported of the earlier study.
        style: how the department words and orders its reports.
    """

    source: Path
    history: str = ""
    dictation: str = ""
    is_heard: bool = False
    sound: Float32[np.ndarray, " time"] | None = field(default=None, compare=False, repr=False)
    prior: Path | None = None
    prior_report: Report | None = None
    style: Style | None = None
    language: str = "en"


@dataclass(frozen=True, eq=False)
class Drafted:
    """Everything one draft produced. ``report`` is free of identifiers; ``study`` is not. ``drafter`` is "" for fixed phrases."""

    study: Study
    volume: Volume
    segmentation: Segmentation
    lesions: Segmentation
    regions: tuple[Region, ...]
    report: Report
    rewording: Rewording = field(default_factory=Rewording)
    opinion: Opinion | None = None
    drafter: str = ""


class Watch(Protocol):
    """Watches a stage: progress to the person, cost to the run record."""

    def stage(self, name: str) -> AbstractContextManager[Progress]:
        """Open a named stage and return its progress callback."""
        ...


def draft_report(request: Request, stages: Stages, watch: Watch) -> Drafted:
    """Return the reviewed draft of one study.

    Raises:
        BadInput: the source is no CT that can be trusted.
    """
    told = Told(history=request.history, dictation=request.dictation)
    with watch.stage("read"):
        study = stages.read(request.source)
        context = stages.understand(request.history, study)
        dictation = stages.listen(request.dictation, study).model_copy(update={"is_heard": request.is_heard})
        prior, prior_notices = stages.compare(request.prior, request.prior_report, study) if request.prior else (None, ())
    with watch.stage("assemble") as progress:
        volume = stages.assemble(study, progress)
    with watch.stage("segment") as progress:
        segmentation = stages.segmenter.segment(volume, progress)
    with watch.stage("measure"):
        regions = stages.measure(volume, segmentation)
        coverage, scope_notices = stages.scope(volume, segmentation, regions)
    with watch.stage("detect") as progress:
        detection = stages.detect(volume, segmentation, regions, coverage, progress)
    with watch.stage("look"):
        is_heard = coverage.region in HEARD_IN
        opinion, look_notices = _opinion(stages, volume, segmentation, told) if is_heard else (None, ())
        merged = merge(detection.findings, coverage, opinion)
        heeded = heed(merged.findings, dictation)
    with watch.stage("compose"):
        notices = study.notices + prior_notices + segmentation.notices + scope_notices + detection.notices
        notices += look_notices + merged.notices + heeded.notices
        draft = compose(
            context=context,
            acquisition=study.acquisition,
            grid=volume.grid,
            coverage=coverage,
            findings=heeded.findings,
            prior=prior,
            notices=notices,
            language=request.language,
            style=request.style,
        ).model_copy(update={"dictation": dictation})
    with watch.stage("word"):
        shown = Shown(volume, segmentation, told, request.sound)
        drafter = stages.drafter(coverage) if stages.drafter else None
        draft, rewording, parts = worded(draft, shown, drafter)
        draft = draft.model_copy(update={"notices": draft.notices + review(draft)})
        if opinion is not None:
            parts = (Part(role="model", name=opinion.model, version=opinion.digest[:12], digest=opinion.digest), *parts)
        report = Report(**dict(draft), provenance=_provenance(study, volume, segmentation, parts))
    name = drafter.name if drafter else ""
    return Drafted(study, volume, segmentation, detection.lesions, regions, report, rewording, opinion, name)


def _opinion(stages: Stages, volume: Volume, segmentation: Segmentation, told: Told) -> tuple[Opinion | None, tuple[Notice, ...]]:
    """What the omni model thinks; nothing, with a warning, where its weights are not to be had. What it did not read is said."""
    try:
        opinion = stages.look(volume, segmentation, told)
    except MissingPart:
        return None, (Notice(code="model_not_available"),)
    return opinion, tuple(BEYOND_MODEL[kind] for kind in opinion.cut)


def worded(draft: Draft, shown: Shown, drafter: Drafter | None) -> tuple[Draft, Rewording, tuple[Part, ...]]:
    """The draft in the drafter's words, with the parts that wrote them; in fixed phrases, with a notice, where none stands.

    What a drafter is built on may raise anything, want of memory among it: what was measured and drafted outlives that.
    """
    if drafter is None:
        return draft, Rewording(), ()
    about = {"drafter": drafter.name}
    try:
        new, counts = reword(draft, shown.volume.grid, lambda statements, language: drafter.word(statements, language, shown))
        if counts.kept:
            return new, counts, drafter.parts
    except MissingPart as error:
        reason = error.found or error.wrong
    except MedOmniError:
        raise
    except Exception as error:  # a plug-in's libraries have no common class of errors
        reason = type(error).__name__
    else:
        return _unheard(draft, counts, about), counts, ()
    logs.event("drafter_failed", level=logging.WARNING, drafter=drafter.name, error=reason)
    return _noticed(draft, Notice(code="drafter_not_available", fields=about)), Rewording(), ()


def _unheard(draft: Draft, counts: Rewording, about: dict[str, str]) -> Draft:
    """The draft with a notice that none of its drafter's sentences stands, if it was asked for any."""
    if not counts.asked:
        return draft
    if draft.language not in LANGUAGES:
        return _noticed(draft, Notice(code="drafter_lacks_language", level=NoticeLevel.INFO, fields=about))
    return _noticed(draft, Notice(code="drafter_kept_nothing", fields=about))


def _noticed(draft: Draft, notice: Notice) -> Draft:
    return draft.model_copy(update={"notices": (*draft.notices, notice)})


def overlay(base: Segmentation, lesions: Segmentation) -> Segmentation:
    """Return one label map with the lesions drawn over the structures they lie in."""
    labels, names = base.labels.copy(), dict(base.names)
    for label, name in lesions.names.items():
        new = max(names, default=0) + 1
        names[new] = name
        labels[lesions.labels == label] = new
    return replace(base, labels=labels, names=names)


def volume_digest(volume: Volume) -> str:
    """Return the sha256 of a volume's voxels and geometry, the same whatever files it came from; made once for a volume."""
    if volume not in _DIGESTS:
        _DIGESTS[volume] = _digest(volume)
    return _DIGESTS[volume]


_DIGESTS: WeakKeyDictionary[Volume, str] = WeakKeyDictionary()


def _digest(volume: Volume) -> str:
    digest = hashlib.sha256()
    grid = volume.grid
    digest.update(repr((volume.hu.dtype.str, grid.shape, grid.pixel_spacing_mm, grid.is_side_known)).encode())
    for array in (grid.row_direction, grid.column_direction, grid.slice_origins_mm):
        digest.update(array.round(4).tobytes())
    for plane in volume.hu:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.hexdigest()


def study_key(study: Study) -> str:
    """Return a one-way key of the study, stable between runs and free of identifiers."""
    return hashlib.sha256(f"medomni/study/{study.identity.study_instance_uid}".encode()).hexdigest()[:32]


def _provenance(study: Study, volume: Volume, segmentation: Segmentation, more: tuple[Part, ...]) -> Provenance:
    name, _, version = segmentation.segmenter.partition(" ")
    return Provenance(
        study_key=study_key(study),
        input_sha256=volume_digest(volume),
        parts=(
            Part(role="software", name="medomni", version=__version__),
            Part(role="segmenter", name=name, version=version, digest=segmentation.digest),
            *more,
        ),
    )
