"""Desks for tests: a folder and a database of their own, people of every role, studies as they are sent, reports begun."""

import io
import zipfile

from app.desk import receive
from app.desk.desk import open_desk
from app.desk.receive import Intake
from app.store import people, reports, studies
from app.store.database import reading, transaction
from app.store.people import Role
from medomni.settings import load
from medomni.types.report import Draft, Report
from tests import ct_files, drafts
from tests import reports as written

NAME = "Quux"
"""The patient's name in the header of ``ct_files``: it stands in the worklist and nowhere else."""
ASKED = {"history": "", "dictation": "", "language": "en"}


def desk(home, **changes):
    """An open desk; ``changes`` are settings by their names."""
    stated = {f"MEDOMNI_{name.upper()}": str(value) for name, value in changes.items()}
    return open_desk(load({"MEDOMNI_HOME": str(home), "MEDOMNI_THREADS": "1", "MEDOMNI_PERSON": "Dr. Ana Rossi", **stated}))


def person(of, role=Role.RADIOLOGIST, name=""):
    """A person of a role."""
    name = name or role.value.title()
    with transaction(of.engine) as tx:
        return people.known(tx, f"test {name}", name, role)


def slices(**header):
    """The files of a small CT series, each as its bytes; ``header`` changes every slice."""
    found = []
    for data_set in ct_files.series(**header):
        file = io.BytesIO()
        data_set.save_as(file, enforce_file_format=True)
        found.append(file.getvalue())
    return found


def zipped(files, names=None):
    """A zip of files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for k, content in enumerate(files):
            archive.writestr(names[k] if names else f"IM{k:03d}.dcm", content)
    return packed.getvalue()


def intake(of, files, ending=".dcm"):
    """Files on their way in."""
    made = Intake.begin(of)
    for content in files:
        made.add(ending, [content])
    return made


def received(of, files=None, who=None, **asked):
    """A study of the worklist, its draft queued."""
    made = intake(of, files if files is not None else slices())
    return receive.receive(made, who or person(of), ASKED | asked)


def report(*present, language="en"):
    """The report of a composed draft."""
    draft = drafts.draft(drafts.findings(*(present or (drafts.opacity(), drafts.nodule()))), language)
    return Report(**{name: getattr(draft, name) for name in Draft.model_fields}, provenance=written.report().provenance)


def begun(of, content=None):
    """A received study whose report has its first version; returns the ids of study and report."""
    study_id = received(of).study_id
    machine = of.machine()
    with transaction(of.engine) as tx:
        saved = reports.begin(tx, machine, study_id, (content or report()).model_dump_json())
    return study_id, saved.report_id


def listed(of):
    """The worklist."""
    with reading(of.engine) as tx:
        return studies.worklist(tx)


def leftovers(of):
    """What lies in the desk's folder besides the studies that are listed."""
    known = {one.study.folder for one in listed(of)}
    return [*of.incoming.iterdir(), *(path for path in of.folder.glob("s-*") if path not in known)]
