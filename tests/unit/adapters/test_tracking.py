import sqlite3

import pytest

from adapters import tracking
from medomni.errors import MissingPart
from medomni.types.finding import Presence
from medomni.types.notice import NoticeLevel
from medomni.types.provenance import Part, Provenance, StageRecord
from medomni.types.run import RunNotice, RunRecord

RUN = RunRecord(
    provenance=Provenance(
        study_key="ab" * 16,
        input_sha256="cd" * 32,
        parts=(
            Part(role="software", name="medomni", version="0.1.0"),
            Part(role="segmenter", name="hu-rules", version="1", digest="ef" * 32),
        ),
    ),
    settings={"segmenter": "hu-rules 1", "language": "zh", "threads": 2, "history_characters": 27, "prior": "none"},
    stages=(
        StageRecord(stage="read", cpu_seconds=0.25, wall_seconds=0.5, peak_mib=120.0),
        StageRecord(stage="segment", cpu_seconds=2.0, wall_seconds=1.0, peak_mib=900.0),
    ),
    cpu_seconds=3.5,
    findings={Presence.PRESENT: 3, Presence.ABSENT: 2, Presence.UNCERTAIN: 0, Presence.NOT_EVALUATED: 13},
    gates={"vision<-history": 0.25},
    importance={"vision": 0.75, "history": 0.25},
    notices=(RunNotice(code="gap_in_series", level=NoticeLevel.WARNING),) * 2,
    files={"report.json": "01" * 32},
    software={"python": "3.11.7"},
)


def test_metrics_hold_cost_findings_and_notices():
    metrics = tracking.metrics(RUN)
    assert metrics["segment.cpu_seconds"] == 2.0
    assert (metrics["total.cpu_seconds"], metrics["total.wall_seconds"], metrics["total.peak_mib"]) == (3.5, 1.5, 900.0)
    assert (metrics["findings.present"], metrics["findings.not_evaluated"]) == (3, 13)
    assert metrics["notices.gap_in_series"] == 2
    assert metrics["gates.vision_from_history"] == 0.25
    assert (metrics["importance.vision"], metrics["importance.history"]) == (0.75, 0.25)


def test_params_hold_choices_and_versions():
    assert tracking.params(RUN)["segmenter.hu-rules"] == "1"
    assert tracking.params(RUN)["history_characters"] == "27"


def test_store_that_does_not_answer_is_a_missing_part(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingPart, match="not logged in MLflow"):
        tracking.log_draft(RUN, f"sqlite:///{tmp_path}/file/mlflow.db")


@pytest.mark.slow
def test_run_lands_in_sqlite_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    database = tmp_path / "home" / "mlflow.db"
    run_id = tracking.log_draft(RUN, f"sqlite:///{database}")
    second = tracking.log_draft(RUN, f"sqlite:///{database}")
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    rows = sqlite3.connect(database)
    assert rows.execute("select name from experiments where name = 'medomni-draft'").fetchall() == [("medomni-draft",)]
    assert rows.execute("select status from runs where run_uuid in (?, ?)", (run_id, second)).fetchall() == [("FINISHED",)] * 2
    logged = dict(rows.execute("select key, value from latest_metrics where run_uuid = ?", (run_id,)))
    assert logged == pytest.approx(tracking.metrics(RUN))
    tags = dict(rows.execute("select key, value from tags where run_uuid = ?", (run_id,)))
    assert tags["input_sha256"] == "cd" * 32
    assert tags["sha256.report.json"] == "01" * 32
    assert tags["mlflow.user"] == "medomni"
