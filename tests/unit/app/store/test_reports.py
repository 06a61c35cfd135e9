"""Reports: nothing acknowledged is lost, nobody overwrites anybody, what is signed stays as it was signed."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import exc, select, text, update

from app.store import audit, reports
from app.store.database import migrate, reading, transaction
from app.store.errors import NotAllowed, NotThere, Stale, Tampered
from app.store.people import Role
from app.store.reports import Change
from app.store.tables import reports as table
from app.store.tables import versions
from medomni.types.report import ReportState

RADIOLOGIST, RESIDENT, MACHINE, ML = Role.RADIOLOGIST, Role.RESIDENT, Role.MACHINE, Role.ML


def text_of(words):
    return json.dumps({"text": words})


@pytest.fixture
def report(engine, staff, study):
    """A drafted report, its first version."""
    with transaction(engine) as tx:
        return reports.begin(tx, staff[MACHINE], study.id, text_of("draft"))


@pytest.fixture
def save(engine, staff, report):
    def run(role, expected, words, key="", state=None):
        change = Change(report.report_id, expected, text_of(words), key or f"{role}{expected}{words}{state}", state)
        with transaction(engine) as tx:
            return reports.save(tx, staff[role], change)

    return run


def newest(engine, report, number=None):
    with reading(engine) as tx:
        return reports.read(tx, report.report_id, number)


def test_a_draft_is_the_first_version_and_is_kept_once(engine, staff, study, report):
    with transaction(engine) as tx:
        again = reports.begin(tx, staff[MACHINE], study.id, text_of("another draft"))
    assert again == report
    assert (report.number, report.state) == (1, ReportState.DRAFT)
    assert newest(engine, report).content == text_of("draft")


def test_each_save_is_a_version_and_earlier_ones_stay(engine, report, save):
    assert save(RESIDENT, 1, "two").number == 2
    assert save(RADIOLOGIST, 2, "three").number == 3
    with reading(engine) as tx:
        told = reports.history(tx, report.report_id)
    assert [(one.number, one.content) for one in told] == [(1, text_of("draft")), (2, text_of("two")), (3, text_of("three"))]


def test_the_second_of_two_is_told_and_writes_nothing(engine, report, save):
    save(RESIDENT, 1, "first")
    with pytest.raises(Stale) as told:
        save(RADIOLOGIST, 1, "second")
    assert told.value.number == 2
    assert newest(engine, report).content == text_of("first")


def test_a_repeated_request_is_answered_again_and_carried_out_once(engine, report, save):
    first = save(RESIDENT, 1, "once", key="k")
    assert save(RESIDENT, 1, "once", key="k") == first
    assert newest(engine, report).number == 2
    with pytest.raises(NotAllowed):
        save(RESIDENT, 2, "other words", key="k")


def test_signing_and_its_row_in_the_audit_are_both_there_or_neither(engine, staff, report, monkeypatch):
    change = Change(report.report_id, 1, text_of("signed"), "k", ReportState.FINAL)

    note = audit.note

    def broken(*given):
        note(*given)
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(audit, "note", broken)
        with pytest.raises(RuntimeError), transaction(engine) as tx:
            reports.save(tx, staff[RADIOLOGIST], change)
    with reading(engine) as tx:
        assert tx.execute(select(audit.audit).where(audit.audit.c.action == "signed")).all() == []
    assert newest(engine, report).state is ReportState.DRAFT
    with transaction(engine) as tx:
        signed = reports.save(tx, staff[RADIOLOGIST], change)
    with reading(engine) as tx:
        rows = tx.execute(select(audit.audit).where(audit.audit.c.action == "signed")).all()
        assert [json.loads(row.facts)["sha256"] for row in rows] == [signed.sha256]
        assert audit.check(tx).faults == ()


def test_both_the_preliminary_and_the_final_text_stay_readable(engine, report, save):
    save(RESIDENT, 1, "preliminary", state=ReportState.PRELIMINARY)
    save(RADIOLOGIST, 2, "final", state=ReportState.FINAL)
    assert [newest(engine, report, number).state for number in (2, 3)] == [ReportState.PRELIMINARY, ReportState.FINAL]


@pytest.mark.parametrize("role", [RESIDENT, MACHINE, ML, Role.ADMIN])
def test_only_a_radiologist_signs(save, role):
    with pytest.raises(NotAllowed):
        save(role, 1, "signed", state=ReportState.FINAL)


def test_a_signed_report_is_amended_never_edited(engine, report, save):
    save(RADIOLOGIST, 1, "final", state=ReportState.FINAL)
    with pytest.raises(NotAllowed):
        save(RADIOLOGIST, 2, "quietly changed")
    with pytest.raises(NotAllowed):
        save(RADIOLOGIST, 2, "back to draft", state=ReportState.PRELIMINARY)
    save(RADIOLOGIST, 2, "amended", state=ReportState.AMENDED)
    save(RADIOLOGIST, 3, "appended", state=ReportState.APPENDED)
    save(RADIOLOGIST, 4, "taken back", state=ReportState.ENTERED_IN_ERROR)
    with pytest.raises(NotAllowed):
        save(RADIOLOGIST, 5, "again", state=ReportState.AMENDED)
    assert newest(engine, report, 2).content == text_of("final")


def test_no_version_can_be_changed_or_taken_away(engine, report):
    for line in ("UPDATE versions SET content = '{}'", "DELETE FROM versions", "UPDATE audit SET at = 0", "DELETE FROM audit"):
        with pytest.raises(exc.DBAPIError), transaction(engine) as tx:
            tx.execute(text(line))
    assert newest(engine, report).content == text_of("draft")


def tamper(engine, statement, table_name="versions"):
    """Change a row as somebody would who has the whole database in hand."""
    with transaction(engine) as tx:
        if engine.dialect.name == "sqlite":
            tx.execute(text(f"DROP TRIGGER {table_name}_no_update"))
        else:
            tx.execute(text(f"DROP TRIGGER {table_name}_only_added ON {table_name}"))
        tx.execute(statement)


def test_a_changed_text_is_noticed_when_it_is_read(engine, report):
    tamper(engine, update(versions).values(content=text_of("forged")))
    with pytest.raises(Tampered):
        newest(engine, report)


def test_a_changed_audit_row_is_found_and_so_is_a_forged_version(engine, report, save):
    save(RADIOLOGIST, 1, "final", state=ReportState.FINAL)
    tamper(engine, update(audit.audit).where(audit.audit.c.action == "signed").values(person_id="x"), "audit")
    with reading(engine) as tx:
        assert any("was changed" in fault for fault in audit.check(tx).faults)
    tamper(engine, update(versions).where(versions.c.number == 2).values(sha256="0" * 64))
    with reading(engine) as tx:
        assert any("version 2" in fault for fault in audit.check(tx).faults)


def test_a_hash_that_was_noted_must_still_be_there(engine, report, save):
    with reading(engine) as tx:
        noted = audit.check(tx).newest
    save(RESIDENT, 1, "two")
    with reading(engine) as tx:
        assert audit.check(tx, noted).faults == ()
        assert audit.check(tx, "f" * 64).faults != ()


def test_who_was_first_holds_a_report_until_nothing_is_heard_of_them(engine, staff, report):
    first, second = staff[RADIOLOGIST], staff[RESIDENT]
    with transaction(engine) as tx:
        assert reports.hold(tx, first, report.report_id, now=100.0) == first.id
        assert reports.hold(tx, second, report.report_id, now=200.0) == first.id
        assert reports.hold(tx, second, report.report_id, now=200.0 + reports.HOLD_S) == second.id


def test_what_is_not_there_is_said_to_be_not_there(engine, report):
    with pytest.raises(NotThere):
        newest(engine, report, 9)


def test_no_update_is_lost_among_many_at_once(engine, staff, report):
    """Sixteen people save as fast as they can; each save builds on the version it saw."""

    def person(number):
        done = 0
        while done < 5:
            seen = newest(engine, report)
            words = [*json.loads(seen.content).get("by", []), number]
            change = Change(report.report_id, seen.number, json.dumps({"by": words}), f"{number}-{done}-{seen.number}")
            try:
                with transaction(engine) as tx:
                    reports.save(tx, staff[RADIOLOGIST], change)
                done += 1
            except Stale:
                continue

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(person, range(16)))
    assert sorted(json.loads(newest(engine, report).content)["by"]) == sorted(list(range(16)) * 5)
    with reading(engine) as tx:
        assert tx.execute(select(table.c.number)).scalar_one() == 81
        assert audit.check(tx).faults == ()


def test_migrating_again_changes_nothing(engine, report):
    migrate(engine)
    assert newest(engine, report).content == text_of("draft")
