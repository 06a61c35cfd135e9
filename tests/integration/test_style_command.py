"""A style from files, and a draft in it, by the command line."""

import json

from medomni.reporting.edit import apply
from medomni.types.edit import Insert
from medomni.types.report import ReportState
from medomni.types.section import SectionName
from tests.integration.test_draft_command import report_of
from tests.unit.medomni.reporting.test_house_style import TEXTS


def test_style_is_learned_from_files_and_drafts_follow_it(medomni, study, tmp_path, monkeypatch):
    for number, text in enumerate(TEXTS["en"]):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    done = medomni("style", *sorted(tmp_path.glob("*.txt")), "--out", tmp_path / "style.json")
    assert done.code == 0, done.err
    assert "  findings.absent: There is no {findings}.   (10 of 10 reports)\n" in done.out
    assert "There is no {findings}." in (tmp_path / "style.json").read_text(encoding="utf-8")

    monkeypatch.setenv("MEDOMNI_STYLE", str(tmp_path / "style.json"))
    assert medomni("draft", study, "--out", tmp_path / "d").code == 0
    report = report_of(tmp_path / "d")
    assert next(iter(report.sections)) is SectionName.EXAMINATION
    text = (tmp_path / "d" / "report.txt").read_text(encoding="utf-8")
    assert text.index("CONCLUSION") < text.index("FINDINGS")
    assert "There is no " in text


def test_only_signed_reports_teach(medomni, study, tmp_path):
    assert medomni("draft", study, "--out", tmp_path / "d").code == 0
    done = medomni("style", tmp_path / "d" / "report.json", "--out", tmp_path / "style.json")
    assert (done.code, "nobody has signed this report" in done.err) == (3, True)

    draft = report_of(tmp_path / "d")
    for number in range(3):
        text = f"Cough for {number + 2} weeks."
        added = apply(draft, (Insert(section=SectionName.INDICATION, index=0, text=text),))
        signed = added.model_copy(update={"state": ReportState.FINAL})
        (tmp_path / f"{number}.json").write_text(signed.model_dump_json(), encoding="utf-8")
    done = medomni("style", *sorted(tmp_path.glob("[0-2].json")), "--out", tmp_path / "style.json", "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["style"]["sections"], told["style"]["phrases"], told["style"]["reports"]) == ([], {}, 3)


def test_what_is_no_report_or_no_style_is_refused_in_one_line(medomni, study, tmp_path, monkeypatch):
    (tmp_path / "letter.txt").write_text("Dear colleague", encoding="utf-8")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    for path, wrong in (("letter.txt", "too few reports"), ("binary.txt", "not UTF-8"), ("nowhere.txt", "nowhere.txt")):
        done = medomni("style", tmp_path / path, "--out", tmp_path / "style.json")
        assert (done.code, len(done.err.strip().splitlines())) == (3, 1)
        assert wrong in done.err
        assert not (tmp_path / "style.json").exists()
    monkeypatch.setenv("MEDOMNI_STYLE", str(tmp_path / "letter.txt"))
    done = medomni("draft", study, "--out", tmp_path / "d")
    assert done.code == 3
    assert "letter.txt: is no house style" in done.err
