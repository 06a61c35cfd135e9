"""Claim: a team edits one report without losing a word, reads while a draft is made, and is told at once when the queue is full.

    python benchmarks/serving.py [--json] [--study STUDY]

``medomni serve`` runs in a home of its own, as a person starts it. Beside it Starlette serves a plain JSON file of the size of a
report, which the same clients read in the same minute: what the machine does to both cancels out in the ratio. Four parts: 400
edits of one report by 16 people, who look and try again after a 409; CPU-milliseconds of the server for a read, an edit and a
signature; 20 people with a second of thought between two requests (70 % read, 20 % edit, 10 % worklist and versions) while the
worker drafts a chest; 40 uploads at once. Latencies are wall-clock on the client, whose own work is in them.
"""

import argparse
import http.client
import json
import os
import random
import secrets
import select
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from evaluation.scorecard import Row, all_hold, as_line, at_least, at_most, row

WRITERS, EDITS_EACH = 16, 25
READS, EDITS, SIGNATURES = 200, 100, 30
USERS, THOUGHT_S, USERS_S = 20, 1.0, 40.0
UPLOADS, QUEUE, SLICES = 40, 16, 24
SLOW_BAR_MS, REFUSAL_BAR_MS, MEMORY_BAR_MIB, PATIENCE_S = 200.0, 100.0, 1024.0, 600.0
PROGRAM = "from app.cli import main; main()"
PEER = """import sys, uvicorn
from starlette.applications import Starlette
from starlette.responses import FileResponse
from starlette.routing import Route
page = Route('/', lambda _: FileResponse(sys.argv[2], media_type='application/json'))
uvicorn.run(Starlette(routes=[page]), port=int(sys.argv[1]), log_level='critical')"""


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--study", type=Path, help="DICOM folder to draft; a phantom of full size without one")
    given = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="medomni-serving-") as scratch:
        work = Path(scratch)
        study = given.study or phantom(work)
        with Server(work) as server:
            rows = list[Row]()
            for part in (edits_at_once, costs, partial(users, study=study), partial(uploads_at_once, work=work)):
                for one in part(server):
                    rows.append(one)
                    print(json.dumps(one) if given.json else as_line(one), flush=True)
    return 0 if all_hold(rows) else 1


def phantom(work: Path) -> Path:
    """The chest of ``medomni phantom --count 1 --seed 129``."""
    words = [sys.executable, "-c", PROGRAM, "phantom", "--count", "1", "--seed", "129", "--out", str(work / "phantom"), "--quiet"]
    subprocess.run(words, check=True, capture_output=True)
    return work / "phantom" / "case-0129" / "dicom"


class Server:
    """``medomni serve`` and its peer, until the end of the block."""

    def __init__(self, work: Path) -> None:
        from app.auth import Auth
        from app.desk.desk import open_desk
        from medomni.settings import load

        self.home, self.port, self.peer_port = work / "home", free_port(), free_port()
        self.desk = open_desk(load({"MEDOMNI_HOME": str(self.home)}))
        self.token = Auth(self.desk).token(self.desk.person_here())

    def __enter__(self) -> "Server":
        """Start the server, and the peer with a page of the same size."""
        report = self.report()
        words = [sys.executable, "-c", PROGRAM, "serve", "--port", str(self.port)]
        self._all = [start(words, MEDOMNI_HOME=str(self.home), MEDOMNI_QUEUE=str(QUEUE))]
        self.process = psutil.Process(self._all[0].pid)
        wait_until(lambda: self.client().get("/api/health")[0] == 200)
        page = self.home / "page.json"
        page.write_bytes(json.dumps(self.client().get(f"/api/reports/{report}")[1], ensure_ascii=False).encode())
        self.page_bytes = page.stat().st_size
        self._all.append(start([sys.executable, "-c", PEER, str(self.peer_port), str(page)]))
        self.peer_process = psutil.Process(self._all[1].pid)
        wait_until(lambda: self.peer().get("/")[0] == 200)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop both."""
        for one in self._all:
            one.terminate()
            one.wait()

    def client(self) -> "Client":
        """A client with a connection of its own."""
        return Client(self.port, self.token)

    def peer(self) -> "Client":
        """A client of the peer."""
        return Client(self.peer_port, "")

    def report(self) -> str:
        """A new report of the usual length, kept as a worker keeps a draft."""
        from app.store import reports, studies
        from app.store.database import transaction

        machine, uid = self.desk.machine(), secrets.token_hex(8)
        with transaction(self.desk.engine) as tx:
            study = studies.receive(tx, machine, uid, "Chest CT", self.home / uid)
            return reports.begin(tx, machine, study.id, usual_report()).report_id


class Client:
    """Asks a server at a port, with one connection that is kept."""

    def __init__(self, port: int, token: str) -> None:
        self._line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def get(self, path: str) -> tuple[int, dict]:
        """The status and the answer; 0 where nothing came."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict) -> tuple[int, dict]:
        """The status and the answer; 0 where nothing came."""
        return self._ask("POST", path, json.dumps(body).encode())

    def edit(self, report: str, expected: int, index: int, text: str) -> tuple[int, dict]:
        """Reword a sentence of the findings."""
        edits = [{"kind": "reword", "section": "findings", "index": index, "text": text}]
        return self.post(f"/api/reports/{report}/edits", {"expected": expected, "key": secrets.token_hex(8), "edits": edits})

    def _ask(self, method: str, path: str, body: bytes | None) -> tuple[int, dict]:
        for _ in range(2):  # a server closes a line on which nothing was said for some seconds: browsers ask again too
            try:
                self._line.request(method, path, body, self._headers)
                answer = self._line.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, http.client.HTTPException):
                self._line.close()
        return 0, {}


def edits_at_once(server: Server) -> list[Row]:
    """Sixteen people count in a sentence each; a version that holds fewer counts than its number has lost one."""
    report = server.report()
    lines = [{"kind": "insert", "section": "findings", "index": k, "text": f"Writer {k} wrote 0."} for k in range(WRITERS)]
    first = server.client().post(f"/api/reports/{report}/edits", {"expected": 1, "key": "lines", "edits": lines})[1]["number"]
    conflicts = Counter[int]()

    def write(k: int) -> None:
        client, number = server.client(), first
        for count in range(1, EDITS_EACH + 1):
            status, answer = client.edit(report, number, k, f"Writer {k} wrote {count}.")
            while status == 409:
                conflicts[k] += 1
                number = client.get(f"/api/reports/{report}")[1]["number"]
                status, answer = client.edit(report, number, k, f"Writer {k} wrote {count}.")
            assert status == 200, answer
            number = answer["number"]

    began = time.monotonic()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    took_s = time.monotonic() - began
    lost = 0
    for number in range(first, first + WRITERS * EDITS_EACH + 1):
        status, answer = server.client().get(f"/api/reports/{report}?number={number}")
        sentences = next(part["sentences"] for part in answer["sections"] if part["name"] == "findings")[:WRITERS]
        lost += status != 200 or sum(int(one["text"].split()[3][:-1]) for one in sentences) != number - first
    faults = server.client().get("/api/audit/verify")[1]["faults"]
    return [
        at_most("400 edits of one report by 16 people: lost", lost, 0),
        at_most("400 edits: faults of the audit", len(faults), 0),
        row("400 edits: answered with 409 first", sum(conflicts.values())),
        row("400 edits: saved in a second", WRITERS * EDITS_EACH / took_s),
    ]


def costs(server: Server) -> list[Row]:
    """CPU-milliseconds of the server's process, one client asking."""
    client, peer, report = server.client(), server.peer(), server.report()
    fresh = [server.report() for _ in range(SIGNATURES)]
    confirmed = [one["code"] for one in client.get(f"/api/reports/{report}")[1]["to_confirm"]]
    client.edit(report, 1, 0, "Warm.")

    def sign(k: int) -> int:
        body = {"expected": 1, "key": secrets.token_hex(8), "confirmed": confirmed}
        return client.post(f"/api/reports/{fresh[k]}/sign", body)[0]

    client.get("/api/studies")
    acts = {
        "read": (READS, lambda _: client.get(f"/api/reports/{report}")[0]),
        "edit": (EDITS, lambda k: client.edit(report, k + 2, 0, f"Edit {k}.")[0]),
        "sign": (SIGNATURES, sign),
        "worklist of 30 studies": (EDITS, lambda _: client.get("/api/studies")[0]),
        "list of 100 versions": (EDITS, lambda _: client.get(f"/api/reports/{report}/versions")[0]),
    }
    base = cpu_ms(server.peer_process, READS, lambda _: peer.get("/")[0])
    rows = [row(f"static file of {server.page_bytes} bytes: CPU-ms of Starlette for a read", base)]
    for name, (times, act) in acts.items():
        rows.append(row(f"CPU-ms of the server for each {name}, beside a static read", cpu_ms(server.process, times, act), base))
    return rows


def users(server: Server, study: Path) -> list[Row]:
    """Twenty people at work while a chest is drafted again and again in the worker; each also reads the peer's page."""
    took, errors = defaultdict[str, list[float]](list), Counter[str]()
    assert upload(server, study).status == 202
    is_drafting = list[bool]()
    begun, end = time.monotonic(), time.monotonic() + USERS_S

    def user(k: int) -> None:
        chance, client, peer, report = random.Random(k), server.client(), server.peer(), server.report()  # noqa: S311
        number = 1
        while time.monotonic() < end:
            time.sleep(chance.expovariate(1 / THOUGHT_S))
            draw = chance.random()
            if draw < 0.7:
                kind, act = "read", lambda: client.get(f"/api/reports/{report}")
            elif draw < 0.9:
                kind, act = "edit", lambda: client.edit(report, number, 0, f"Text {number} of {k}.")  # noqa: B023
            else:
                path = "/api/studies" if draw < 0.95 else f"/api/reports/{report}/versions"
                kind, act = "list", lambda: client.get(path)  # noqa: B023
            for name, one in ((kind, act), ("peer", lambda: peer.get("/"))):
                at = time.monotonic()
                status, answer = one()
                took[name].append((time.monotonic() - at) * 1e3)
                errors[name] += status != 200
                number = answer["number"] if name == "edit" and status == 200 else number

    with ThreadPoolExecutor(USERS) as pool:
        at_work = [pool.submit(user, k) for k in range(USERS)]
        while not all(one.done() for one in at_work):
            is_drafting.append(server.client().get("/api/health")[1]["running"] == 1)
            time.sleep(1.0)
        for one in at_work:
            one.result()
    peer50, peer95 = map(float, np.percentile(took["peer"], (50, 95)))
    rows = [row("static file, 20 people and a draft: ms, p50", peer50), row("static file: ms, p95", peer95)]
    for kind in ("read", "edit", "list"):
        p50, p95 = map(float, np.percentile(took[kind], (50, 95)))
        rows.append(row(f"{kind}, 20 people and a draft: ms, p50, beside a static read", p50, round(peer50, 1)))
        rows.append(at_most(f"{kind}: ms, p95 ({p95 / peer95:.1f} x a static read's)", p95, SLOW_BAR_MS))
    asked = sum(len(times) for name, times in took.items() if name != "peer")
    return [
        *rows,
        row("20 people: requests in a second", asked / (time.monotonic() - begun)),
        row("20 people: share of the time in which a draft was under way", sum(is_drafting) / len(is_drafting)),
        at_most("20 people: errors", sum(errors.values()), 0),
    ]


def uploads_at_once(server: Server, work: Path) -> list[Row]:
    """Forty studies at once: as many as the queue has places for are taken, the others are told when to come again."""
    health = server.client().get("/api/health")[1]
    free = QUEUE - health["waiting"] - health["running"]
    studies = [plain_ct(work / "many", k) for k in range(UPLOADS)]
    before, most = server.process.memory_info().rss, 0
    with ThreadPoolExecutor(UPLOADS) as pool:
        pending = [pool.submit(upload, server, study) for study in studies]
        while not all(one.done() for one in pending):
            most = max(most, server.process.memory_info().rss)
            time.sleep(0.02)
    answers = [one.result() for one in pending]
    taken = [one for one in answers if one.status == 202]
    refused = [one for one in answers if one.status == 429]
    told = sum(one.retry_after > 0 for one in refused)
    alone = upload(server, studies[answers.index(refused[0])])
    health = server.client().get("/api/health")
    size_mib = sum(path.stat().st_size for path in studies[0].iterdir()) / 2**20
    return [
        row(f"40 uploads of {size_mib:.0f} MiB at once: taken, beside free places of the queue", len(taken), free),
        at_least("40 uploads: taken, or refused with Retry-After", len(taken) + told, UPLOADS),
        row("40 uploads: MiB sent by the slowest to be refused", max(one.sent for one in refused) / 2**20),
        row("40 uploads: ms until the slowest was refused, 40 clients in one process", max(one.took_ms for one in refused)),
        at_most("one more upload: ms until it is refused", alone.took_ms if alone.status == 429 else 1e6, REFUSAL_BAR_MS),
        at_most("40 uploads: MiB that the server grew by at most", (most - before) / 2**20, MEMORY_BAR_MIB),
        at_least("40 uploads: the server answers afterwards", float(health[0] == 200), 1.0),
    ]


class Answered:
    """How an upload was answered, how long that took from its first byte, and how much had been sent by then."""

    def __init__(self, head: bytes, took_ms: float, sent: int) -> None:
        lines = head.split(b"\r\n")
        told = dict(line.lower().split(b": ", 1) for line in lines[1:] if b": " in line)
        self.status = int(lines[0].split()[1]) if lines[0] else 0
        self.retry_after = int(told.get(b"retry-after", b"0"))
        self.took_ms, self.sent = took_ms, sent


def upload(server: Server, study: Path) -> Answered:
    """Send a study and listen while sending, as browsers do: an answer may come before all is sent."""
    edge = secrets.token_hex(12)
    files = sorted(path for path in study.rglob("*") if path.is_file())
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n'
    parts = [(head % path.name).encode() + path.read_bytes() + b"\r\n" for path in files]
    body = memoryview(b"".join([*parts, f"--{edge}--\r\n".encode()]))
    lines = ("POST /api/studies HTTP/1.1", "Host: localhost", f"Authorization: Bearer {server.token}")
    lines = (*lines, f"Content-Length: {len(body)}", f"Content-Type: multipart/form-data; boundary={edge}")
    began, sent = time.monotonic(), 0
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S) as line:
        line.sendall("\r\n".join((*lines, "", "")).encode())
        while sent < len(body):
            readable, _, _ = select.select([line], [], [], 0)
            if readable:
                break
            _, writable, _ = select.select([], [line], [], 0.05)
            if writable:
                sent += line.send(body[sent : sent + 65536])
        answer = line.recv(65536)
    return Answered(answer.split(b"\r\n\r\n")[0], (time.monotonic() - began) * 1e3, sent)


def plain_ct(folder: Path, number: int) -> Path:
    """A CT study of 512 x 512 pixels in which there is nothing to find: a cylinder of water."""
    from medomni.phantom.dicom import Labels, write_series
    from medomni.types.volume import Grid, Volume

    heights = np.zeros((SLICES, 3)) + np.arange(SLICES)[:, None] * (0, 0, 5.0)
    grid = Grid((SLICES, 512, 512), (0.7, 0.7), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), heights)
    y, x = np.ogrid[-256:256, -256:256]
    hu = np.where(x * x + y * y < 200**2, 0, -1000).astype(np.int16)
    volume = Volume(np.repeat(hu[None], SLICES, axis=0), grid)
    return write_series(volume, folder / f"{number:02d}", Labels(key=f"serving {number}"))


def usual_report() -> str:
    """The report of a small phantom, drafted once."""
    global _report  # noqa: PLW0603
    if not _report:
        _report = drafted_report()
    return _report


_report = ""


def drafted_report() -> str:
    """Draft a phantom of 512 x 512 pixels and return its report."""
    from app import wiring
    from app.options import DEFAULT_SEGMENTER
    from app.progress import StageWatch
    from medomni.phantom import draw_findings, make_case
    from medomni.phantom.write import write_dicom
    from medomni.pipeline import Request, draft_report
    from medomni.settings import load

    with tempfile.TemporaryDirectory() as home:
        case = make_case(129, draw_findings(129), shape=(60, 128, 128), spacing_mm=(5.0, 2.8, 2.8))
        study = write_dicom(case, Path(home) / "study")
        settings = load({"MEDOMNI_HOME": home})
        with StageWatch(is_quiet=True) as watch:
            return draft_report(Request(source=study), wiring.stages(DEFAULT_SEGMENTER, settings), watch).report.model_dump_json()


def cpu_ms(process: psutil.Process, times: int, act) -> float:  # noqa: ANN001
    """CPU-milliseconds that a process spends on each act."""
    before = process.cpu_times()
    for k in range(times):
        assert act(k) == 200
    after = process.cpu_times()
    return (after.user + after.system - before.user - before.system) * 1e3 / times


def start(words: list[str], **settings: str) -> subprocess.Popen:
    """Start a program that says nothing."""
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return subprocess.Popen(words, env=os.environ | settings, **quiet)


def wait_until(is_so) -> None:  # noqa: ANN001
    """Wait for something."""
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())
