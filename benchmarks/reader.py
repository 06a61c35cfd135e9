"""Claim: reading a plain CT series with every check on costs at most half of SimpleITK's and a seventh of MONAI's CPU time.

    python benchmarks/reader.py [--json] [--slices 300] [--rounds 3]

A series of 512 x 512 int16 slices is generated in a temporary folder. All parties take turns; each run is a fresh child that
reads once to warm up and once to be measured, with one thread. The smallest CPU time counts (user and system, children included);
memory is the child's peak while reading above what it had before, over the size of the int16 volume. All parties must give
the same HU or the run fails. Ratios hold within one run only. Linux.
"""

import argparse
import hashlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np

SIZE = 512
MINE = "medomni"
PEERS = {"SimpleITK ImageSeriesReader": "simpleitk", "MONAI PydicomReader": "monai"}
PACKAGES = ("numpy", "pydicom", "SimpleITK", "monai")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"), "1")


def generate(folder: Path, slices: int) -> None:
    """Write a consistent series of noise slices; values reach from padding (-3024 HU) to metal."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    noise = np.random.default_rng(1).integers(0, 4096, (SIZE, SIZE)).astype("<i2")
    for k in range(slices):
        data_set, meta = Dataset(), FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = data_set.SOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = data_set.SOPInstanceUID = f"2.25.1{k:06d}"
        data_set.file_meta = meta
        data_set.ImageType, data_set.Modality, data_set.InstanceNumber = ["ORIGINAL", "PRIMARY", "AXIAL"], "CT", k + 1
        data_set.PatientName, data_set.PatientID, data_set.PatientSex = "BENCH^MARK", "BENCH", "O"
        data_set.StudyDate, data_set.StudyTime, data_set.PatientBirthDate = "20240101", "101010", "19600101"
        data_set.StudyInstanceUID, data_set.SeriesInstanceUID = "2.25.21", "2.25.22"
        data_set.FrameOfReferenceUID, data_set.SeriesNumber = "2.25.23", 3
        data_set.ImagePositionPatient, data_set.ImageOrientationPatient = [-180, -180, 1.25 * k], [1, 0, 0, 0, 1, 0]
        data_set.PixelSpacing, data_set.SliceThickness, data_set.KVP = [0.7, 0.7], 1.25, 120
        data_set.Rows = data_set.Columns = SIZE
        data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 1, "MONOCHROME2"
        data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 16, 16, 15, 1
        data_set.RescaleIntercept, data_set.RescaleSlope, data_set.RescaleType = -1024, 1, "HU"
        data_set.PixelData = np.roll(noise, k * 7).tobytes()
        data_set.save_as(folder / f"IM{k:04d}.dcm", enforce_file_format=True)


def reader_of(party: str) -> Callable[[str], object]:
    """Return the function of one party: folder -> its own image."""
    if party == "simpleitk":
        import SimpleITK

        return lambda folder: SimpleITK.ReadImage(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(folder))
    if party == "monai":
        from monai.transforms import LoadImage

        return LoadImage(reader="PydicomReader", image_only=True)
    from preprocessing.assemble import read_volume

    return read_volume


def voxels_of(party: str, image: object) -> np.ndarray:
    """Return a party's image as HU (z, y, x), feet to head."""
    if party == "simpleitk":
        import SimpleITK

        return SimpleITK.GetArrayViewFromImage(image)
    if party == "monai":
        array = np.asarray(image).transpose(2, 1, 0)
        return array if np.asarray(image.affine)[2, 2] > 0 else array[::-1]
    return image.hu


def measure_here(party: str, folder: str) -> None:
    """Read twice in this process; print CPU seconds and peak memory of the second time, and a digest of the HU."""
    read = reader_of(party)
    read(folder)
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    start_mib, start_cpu = peak_mib(), cpu_seconds()
    image = read(folder)
    cpu, mib = cpu_seconds() - start_cpu, peak_mib() - start_mib
    hu = voxels_of(party, image)
    digest = hashlib.sha256(repr(hu.shape).encode())
    for plane in hu:
        digest.update(np.ascontiguousarray(plane, dtype=np.int16).tobytes())
    print(json.dumps({"cpu_seconds": cpu, "peak_mib": mib, "sha256": digest.hexdigest()}))


def cpu_seconds() -> float:
    """CPU seconds of this process and its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mib() -> float:
    """Peak resident memory of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def run_child(party: str, folder: Path) -> dict:
    """Measure one party in a fresh process."""
    command = [sys.executable, __file__, "--one", party, str(folder)]
    root = str(Path(__file__).resolve().parents[1])
    done = subprocess.run(
        command, env={**os.environ, **ONE_THREAD, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def compare(slices: int, rounds: int) -> list[dict]:
    """Return the rows of the table.

    Raises:
        SystemExit: the parties do not agree about the HU.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        generate(folder, slices)
        runs = {party: [] for party in (MINE, *PEERS.values())}
        for _ in range(rounds):
            for party, done in runs.items():
                done.append(run_child(party, folder))
    if len({run["sha256"] for done in runs.values() for run in done}) != 1:
        raise SystemExit("the parties read different HU: no figure")
    cpu = {party: min(run["cpu_seconds"] for run in done) for party, done in runs.items()}
    volume_mib = slices * SIZE * SIZE * 2 / 2**20
    peak = {party: max(run["peak_mib"] for run in done) / volume_mib for party, done in runs.items()}
    about = {"slices": slices, "rounds": rounds, "load_average": round(os.getloadavg()[0], 2)}
    about |= {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    return [
        *rows_of(f"CPU-seconds to read {slices} x 512 x 512 plain int16", cpu, about),
        *rows_of("peak memory while reading over the int16 volume", peak, about),
    ]


def rows_of(figure: str, values: dict[str, float], about: dict) -> list[dict]:
    """Return one row for each peer; a ratio above 1 is in our favour."""
    ours = values[MINE]
    return [
        {"figure": figure, "peer": name, "ratio": round(values[party] / ours, 2)}
        | {"ours": round(ours, 4), "theirs": round(values[party], 4)}
        | about
        for name, party in PEERS.items()
    ]


def main() -> None:
    """Print the table, as text or as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("PARTY", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure_here(*options.one)
        return
    for row in compare(options.slices, options.rounds):
        if options.json:
            print(json.dumps(row))
        else:
            ours, theirs = f"ours {row['ours']:8.3f}", f"{row['peer']:28s} {row['theirs']:8.3f}"
            print(f"{row['figure']:52s} {ours}   {theirs}   ratio {row['ratio']:6.2f}")


if __name__ == "__main__":
    main()
