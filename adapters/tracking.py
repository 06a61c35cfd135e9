"""Logs one run of ``medomni draft`` in MLflow: choices, digests, cost of each stage, counts of findings.

Takes only a ``RunRecord``, which holds no identifier and no word of the patient's text. MLflow is imported here alone.
"""

import os
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import MissingPart
from medomni.types.run import RunRecord

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = "medomni-draft"
_SQLITE = "sqlite:///"
_NOT_A_NAME = re.compile(r"[^A-Za-z0-9_./ -]")
_SETUP = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
"""MLflow reads these when it is imported: nothing is sent home, nothing unpickled, a dead server costs seconds, and stderr
stays ours."""


def silence() -> None:
    """Set what MLflow reads at its import; to be called before MONAI is imported too, which imports it."""
    for name, value in _SETUP.items():
        os.environ.setdefault(name, value)


def log_draft(run: RunRecord, tracking_uri: str) -> str:
    """Return the id of the MLflow run that now holds the record.

    Raises:
        MissingPart: the tracking store does not answer or cannot be written; nothing else is affected.
    """
    try:
        client = _client(tracking_uri)
        run_id: str = client.create_run(
            _experiment(client, tracking_uri),
            run_name=run.provenance.study_key[:12],
            tags={"mlflow.user": "medomni", "mlflow.source.name": "medomni draft"} | _tags(run),
        ).info.run_id
        _log(client, run_id, run)
    except Exception as error:
        raise MissingPart(
            "the run was not logged in MLflow",
            found=type(error).__name__,
            remedy="check MEDOMNI_TRACKING_URI; the draft itself is complete",
        ) from error
    return run_id


def recent_runs(tracking_uri: str, most: int) -> list[dict[str, str | float]]:
    """Return the newest runs of all experiments, a row each: name, experiment, state, when, cost; none where nothing was logged.

    Raises:
        MissingPart: the tracking store does not answer.
    """
    try:
        client = _client(tracking_uri)
        experiments = {one.experiment_id: one.name for one in client.search_experiments()}
        runs = client.search_runs(list(experiments), max_results=most, order_by=["attributes.start_time DESC"])
    except Exception as error:
        raise MissingPart("MLflow does not answer", found=type(error).__name__, remedy="check MEDOMNI_TRACKING_URI") from error
    return [
        {
            "run": run.info.run_name or run.info.run_id[:12],
            "experiment": experiments[run.info.experiment_id],
            "state": run.info.status,
            "started": datetime.fromtimestamp(run.info.start_time / 1000, UTC).strftime("%Y-%m-%d %H:%M"),
            "CPU-seconds": run.data.metrics.get("total.cpu_seconds", 0.0),
            "peak MiB": run.data.metrics.get("total.peak_mib", 0.0),
        }
        for run in runs
    ]


def params(run: RunRecord) -> Mapping[str, str]:
    """Return what the run was made with, as MLflow parameters."""
    return {name: str(value) for name, value in run.settings.items()} | {
        f"{part.role}.{part.name}": part.version for part in run.provenance.parts
    }


def metrics(run: RunRecord) -> Mapping[str, float]:
    """Return cost by stage, findings by presence, the model's gates and importance, and notices by code, as MLflow metrics."""
    return dict(_metrics(run))


def _metrics(run: RunRecord) -> Iterator[tuple[str, float]]:
    for stage in run.stages:
        yield f"{stage.stage}.cpu_seconds", stage.cpu_seconds
        yield f"{stage.stage}.wall_seconds", stage.wall_seconds
        yield f"{stage.stage}.peak_mib", stage.peak_mib
    yield from (("total.cpu_seconds", run.cpu_seconds), ("total.wall_seconds", run.wall_seconds))
    yield "total.peak_mib", run.peak_mib
    for presence, count in run.findings.items():
        yield f"findings.{presence}", float(count)
    for name, share in run.gates.items():
        yield f"gates.{name.replace('<-', '_from_')}", share
    for name, share in run.importance.items():
        yield f"importance.{name}", share
    for code in sorted({notice.code for notice in run.notices}):
        yield f"notices.{code}", float(sum(notice.code == code for notice in run.notices))


def _tags(run: RunRecord) -> dict[str, str]:
    digests = {f"sha256.{part.role}.{part.name}": part.digest for part in run.provenance.parts if part.digest}
    files = {f"sha256.{name}": digest for name, digest in run.files.items()}
    software = {f"version.{name}": version for name, version in run.software.items()}
    return {"study_key": run.provenance.study_key, "input_sha256": run.provenance.input_sha256} | digests | files | software


def _client(tracking_uri: str) -> "MlflowClient":
    silence()
    if tracking_uri.startswith(_SQLITE):
        Path(tracking_uri.removeprefix(_SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=tracking_uri)


def _experiment(client: "MlflowClient", tracking_uri: str) -> str:
    """The id of our experiment. A local store keeps artifacts beside its database, never in the working folder."""
    known = client.get_experiment_by_name(EXPERIMENT)
    if known is not None:
        return str(known.experiment_id)
    beside = Path(tracking_uri.removeprefix(_SQLITE)).parent / "mlflow-artifacts"
    location = beside.absolute().as_uri() if tracking_uri.startswith(_SQLITE) else None
    return str(client.create_experiment(EXPERIMENT, artifact_location=location))


def _log(client: "MlflowClient", run_id: str, run: RunRecord) -> None:
    from mlflow.entities import Metric, Param

    client.log_batch(
        run_id,
        metrics=[Metric(_name(name), value, timestamp=0, step=0) for name, value in metrics(run).items()],
        params=[Param(_name(name), value) for name, value in params(run).items()],
    )
    client.set_terminated(run_id, status="FINISHED")


def _name(text: str) -> str:
    """A name MLflow takes: letters, digits and ``_./ -``."""
    return _NOT_A_NAME.sub("_", text)
