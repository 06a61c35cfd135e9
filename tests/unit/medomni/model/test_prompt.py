import pytest

from medomni.model import prompt
from medomni.model.runtime import import_openvino
from medomni.types.finding import Laterality
from tests.unit.medomni.reporting.test_guard import statement

ONE = statement(numbers="about 120 mL", image="12")
TWO = statement("lung_nodule", "possible", Laterality.NONE, place="the left upper lobe", numbers="8 x 6 mm")


def test_decoder_sees_what_is_stated_and_no_number():
    text = prompt.prompt([ONE, TWO])
    assert text == (
        "Findings:\n1 stated right pleural effusion {image} {numbers}\n2 possible nodule {numbers} {place}\nSentences:\n"
        .replace("nodule", prompt.nouns("lung_nodule")[0]).replace("pleural effusion", prompt.nouns("pleural_effusion")[0])
    )  # fmt: skip
    assert "120" not in text


@pytest.mark.parametrize(
    ("text", "is_in"),
    [
        ("1 Right pleural effusion, {numbers} (slice {image}).\n2 Possible nodule in {place}, {numbers}.\n", True),
        ("1 Right pleural effusion, {numbers}.\n2 Possible nodule in {place}, {numbers}.\n", False),
        ("1 Right pleural effusion, 120 {numbers} (slice {image}).\n2 Possible nodule in {place}, {numbers}.\n", False),
        ("2 Possible nodule in {place}, {numbers}.\n", False),
        ("1 Left pleural effusion, {numbers} (slice {image}).\n2 Possible nodule in {place}, {numbers}.\n", False),
        ("1 Right pleural effusion, {numbers} (slice {image}).\n2 Nodule in {place}, {numbers}.\n", False),
    ],
)
def test_answer_has_a_line_for_each_statement_with_each_slot_once(text, is_in):
    llguidance = pytest.importorskip("llguidance")
    if import_openvino() is None:
        pytest.skip("OpenVINO is not installed")
    import tempfile
    from pathlib import Path

    from tests.tiny_llama import write_tiny_llama

    with tempfile.TemporaryDirectory() as folder:
        tokenizer = llguidance.LLTokenizer(str(write_tiny_llama(Path(folder)) / "tokenizer.json"))
    matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(prompt.grammar([ONE, TWO])))
    ids = tokenizer.tokenize_str(text)
    assert (matcher.validate_tokens(ids) == len(ids)) is is_in


def test_answer_is_taken_apart():
    assert prompt.sentences("1 A nodule.\n2 An effusion.\n", 2) == ["A nodule.", "An effusion."]
    assert prompt.sentences("1 A nodule.\n2 An eff", 3) == ["A nodule.", "", ""]


def test_many_statements_are_worded_in_parts():
    assert [len(part) for part in prompt.groups([ONE] * 14)] == [6, 6, 2]
