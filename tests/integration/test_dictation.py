"""A draft with a dictation: typed words and real sound, through the command line."""

import json
import os
import shutil
import subprocess

import pytest

from medomni.model import weights
from medomni.settings import load
from medomni.types.finding import Laterality
from medomni.types.provenance import Provenance
from medomni.types.report import Report
from preprocessing.dictation import read
from preprocessing.ears import Ears, loaded
from preprocessing.speech import read_wav
from preprocessing.voice_edits import expected_words, understand
from tests import drafts

SAID = "There is a solid nodule of eight millimeters in the right upper lobe. No emphysema. Mr Smithson was called."
HOME = load(os.environ).home
"""Where pulled weights are, before a test sets a home of its own."""


def texts(report, kind):
    sections = (report["sections"][name]["sentences"] for name in ("findings", "impression"))
    return {one["text"] for sentences in sections for one in sentences if one["receipt"]["kind"] == kind}


def drafted(medomni, study, out, *words):
    done = medomni("draft", study, "--segmenter", "hu-rules", "--out", out, *words)
    assert done.code == 0, done.err
    return json.loads((out / "report.json").read_bytes())


def test_dictated_findings_reach_the_draft_with_their_words_as_proof(medomni, study, tmp_path):
    (tmp_path / "said.txt").write_text(SAID, encoding="utf-8")
    out = tmp_path / "draft"
    report = drafted(medomni, study, out, "--dictation", tmp_path / "said.txt")
    assert "Nodule in the right upper lobe, 8 mm as dictated." in texts(report, "dictated")
    assert {remark["label"] for remark in report["dictation"]["remarks"]} == {"lung_nodule", "emphysema"}
    assert not (out / "dictation.txt").exists()
    for file in out.iterdir():
        assert b"Smithson" not in file.read_bytes(), file.name
    assert json.loads((out / "run.json").read_bytes())["settings"]["dictation_characters"] == len(SAID)


def test_same_study_without_dictation_says_nothing_of_it(medomni, study, tmp_path):
    report = drafted(medomni, study, tmp_path / "draft")
    assert texts(report, "dictated") == set()
    assert report["dictation"]["characters"] == 0


NEEDS_FLITE = pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite, a speech synthesiser")
NEEDS_EARS = pytest.mark.skipif(not weights.is_pulled(HOME, "speech"), reason="needs: medomni weights pull speech")


@NEEDS_FLITE
@NEEDS_EARS
def test_recording_is_heard_and_what_was_heard_is_shown(medomni, study, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDOMNI_HOME", str(HOME))
    sound = tmp_path / "said.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", SAID, "-o", sound], check=True)
    out = tmp_path / "draft"
    report = drafted(medomni, study, out, "--dictation", sound)
    assert "nodule" in (out / "dictation.txt").read_text("utf-8").lower()
    assert any("8 mm as dictated" in text for text in texts(report, "dictated"))
    assert "dictation_was_heard" in [notice["code"] for notice in report["notices"]]
    assert read((out / "dictation.txt").read_text("utf-8")).remarks, "the file can be given back with its marks"
    assert "hear" in [stage["stage"] for stage in json.loads((out / "run.json").read_bytes())["stages"]]


@NEEDS_FLITE
@NEEDS_EARS
def test_spoken_command_becomes_the_edit_that_the_text_becomes(tmp_path):
    sound = tmp_path / "said.wav"
    said = "Change the nodule in the right upper lobe to nine millimeters and add no emphysema."
    subprocess.run(["flite", "-voice", "slt", "-t", said, "-o", sound], check=True)
    ears = Ears(weights.require(HOME, "speech"), 1)
    of = report()
    heard = ears.hear(read_wav(sound), lambda _: None, expected_words(of))
    assert understand(heard.text, of) == understand(said, of)
    assert [edit.kind for edit in understand(said, of).edits] == ["resize", "state"]
    assert all(0 <= start < end <= len(heard.text) for start, end in heard.doubtful)
    assert loaded(ears.folder, 1) is loaded(ears.folder, 1), "the second dictation does not wait for the weights"


def report():
    nodule = drafts.nodule(1, 11.2, 9.1, laterality=Laterality.RIGHT, anatomy=("lung_upper_lobe_right",))
    draft = drafts.draft(drafts.findings(nodule))
    parts = {name: getattr(draft, name) for name in type(draft).model_fields}
    return Report(**parts, provenance=Provenance(study_key="k", input_sha256="0" * 64))
