"""What each verdict demands of one run: the problems found, as sentences, so that one failure shows them all."""

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path

from medomni.export.fhir_check import check_bundle
from medomni.reporting.phrases import notice_texts
from medomni.types.notice import Notice
from tests.hostile.corpus import Case, Verdict
from tests.hostile.product import Outcome, Product

FILES = ("report.json", "report.txt", "report.html", "fhir-r4.json", "segmentation.nii.gz", "run.json")
FREE_OF_IDENTIFIERS = ("report.json", "report.txt", "report.html", "run.json")
REFUSED, UNSAFE = 3, 5


@dataclass(frozen=True)
class Run:
    """One case after the program has seen it. ``out`` is the folder that was asked for."""

    case: Case
    outcome: Outcome
    room: Path
    strays: tuple[str, ...]

    @property
    def out(self) -> Path:
        return self.room / "out"

    def json(self, name: str) -> dict:
        """Return one of the JSON files of the draft."""
        return json.loads(self.text(name))

    def text(self, name: str) -> str:
        """Return one of the text files of the draft."""
        if not (self.out / name).is_file():
            raise AssertionError(f"{self.case.id} has no {name}: {self.outcome.stderr[-300:]}")
        return (self.out / name).read_text(encoding="utf-8")


def run_case(product: Product, case: Case, corpus: Path, room: Path | None = None) -> Run:
    """Give one case to the program the way a person would."""
    room = room or product.room(case.id)
    before = snapshot(corpus / case.id) | snapshot(product.home) | snapshot(product.temporary)
    outcome = product.run(words_of(case, corpus), room)
    after = snapshot(corpus / case.id) | snapshot(product.home) | snapshot(product.temporary)
    return Run(case, outcome, room, tuple(sorted(after - before)))


def words_of(case: Case, corpus: Path) -> list[str]:
    """Return the command line of a case; adapters and dictation come with a good study."""
    given, good = str(corpus / case.input), str(corpus / "control_good_series")
    match case.kind:
        case "fhir":
            return ["export", given, "--to", "html", "--out", "out"]
        case "adapter":
            return ["draft", good, "--adapter", given, "--out", "out"]
        case "audio":
            return ["draft", good, "--dictation", given, "--out", "out"]
    return ["draft", given, "--out", "out"]


def verdict_problems(run: Run) -> list[str]:
    """Return everything that is wrong with one run."""
    found = run.outcome.problems() + leaks(run)
    found += [f"{path} was created" for path in run.case.must_not_exist if Path(path).exists()]
    found += [f"left behind: {path}" for path in run.strays]
    may_be_refused = run.case.facts.get("may_be_refused") == "yes" and run.outcome.code == REFUSED
    if run.case.verdict is Verdict.REJECT or may_be_refused:
        return found + refusal_problems(run)
    return found + acceptance_problems(run)


def refusal_problems(run: Run) -> list[str]:
    """A refusal is exit code 3 or 5, one line that names the file, and nothing else."""
    found = []
    if run.outcome.code not in (REFUSED, UNSAFE):
        found.append(f"exit code {run.outcome.code}, refusal is {REFUSED} or {UNSAFE}: {run.outcome.stderr[-300:]}")
    lines = run.outcome.stderr.strip().splitlines()
    if len(lines) != 1:
        found.append(f"{len(lines)} lines on stderr, one is right: {run.outcome.stderr[:500]}")
    line = lines[0] if lines else ""
    if line.count(";") < 1 or not line.startswith("medomni: ") or line.count(": ") < 2:
        found.append(f"the line does not say file, reason and remedy: {line}")
    if len(line) > 600:
        found.append(f"the line has {len(line)} characters")
    if run.outcome.stdout:
        found.append(f"a refusal says nothing on stdout: {run.outcome.stdout[:200]}")
    if run.case.facts.get("names", "") not in line:
        found.append(f"the line does not name {run.case.facts['names']}: {line}")
    if any(run.room.iterdir()):
        found.append(f"left behind: {sorted(snapshot(run.room))}")
    return found


def acceptance_problems(run: Run) -> list[str]:
    """A draft is exit code 0, all its files, and, for a warning, the notice in every place that a person reads."""
    if run.outcome.code != 0:
        return [f"exit code {run.outcome.code} instead of a draft: {run.outcome.stderr[-300:]}"]
    found = [f"{name} is missing" for name in FILES if not (run.out / name).is_file()]
    found += [f"unexpected file {path.name}" for path in run.out.iterdir() if path.name not in FILES]
    if found:
        return found
    bundle = check_bundle(run.json("fhir-r4.json"))
    found += [f"the bundle is not valid: {problem.path}: {problem.text}" for problem in bundle]
    if run.case.verdict is Verdict.WARN:
        found += notice_problems(run)
    return found


def notice_problems(run: Run) -> list[str]:
    """The words of every warning stand in the report as text and page, and in the FHIR bundle."""
    notices = [Notice(**row) for row in run.json("report.json")["notices"]]
    warnings = [notice for notice in notices if notice.level != "info"]
    if not warnings:
        return ["no warning stands in report.json"]
    places = {"report.txt": run.text("report.txt"), "report.html": html.unescape(run.text("report.html"))}
    places["fhir-r4.json"] = "\n".join(strings(run.json("fhir-r4.json")))
    logged = {row["code"] for row in run.json("run.json")["notices"]}
    found = [f"{notice.code} is missing in run.json" for notice in warnings if notice.code not in logged]
    for _, text in notice_texts(warnings, "en"):
        words = one_line(text)
        found += [f"'{words}' is missing in {name}" for name, text in places.items() if words not in one_line(text)]
    return found


def leaks(run: Run) -> list[str]:
    """Return each personal string that stands where none may stand."""
    said = {"stdout": run.outcome.stdout, "stderr": run.outcome.stderr, "a file name": "\n".join(snapshot(run.room))}
    if run.out.is_dir():
        said |= {name: run.text(name) for name in FREE_OF_IDENTIFIERS if (run.out / name).is_file()}
    return [f"{word!r} stands in {place}" for word in run.case.personal for place, text in said.items() if word in text]


def strings(value: object) -> list[str]:
    """Return every string of a FHIR document, narratives and attachments decoded."""
    if isinstance(value, dict):
        inner = [text for one in value.values() for text in strings(one)]
        if isinstance(value.get("data"), str):
            inner.append(html.unescape(base64.b64decode(value["data"]).decode("utf-8")))
        return inner
    if isinstance(value, list):
        return [text for one in value for text in strings(one)]
    return [html.unescape(value)] if isinstance(value, str) else []


def one_line(text: str) -> str:
    """Return text with every run of white space as one blank."""
    return " ".join(text.split())


def snapshot(folder: Path) -> set[str]:
    """Return the paths below a folder, links not followed."""
    return {str(path) for path in folder.rglob("*")}
