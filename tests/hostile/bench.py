"""The bench on which one case is built: seeded random numbers, an invented patient, a scan, and the writers."""

import hashlib
import io
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from tests.hostile.corpus import Truth
from tests.hostile.scan import Patient, Slice, chest_hu, ct_header, store


class Bench:
    """Sizes, distances, names and damaged places follow from the seed, so that no program passes by knowing the files."""

    def __init__(self, root: Path, name: str, seed: int):
        self.name, self.root, self.folder = name, root, root / name
        self.folder.mkdir()
        self.random = random.Random(f"{seed}/{name}")  # noqa: S311 - inputs, not secrets
        self.array_random = np.random.default_rng(self.random.getrandbits(64))
        self._uids = 0
        self._token = f"{self.random.getrandbits(48):012X}"
        self.slices, self.size = self.random.randint(10, 16), self.random.choice((48, 56, 64, 72))
        self.step_mm = self.random.choice((2.5, 3.0, 4.0, 5.0))
        self.field_mm = self.random.choice((330.0, 360.0, 390.0))
        self.spot = self.random.randint(3, self.slices - 6)
        """An inner slice to damage: never one of the first or last three."""
        self.patient = self.invent_patient()
        self.hu = chest_hu(self.array_random, self.slices, self.size)
        self.input, self.truths, self.facts = name, [], {}
        self.personal = [self.patient.family, self.patient.id, self.patient.accession]
        self.must_not_exist: list[str] = []

    def invent_patient(self) -> Patient:
        """Return a patient whose every text is unmistakable."""
        mark = f"{self.random.getrandbits(40):010X}"
        given = self.random.choice(("ANNA", "OTTO", "MAYA", "IVAN"))
        day = f"20{self.random.randint(20, 25)}{self.random.randint(1, 12):02d}{self.random.randint(1, 28):02d}"
        return Patient(f"QX{mark[:6]}", given, f"QXID{mark}", f"QXAC{mark[3:]}", day)

    def uid(self) -> str:
        """Return the next UID of this case."""
        self._uids += 1
        digest = hashlib.sha256(f"{self._token}/{self.name}/{self._uids}".encode()).digest()
        return f"2.25.{int.from_bytes(digest[:15], 'big')}"

    def canary(self, kind: str) -> str:
        """Return a path outside every folder of the case that nobody may create."""
        path = str(Path(tempfile.gettempdir()) / f"medomni_canary_{kind}_{self._token}")
        self.must_not_exist.append(path)
        return path

    def origin(self, position_mm: float) -> tuple[float, float, float]:
        """Return the first voxel of an upright axial slice."""
        return (-self.field_mm / 2, -self.field_mm / 2, position_mm)

    def scan(
        self,
        positions_mm: Sequence[float] | None = None,
        orientation: Sequence[float] = (1, 0, 0, 0, 1, 0),
        origin: Callable[[float], tuple[float, float, float]] | None = None,
        beside: Slice | None = None,
        patient: Patient | None = None,
        hu: np.ndarray | None = None,
    ) -> list[Slice]:
        """Return a consistent CT series. ``beside`` puts it into another slice's study."""
        hu = self.hu if hu is None else hu
        positions_mm = [self.step_mm * k - 120 for k in range(self.slices)] if positions_mm is None else positions_mm
        study = beside.header.StudyInstanceUID if beside else self.uid()
        series, frame = self.uid(), beside.header.FrameOfReferenceUID if beside else self.uid()
        if not beside:
            self.personal += [study, series]
        made = []
        for k, position in enumerate(positions_mm):
            header = ct_header(patient or self.patient, self.uid(), study, series, frame)
            header.InstanceNumber = k + 1
            header.ImagePositionPatient = [f"{value:.6f}" for value in (origin or self.origin)(position)]
            header.ImageOrientationPatient = [f"{value:.8f}" for value in orientation]
            header.PixelSpacing = [f"{self.field_mm / self.size:.6f}"] * 2
            header.SliceThickness, header.SliceLocation = self.step_mm, f"{position:.4f}"
            one = Slice(header, hu[k % len(hu)])
            store(one, one.hu + 1024)
            made.append(one)
        return made

    def save(self, scan: Sequence[Slice], names: Sequence[str] | None = None) -> None:
        """Write the slices as DICOM files."""
        for k, one in enumerate(scan):
            path = self.folder / (names[k] if names else f"CT{k:03d}.dcm")
            path.write_bytes(dicom_bytes(one.header))

    def write(self, name: str, data: bytes) -> None:
        """Write one file, which becomes the input of the case."""
        (self.folder / name).write_bytes(data)
        self.input = f"{self.name}/{name}"

    def hold(self, scan: Sequence[Slice], hu_tolerance: int = 0) -> None:
        """Keep the true volume of these slices."""
        orientation = np.array(scan[0].header.ImageOrientationPatient, np.float64)
        origins = np.array([one.header.ImagePositionPatient for one in scan], np.float64)
        order = np.argsort(origins @ np.cross(orientation[:3], orientation[3:]), kind="stable")
        file = Path("_truth") / f"{self.name}_{len(self.truths)}.npz"
        (self.root / file).parent.mkdir(exist_ok=True)
        hu = np.stack([scan[k].hu for k in order]).astype(np.int16)
        np.savez(self.root / file, hu=hu, origins_mm=origins[order], orientation=orientation)
        self.truths.append(Truth(file.as_posix(), str(scan[0].header.SeriesInstanceUID), hu_tolerance))

    def deliver(self, scan: Sequence[Slice]) -> None:
        """Write the slices and keep them as the truth."""
        self.save(scan)
        self.hold(scan)


def dicom_bytes(header: Dataset) -> bytes:
    """Return a data set as the bytes of a DICOM file."""
    buffer = io.BytesIO()
    dcmwrite(buffer, header, enforce_file_format=True)
    return buffer.getvalue()
