"""The phrase banks: the same keys and slots in both languages, and no word of a report anywhere else."""

import ast
import re
from pathlib import Path

import pytest

import medomni
from medomni.reporting.phrases import bank, notice_text, notice_texts, notice_words, slots_of
from medomni.reporting.vocabulary import vocabulary
from medomni.types.notice import Notice, NoticeLevel

ROOT = Path(medomni.__file__).parents[1]
PACKAGES = ("medomni", "preprocessing", "adapters", "evaluation", "app")
REASONS = (
    "outside_field_of_view not_segmented no_detector no_anatomy_found unusual_image region_not_supported side_unknown "
    "resolution_too_low not_excluded one_lung_only too_little_shown contrast_medium metal image_too_noisy"
)


def test_both_banks_have_the_same_keys():
    assert bank("en").words.keys() == bank("zh").words.keys()


@pytest.mark.parametrize("key", sorted(bank("en").words))
def test_both_banks_have_the_same_slots(key):
    assert slots_of(bank("en").words[key]) == slots_of(bank("zh").words[key])


def test_no_phrase_holds_a_number_of_its_own():
    for language in ("en", "zh"):
        assert [text for text in bank(language).words.values() if re.search(r"[0-9]", text)] == []


def test_chinese_phrases_use_chinese_punctuation():
    for key, text in bank("zh").words.items():
        assert not re.search(r"[\u4e00-\u9fff][,;:?!]", text), key


def test_every_clinical_label_has_a_noun_and_every_reason_has_words():
    clinical = {name for name, entry in vocabulary().labels.items() if not entry.is_measurement_only}

    assert {key.removeprefix("noun.") for key in bank("en").words if key.startswith("noun.")} == clinical
    assert {f"reason.{code}" for code in REASONS.split()} <= bank("en").words.keys()


def test_every_step_of_the_ladder_has_words():
    assert {f"hedge.{step.name}" for step in vocabulary().hedges} <= bank("en").words.keys()


def test_lists_are_joined_as_the_language_joins_them():
    assert bank("en").listed(["a", "b", "c"], "or") == "a, b or c"
    assert bank("zh").listed(["a", "b", "c"], "or") == "a、b或c"
    assert bank("en").listed(["a"]) == "a"
    assert bank("en").listed([]) == ""


def test_a_sentence_starts_with_a_capital():
    assert bank("en").sentence("line.plain", finding="opacity", details="", image="") == "Opacity."


def test_a_missing_slot_is_our_mistake_and_raises():
    with pytest.raises(KeyError):
        bank("en").say("line.plain", finding="opacity")


def test_an_unknown_language_raises():
    with pytest.raises(ValueError, match="fr"):
        bank("fr")


def emitted_codes():
    """Every notice code that the source tree writes, directly or through a local function that passes its code on."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            passing = {
                node.name: [a.arg for a in node.args.args].index("code")
                for node in ast.walk(tree)
                if isinstance(node, ast.FunctionDef) and "code" in [a.arg for a in node.args.args] and _makes_notice(node)
            }
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
                name = getattr(call.func, "id", getattr(call.func, "attr", ""))
                values = [k.value for k in call.keywords if k.arg == "code"] if name == "Notice" or name in passing else []
                if name in passing and not values:
                    place = passing[name] - (1 if isinstance(call.func, ast.Attribute) else 0)
                    values = call.args[place : place + 1]
                for constant in (c for value in values for c in ast.walk(value) if isinstance(c, ast.Constant)):
                    found.setdefault(constant.value, path)
    return found


def _makes_notice(function):
    calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
    return any(getattr(call.func, "id", "") == "Notice" for call in calls)


def test_every_notice_of_the_source_tree_has_words_in_both_languages():
    missing = {
        code: str(path.relative_to(ROOT))
        for code, path in emitted_codes().items()
        if notice_words().get(code, {}).keys() < {"en", "zh"}
    }

    assert missing == {}
    assert "side_contradicts_finding" in notice_words()


def test_the_words_of_a_notice_have_the_same_slots_in_both_languages():
    for code, words in notice_words().items():
        assert words.keys() == {"en", "zh"}, code
        assert slots_of(words["en"]) == slots_of(words["zh"]), code


def test_a_notice_names_labels_organs_and_reasons_in_the_language():
    notice = Notice(code="organ_not_evaluated_but_named", fields={"organ": "liver", "reason": "not_segmented"})

    assert notice_text(notice, "en") == "The text speaks of an organ that was not evaluated: liver (not segmented)."
    assert "肝" in notice_text(notice, "zh")
    assert "未分割" in notice_text(notice, "zh")


def test_a_notice_without_words_names_its_code():
    assert notice_text(Notice(code="never_heard_of"), "en") == "Notice without wording: never_heard_of."
    assert "never_heard_of" in notice_text(Notice(code="never_heard_of"), "zh")


def test_a_notice_without_its_field_still_reads():
    assert notice_text(Notice(code="prior_after_study"), "en").endswith("(days: not stated).")


def test_a_hostile_field_is_shown_as_data():
    hostile = "{0.__class__}\x1b[31m\u202e" + "x" * 500
    text = notice_text(Notice(code="number_without_source", fields={"number": hostile, "section": "findings"}), "en")

    assert "{0.__class__}" in text
    assert "\x1b" not in text
    assert len(text) < 300


def test_no_report_word_is_written_in_python():
    for path in sorted((ROOT / "medomni" / "reporting").glob("*.py")):
        for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
            if getattr(call.func, "id", "") == "Sentence":
                texts = [keyword.value for keyword in call.keywords if keyword.arg == "text"]
                assert not any(isinstance(text, ast.Constant | ast.JoinedStr) for text in texts), path.name


@pytest.mark.parametrize(("language", "names"), [("en", "Lung opacity and consolidation: "), ("zh", "肺内密度增高影及肺实变：")])
def test_notices_that_differ_in_their_label_alone_are_told_as_one(language, names):
    doubted = [Notice(code="model_is_less_sure", fields={"label": label}) for label in ("lung_opacity", "consolidation")]
    other = Notice(code="model_is_less_sure", level=NoticeLevel.INFO, fields={"label": "atelectasis"})
    told = notice_texts([*doubted, other, Notice(code="lungs_partly_covered")], language)
    assert [notice.code for notice, _ in told] == ["model_is_less_sure", "model_is_less_sure", "lungs_partly_covered"]
    assert told[0][1].startswith(names)
