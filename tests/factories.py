"""Small builders for tests: grids, volumes, segmentations, studies, documents and DICOM folders.

Every builder takes only what a test cares about and fills the rest with something valid.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np

from medomni.phantom.dicom import Labels, synthetic_uid, write_series
from medomni.types.context import PatientContext
from medomni.types.finding import Evidence, Finding, Measurement, Presence
from medomni.types.region import Coverage, Region
from medomni.types.segmentation import Segmentation
from medomni.types.study import Acquisition, Frame, Identity, SeriesSummary, Study
from medomni.types.volume import Grid, Volume

SMALL = (12, 32, 40)
"""(slices, rows, columns) of the small default grid; all three differ so that swapped axes show."""


def grid(shape=SMALL, spacing_mm=(3.0, 2.0, 1.5), origin_mm=(-30.0, -32.0, -18.0), is_side_known=True):
    """A head-first supine axial grid: columns to the left, rows to the back, slices to the head."""
    return oblique_grid(np.eye(3), shape, spacing_mm, origin_mm, is_side_known)


def oblique_grid(axes, shape=SMALL, spacing_mm=(3.0, 2.0, 1.5), origin_mm=(-30.0, -32.0, -18.0), is_side_known=True):
    """A grid whose row, column and slice directions are the rows of ``axes`` (LPS)."""
    row, column, through = np.asarray(axes, dtype=np.float64)
    steps = np.arange(shape[0])[:, None] * spacing_mm[0]
    return Grid(shape, tuple(spacing_mm[1:]), row, column, np.asarray(origin_mm) + steps * through, is_side_known)


def prone_grid(shape=SMALL, spacing_mm=(3.0, 2.0, 1.5)):
    """Prone: columns run to the patient's right, rows to the front, slices to the head."""
    return oblique_grid(np.diag([-1.0, -1.0, 1.0]), shape, spacing_mm, (30.0, 32.0, -18.0))


def feet_first_grid(shape=SMALL, spacing_mm=(3.0, 2.0, 1.5)):
    """Slices rise to the feet: columns to the right, rows to the back."""
    return oblique_grid(np.diag([-1.0, 1.0, -1.0]), shape, spacing_mm, (30.0, -32.0, 18.0))


def coronal_grid(shape=SMALL, spacing_mm=(3.0, 2.0, 1.5)):
    """A coronal stack: columns to the left, rows to the feet, slices to the back."""
    return oblique_grid([[1.0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]], shape, spacing_mm, (-30.0, -18.0, 32.0))


def rotated_grid(degrees=20.0, shape=SMALL, spacing_mm=(3.0, 2.0, 1.5)):
    """A truly oblique grid: the head-first supine axes turned about the head-foot and then the left-right axis."""
    angle = np.deg2rad(degrees)
    about_z = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(angle / 2), np.sin(angle / 2)], [0, -np.sin(angle / 2), np.cos(angle / 2)]])
    return oblique_grid(about_x @ about_z, shape, spacing_mm)


def tilted_grid(degrees=15.0, shape=SMALL, spacing_mm=(3.0, 2.0, 1.5), origin_mm=(-30.0, -32.0, -18.0)):
    """Gantry tilt: the image plane leans, but the table moves straight along the head-foot axis (a sheared stack)."""
    angle = np.deg2rad(degrees)
    column = np.array([0.0, np.cos(angle), -np.sin(angle)])
    origins = np.asarray(origin_mm) + np.arange(shape[0])[:, None] * (spacing_mm[0] / np.cos(angle)) * np.array([0, 0, 1.0])
    return Grid(shape, tuple(spacing_mm[1:]), np.array([1.0, 0, 0]), column, origins)


def uneven_grid(shape=SMALL, spacing_mm=(3.0, 2.0, 1.5), origin_mm=(-30.0, -32.0, -18.0)):
    """Slices at uneven steps: every third step is twice as long."""
    steps = np.where(np.arange(shape[0] - 1) % 3 == 2, 2.0, 1.0) * spacing_mm[0]
    heights = np.concatenate([[0.0], np.cumsum(steps)])
    origins = np.asarray(origin_mm) + heights[:, None] * np.array([0, 0, 1.0])
    return Grid(shape, tuple(spacing_mm[1:]), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), origins)


def world_mm(on):
    """LPS millimetres of every voxel of a grid, shape (z, y, x, 3)."""
    return on.to_world_mm(np.stack(np.meshgrid(*map(np.arange, on.shape), indexing="ij"), axis=-1).astype(np.float64))


def ball(on, centre_mm, radius_mm):
    """Mask of a ball in patient space."""
    return np.linalg.norm(world_mm(on) - np.asarray(centre_mm), axis=-1) <= radius_mm


def volume(fill=-1000, on=None, parts=()):
    """A volume of one HU with ``parts`` = (mask, hu) painted in order."""
    on = on if on is not None else grid()
    hu = np.full(on.shape, fill, dtype=np.int16)
    for mask, value in parts:
        hu[mask] = value
    return Volume(hu, on)


def segmentation(masks: Mapping[str, np.ndarray], on=None, segmenter="test 1", digest="0" * 64):
    """A segmentation with the named masks as labels 1, 2, ... in order."""
    on = on if on is not None else grid()
    labels = np.zeros(on.shape, dtype=np.uint8)
    for label, mask in enumerate(masks.values(), start=1):
        labels[mask] = label
    return Segmentation(labels, on, dict(enumerate(masks, start=1)), segmenter, digest)


def identity(key="test"):
    """A synthetic identity with every direct identifier filled."""
    return Identity(
        patient_id="PHANTOM-0001",
        patient_id_issuer="PHANTOM",
        patient_name="Phantom^Case",
        birth_date="19640101",
        accession_number="SYN00001",
        study_id="1",
        study_date="20240102",
        study_time="090000",
        study_instance_uid=synthetic_uid(key, "study"),
        series_instance_uid=synthetic_uid(key, "series"),
        frame_of_reference_uid=synthetic_uid(key, "frame"),
    )


def acquisition(**changes):
    """A plain unenhanced chest acquisition."""
    stated = {"body_part": "CHEST", "image_type": ("ORIGINAL", "PRIMARY", "AXIAL"), "patient_position": "HFS"}
    numbers = {
        "slice_thickness_mm": 3.0,
        "kvp": 120.0,
        "kernel": "SYNTHETIC",
        "manufacturer": "MedOmni",
        "model": "Phantom",
    }
    return Acquisition(**{**stated, **numbers, **changes})


def study(on=None, key="test", **changes):
    """An opened study of one CT series whose frames lie nowhere on disk."""
    on = on if on is not None else grid()
    frames = tuple(
        Frame(Path(f"ct{k + 1:04d}.dcm"), 0, synthetic_uid(key, "image", k), "1.2.840.10008.5.1.4.1.1.2", k + 1)
        for k in range(on.shape[0])
    )
    values = {
        "source_name": "study",
        "identity": identity(key),
        "acquisition": acquisition(),
        "series": (SeriesSummary(modality="CT", number=2, images=len(frames), is_chosen=True, reason="only_ct"),),
        "frames": frames,
        "grid": on,
        "sex": "F",
        "age_years": 60.0,
    }
    return Study(**{**values, **changes})


def context(**changes):
    """A patient context without history."""
    return PatientContext(**{"age_years": 60.0, "sex": "F", "language": "en", **changes})


def measurement(name="volume", value=1.0, unit="mL", **changes):
    """One measurement."""
    return Measurement(name=name, value=value, unit=unit, **changes)


def finding(label, presence=Presence.PRESENT, **changes):
    """One finding; a present one gets a slice as evidence."""
    seen = presence in (Presence.PRESENT, Presence.UNCERTAIN)
    proof = (Evidence(structure="lung_right", slice_index=3, source="test"),) if seen else ()
    return Finding(**{"id": label.replace("_", "-"), "label": label, "presence": presence, "evidence": proof, **changes})


def region(structure, voxels=1000, **values):
    """One region; keyword numbers become measurements (``volume`` in mL, ``mean_hu`` in HU)."""
    units = {"volume": "mL", "mean_hu": "[hnsf'U]"}
    measured = tuple(measurement(k, v, units.get(k, "1"), structure=structure) for k, v in values.items())
    return Region(structure=structure, voxels=voxels, measurements=measured)


def coverage(evaluated=("lungs", "airways", "pleura"), **not_evaluated):
    """A chest coverage; keyword organs are not evaluated for the given reason."""
    return Coverage(region="chest", evaluated=tuple(evaluated), not_evaluated=dict(not_evaluated), z_range_mm=(0.0, 300.0))


def write_ct(folder, of=None, key="test", **header):
    """Write a volume as a CT series (``header`` = DICOM keywords to set or change) and return the folder."""
    return write_series(of if of is not None else volume(), Path(folder), Labels(key=key, extra=header))


@cache
def small_chest(seed=0, findings=()):
    """A coarse phantom chest (48 x 96 x 96), made once and shared: its arrays cannot be written to."""
    from medomni.phantom import make_case

    case = make_case(seed, findings=findings, shape=(48, 96, 96), spacing_mm=(6.25, 3.75, 3.75))
    for array in (case.volume.hu, case.truth.labels, case.lesions.labels):
        array.setflags(write=False)
    return case


TINY_LABELS = {"0": "background", "1": "Liver", "2": "bone", "3": "Odd Thing #7"}
"""Channels of the tiny bundle: liver from 0 to 100 HU, bone above 100 HU, the odd thing never."""


def tiny_bundle(folder, labels=None, metadata=None, inference=None, weights="safetensors"):
    """A MONAI bundle whose network is exact: a UNet of 1 x 1 x 1 kernels that labels by HU (see ``TINY_LABELS``).

    ``metadata`` and ``inference`` change top-level entries of the configuration; an entry of None is removed.
    """
    import json

    folder = Path(folder)
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    labels = labels if labels is not None else TINY_LABELS
    formats = {"inputs": {"image": {"num_channels": 1}}, "outputs": {"pred": {"channel_def": labels}}}
    described = {"name": "Tiny HU bundle", "version": "0.1.0", "network_data_format": formats}
    for name, table, changes in (("metadata", described, metadata), ("inference", tiny_inference(), inference)):
        changed = {key: value for key, value in {**table, **(changes or {})}.items() if value is not None}
        (folder / "configs" / f"{name}.json").write_text(json.dumps(changed), encoding="utf-8")
    if weights:
        _write_tiny_weights(folder / "models" / f"model.{weights}")
    return folder


def tiny_inference(pixdim=(1.5, 2.0, 3.0)):
    """The inference configuration of the tiny bundle, in the form the model zoo uses."""
    steps = [
        {"_target_": "LoadImaged", "keys": "image"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
        {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
        {"_target_": "ScaleIntensityRanged", "a_min": -1000, "a_max": 1000, "b_min": 0, "b_max": 1, "clip": True},
    ]
    return {
        "imports": ["$import glob"],
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "highres": True,
        "pixdim": f"${list(pixdim)} if @highres else [9.0, 9.0, 9.0]",
        "network_def": {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 4, **_TINY_NET},
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": steps},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 16], "overlap": 0.25, "mode": "gaussian"},
        "checkpointloader": {"_target_": "CheckpointLoader", "load_path": "$@bundle_root + '/models/model.pt'"},
    }


_TINY_NET = {"channels": [2, 2], "strides": [1], "kernel_size": 1, "up_kernel_size": 1, "norm": None, "act": "RELU"}


def _write_tiny_weights(path):
    import torch
    from monai.networks.nets import UNet
    from safetensors.torch import save_file

    network = UNet(spatial_dims=3, in_channels=1, out_channels=4, **_TINY_NET)
    state = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    first, last = (next(n for n in names if n.endswith("weight")) for names in (list(state), [*state][-2:]))
    state[first][0] = 1.0  # passes (HU + 1000) / 2000 on
    state[last][0, :, 0, 0, 0] = torch.tensor([0.0, 2000.0, 6000.0, 0.0])
    state[last.replace("weight", "bias")][:] = torch.tensor([0.0, -1000.0, -3200.0, -1e6])
    if path.suffix == ".safetensors":
        save_file(state, path)
        return
    network.load_state_dict(state)
    if path.suffix == ".ts":
        torch.jit.trace(network.eval(), torch.zeros(1, 1, 8, 8, 8)).save(str(path))
    else:
        torch.save(state, path)


def tiny_own_bundle(folder, seed=0):
    """A bundle with the classes of ``medomni-ct`` and a small untrained network: labels without sense, but always the same."""
    import torch
    from monai.networks.nets import UNet

    from preprocessing.segment import classes
    from preprocessing.segment.bundle_writer import BundleCard, write_bundle

    settings = {"spatial_dims": 3, "in_channels": 1, "out_channels": classes.CHANNELS, "channels": [4, 8], "strides": [2]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = UNet(**settings, norm="instance").state_dict()
    card = BundleCard(
        name="medomni-ct",
        version="0.0.1",
        description="Untrained, for tests.",
        labels=("background", *classes.CLASSES),
        spacing_mm=classes.GRID_MM,
        window_hu=classes.WINDOW_HU,
        input_range=tuple(edge_hu / classes.HU_PER_UNIT for edge_hu in classes.WINDOW_HU),
        divisor=2,
        readme="# Untrained\n",
        window=(32, 32, 32),
    )
    write_bundle(Path(folder), {"_target_": "UNet", **settings, "norm": "instance"}, state, card)
    return Path(folder)
