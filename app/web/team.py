"""The pages of the team: adapters and runs, the audit trail, the health of the system."""

import os
import platform
import shutil
import time
import tomllib
from pathlib import Path

import streamlit as st

from app.api.team import MAY_AUDIT, PAGE
from app.store import audit, jobs, people, studies
from app.store.database import reading
from app.web import place
from app.web.here import require_person
from medomni import __version__
from medomni.export.words import name

MOST_RUNS = 200


def adapters() -> None:
    """Show the adapters and the model that ship, what each input is worth to it, its curves, and the runs logged in MLflow."""
    require_person()
    st.title("Adapters and runs")
    st.write("For the team that trains and judges the models: what ships, what it is worth, what was logged. Reading needs none.")
    _cards()
    _ablation()
    _curves()
    _runs()


def trail() -> None:
    """Show who did what, and whether anybody changed it."""
    person = require_person()
    st.title("Audit trail")
    if person.role not in MAY_AUDIT:
        st.info("The trail is open to radiologists, administrators and ML teams.")
        return
    st.write("Every row is bound to the one before it by a hash; with digests and codes, never a patient's name or text.")
    engine = place.auth().desk.engine
    if st.button("Verify the whole trail", type="primary"):
        with reading(engine) as tx:
            checked = audit.check(tx)
        if checked.faults:
            st.error("The trail was changed:\n\n" + "\n".join(f"- {fault}" for fault in checked.faults[:20]))
        else:
            st.success(f"{checked.rows} rows, nothing was changed. Newest hash: `{checked.newest}`.")
            st.caption(
                "Write it down elsewhere: with `medomni audit verify --newest HASH` a trail whose end was cut off is found too."
            )
    with reading(engine) as tx:
        names, rows = people.names(tx), audit.page(tx, None, PAGE)
    table = [
        {
            "Row": row.number,
            "When": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at)),
            "Who": names.get(row.person_id, "MedOmni"),
            "What": row.action,
            "Subject": row.subject[:12],
            "Facts": ", ".join(f"{key} {str(fact)[:16]}" for key, fact in row.facts.items()),
        }
        for row in rows
    ]
    st.dataframe(table, hide_index=True, width="stretch", height=560)


def health() -> None:
    """Show what runs, what waits and what is missing."""
    require_person()
    desk = place.auth().desk
    st.title("System health")
    with reading(desk.engine) as tx:
        waiting, running = jobs.counts(tx)
        listed = studies.worklist(tx)
    failed = [one for one in listed if one.job_state is jobs.JobState.FAILED and not one.report_id]
    free = shutil.disk_usage(desk.folder).free / 2**30
    for column, (label, value) in zip(
        st.columns(5),
        {
            "Studies": str(len(listed)),
            "Drafts waiting": f"{waiting} of {desk.settings.queue}",
            "Being made": str(running),
            "Failed": str(len(failed)),
            "Disk free": f"{free:.0f} GiB",
        }.items(),
        strict=True,
    ):
        column.metric(label, value, border=True)
    if failed:
        st.subheader("Failed drafts")
        st.dataframe([{"Study": one.study.id[:12], "Reason": one.reason} for one in failed], hide_index=True, width="stretch")
    st.subheader("Parts")
    if st.button("Check this installation"):
        from app.commands.doctor import CHECKS

        lines = [line for check in CHECKS for line in check()]
        st.dataframe(
            [{"": line.state.value, "Part": line.part, "Found": line.found, "What to do": line.remedy} for line in lines],
            hide_index=True,
            width="stretch",
        )
    kind = "PostgreSQL" if desk.engine.dialect.name == "postgresql" else "SQLite"
    st.caption(
        f"MedOmni {__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, {kind}. Not a medical device."
    )


def _cards() -> None:
    import adapters as package
    from medomni.model import omni_folder

    st.subheader("What ships")
    for folder in sorted((Path(package.__file__).parent / "shipped").iterdir()):
        card = tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))
        with st.expander(f"Adapter {card['name']}: the wording of the language model"):
            st.table({str(key): str(value) for key, value in card.items() if key != "name"})
            st.markdown((folder / "README.md").read_text(encoding="utf-8"))
    with st.expander("Omni model: what it is and where it fails"):
        st.markdown((omni_folder.SHIPPED / "README.md").read_text(encoding="utf-8"))


def _ablation() -> None:
    """What the omni model answers rightly from each of its inputs, and from the CT for each finding."""
    from medomni.model.omni_folder import SCORES, SHIPPED

    scores = tomllib.loads((SHIPPED / SCORES).read_text(encoding="utf-8"))
    st.subheader("What each input is worth to the omni model")
    rows = [{"given": given, "macro-F1": f1} for given, f1 in scores["given"].items()]
    st.bar_chart(rows, x="given", y="macro-F1", horizontal=True, sort=False, height=300)
    st.caption(
        "Macro-F1 of 18 findings on 200 synthetic bodies, each input left out in turn (`python benchmarks/omni.py --labels`). "
        "The dictation names every finding: with it the model shows that it reads, not that it sees. "
        "Nobody knows these figures for patients."
    )
    rows = [{"finding": name(label, "en"), "F1": f1} for label, f1 in scores["from_the_ct"].items()]
    st.bar_chart(rows, x="finding", y="F1", horizontal=True, sort=False, height=460)
    st.caption("F1 of each finding from the CT alone, on the same bodies.")


def _curves() -> None:
    """How the model's logit becomes a calibrated probability, for a label that is chosen, with its threshold."""
    from medomni.model.omni_folder import ANSWERS, SHIPPED, answers_of
    from medomni.types.opinion import logistic

    st.subheader("Calibration of the omni model")
    answers = answers_of((SHIPPED / ANSWERS).read_bytes())
    label = st.selectbox("Finding", sorted(answers), format_func=lambda key: name(key, "en"))
    answer = answers[label]
    logits = [k / 5 for k in range(-20, 21)]
    st.line_chart(
        {
            "logit of the model": logits,
            "calibrated probability": [logistic(answer.offset + answer.slope * one) for one in logits],
            "threshold": [answer.threshold] * len(logits),
        },
        x="logit of the model",
        y_label="probability",
        height=280,
    )
    st.caption("Fitted on phantoms that no network learned from: no probability among patients.")


def _runs() -> None:
    st.subheader("Runs in MLflow")
    desk = place.auth().desk
    st.caption("`medomni draft --track` and `medomni adapt` log runs without patient data; `make mlflow` opens MLflow itself.")
    if not st.button("Load the runs"):
        return
    with st.spinner("Asking MLflow (some seconds at first)"):
        from adapters.tracking import recent_runs
        from medomni.errors import MissingPart

        try:
            rows = recent_runs(desk.settings.tracking_uri, MOST_RUNS)
        except MissingPart as error:
            st.error(str(error))
            return
    if not rows:
        st.info("No run was logged yet.")
        return
    st.dataframe(rows, hide_index=True, width="stretch")
    st.bar_chart(rows, x="run", y="CPU-seconds", height=240)
