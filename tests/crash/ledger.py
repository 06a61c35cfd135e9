"""What a client was told, kept beside what the store holds: the two must agree after every death of a server.

One ``Editor`` rewords one sentence of one report as fast as it can; each text is a marker that no other request has.
"""

import threading

from app.store import audit, reports
from app.store.database import reading
from tests.crash.servers import Gone


class Editor:
    """Edits one report; what was sent and not answered is sent again before anything new."""

    def __init__(self, report_id):
        self.report_id = report_id
        self.told = []
        """Markers that were acknowledged: the n-th became version n + 2."""
        self._seen = 1

    def work(self, client):
        """Edit until the server is gone."""
        try:
            self._send_the_last_again(client)
            while True:
                self._send(client, len(self.told))
                self.told.append(self.marker(len(self.told)))
        except Gone:
            return

    def finish(self, client):
        """Send what was not answered, once more."""
        self._send(client, len(self.told))
        self.told.append(self.marker(len(self.told)))

    def marker(self, count):
        """The text of the n-th edit."""
        return f"Marker {self.report_id[:6]} {count}."

    def check(self, desk):
        """Everything acknowledged is there exactly once and in its place; at most one more, the one that was not answered."""
        with reading(desk.engine) as tx:
            newest = reports.read(tx, self.report_id).number
            texts = [reports.read(tx, self.report_id, number).content for number in range(self._seen + 1, newest + 1)]
        expected = [*self.told, self.marker(len(self.told))]
        assert newest in (len(self.told) + 1, len(self.told) + 2)
        for number, text in enumerate(texts, self._seen + 1):
            assert [one for one in expected if f'"{one}"' in text] == [expected[number - 2]]
        self._seen = len(self.told) + 1

    def _send_the_last_again(self, client):
        if self.told:
            self._send(client, len(self.told) - 1)

    def _send(self, client, count):
        edit = {"kind": "reword", "section": "findings", "index": 0, "text": self.marker(count)}
        asked = {"expected": count + 1, "key": f"{self.report_id[:6]}-{count}", "edits": [edit]}
        status, answer = client.ask("POST", f"/reports/{self.report_id}/edits", asked)
        assert (status, answer.get("number")) == (200, count + 2), answer


class Signer:
    """Takes one report from draft to addendum by three requests, each sent again with the same words until it was answered."""

    def __init__(self, report_id):
        self.report_id = report_id
        self.is_at_work = threading.Event()
        self.answers = {}
        self._confirmed = None

    def work(self, client):
        """Send all three; those of an earlier life are sent again and must be answered as before."""
        client.ask("GET", f"/reports/{self.report_id}")
        self.is_at_work.set()
        edit = {"kind": "insert", "section": "findings", "index": 0, "text": f"Marker {self.report_id[:8]}."}
        self._send(client, "edits", {"expected": 1, "edits": [edit]})
        if self._confirmed is None:
            shown = client.ask("GET", f"/reports/{self.report_id}")[1]
            self._confirmed = [one["code"] for one in shown["to_confirm"]]
        self._send(client, "sign", {"expected": 2, "confirmed": self._confirmed})
        self._send(client, "addendum", {"expected": 3, "text": "Seen by a second reader."})

    def _send(self, client, what, body):
        path = f"/reports/{self.report_id}/{what}"
        status, answer = client.ask("POST", path, body | {"key": f"{what}-{self.report_id[:8]}"})
        assert status == 200, answer
        known = self.answers.setdefault(what, answer)
        assert (answer["number"], answer["state"]) == (known["number"], known["state"])

    def check_whole(self, desk):
        """Exactly four versions: drafted, edited, signed, appended; the marker is as often in each as the edit put it there."""
        told = versions(desk, self.report_id)
        assert [one.state.value for one in told] == ["draft", "draft", "final", "appended"]
        assert [one.content.count(f"Marker {self.report_id[:8]}.") for one in told[1:]] == [told[1].content.count("Marker")] * 3


def versions(desk, report_id):
    """All versions of a report, each verified."""
    with reading(desk.engine) as tx:
        return reports.history(tx, report_id)


def check_trail(desk):
    """The audit has no fault."""
    with reading(desk.engine) as tx:
        assert audit.check(tx).faults == ()
