"""``medomni segment``: one CT study in, one NIfTI label map of its structures and lesions out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app import options
from app.options import DEFAULT_SEGMENTER, Force, Json, Quiet, SegmenterName, Source, TrustBundle

if TYPE_CHECKING:
    from medomni.types.segmentation import Segmentation

Out = Annotated[Path, typer.Option("--out", metavar="FILE.nii.gz", help="Label map to write.", show_default=False)]


def segment(
    source: Source,
    out: Out,
    segmenter: SegmenterName = DEFAULT_SEGMENTER,
    trust_bundle: TrustBundle = False,
    force: Force = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Label the structures and lesions of one CT study on its own grid."""
    from app import atomic, wiring
    from app.progress import StageWatch
    from medomni.errors import BadInput
    from medomni.pipeline import Request, draft_report, overlay
    from preprocessing.nifti import write_nifti

    if not out.name.endswith((".nii", ".nii.gz")):
        raise BadInput("is no name of a NIfTI file", remedy="give --out a name that ends in .nii.gz", where=out.name)
    stages = wiring.stages(segmenter, wiring.start(), is_bundle_trusted=trust_bundle)
    with StageWatch(is_quiet=quiet) as watch, atomic.new_file(out, replace=force) as file:
        drafted = draft_report(Request(source=source), stages, watch)
        labelled = overlay(drafted.segmentation, drafted.lesions)
        with watch.stage("write"):
            write_nifti(labelled.labels, labelled.grid, file)
    volumes_ml = _volumes_ml(drafted.segmentation) | _volumes_ml(drafted.lesions)
    if as_json:
        options.answer_json(
            {
                "out": str(out),
                "labels": {str(label): name for label, name in sorted(labelled.names.items())},
                "volumes_ml": {name: round(volume_ml, 1) for name, volume_ml in volumes_ml.items()},
                "segmenter": labelled.segmenter,
                "digest": labelled.digest,
            }
        )
        return
    rows = (f"{label:4d}  {name:<32} {volumes_ml[name]:9.1f} mL" for label, name in sorted(labelled.names.items()))
    options.answer("\n".join([*rows, str(out)]))


def _volumes_ml(segmentation: "Segmentation") -> dict[str, float]:
    """Volume of each structure, with each slice's own height."""
    import numpy as np

    counts = np.zeros((segmentation.grid.shape[0], 256), dtype=np.int64)
    for z, labels in enumerate(segmentation.labels):
        counts[z] = np.bincount(labels.ravel(), minlength=256)
    volumes = counts.T @ segmentation.grid.voxel_volumes_ml
    return {name: float(volumes[label]) for label, name in segmentation.names.items()}
