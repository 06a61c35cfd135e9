"""A draft worded by a model behind a server, through the command line."""

import json

import pytest

from tests.chat_server import chat_server
from tests.unit.medomni.model.backends.test_openai_compatible import obedient


@pytest.fixture
def draft_with(medomni, study, tmp_path, monkeypatch):
    def run(url):
        monkeypatch.setenv("MEDOMNI_DRAFTER_URL", url)
        monkeypatch.setenv("MEDOMNI_DRAFTER_MODEL", "tiny")
        out = tmp_path / "draft"
        done = medomni("draft", study, "--segmenter", "hu-rules", "--drafter", "openai-compatible", "--out", out)
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
