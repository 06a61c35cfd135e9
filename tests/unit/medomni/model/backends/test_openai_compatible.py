import re

import pytest

from medomni.errors import BadSettings, MissingPart
from medomni.model.backends.instructions import EXAMPLE, answers, instructions
from medomni.model.backends.openai_compatible import OpenAiCompatible, drafter
from medomni.reporting.guard import objection
from medomni.reporting.rewording import reword
from medomni.settings import load
from medomni.types.finding import Laterality
from medomni.types.section import SectionName
from tests import drafts
from tests.chat_server import chat_server
from tests.unit.medomni.reporting.test_guard import FORMS, statement


def obedient(body):
    """A model that does as it is told."""
    lines = re.findall(r"^(\d+) (stated|probable|possible) (.*?)((?: \{\w+\})*)$", body["messages"][1]["content"], re.MULTILINE)
    said = []
    for number, step, noun, slots in lines:
        text = f"{'' if step == 'stated' else step + ' '}{noun}"
        text += "".join(FORMS[name] for name in ("place", "numbers", "image") if f"{{{name}}}" in slots)
        said.append(f"{number}. {text[:1].upper()}{text[1:]}.")
    return "Here you are:\n" + "\n".join(said)


def test_draft_is_worded_by_a_server_and_keeps_its_numbers():
    draft = drafts.draft(drafts.findings(drafts.effusion(), drafts.nodule()))
    with chat_server(obedient) as (url, asked):
        new, counts = reword(draft, drafts.grid(), OpenAiCompatible(url, "tiny", "secret").word)
    assert (counts.asked, counts.kept) == (3, 3)
    assert any("240 mL" in sentence.text for sentence in new.sections[SectionName.FINDINGS].sentences)
    path, headers, body = asked[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("tiny", 0)


def test_no_number_no_history_and_no_identifier_is_sent():
    draft = drafts.draft(drafts.findings(drafts.effusion(), drafts.nodule()), history="Cough for 3 weeks.")
    with chat_server(obedient) as (url, asked):
        reword(draft, drafts.grid(), OpenAiCompatible(url, "tiny").word)
    sent = asked[0][2]["messages"][1]["content"]
    assert not re.search(r"240|62|8 x 6|88|[Cc]ough", sent)
    assert "possible right pleural effusion" in sent


def test_model_that_invents_is_replaced():
    draft = drafts.draft(drafts.findings(drafts.nodule()))
    with chat_server(lambda _: "1 Malignant tumour of 3 cm in {place}.") as (url, _):
        new, counts = reword(draft, drafts.grid(), OpenAiCompatible(url, "tiny").word)
    assert new == draft
    assert counts.kept == 0


@pytest.mark.parametrize(("answer", "status"), [(b"{}", 200), (b"no json", 200), (b'{"choices": []}', 200), (b"{}", 500)])
def test_server_that_gives_no_answer_is_a_missing_part(answer, status):
    with chat_server(lambda _: answer, status) as (url, _), pytest.raises(MissingPart, match="MEDOMNI_DRAFTER_URL"):
        OpenAiCompatible(url, "tiny").word([statement()], "en")


def test_server_that_is_not_there_is_a_missing_part():
    with pytest.raises(MissingPart):
        OpenAiCompatible("http://127.0.0.1:9/v1", "tiny").word([statement()], "en")


def test_settings_make_the_drafter_and_its_key_is_never_shown():
    known = {"MEDOMNI_DRAFTER_URL": "http://127.0.0.1:1/v1", "MEDOMNI_DRAFTER_MODEL": "m", "MEDOMNI_DRAFTER_KEY": "hunter-2"}
    settings = load(known)
    assert drafter(settings, None).key == "hunter-2"
    assert "hunter-2" not in repr(drafter(settings, None)) + repr(settings) + settings.model_dump_json()
    with pytest.raises(BadSettings):
        drafter(load({}), None)


def test_example_of_the_instructions_passes_the_guard():
    said = answers(EXAMPLE.split("Sentences:\n")[1], 2)
    effusion = statement(step="possible", side=Laterality.LEFT, image="x", numbers="y")
    assert objection(said[0], effusion, "en") is None
    assert objection(said[1], statement("consolidation", side=Laterality.NONE, place="x"), "en") is None
    assert "{A_noun} is probably present." in instructions()


@pytest.mark.parametrize("answer", ["\u00b2 Nodule.", "\u2460 x", "9" * 5000 + " x", "[" * 200_000])
def test_strange_answers_are_no_answers(answer):
    with chat_server(lambda _: answer) as (url, _):
        assert OpenAiCompatible(url, "tiny").word([statement()], "en") == [""]


def test_redirect_is_not_followed_and_the_key_stays_here():
    with chat_server(lambda _: b"{}") as (other, elsewhere), chat_server(lambda _: b"{}", 302, {"Location": other}) as (url, _):
        with pytest.raises(MissingPart):
            OpenAiCompatible(url, "tiny", "secret").word([statement()], "en")
        assert elsewhere == []


def test_proxy_of_the_environment_is_not_asked(monkeypatch):
    with chat_server(lambda _: b"{}") as (proxy, asked_proxy), chat_server(obedient) as (url, asked):
        monkeypatch.setenv("http_proxy", proxy)
        OpenAiCompatible(url, "tiny", "secret").word([statement()], "en")
    assert asked
    assert asked_proxy == []


def test_answers_are_found_by_their_number():
    assert answers("1. A.\n3) C.\n9 x", 3) == ["A.", "", "C."]
