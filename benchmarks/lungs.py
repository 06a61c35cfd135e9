"""Claim: `hu-rules` agrees with the truth of phantom lungs to Dice 0.95, healthy and with disease.

    python benchmarks/lungs.py [--json] [--seeds 8]

For each seed a healthy phantom and its default diseased case are segmented; a row per lung gives Dice against the exact
truth (``figure``) beside the bar (``peer``). Exits with 1 when a lung lies below it.
"""

import argparse
import json
import sys

from evaluation.scorecard import Row, all_hold

BAR = 0.95


def main() -> int:
    """Print one row per lung and a summary."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="print rows as JSON")
    words.add_argument("--seeds", type=int, default=8)
    given = words.parse_args()
    rows = [row for seed in range(given.seeds) for row in measure_seed(seed)]
    for row in rows:
        text = f"seed {row['seed']:3}  {row['lung']:10s}  Dice {row['figure']:.3f}  {row['disease']}"
        sys.stdout.write((json.dumps(row) if given.json else text) + "\n")
    if not given.json:
        below = [row for row in rows if row["figure"] < BAR]
        sys.stdout.write(f"{len(rows)} lungs, lowest {min(row['figure'] for row in rows):.3f}, {len(below)} below {BAR}\n")
    return 0 if all_hold(rows) else 1


def measure_seed(seed: int) -> list[Row]:
    """Dice of both lungs, healthy and with the seed's own diseases."""
    from evaluation.metrics.overlap import dice
    from medomni.anatomy import LOBES
    from medomni.phantom import draw_findings, make_case
    from preprocessing.segment.hu_rules import HuRules

    rows: list[Row] = []
    for placed in {(): None, draw_findings(seed): None}:
        case = make_case(seed, placed)
        found = HuRules().segment(case.volume)
        disease = ", ".join(f"{p.severity} {p.kind} {p.side} {p.zone}" for p in placed) or "healthy"
        for side, lobes in LOBES.items():
            lung = f"lung_{side}"
            mine, truth = found.mask(lung), case.truth.mask(*lobes)
            overlap = dice(mine, truth)
            rows.append(
                {
                    "figure": round(overlap, 4),
                    "peer": BAR,
                    "ratio": round(overlap / BAR, 3),
                    "ok": overlap >= BAR,
                    "seed": seed,
                    "lung": lung,
                    "disease": disease,
                }
            )
    return rows


if __name__ == "__main__":
    sys.exit(main())
