"""Claim: of diseases put into real lungs that no network learned from, a draft names most, and little that is not there.

    python benchmarks/real_inserted.py [--json] [--data FOLDER] [--series NAME ...] [--visits N] [--model DIR]

FOLDER (default ``../shared/data/ct``) holds one ``chest-*.tar.xz`` per series. Each series is drafted as it is, then N times
with up to four diseases put into its lungs (effusion, emphysema, mosaic attenuation, atelectasis, scars, septa, consolidation,
ground glass, nodules; mild to severe). Printed, for the detectors alone and for the draft that follows the omni model as well:
how many of the inserted diseases are claimed, from "possible" on; how many claims a visit holds that neither were inserted nor
stand in the draft of the series as it is; and what is claimed of the series as they are. What a series has of its own is known
only in part, so the last is to be read by eye. Side and lobe are not compared. The diseases are drawn as in phantoms: only lungs,
noise and resolution are real; and some rules of the detectors were set while looking at these series. No bar is set for these
figures; one that had a bar and missed it would make this exit with 1.
"""

import argparse
import json
import sys
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from evaluation.scorecard import Row, all_hold, as_line, row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from medomni.pipeline import Stages
    from medomni.types.finding import Finding
    from medomni.types.volume import Volume

UNSEEN = ("chest-covid-ct-md-normal001", "chest-covid-ct-md-p001", "chest-covid-ct-md-cap002")
FIRST_NUMBER = 101
"""Numbers of these draws begin here; training uses lower ones."""
WHO = ("detectors alone", "draft")


@dataclass(frozen=True)
class Seen:
    """One visit: what was inserted and what each of ``WHO`` claims of it."""

    inserted: frozenset[str]
    claimed: tuple[frozenset[str], frozenset[str]]


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data" / "ct")
    words.add_argument("--series", nargs="*", default=list(UNSEEN))
    words.add_argument("--visits", type=int, default=6)
    words.add_argument("--model", type=Path, help="folder of the model; the shipped one by default")
    given = words.parse_args()
    archives = [path for name in given.series if (path := given.data / f"{name}.tar.xz").exists()]
    if not archives:
        sys.stderr.write(f"no series in {given.data.name}: nothing was measured\n")
        return 0
    own = stages(given.model)
    rows: list[Row] = []
    beside = list[tuple[Seen, Seen]]()
    for archive in archives:
        first = FIRST_NUMBER + zlib.crc32(archive.name.encode()) % 10_000  # other draws for each series
        seen = list(visits(archive, range(first, first + given.visits), own))
        rows += [
            row(f"claims in {archive.name.removesuffix('.tar.xz')} as it is, {who}", len(names)) | {"note": sorted(names)}
            for who, names in zip(WHO, seen[0].claimed, strict=True)
        ]
        beside += [(visit, seen[0]) for visit in seen[1:]]
    rows += rows_of(beside)
    for one in rows:
        sys.stdout.write((json.dumps(one) if given.json else as_line(one)) + "\n")
    return 0 if all_hold(rows) else 1


def stages(model: Path | None) -> "Stages":
    """The stages of a draft as they ship, with nothing kept, and another model where one is given."""
    from dataclasses import replace

    from app import wiring
    from preprocessing.look import OmniLook

    made = wiring.stages(wiring.OWN_SEGMENTER, wiring.start().model_copy(update={"cache_mib": 0}))
    return replace(made, look=OmniLook(model)) if model else made


def visits(archive: Path, numbers: range, own: "Stages") -> "Iterator[Seen]":
    """The series as it is, then with the diseases of each number; a draw whose nodule finds no room is left out."""
    from app import real_bank
    from preprocessing.assemble import read_packed

    volume = read_packed(archive)
    lungs = real_bank.lungs_of(own.segmenter.segment(volume, lambda _: None))
    yield look(volume, frozenset(), own)
    for number in numbers:
        try:
            changed, lesions = real_bank.with_disease(volume, lungs, number)
        except ValueError:
            continue
        sys.stderr.write(f"{archive.name.removesuffix('.tar.xz')}: {number}\n")
        yield look(changed, frozenset(lesion.kind for lesion in lesions), own)


def look(volume: "Volume", inserted: frozenset[str], own: "Stages") -> Seen:
    """What detectors and draft claim of one volume."""
    from medomni.reporting.merge import merge
    from medomni.types.dictation import Told

    segmentation = own.segmenter.segment(volume, lambda _: None)
    regions = own.measure(volume, segmentation)
    coverage, _ = own.scope(volume, segmentation, regions)
    found = own.detect(volume, segmentation, regions, coverage, lambda _: None).findings
    merged = merge(found, coverage, own.look(volume, segmentation, Told())).findings
    also = {"lung_opacity"} if "consolidation" in inserted else set()
    return Seen(inserted | also, (claims(found), claims(merged)))


def claims(findings: "tuple[Finding, ...]") -> frozenset[str]:
    """The labels of the 18 that are claimed."""
    from medomni.phantom.facts import FINDINGS
    from medomni.reporting.hedge import is_claimed

    return frozenset(finding.label for finding in findings if is_claimed(finding) and finding.label in FINDINGS)


def rows_of(beside: list[tuple[Seen, Seen]]) -> list[Row]:
    """Rows of what was found of the inserted diseases, and of what was not there; ``beside`` holds the series as it is."""
    rows: list[Row] = []
    for number, who in enumerate(WHO):
        put, found, wrong = Counter[str](), Counter[str](), Counter[str]()
        for visit, plain in beside:
            new = visit.inserted - plain.claimed[0] - plain.claimed[1]  # what was there before would be claimed anyway
            put.update(new)
            found.update(new & visit.claimed[number])
            wrong.update(visit.claimed[number] - visit.inserted - plain.claimed[number])
        total = max(1, sum(put.values()))
        rows.append(row(f"inserted diseases that are claimed (n = {total}), {who}", sum(found.values()) / total))
        rows += [row(f"of {label} (n = {count}), {who}", found[label] / count) for label, count in sorted(put.items())]
        title = f"claims a visit that were not inserted (n = {len(beside)} visits), {who}"
        rows.append(row(title, sum(wrong.values()) / max(1, len(beside))) | {"note": [f"{k} {n}" for k, n in wrong.items()]})
    return rows


if __name__ == "__main__":
    sys.exit(main())
