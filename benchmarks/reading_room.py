"""How quickly the reading room answers a person: open a drafted study, look at a receipt, save an edit, in Debian's Chromium.

    python benchmarks/reading_room.py [--study FOLDER] [--json]

Starts `medomni serve` as a person does, with a phantom (or a DICOM folder) drafted first. Browser medians are milliseconds
between the act and what the person sees; beside each stands what the same browser needs to fetch a static file from the same
server at the same time, so that the machine's own slowness can be told from ours. An edit is saved with Enter: 0.3 s after the
text stands there, as a person does, and at once, when a browser without a graphics card is still drawing what was put in.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.browser.serving import ARGUMENTS, CHROMIUM, phantom, send, serving

BARS_MS = {"open to first report text": 100.0, "receipt to slice": 150.0, "save an edit": 50.0, "save at once": None}
THOUGHT_MS = {"save an edit": 300, "save at once": 0}
TIMES = 15
PATIENCE_MS = 120_000


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--study", type=Path, help="DICOM folder; without one a phantom")
    options.add_argument("--json", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as home:
        rows = measured(Path(home), given.study)
    if given.json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows:
        bar = f", bar {row['bar']:.0f}" if "bar" in row else ""
        print(f"{row['figure']:<28} {row['ms']:7.1f} ms{bar}; a static file {row['peer']:.1f} ms, ratio {row['ratio']:.1f}")


def measured(home: Path, study: Path | None) -> list[dict[str, object]]:
    """Start the server, draft, measure in the browser, and what the server's process spent."""
    with serving(home) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.set_default_timeout(PATIENCE_MS)
        return in_browser(page, server.address, study or phantom(server, home), server.process)


def in_browser(page: Page, address: str, study: Path, server: int) -> list[dict[str, object]]:
    """Do each act many times and return its median with that of its peer."""
    page.goto(address)
    send(page, study)
    took: dict[str, list[float]] = {name: [] for name in BARS_MS}
    peers, spent = [], dict.fromkeys(BARS_MS, 0.0)
    for _ in range(TIMES):
        before = cpu_ms(server)
        page.evaluate("performance.clearMeasures(); document.querySelector('.mo-link').click()")
        page.wait_for_function("performance.getEntriesByName('medomni first text').length")
        took["open to first report text"].append(last(page, "medomni first text"))
        spent["open to first report text"] += cpu_ms(server) - before
        page.wait_for_selector(".mo-section.findings .mo-text")
        peers.append(static_ms(page))
        page.evaluate("document.querySelector('.mo-back').click()")
        page.wait_for_selector(".mo-link")
    page.locator(".mo-link").first.click()
    page.wait_for_selector(".medomni-viewer canvas")
    page.wait_for_timeout(6000)
    looks = page.locator(".mo-section.findings .mo-line:has(.mo-receipt.measured) .mo-look")
    for k in range(TIMES):
        page.evaluate("performance.clearMeasures()")
        looks.nth(k % min(looks.count(), 4)).click()
        page.wait_for_function("performance.getEntriesByName('medomni receipt').length")
        took["receipt to slice"].append(last(page, "medomni receipt"))
        page.wait_for_timeout(200)
    for k, name in enumerate(name for name in THOUGHT_MS for _ in range(TIMES)):
        before = cpu_ms(server)
        page.evaluate("performance.clearMeasures()")
        page.locator(".mo-section.impression .mo-text").first.dblclick()
        page.locator(".mo-editor").fill(f"Impression, wording {k}.")
        page.wait_for_timeout(THOUGHT_MS[name])
        page.keyboard.press("Enter")
        page.wait_for_function("performance.getEntriesByName('medomni save').length")
        took[name].append(last(page, "medomni save"))
        spent[name] += cpu_ms(server) - before
        peers.append(static_ms(page))
    peer = statistics.median(peers)
    rows: list[dict[str, object]] = []
    for name, bar in BARS_MS.items():
        median = statistics.median(took[name])
        rows.append({"figure": name, "ms": median, "peer": peer, "ratio": median / peer} | ({"bar": bar} if bar else {}))
    for name in ("open to first report text", "save an edit"):
        used = spent[name] / TIMES
        rows.append({"figure": f"server CPU: {name}"[:28], "ms": used, "peer": peer, "ratio": used / peer})
    return rows


def last(page: Page, name: str) -> float:
    """The last measure of a name, in ms."""
    return float(page.evaluate("name => performance.getEntriesByName(name).at(-1).duration", name))


def static_ms(page: Page) -> float:
    """How long this browser takes now to fetch a static file of some 20 kB from the same server."""
    fetch = """async () => {
      const began = performance.now();
      await (await fetch("/medomni/room.css", { cache: "no-store" })).text();
      return performance.now() - began;
    }"""
    return float(page.evaluate(fetch))


def cpu_ms(process: int) -> float:
    """CPU time of the server's process, without its worker."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
