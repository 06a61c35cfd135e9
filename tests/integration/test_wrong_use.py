"""Wrong use and bad input: the right exit code, one line on stderr, nothing on stdout, nothing left on disk."""

import wave

import pytest

from tests import factories


@pytest.fixture
def refused(medomni, tmp_path):
    out = tmp_path / "out" / "draft"

    def run(*words):
        done = medomni("draft", *words, "--out", out)
        assert done.out == ""
        assert done.err.count("\n") == 1
        assert "Traceback" not in done.err
        assert not out.parent.exists()
        assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []
        return done.code, done.err

    return run


def test_missing_path(refused, tmp_path):
    code, err = refused(tmp_path / "nowhere")
    assert code == 3
    assert err.startswith("medomni: nowhere: ")


def test_empty_folder(refused, tmp_path):
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty")[0] == 3


def test_photograph(refused, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(500))
    assert refused(tmp_path / "photo.jpg")[0] == 3


def test_magnetic_resonance(refused, tmp_path):
    factories.write_ct(tmp_path / "mr", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    code, err = refused(tmp_path / "mr")
    assert code == 3
    assert "MR" in err


def test_history_file_that_is_missing(refused, study):
    code, err = refused(study, "--history", "notes/history.txt")
    assert (code, err.startswith("medomni: history.txt: ")) == (3, True)


def test_history_in_another_encoding(refused, study, tmp_path):
    (tmp_path / "history.txt").write_bytes("咳嗽".encode("gb18030"))
    code, err = refused(study, "--history", tmp_path / "history.txt")
    assert code == 3
    assert "UTF-8" in err


def test_adapter_that_is_none_is_bad_input(refused, study, tmp_path):
    (tmp_path / "adapter").mkdir()
    assert refused(study, "--adapter", tmp_path / "adapter")[0] == 3


def test_dictation_that_is_no_sound_is_bad_input(refused, study, tmp_path):
    (tmp_path / "d.wav").write_bytes(b"not sound")
    assert refused(study, "--dictation", tmp_path / "d.wav")[0] == 3


def test_recording_without_the_weights_of_the_recogniser_is_a_missing_part(refused, study, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDOMNI_HOME", str(tmp_path / "home"))
    with wave.open(str(tmp_path / "d.wav"), "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(range(256)) * 125)
    code, err = refused(study, "--dictation", tmp_path / "d.wav")
    assert code == 4
    assert "medomni weights pull speech" in err


def test_dictation_that_is_no_text_is_bad_input(refused, study, tmp_path):
    (tmp_path / "said.txt").write_bytes(b"\xff\xfe\xfa")
    code, err = refused(study, "--dictation", tmp_path / "said.txt")
    assert code == 3
    assert "dictation" in err


@pytest.mark.parametrize(("option", "value"), [("--segmenter", "nnunet"), ("--drafter", "gpt")])
def test_part_that_is_not_installed(refused, study, option, value):
    assert refused(study, option, value)[0] == 4


def test_report_in_place_of_a_prior_that_is_none(refused, study, tmp_path):
    (tmp_path / "prior.json").write_text('{"a": 1, "a": 2}')
    assert refused(study, "--prior", tmp_path / "prior.json")[0] == 3


def test_segment_wants_a_nifti_name(medomni, study, tmp_path):
    done = medomni("segment", study, "--out", tmp_path / "seg.png")
    assert done.code == 3
    assert list(tmp_path.iterdir()) == []
