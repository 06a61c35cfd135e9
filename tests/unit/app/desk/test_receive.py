"""Studies come in: whole or not at all, once however often they are sent, under no name of theirs."""

import pytest

from app.desk import receive
from app.desk.receive import Intake, draft_again, source_of
from app.store import audit, jobs
from app.store.database import reading, transaction
from app.store.errors import Full, NotAllowed, NotThere
from app.store.jobs import JobState
from app.store.people import Role
from medomni.errors import BadInput
from tests import ct_files, desks

PATIENT = {"PatientID": "ZQ-4711"}


@pytest.fixture
def desk(tmp_path):
    return desks.desk(tmp_path)


def queued(desk):
    with reading(desk.engine) as tx:
        return jobs.counts(tx)[0]


def test_files_become_a_study_of_the_worklist_and_a_job(desk):
    got = desks.received(desk, history="cough")
    (line,) = desks.listed(desk)
    assert (line.study.id, line.job_id, line.job_state) == (got.study_id, got.job_id, JobState.QUEUED)
    assert line.study.title == "Quux Corge"
    assert dict(line.study.facts) == dict(line.study.facts) | {"sex": "F", "date": "2024-02-29", "images": "8"}
    with reading(desk.engine) as tx:
        assert jobs.get(tx, got.job_id).request["history"] == "cough"
    assert desks.leftovers(desk) == []


def test_no_number_of_the_patient_is_kept_in_the_database(desk, tmp_path):
    desks.received(desk)
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("medomni.db*"))
    assert b"Quux" in stored
    for secret in (b"ZQ-4711", b"ACC77", b"19600101", b"2.25.11"):
        assert secret not in stored


def test_the_audit_names_no_patient(desk):
    desks.received(desk)
    with reading(desk.engine) as tx:
        rows = audit.page(tx, None, 99)
    assert [row.action for row in rows] == ["queued", "received"]
    assert "Quux" not in repr(rows)


def test_a_zip_of_a_study_is_the_study(desk):
    made = desks.intake(desk, [desks.zipped(desks.slices())], ".ZIP")
    receive.receive(made, desks.person(desk), desks.ASKED)
    (line,) = desks.listed(desk)
    assert source_of(line.study.folder).name == "study.zip"
    assert line.study.facts["images"] == "8"


def test_the_same_study_sent_twice_is_one_study_and_one_job(desk):
    first, second = desks.received(desk), desks.received(desk)
    assert (second.study_id, second.job_id) == (first.study_id, first.job_id)
    assert (first.is_new, second.is_new) == (True, False)
    assert len(desks.listed(desk)) == 1
    assert desks.leftovers(desk) == []


def test_a_study_whose_draft_failed_is_queued_again_when_it_comes_again(desk):
    first = desks.received(desk)
    with transaction(desk.engine) as tx:
        jobs.lease(tx, "w")
        jobs.fail(tx, first.job_id, "w", "why")
    second = desks.received(desk)
    assert second.job_id != first.job_id
    assert (desks.listed(desk)[0].job_state, len(desks.listed(desk))) == (JobState.QUEUED, 1)


def test_two_studies_of_a_patient_are_two_and_share_a_digest(desk):
    desks.received(desk)
    desks.received(desk, desks.slices(StudyInstanceUID="2.25.12", StudyDate="20240310"))
    first, second = (dict(line.study.facts) for line in desks.listed(desk))
    assert first["patient"] == second["patient"]


def bad_zip():
    return desks.zipped(desks.slices(), [f"../../x{k}.dcm" for k in range(8)])


@pytest.mark.parametrize(
    ("files", "ending"),
    [
        ([b"no image at all"], ".dcm"),
        ([b""], ""),
        ([bad_zip()], ".zip"),
        ([b"PK\x03\x04 cut off"], ".zip"),
        ([b"\x1f\x8b broken"], ".gz"),
        ([b"<html>error</html>"] * 3, ".dcm"),
        (desks.slices(Modality="MR")[:4], ".dcm"),
        (desks.slices()[:1], ".dcm"),
        ([], ""),
    ],
    ids=["text", "empty", "zip slip", "cut zip", "bad gzip", "web pages", "MR", "one slice", "nothing"],
)
def test_what_is_no_ct_is_refused_in_words_and_leaves_nothing(desk, files, ending):
    with pytest.raises(BadInput) as told:
        receive.receive(desks.intake(desk, files, ending), desks.person(desk), desks.ASKED)
    assert desks.NAME not in str(told.value)
    assert str(desk.folder) not in str(told.value)
    assert (desks.listed(desk), desks.leftovers(desk), queued(desk)) == ([], [], 0)


def test_more_bytes_than_allowed_are_refused_on_the_way(tmp_path):
    desk = desks.desk(tmp_path, upload_mib=1)
    made = Intake.begin(desk)
    made.add(".dcm", [bytes(1 << 20)])
    with pytest.raises(BadInput, match="too large"):
        made.add(".dcm", iter([b"x"]))
    made.drop()
    assert desks.leftovers(desk) == []


def test_the_bytes_of_all_files_count_together(tmp_path):
    desk = desks.desk(tmp_path, upload_mib=1)
    made = Intake.begin(desk)
    for _ in range(4):
        made.add(".dcm", [bytes(1 << 18)])
    with pytest.raises(BadInput, match="too large"):
        made.add(".dcm", [bytes(1)])


def test_a_full_queue_keeps_nothing_of_the_study(tmp_path):
    desk = desks.desk(tmp_path, queue=1)
    desks.received(desk)
    with pytest.raises(Full):
        desks.received(desk, desks.slices(StudyInstanceUID="2.25.12"))
    assert len(desks.listed(desk)) == 1
    assert desks.leftovers(desk) == []
    with reading(desk.engine) as tx:
        assert len(audit.page(tx, None, 99)) == 2


@pytest.mark.parametrize("role", [Role.ML, Role.MACHINE])
def test_roles_that_do_not_receive_are_refused(desk, role):
    with pytest.raises(NotAllowed):
        desks.received(desk, who=desks.person(desk, role))
    assert (desks.listed(desk), desks.leftovers(desk)) == ([], [])


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.RESIDENT, Role.INTEGRATION, Role.ADMIN])
def test_roles_that_receive_do(desk, role):
    assert desks.received(desk, who=desks.person(desk, role)).is_new


def test_a_draft_is_queued_again_once_it_ended(desk):
    first = desks.received(desk)
    who = desks.person(desk)
    assert draft_again(desk, who, first.study_id, desks.ASKED) == first.job_id
    with transaction(desk.engine) as tx:
        jobs.lease(tx, "w")
        jobs.finish(tx, first.job_id, "w")
    assert draft_again(desk, who, first.study_id, desks.ASKED) != first.job_id
    with pytest.raises(NotThere):
        draft_again(desk, who, "nothing", desks.ASKED)


def test_a_name_full_of_controls_is_shown_plain(desk):
    hostile = "A\u202e<b>^B\x07=\u5c71"
    desks.received(desk, desks.slices(PatientName=hostile, SpecificCharacterSet="ISO_IR 192"))
    assert desks.listed(desk)[0].study.title == "A<b> B"


def test_a_study_without_name_or_number_says_so(desk):
    desks.received(desk, desks.slices(PatientName="", PatientID=""))
    (line,) = desks.listed(desk)
    assert line.study.title == "No name in the header"
    assert "patient" not in line.study.facts


def test_files_keep_none_of_their_names(desk):
    made = desks.intake(desk, [desks.zipped(desks.slices())], "/../../etc/passwd")
    receive.receive(made, desks.person(desk), desks.ASKED)
    (line,) = desks.listed(desk)
    assert [path.name for path in (line.study.folder / "source").iterdir()] == ["000000"]


def test_the_reader_gets_the_folder_of_several_files(desk):
    desks.received(desk)
    source = source_of(desks.listed(desk)[0].study.folder)
    assert len(list(source.iterdir())) == ct_files.SHAPE[0]
