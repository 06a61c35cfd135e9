"""What is known of a study while its draft is made, written as soon as it is: a page can show it before the draft is there.

    stages of a draft -> the same stages, which leave their results in the study's folder on the way

Technique and comparison come as soon as the headers are read, the volume when it is assembled, masks and measurements next.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from app.desk.desk import MASK, PARTS, VOLUME
from medomni.export.words import name, value
from medomni.pipeline import Detection, Progress, Segmenter, Stages, overlay
from medomni.reporting.case import Case
from medomni.reporting.compared import comparison
from medomni.reporting.phrases import bank
from medomni.reporting.technique import examination, technique
from medomni.types.context import PatientContext
from medomni.types.region import Coverage, Region
from medomni.types.section import SectionName
from medomni.types.segmentation import Segmentation
from medomni.types.study import Study
from medomni.types.volume import Grid, Volume
from preprocessing.nifti import write_nifti


def told(stages: Stages, folder: Path, language: str) -> Stages:
    """The stages, each of which leaves what it found in ``folder``."""
    parts = Parts(folder, stages, language, {})
    return replace(
        stages,
        read=parts.read,
        understand=parts.understand,
        assemble=parts.assemble,
        segmenter=ToldSegmenter(stages.segmenter, folder),
        measure=parts.measure,
        detect=parts.detect,
    )


@dataclass(frozen=True)
class Parts:
    """The stages of one draft and what they have told so far."""

    folder: Path
    stages: Stages
    language: str
    known: dict[str, object]

    def read(self, source: Path) -> Study:
        """See ``medomni.pipeline.Stages``."""
        return self.stages.read(source)

    def understand(self, history: str, study: Study) -> PatientContext:
        """See ``medomni.pipeline.Stages``."""
        context = self.stages.understand(history, study)
        words = bank(self.language)
        case = Case(words, context, study.acquisition, study.grid, Coverage(region="other"), (), None)
        said = {SectionName.TECHNIQUE: technique(case), SectionName.COMPARISON: comparison(case)}
        if history or context.age_years is not None:
            said = {SectionName.EXAMINATION: examination(case)[1:], **said}
        self._tell(
            sections=[
                {
                    "heading": words.say(f"headings.{section.value}"),
                    "sentences": [sentence.text for sentence in sentences],
                }
                for section, sentences in said.items()
            ]
        )
        return context

    def assemble(self, study: Study, progress: Progress) -> Volume:
        """See ``medomni.pipeline.Stages``."""
        volume = self.stages.assemble(study, progress)
        write_nifti(volume.hu, volume.grid, self.folder / VOLUME)
        self._tell(grid=grid_facts(volume.grid))
        return volume

    def measure(self, volume: Volume, segmentation: Segmentation) -> tuple[Region, ...]:
        """See ``medomni.pipeline.Stages``."""
        return self.stages.measure(volume, segmentation)

    def detect(
        self, volume: Volume, segmentation: Segmentation, regions: tuple[Region, ...], coverage: Coverage, progress: Progress
    ) -> Detection:
        """See ``medomni.pipeline.Stages``."""
        detection = self.stages.detect(volume, segmentation, regions, coverage, progress)
        labelled = overlay(segmentation, detection.lesions)
        write_nifti(labelled.labels, labelled.grid, self.folder / MASK)
        measured = [
            f"{name(finding.label, self.language)}: " + ", ".join(value(m, self.language) for m in finding.measurements)
            for finding in detection.findings
            if finding.measurements
        ]
        called = {label: name(label, self.language) for label in labelled.names.values()}
        self._tell(structures={str(key): label for key, label in labelled.names.items()}, names=called, measurements=measured)
        return detection

    def _tell(self, **facts: object) -> None:
        self.known.update(facts)
        half = self.folder / f".half-{PARTS}"
        half.write_text(json.dumps(self.known, ensure_ascii=False), encoding="utf-8")
        half.replace(self.folder / PARTS)


@dataclass(frozen=True)
class ToldSegmenter:
    """A segmenter whose label map is left in a folder."""

    segmenter: Segmenter
    folder: Path

    @property
    def name(self) -> str:
        """The segmenter's name."""
        return self.segmenter.name

    def segment(self, volume: Volume, progress: Progress) -> Segmentation:
        """See ``medomni.pipeline.Segmenter``."""
        segmentation = self.segmenter.segment(volume, progress)
        write_nifti(segmentation.labels, segmentation.grid, self.folder / MASK)
        return segmentation


def grid_facts(grid: Grid) -> dict[str, object]:
    """Where the slices of a volume lie: LPS millimetres of the middle of each, for a viewer that is told a slice number."""
    middle = np.array([[k, (grid.shape[1] - 1) / 2, (grid.shape[2] - 1) / 2] for k in range(grid.shape[0])])
    return {
        "shape": list(grid.shape),
        "spacing_mm": [round(step, 4) for step in grid.spacing_mm],
        "middles_mm": np.round(grid.to_world_mm(middle), 2).tolist(),
    }
