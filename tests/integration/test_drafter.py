"""A draft worded by a model behind a server, through the command line."""

import json
from dataclasses import replace

import numpy as np
import pytest

from app import wiring
from app.commands import draft
from app.progress import StageWatch
from medomni.pipeline import Request, draft_report
from medomni.reporting.phrases import notice_texts
from medomni.settings import load
from medomni.types.dictation import Told
from medomni.types.report import Report
from preprocessing.speech import Recording
from tests.chat_server import chat_server
from tests.unit.medomni.model.backends.test_openai_compatible import obedient


@pytest.fixture
def draft_with(medomni, study, tmp_path, monkeypatch):
    def run(url, *more):
        monkeypatch.setenv("MEDOMNI_DRAFTER_URL", url)
        monkeypatch.setenv("MEDOMNI_DRAFTER_MODEL", "tiny")
        out = tmp_path / "draft"
        done = medomni("draft", study, "--segmenter", "hu-rules", "--drafter", "openai-compatible", "--out", out, *more)
        assert done.code == 0, done.err
        return json.loads((out / "report.json").read_bytes()), json.loads((out / "run.json").read_bytes())

    return run


def test_sentences_of_a_server_reach_the_report_and_are_counted(draft_with):
    with chat_server(obedient) as (url, asked):
        report, run = draft_with(url)
    assert asked
    assert run["wording"]["kept"] == run["wording"]["asked"] > 0
    assert {"role": "drafter", "name": "openai-compatible tiny", "version": "not known", "digest": ""} in report["provenance"][
        "parts"
    ]
    assert all(sentence["receipt"] for sentence in report["sections"]["findings"]["sentences"])


def test_server_that_is_away_leaves_fixed_phrases_and_a_warning(draft_with):
    report, run = draft_with("http://127.0.0.1:9/v1")
    assert {"code": "drafter_not_available", "level": "warning", "fields": {"drafter": "openai-compatible"}} in report["notices"]
    assert run["wording"] == {}
    assert run["settings"]["drafter"] == "openai-compatible"


def test_draft_says_when_the_guard_let_no_sentence_stand(draft_with):
    with chat_server(lambda _: "1. Malignant tumour of the lung.") as (url, asked):
        report, run = draft_with(url)
    assert asked
    assert (run["wording"]["kept"], run["wording"]["asked"] > 0) == (0, True)
    assert {"code": "drafter_kept_nothing", "level": "warning", "fields": {"drafter": "openai-compatible"}} in report["notices"]
    assert {part["role"] for part in report["provenance"]["parts"]}.isdisjoint({"drafter", "adapter"})


def test_chinese_draft_says_that_no_drafter_was_heard(draft_with):
    with chat_server(obedient) as (url, asked):
        report, run = draft_with(url, "--lang", "zh")
    assert not asked
    assert (run["wording"]["kept"], run["wording"]["asked"] > 0) == (0, True)
    assert {"code": "drafter_lacks_language", "level": "info", "fields": {"drafter": "openai-compatible"}} in report["notices"]
    assert any("起草模型 openai-compatible" in text for _, text in notice_texts(Report.model_validate(report).notices, "zh"))


def test_drafter_of_the_settings_words_a_draft_and_an_option_comes_before_it(medomni, study, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDOMNI_DRAFTER", "gpt")
    done = medomni("draft", study, "--segmenter", "hu-rules", "--out", tmp_path / "a")
    assert done.code == 4
    assert "gpt: no drafter has this name" in done.err
    monkeypatch.setenv("MEDOMNI_ADAPTER", str(tmp_path))
    words = ("draft", study, "--segmenter", "hu-rules", "--drafter", "template", "--json", "--out", tmp_path / "b")
    done = medomni(*words)
    assert done.code == 0, done.err
    assert json.loads(done.out)["run"]["settings"]["drafter"] == "template"


class Silent:
    """A drafter with nothing to say."""

    name, parts = "silent", ()

    def word(self, statements, language, shown):
        return []


def test_drafter_is_chosen_by_what_is_in_view(study, tmp_path):
    seen = []

    def choose(coverage):
        seen.append(coverage)
        return Silent()

    stages = replace(wiring.stages("hu-rules", load({"MEDOMNI_HOME": str(tmp_path)})), drafter=choose)
    drafted = draft_report(Request(source=study), stages, StageWatch(is_quiet=True))
    assert seen == [drafted.report.coverage]
    assert seen[0].region == "chest"
    assert drafted.drafter == "silent"
    assert "drafter_kept_nothing" in {notice.code for notice in drafted.report.notices}


class Failing:
    """A drafter that looks at what it is shown and then has no memory left."""

    name, parts = "failing", ()

    def word(self, _statements, _language, shown):
        self.shown = shown
        raise MemoryError


def test_drafter_is_shown_what_was_told_with_its_sound_and_its_failure_costs_no_draft(study, tmp_path):
    drafter = Failing()
    stages = replace(wiring.stages("hu-rules", load({"MEDOMNI_HOME": str(tmp_path)})), drafter=lambda _: drafter)
    sound = draft._sound(Recording(np.sin(np.arange(8000, dtype=np.float32))[None], 8000))
    request = Request(study, "Cough.", "There is an effusion.", is_heard=True, sound=sound)
    with StageWatch(is_quiet=True) as watch:
        drafted = draft_report(request, stages, watch)
    assert drafter.shown.told == Told(history="Cough.", dictation="There is an effusion.")
    assert drafter.shown.sound.shape == (16_000,)
    assert [notice.fields for notice in drafted.report.notices if notice.code == "drafter_not_available"] == [
        {"drafter": "failing"}
    ]
    assert drafted.rewording.asked == 0


def test_qwen_that_fails_within_transformers_leaves_fixed_phrases_and_a_warning(medomni, study, tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    from tests.tiny_qwen import write_tiny_qwen

    model = write_tiny_qwen(tmp_path / "model", "qwen2_5_omni_thinker")
    told = json.loads((model / "preprocessor_config.json").read_text())
    (model / "preprocessor_config.json").write_text(json.dumps(told | {"merge_size": 1}))
    monkeypatch.setenv("MEDOMNI_DRAFTER_MODEL", str(model))
    out = tmp_path / "draft"
    done = medomni("draft", study, "--segmenter", "hu-rules", "--drafter", "qwen-omni", "--out", out)
    assert done.code == 0, done.err
    notices = json.loads((out / "report.json").read_bytes())["notices"]
    assert [notice["fields"] for notice in notices if notice["code"] == "drafter_not_available"] == [{"drafter": "qwen-omni"}]
    assert "drafter_failed" in done.err
