"""What people do to a report at the desk: one version each, once, by whom it is allowed."""

import pytest
from sqlalchemy import text

from app.desk import writing
from app.desk.writing import Asked
from app.store import audit
from app.store.database import reading, transaction
from app.store.errors import NotAllowed, NotThere, Stale, Tampered
from app.store.people import Role
from medomni.errors import BadInput
from medomni.types.edit import Insert, Judge, Reword
from medomni.types.report import Origin, ReportState, Verdict
from medomni.types.section import SectionName
from tests import desks

FINDINGS, ADDENDUM = SectionName.FINDINGS, SectionName.ADDENDUM
NOTE = (Insert(section=FINDINGS, index=0, text="Old scar."),)
FINAL, AMENDED, CORRECTED = ReportState.FINAL, ReportState.AMENDED, ReportState.CORRECTED


@pytest.fixture
def desk(tmp_path):
    return desks.desk(tmp_path)


@pytest.fixture
def report(desk):
    return desks.begun(desk)[1]


@pytest.fixture
def who(desk):
    return {role: desks.person(desk, role) for role in Role}


def now(desk, report, number=None):
    version = writing.current(desk, report, number)
    return version, writing.report_of(version)


def texts(of, section=FINDINGS):
    return [sentence.text for sentence in of.sections[section].sentences]


def everything(desk, report, edits=()):
    return codes(writing.preview(desk, report, edits))


def codes(of):
    return frozenset(point.code for point in writing.to_confirm(of))


def sign(desk, report, person, key="sign", expected=1):
    asked = Asked(report, expected, key)
    return writing.sign(desk, person, asked, FINAL, everything(desk, report))


def test_an_edit_is_the_next_version_and_the_one_before_stays(desk, report, who):
    before = now(desk, report)[1]
    assert writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE).number == 2
    assert texts(now(desk, report)[1])[0] == "Old scar."
    assert now(desk, report, 1)[1] == before


def test_who_looked_at_an_older_version_is_told_and_writes_nothing(desk, report, who):
    writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE)
    with pytest.raises(Stale) as told:
        writing.change(desk, who[Role.RADIOLOGIST], Asked(report, 1, "b"), NOTE)
    assert told.value.number == 2
    assert now(desk, report)[0].number == 2


def test_a_request_that_is_sent_twice_counts_once(desk, report, who):
    first = writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE)
    assert writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE) == first
    assert now(desk, report)[0].number == 2


def test_a_key_with_another_request_is_refused(desk, report, who):
    writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE)
    with pytest.raises(NotAllowed):
        writing.change(desk, who[Role.RESIDENT], Asked(report, 2, "a"), NOTE)
    with pytest.raises(NotAllowed):
        writing.go_back(desk, who[Role.RESIDENT], Asked(report, 1, "a"), 1)


def test_the_same_key_of_two_people_is_two_requests(desk, report, who):
    writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE)
    assert writing.change(desk, who[Role.RADIOLOGIST], Asked(report, 2, "a"), NOTE).number == 3


def test_edits_that_do_not_fit_save_nothing(desk, report, who):
    with pytest.raises(BadInput):
        writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), (*NOTE, Reword(section=FINDINGS, index=99, text="x")))
    assert now(desk, report)[0].number == 1
    assert writing.change(desk, who[Role.RESIDENT], Asked(report, 1, "a"), NOTE).number == 2


@pytest.mark.parametrize("role", [Role.ADMIN, Role.ML, Role.INTEGRATION, Role.MACHINE])
def test_only_who_may_edit_edits(desk, report, who, role):
    with pytest.raises(NotAllowed):
        writing.change(desk, who[role], Asked(report, 1, "a"), NOTE)
    assert now(desk, report)[0].number == 1


def test_going_back_is_a_new_version_and_can_be_gone_back_on(desk, report, who):
    person = who[Role.RESIDENT]
    writing.change(desk, person, Asked(report, 1, "a"), NOTE)
    writing.go_back(desk, person, Asked(report, 2, "b"), 1)
    assert texts(now(desk, report)[1]) == texts(now(desk, report, 1)[1])
    assert writing.go_back(desk, person, Asked(report, 3, "c"), 2).number == 4
    assert texts(now(desk, report)[1])[0] == "Old scar."
    with pytest.raises(NotThere):
        writing.go_back(desk, person, Asked(report, 4, "d"), 9)


def test_going_back_keeps_the_state(desk, report, who):
    writing.move(desk, who[Role.RESIDENT], Asked(report, 1, "a"), ReportState.PRELIMINARY)
    back = writing.go_back(desk, who[Role.RESIDENT], Asked(report, 2, "b"), 1)
    assert back.state is ReportState.PRELIMINARY
    assert now(desk, report)[1].state is ReportState.PRELIMINARY


def test_a_preview_saves_nothing(desk, report):
    assert texts(writing.preview(desk, report, NOTE))[0] == "Old scar."
    assert now(desk, report)[0].number == 1


def test_a_signature_needs_every_point_confirmed(desk, report, who):
    person = who[Role.RADIOLOGIST]
    typed = (Insert(section=FINDINGS, index=0, text="Large hiatal hernia."),)
    writing.change(desk, person, Asked(report, 1, "a"), typed)
    left = codes(now(desk, report)[1])
    assert left == {"unproven:findings:0", "differs:only_in_text:hiatal_hernia"}
    for short in (frozenset(), *(left - {code} for code in left)):
        with pytest.raises(BadInput, match="confirmed"):
            writing.sign(desk, person, Asked(report, 2, "s"), FINAL, short)
    saved = writing.sign(desk, person, Asked(report, 2, "s"), FINAL, left)
    version, signed = now(desk, report)
    assert (saved.number, version.state, signed.state) == (3, FINAL, FINAL)
    assert [(one.name, one.role, one.state) for one in signed.signatures] == [("Radiologist", "radiologist", FINAL)]


def test_an_unsafe_contradiction_must_be_confirmed_by_its_name(desk, report, who):
    machine_text = desks.report()
    section = machine_text.sections[FINDINGS]
    wrong = section.sentences[0].model_copy(update={"text": "Nodule in the left upper zone, 99 x 6 mm."})
    section = section.model_copy(update={"sentences": (wrong, *section.sentences[1:])})
    unsafe = machine_text.model_copy(update={"sections": {**machine_text.sections, FINDINGS: section}})
    from medomni.reporting.review import review

    unsafe = unsafe.model_copy(update={"notices": review(unsafe)})
    assert "unsafe:number_without_source" in codes(unsafe)


@pytest.mark.parametrize("role", [Role.RESIDENT, Role.ADMIN, Role.ML, Role.INTEGRATION, Role.MACHINE])
def test_only_a_radiologist_signs_appends_or_takes_back(desk, report, who, role):
    with pytest.raises(NotAllowed):
        sign(desk, report, who[role])
    sign(desk, report, who[Role.RADIOLOGIST])
    with pytest.raises(NotAllowed):
        writing.append(desk, who[role], Asked(report, 2, "b"), "Seen.")
    with pytest.raises(NotAllowed):
        writing.move(desk, who[role], Asked(report, 2, "c"), ReportState.ENTERED_IN_ERROR)
    assert now(desk, report)[0].number == 2


def test_a_signature_that_is_sent_twice_is_one(desk, report, who):
    person, points = who[Role.RADIOLOGIST], everything(desk, report)
    first = writing.sign(desk, person, Asked(report, 1, "s"), FINAL, points)
    assert writing.sign(desk, person, Asked(report, 1, "s"), FINAL, points) == first
    assert len(now(desk, report)[1].signatures) == 1


def test_a_signed_report_is_not_edited_nor_gone_back_on(desk, report, who):
    person = who[Role.RADIOLOGIST]
    sign(desk, report, person)
    with pytest.raises(BadInput):
        writing.change(desk, person, Asked(report, 2, "a"), NOTE)
    with pytest.raises(NotAllowed):
        writing.go_back(desk, person, Asked(report, 2, "b"), 1)
    with pytest.raises(NotAllowed):
        sign(desk, report, person, "again", 2)
    with pytest.raises(BadInput):
        writing.change(desk, person, Asked(report, 2, "c"), (Insert(section=ADDENDUM, index=0, text="unsigned"),))
    assert now(desk, report)[0].number == 2


@pytest.mark.parametrize("state", [AMENDED, CORRECTED])
def test_a_signed_report_is_signed_again_with_its_changes(desk, report, who, state):
    person = who[Role.RADIOLOGIST]
    sign(desk, report, person)
    asked = Asked(report, 2, "again")
    writing.sign(desk, person, asked, state, everything(desk, report, NOTE), NOTE)
    version, after = now(desk, report)
    assert (version.state, texts(after)[0]) == (state, "Old scar.")
    assert [one.state for one in after.signatures] == [FINAL, state]
    assert "Old scar." not in texts(now(desk, report, 2)[1])


def test_nothing_is_amended_that_was_not_signed_or_not_changed(desk, report, who):
    person = who[Role.RADIOLOGIST]
    with pytest.raises(NotAllowed):
        writing.sign(desk, person, Asked(report, 1, "a"), AMENDED, everything(desk, report, NOTE), NOTE)
    sign(desk, report, person)
    with pytest.raises(NotAllowed):
        writing.sign(desk, person, Asked(report, 2, "b"), AMENDED, everything(desk, report))


def test_an_addendum_stands_below_what_was_signed(desk, report, who):
    person = who[Role.RADIOLOGIST]
    with pytest.raises(NotAllowed):
        writing.append(desk, person, Asked(report, 1, "a"), "Too early.")
    sign(desk, report, person)
    writing.append(desk, person, Asked(report, 2, "b"), "Seen again.", Origin.DICTATED)
    writing.append(desk, person, Asked(report, 3, "c"), "And again.")
    version, after = now(desk, report)
    assert (version.state, texts(after, ADDENDUM)) == (ReportState.APPENDED, ["Seen again.", "And again."])
    signed = now(desk, report, 2)[1]
    assert {name: after.sections[name] for name in signed.sections} == signed.sections
    assert len(after.signatures) == 3


def test_a_report_taken_back_stays_taken_back(desk, report, who):
    person = who[Role.RADIOLOGIST]
    writing.move(desk, person, Asked(report, 1, "a"), ReportState.ENTERED_IN_ERROR)
    for deed in (
        lambda: writing.change(desk, person, Asked(report, 2, "b"), NOTE),
        lambda: writing.go_back(desk, person, Asked(report, 2, "c"), 1),
        lambda: sign(desk, report, person, "d", 2),
        lambda: writing.move(desk, person, Asked(report, 2, "e"), ReportState.PRELIMINARY),
    ):
        with pytest.raises(NotAllowed):
            deed()
    assert now(desk, report)[0].number == 2


def test_no_state_that_needs_a_signature_is_given_without(desk, report, who):
    for state in (FINAL, AMENDED, ReportState.APPENDED):
        with pytest.raises(NotAllowed):
            writing.move(desk, who[Role.RADIOLOGIST], Asked(report, 1, state.value), state)


def test_a_rejected_finding_is_saved_with_its_verdict(desk, report, who):
    writing.change(
        desk, who[Role.RADIOLOGIST], Asked(report, 1, "a"), (Judge(finding_id="lung-opacity", verdict=Verdict.REJECTED),)
    )
    after = now(desk, report)[1]
    assert after.verdicts == {"lung-opacity": Verdict.REJECTED}
    assert not any("pacity in" in line for line in texts(after))


def test_a_stored_text_that_was_changed_is_refused_at_the_next_read(desk, report, who):
    with transaction(desk.engine) as tx:
        tx.execute(text("DROP TRIGGER versions_no_update"))
        tx.execute(text("UPDATE versions SET content = replace(content, 'left', 'right')"))
    for deed in (
        lambda: writing.current(desk, report),
        lambda: writing.change(desk, who[Role.RADIOLOGIST], Asked(report, 1, "a"), NOTE),
    ):
        with pytest.raises(Tampered):
            deed()


def test_every_deed_stands_in_the_audit_and_no_text_does(desk, report, who):
    person = who[Role.RADIOLOGIST]
    writing.change(desk, person, Asked(report, 1, "a"), NOTE)
    sign(desk, report, person, expected=2)
    with reading(desk.engine) as tx:
        rows = audit.page(tx, None, 99)
        assert audit.check(tx).faults == ()
    assert [row.action for row in rows] == ["signed", "saved", "drafted", "queued", "received"]
    assert "scar" not in repr(rows)


def test_what_is_not_there_is_not_edited(desk, who):
    with pytest.raises(NotThere):
        writing.change(desk, who[Role.RADIOLOGIST], Asked("nothing", 1, "a"), NOTE)
