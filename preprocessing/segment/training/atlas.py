"""Meshes of an abdominal atlas -> one map of tissues at 3 mm: a guide of real shapes for training, never shipped.

The SPL Abdominal Atlas (Surgical Planning Laboratory, Brigham and Women's Hospital) gives organs from T9 to the pelvis of one
adult; its coordinates are nominal, so they are scaled to plausible adult sizes. Above the diaphragm a plain lung base and
heart are drawn, so that no network learns that bowel gas is the only gas.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from scipy import ndimage
from scipy.spatial import ConvexHull, Delaunay

from preprocessing.segment.classes import GRID_MM, LABELS
from preprocessing.segment.training import tissues as t

if TYPE_CHECKING:
    import vtk

SCALE = (1.45, 1.45, 2.2)
"""Nominal atlas units to millimetres, from vertebral heights and the width of the pelvis."""
MARGIN_MM = 45.0
"""Room around the meshes for the fat under the skin and the air outside."""
_WALL = ("erector_spinae", "external_oblique", "internal_oblique", "gluteus", "rectus", "psoas", "iliacus", "quadratus")
_ORDER = (
    *((name, t.MUSCLE) for name in _WALL),
    *(("artery", t.ARTERY), ("celiac_trunk", t.ARTERY), ("vein", t.VEIN), ("inferior_vena_cava", t.VEIN), ("ureter", t.SOFT)),
    *(("colon_and_ileum", t.BOWEL), ("adrenal", t.SOFT), ("stomach_and_duodenum", LABELS["stomach"])),
    *(("liver", LABELS["liver"]), ("spleen", LABELS["spleen"]), ("pancreas", LABELS["pancreas"])),
    *(("gallbladder", LABELS["gallbladder"]), ("right_kidney", LABELS["kidney_right"]), ("left_kidney", LABELS["kidney_left"])),
    *(("renal_pelvis", t.FLUID), ("disc", t.DISC), ("sacrum", t.BONE), ("pelvis", t.BONE)),
    *(("thoracic", LABELS["vertebrae"]), ("lumbar", LABELS["vertebrae"]), ("rib", LABELS["ribs"]), ("aorta", LABELS["aorta"])),
)
"""Part of a file's name and its tissue, in painting order: later ones lie over earlier ones."""

Tissues = UInt8[np.ndarray, "z y x"]


def voxelise(folder: Path) -> Tissues:
    """Return the atlas as tissues on a 3 mm grid (feet to head, front to back, right to left).

    Raises:
        ImportError: the package ``vtk`` is not installed (extra ``train``).
        FileNotFoundError: the folder holds no meshes.
    """
    paths = sorted(folder.glob("*.vtk"))
    if not paths:
        raise FileNotFoundError(f"no meshes (*.vtk) in {folder.name}")
    meshes = {path.stem: _read(path) for path in paths}
    corners = np.array([mesh.GetBounds() for mesh in meshes.values()]).reshape(-1, 3, 2)
    low, high = corners[:, :, 0].min(0), corners[:, :, 1].max(0)
    low[:2], high[:2] = low[:2] - MARGIN_MM, high[:2] + MARGIN_MM
    shape = np.ceil((high - low) / GRID_MM).astype(int) + 1
    painted = np.zeros(tuple(shape[::-1]), np.uint8)
    for word, tissue in _ORDER:
        for name, mesh in meshes.items():
            if _is_named(name, word):
                painted[_inside(mesh, low, shape)] = tissue
    return _with_body(painted)


def _is_named(name: str, word: str) -> bool:
    if word in ("vein", "artery"):
        return word in name and "renal_pelvis" not in name
    if word == "pelvis":
        return name == "pelvis"
    return word in name


def _read(path: Path) -> "vtk.vtkPolyData":
    import vtk

    reader = vtk.vtkPolyDataReader()
    reader.SetFileName(str(path))
    turn = vtk.vtkTransform()
    turn.Scale(-SCALE[0], -SCALE[1], SCALE[2])  # the atlas runs to the right and to the front
    moved = vtk.vtkTransformPolyDataFilter()
    moved.SetTransform(turn)
    moved.SetInputConnection(reader.GetOutputPort())
    moved.Update()
    return moved.GetOutput()


def _inside(mesh: "vtk.vtkPolyData", low: Float32[np.ndarray, "3"], shape: np.ndarray) -> Bool[np.ndarray, "z y x"]:
    import vtk
    from vtk.util.numpy_support import vtk_to_numpy

    image = vtk.vtkImageData()
    image.SetSpacing(GRID_MM, GRID_MM, GRID_MM)
    image.SetOrigin(*low)
    image.SetDimensions(*(int(n) for n in shape))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(1)
    stencil = vtk.vtkPolyDataToImageStencil()
    stencil.SetInputData(mesh)
    stencil.SetOutputOrigin(*low)
    stencil.SetOutputSpacing(GRID_MM, GRID_MM, GRID_MM)
    stencil.SetOutputWholeExtent(image.GetExtent())
    cut = vtk.vtkImageStencil()
    cut.SetInputData(image)
    cut.SetStencilConnection(stencil.GetOutputPort())
    cut.ReverseStencilOff()
    cut.SetBackgroundValue(0)
    cut.Update()
    flat = vtk_to_numpy(cut.GetOutput().GetPointData().GetScalars())
    return np.asarray(flat.reshape(tuple(shape[::-1])) > 0)


def _with_body(painted: Tissues) -> Tissues:
    """Fill what the meshes leave open: fat inside the wall, fat under the skin, and lung bases with a heart above the dome."""
    body = np.stack([_hull(plane > 0) for plane in painted])
    body = ndimage.gaussian_filter(body.astype(np.float32), (3, 1, 1)) > 0.5
    inner = np.stack([ndimage.binary_erosion(plane, iterations=2) for plane in body])
    skin = np.stack([ndimage.binary_dilation(plane, iterations=5) for plane in body])
    whole = np.where(skin, t.SKIN_FAT, 0).astype(np.uint8)
    whole[inner] = t.FAT
    ribs = painted == LABELS["ribs"]
    organs = np.isin(painted, [LABELS[name] for name in ("liver", "spleen", "stomach", "kidney_right", "kidney_left")])
    chest, heart = _chest(ribs, organs, painted == LABELS["vertebrae"])
    wall = inner & ~np.stack([ndimage.binary_erosion(plane, iterations=5) for plane in body])
    whole[wall & ribs.any(axis=(1, 2))[:, None, None]] = t.MUSCLE
    middle = np.flatnonzero((painted == LABELS["vertebrae"]).any(axis=(0, 1))).mean()
    is_right = np.broadcast_to(np.arange(whole.shape[2]) < middle, whole.shape)
    whole[chest & is_right], whole[chest & ~is_right] = t.LUNG_RIGHT, t.LUNG_LEFT
    whole[heart] = LABELS["heart"]
    return np.where(painted > 0, painted, whole).astype(np.uint8)


def _hull(plane: Bool[np.ndarray, "y x"]) -> Bool[np.ndarray, "y x"]:
    points = np.argwhere(plane)
    if len(points) < 10:
        return np.zeros_like(plane)
    corners = points[ConvexHull(points).vertices]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in plane.shape), indexing="ij"), axis=-1)
    return np.asarray(Delaunay(corners).find_simplex(grid) >= 0)


def _chest(
    ribs: Bool[np.ndarray, "z y x"], organs: Bool[np.ndarray, "z y x"], spine: Bool[np.ndarray, "z y x"]
) -> tuple[Bool[np.ndarray, "z y x"], Bool[np.ndarray, "z y x"]]:
    """Lung and heart above a dome laid over the organs, inside the hull of the ribs."""
    cage = np.stack([ndimage.binary_erosion(_hull(plane), iterations=3) for plane in ribs | spine])
    z = np.arange(len(ribs))[:, None, None]
    top = np.where(organs, z, -1).max(axis=0)
    dome = ndimage.gaussian_filter(ndimage.maximum_filter(top.astype(np.float32), 5), 2)
    dome[top < 0] = np.maximum(dome[top < 0], np.percentile(top[top >= 0], 60))
    above = cage & (z > dome) & ~ndimage.binary_dilation(spine, iterations=2)
    rows, columns = np.nonzero(cage.any(axis=0))
    y, x = np.ogrid[: ribs.shape[1], : ribs.shape[2]]
    centre_y = rows.min() + 0.3 * np.ptp(rows)
    centre_x = columns.mean() + 0.08 * np.ptp(columns)
    heart = ((y - centre_y) / (0.24 * np.ptp(rows))) ** 2 + ((x - centre_x) / (0.2 * np.ptp(columns))) ** 2 < 1
    inside = above & heart[None] & (z > dome + 3)
    return above & ~inside, inside
