"""Replays of what others wrote: another generator's corpus, a public fuzzing corpus, a real tilted head; and bit flips."""

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.checks import REFUSED, run_case, verdict_problems
from tests.hostile.conftest import SEED, shared_data, with_truths
from tests.hostile.corpus import Case, Truth, Verdict, lenient_pydicom
from tests.hostile.product import MOST_CPU_SECONDS, MOST_GROWTH_MIB, Product

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open") or sys.platform != "linux", reason="needs Linux")

LETTERS = {"REJECT": Verdict.REJECT, "WARN": Verdict.WARN, "HANDLE": Verdict.HANDLE}
OTHER_SEED = SEED + 1000


@pytest.fixture(scope="module")
def other_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The corpus of a generator that was written apart from this one."""
    tool = shared_data("hostile").parents[1] / "tools" / "make_hostile_inputs.py"
    if not tool.is_file():
        pytest.skip("the other generator is not there")
    out = tmp_path_factory.mktemp("other") / "corpus"
    command = [sys.executable, str(tool), str(out), "--seed", str(OTHER_SEED)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out


def other_cases(corpus: Path) -> list[Case]:
    rows = json.loads((corpus / "manifest.json").read_text(encoding="utf-8"))["cases"]
    return [read_other_case(row) for row in rows]


def read_other_case(row: dict) -> Case:
    """Return another generator's manifest entry as a case."""
    truths = tuple(Truth(one["file"], one["series_uid"], one["hu_tolerance"]) for one in row.get("reference", ()))
    others = [part for text in row.get("other_patient", ()) for part in text.split("^")[:1]]
    return Case(
        id=row["id"],
        verdict=LETTERS[row["verdict"]],
        duty=row["must"],
        kind={"fhir": "fhir", "adapter": "adapter", "audio": "audio"}.get(row["kind"], "study"),
        input=row["input"],
        personal=(*row["phi"], *others, *row.get("more_phi", ())),
        must_not_exist=tuple(row.get("must_not_exist", ())),
        truths=truths,
        facts={"may_be_refused": "yes"} if row["id"] == "int_monochrome1" else {},
    )


def test_other_generator_gets_its_verdicts(other_corpus: Path, product: Product):
    room = product.room("other")
    problems = []
    for case in other_cases(other_corpus):
        own = room / case.id
        own.mkdir()
        problems += [f"{case.id}: {one}" for one in verdict_problems(run_case(product, case, other_corpus, own))]
        shutil.rmtree(own)
    assert not problems, "\n".join(problems)


def test_other_generator_volumes_equal_their_truth(other_corpus: Path, product: Product):
    cases = [case for case in other_cases(other_corpus) if case.truths and not case.facts.get("may_be_refused")]
    outcome, errors = product.compare([with_truths(case, other_corpus) for case in cases], product.room("other_volumes"))
    assert outcome.code == 0, outcome.stderr[-1500:]
    bad = {
        case.id: error
        for case, error in zip(cases, errors, strict=True)
        if "error" in error or error["hu"] > case.truths[0].hu_tolerance or error["mm"] > 0.01
    }
    assert not bad


@pytest.fixture(scope="module")
def fuzz_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return sorted(unpack("hostile/pwnlab/pwnlab.tar.gz", tmp_path_factory.mktemp("pwnlab")).rglob("*.dcm"))


def unpack(name: str, folder: Path) -> Path:
    with tarfile.open(shared_data(name)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def replay(product: Product, sources: list[Path], name: str) -> list[str]:
    """Run many studies in one process; return the problems. A death is found by running the rest one by one."""
    room = product.room(name)
    lines = [["draft", str(path), "--out", f"out{k}", "--quiet"] for k, path in enumerate(sources)]
    outcome, rows = product.run_many(lines, room)
    problems = []
    if outcome.code != 0 or outcome.has_orphans or not outcome.has_ended:
        problems.append(f"the process ended with {outcome.code} at {sources[len(rows)].name if rows else 'the first'}")
    if outcome.grown_mib > MOST_GROWTH_MIB:
        problems.append(f"{outcome.grown_mib:.0f} MiB for all together")
    for path, row in zip(sources, rows, strict=False):
        said = row["stderr"].strip()
        if row["code"] not in (0, REFUSED):
            problems.append(f"{path.name}: exit code {row['code']}: {said[-200:]}")
        elif row["code"] == REFUSED and (len(said.splitlines()) != 1 or "Traceback" in said):
            problems.append(f"{path.name}: not one line: {said[:300]}")
        if row["cpu_seconds"] > product.allowed(row["cpu_seconds"]):
            problems.append(f"{path.name}: {row['cpu_seconds']:.1f} CPU-seconds")
    drafts = {f"out{k}" for k, row in enumerate(rows) if row["code"] == 0}
    problems += [f"left behind: {path.name}" for path in room.iterdir() if path.name not in drafts]
    problems += [f"left behind: {path.name}" for path in product.temporary.iterdir()]
    shutil.rmtree(room)
    return problems


def test_fuzzing_corpus_ends_in_draft_or_refusal(fuzz_files: list[Path], product: Product):
    assert len(fuzz_files) == 592
    problems = replay(product, fuzz_files, "fuzz")
    assert not problems, "\n".join(problems)


def test_fuzzed_pixels_reach_the_decoder_and_do_no_harm(
    fuzz_files: list[Path], product: Product, cases: dict[str, Case], corpus: Path, tmp_path: Path
):
    """A single fuzzed slice is refused for being one; here each stands among copies of itself at other places."""
    chosen = fuzz_files[SEED % 3 :: 3]
    studies = [stack(path, tmp_path / f"{k:03d}") for k, path in enumerate(chosen)]
    sources = [str(study) for study in studies if study]
    good = with_truths(cases["control_good_series"], corpus)
    outcome, seen = product.refuse(sources, good["source"], good["truths"], product.room("stacked"))
    assert outcome.code == 0, outcome.stderr[-1500:]
    assert not outcome.has_orphans
    assert outcome.grown_mib < MOST_GROWTH_MIB
    assert outcome.cpu_seconds < MOST_CPU_SECONDS * len(sources) / 10
    assert 10 < seen["refused"] < len(sources) - 10
    assert seen["before"] == seen["after"]
    assert seen["files"] == seen["files_after"]


def stack(path: Path, folder: Path) -> Path | None:
    """Write a fuzzed file five times as a series with all that a reader wants; None when pydicom cannot write it."""
    import pydicom

    folder.mkdir()
    given = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "PixelSpacing": [5, 5], "RescaleSlope": 1}
    given |= {"RescaleIntercept": -1024, "Modality": "CT", "SeriesInstanceUID": "2.25.99"}
    with lenient_pydicom():
        for k in range(5):
            try:
                header = pydicom.dcmread(path, force=True)
                for attribute, value in given.items():
                    if attribute not in header:
                        setattr(header, attribute, value)
                header.ImagePositionPatient = [-100, -100, 3 * k]
                header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = f"2.25.{k + 1}"
                header.save_as(folder / f"{k}.dcm", enforce_file_format=False)
            except Exception:
                return None
    return folder


def test_flipped_bits_end_in_draft_or_refusal(corpus: Path, product: Product, tmp_path: Path):
    source = random.Random(SEED)  # noqa: S311 - inputs, not secrets
    studies = []
    for k in range(40):
        encoding = source.choice(("control_good_series", "enc_jpeg2000", "enc_jpegls", "enc_rle", "enc_deflated"))
        folder = shutil.copytree(corpus / encoding, tmp_path / f"{k:03d}_{encoding}")
        path = source.choice(sorted(folder.iterdir()))
        data = bytearray(path.read_bytes())
        for _ in range(source.randint(1, 8)):
            data[source.randrange(128, len(data))] ^= 1 << source.randrange(8)
        path.write_bytes(data)
        studies.append(folder)
    problems = replay(product, studies, "flipped")
    assert not problems, "\n".join(problems)


def test_real_tilted_head_keeps_its_places_and_gets_a_technique_only_draft(product: Product, tmp_path: Path):
    folder = unpack("hostile/ge_head_tilt/ge_head_tilt.tar.gz", tmp_path) / "ge_head_tilt"
    manifest = json.loads(shared_data("hostile/ge_head_tilt/manifest.json").read_text(encoding="utf-8"))
    origins = np.array([one["position_lps_mm"] for one in manifest["slices"]])
    hu = head_hu(folder, manifest)
    orientation = np.array(manifest["geometry"]["orientation"])
    np.savez(tmp_path / "truth.npz", hu=hu, origins_mm=origins, orientation=orientation)
    room = product.room("tilted_head")
    truths = {series_uid(folder): str(tmp_path / "truth.npz")}
    outcome, (error,) = product.compare([{"source": str(folder), "truths": truths}], room)
    assert outcome.code == 0, outcome.stderr[-1500:]
    assert "error" not in error, error
    assert error["mm"] <= 0.01
    assert error["hu"] == 0
    drafted = product.run(["draft", str(folder), "--out", "out"], room)
    assert drafted.code == 0, drafted.stderr
    report = json.loads((room / "out" / "report.json").read_text(encoding="utf-8"))
    assert {finding["presence"] for finding in report["findings"]} == {"not_evaluated"}
    assert report["sections"]["technique"]["sentences"]
    assert report["notices"]


def head_hu(folder: Path, manifest: dict) -> np.ndarray:
    import pydicom

    stored = [pydicom.dcmread(folder.parent / one["file"]).pixel_array for one in manifest["slices"]]
    hu = np.stack(stored).astype(np.int16)
    hu[hu == manifest["geometry"]["pixel_padding_value"]] = -1024
    return hu


def series_uid(folder: Path) -> str:
    import pydicom

    return str(pydicom.dcmread(next(folder.glob("*.dcm")), stop_before_pixels=True).SeriesInstanceUID)
