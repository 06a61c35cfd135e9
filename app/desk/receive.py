"""Receives studies: files of a browser or a hospital -> a study of the worklist, with its draft in the queue.

    chunks of files -> Intake -> folder -> Study -> row + job, both or neither

Nothing is listed before its files are whole and on the disk; what breaks off is swept away. Names of files are never used.
"""

import hashlib
import hmac
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from app import kill
from app.desk.desk import SOURCE, UNLISTED, Desk
from app.store import audit, jobs, studies
from app.store.database import reading, transaction
from app.store.people import MAY_EDIT, Person, Role, require
from medomni.errors import BadInput
from medomni.export.whose import day
from medomni.reporting.cleaned import clean
from medomni.types.study import Study

MAY_RECEIVE = (*MAY_EDIT, Role.INTEGRATION, Role.ADMIN)
MOST_FILES = 20_000
DEMO_SEED = 129
"""The phantom of the demo case, the same that `make demo` drafts."""
NAMES = {".zip": "study.zip", ".gz": "study.nii.gz", ".nii": "study.nii"}
"""How a single file is called by the ending of its name, which decides only how it is read first."""


@dataclass
class Intake:
    """Files on their way in: a private folder that is moved to its place when all is there, and removed otherwise."""

    desk: Desk
    folder: Path
    size: int = 0
    files: list[tuple[str, Path]] = field(default_factory=list)

    @classmethod
    def begin(cls, desk: Desk) -> "Intake":
        """Open an empty one."""
        folder = desk.incoming / secrets.token_hex(16)
        (folder / SOURCE).mkdir(parents=True, mode=0o700)
        (folder / UNLISTED).touch()
        return cls(desk, folder)

    def add(self, ending: str, chunks: Iterable[bytes]) -> None:
        """Take one file.

        Raises:
            BadInput: there are too many files or bytes.
        """
        if len(self.files) >= MOST_FILES:
            raise BadInput("too many files", found=f"more than {MOST_FILES}", remedy="upload one study at a time")
        path = self.folder / SOURCE / f"{len(self.files):06d}"
        with path.open("wb") as file:
            for chunk in chunks:
                self.size += len(chunk)
                if self.size > self.desk.settings.upload_mib << 20:
                    limit = self.desk.settings.upload_mib
                    raise BadInput("the upload is too large", found=f"more than {limit} MiB", remedy="upload one study at a time")
                file.write(chunk)
                kill.at("upload.half")
            file.flush()
            os.fsync(file.fileno())
        self.files.append((ending.lower(), path))

    def source(self) -> Path:
        """What the reader is given: the one file, or the folder of all."""
        if not self.files:
            raise BadInput("no file came", remedy="choose the files of one CT study, or one zip of them")
        if len(self.files) == 1 and self.files[0][0] in NAMES:
            path = self.folder / SOURCE / NAMES[self.files[0][0]]
            self.files[0][1].rename(path)
            self.files[0] = (self.files[0][0], path)
        return source_of(self.folder)

    def drop(self) -> None:
        """Take all away."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Received:
    """What a person is told of an upload; ``is_new`` is False for a study that was there before."""

    study_id: str
    job_id: str
    is_new: bool


def source_of(folder: Path) -> Path:
    """What the reader is given of a study's folder."""
    files = sorted((folder / SOURCE).iterdir())
    return files[0] if len(files) == 1 else folder / SOURCE


def receive(intake: Intake, person: Person, request: Mapping[str, str]) -> Received:
    """List the study of an upload and queue its draft.

    Args:
        intake: the files, all there.
        person: who sends them.
        request: ``history``, ``dictation`` and ``language`` of the draft.

    Raises:
        BadInput: there is no CT that can be trusted; nothing is kept.
        NotAllowed: the person's role does not receive studies.
        Full: the queue is full; nothing is kept.
    """
    from preprocessing.dicom import open_study

    desk = intake.desk
    try:
        require(person, MAY_RECEIVE)
        study = open_study(intake.source())
        place = desk.folder / f"s-{secrets.token_hex(16)}"
        with transaction(desk.engine) as tx:
            uid = study.identity.study_instance_uid
            known = studies.receive(tx, person, uid, title_of(study), place, facts_of(study, desk.secret))
            is_new = known.folder == place
            job = jobs.newest(tx, known.id)
            if is_new or job is None or job.state is jobs.JobState.FAILED:
                job = jobs.queue(tx, person, known.id, request, desk.settings.queue)
                studies.move(tx, known.id, place)  # of a study that failed, the new files count
                _settle(intake.folder / SOURCE)
                intake.folder.rename(place)
                _settle(desk.folder)
            kill.at("upload.moved")
        kill.at("upload.listed")
        (place / UNLISTED).unlink(missing_ok=True)
        return Received(known.id, job.id, is_new)
    finally:
        intake.drop()


def require_room(desk: Desk, coming: int) -> None:
    """Refuse an upload that the queue has no place for before its files are read; ``coming`` are on their way, this one too.

    Raises:
        Full: there is none.
    """
    with reading(desk.engine) as tx:
        waiting = sum(jobs.counts(tx))
    if waiting + coming > desk.settings.queue:
        raise jobs.full(waiting + coming - 1)


def receive_demo(desk: Desk, person: Person) -> Received:
    """Draw the demo case in a process of its own, and receive it like any other study."""
    require(person, MAY_RECEIVE)
    intake = Intake.begin(desk)
    try:
        drawn = intake.folder / "drawn"
        words = ["phantom", "--count", "1", "--seed", str(DEMO_SEED), "--out", str(drawn), "--quiet"]
        program = [sys.executable, "-c", "from app.cli import main; main()", *words]
        subprocess.run(program, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
        [case] = drawn.glob("case-*")
        for file in sorted((case / "dicom").iterdir()):
            intake.add(file.suffix, [file.read_bytes()])
        history = (case / "history.txt").read_text(encoding="utf-8")
        shutil.rmtree(drawn)
        return receive(intake, person, {"history": history, "language": "en"})
    finally:
        intake.drop()


def draft_again(desk: Desk, person: Person, study_id: str, request: Mapping[str, str]) -> str:
    """Queue the draft of a study anew and return the job; a report that is there already stays as it is."""
    require(person, MAY_RECEIVE)
    with transaction(desk.engine) as tx:
        return jobs.queue(tx, person, studies.get(tx, study_id).id, request, desk.settings.queue).id


def note_export(desk: Desk, person: Person, report_id: str, format_name: str, number: int, *, is_identified: bool) -> None:
    """Tell the audit that a version left in a format, and whether it names the patient."""
    facts: dict[str, str | int | float | bool] = {"format": format_name, "version": number, "identified": is_identified}
    with transaction(desk.engine) as tx:
        audit.note(tx, person.id, audit.Action.EXPORTED, report_id, facts)


def title_of(study: Study) -> str:
    """What a list calls the patient: the name of the header, as people read it, else the number, else that neither is stated."""
    name = clean(study.identity.patient_name.replace("^", " ").split("=")[0])
    return (name or clean(study.identity.patient_id) or "No name in the header")[:255]


def facts_of(study: Study, secret: str) -> dict[str, str]:
    """What a list shows besides, and a keyed digest of whose study it is, by which an earlier one is found."""
    who = study.identity
    number = f"{who.patient_id_issuer}\n{who.patient_id}"
    facts = {
        "patient": hmac.new(secret.encode(), number.encode(), hashlib.sha256).hexdigest()[:32] if who.patient_id else "",
        "sex": study.sex,
        "age": f"{study.age_years:.0f}" if study.age_years is not None else "",
        "date": day(who.study_date),
        "description": clean(study.descriptions[0])[:80] if study.descriptions else "",
        "images": str(len(study.frames)),
    }
    return {key: value for key, value in facts.items() if value}


def _settle(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
