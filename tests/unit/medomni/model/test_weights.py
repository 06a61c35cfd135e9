import json

import pytest

from medomni.errors import BadInput, MissingPart
from medomni.model import weights
from medomni.model.weights import State


def test_shipped_weights_are_the_stated_ones():
    assert {name: weights.state_of_shipped(name) for name in weights.shipped()} == dict.fromkeys(weights.shipped(), State.READY)


def test_unknown_name_is_bad_input():
    with pytest.raises(BadInput, match="decoder"):
        weights.entry("gpt")


def test_weights_that_were_not_pulled_are_a_missing_part(tmp_path):
    with pytest.raises(MissingPart, match="medomni weights pull decoder"):
        weights.require(tmp_path, "decoder")
    assert not weights.is_pulled(tmp_path, "decoder")


def test_folder_with_its_record_is_ready_and_a_changed_byte_is_seen(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"weights")
    assert weights.state_of(tmp_path, "decoder") is State.MISSING
    weights.write_record(tmp_path, "decoder")
    assert weights.state_of(tmp_path, "decoder") is State.READY
    (tmp_path / "model.bin").write_bytes(b"weightz")
    assert weights.state_of(tmp_path, "decoder") is State.DAMAGED


@pytest.mark.parametrize("record", [b"", b"[]", b"{}", json.dumps({"gone.bin": "0"}).encode()])
def test_record_that_says_nothing_or_too_much_is_damaged(tmp_path, record):
    (tmp_path / weights.RECORD).write_bytes(record)
    assert weights.state_of(tmp_path, "decoder") is State.DAMAGED


def test_weights_of_another_release_are_pulled_again(tmp_path, monkeypatch):
    folder = weights.folder_of(tmp_path, "decoder")
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    weights.write_record(folder, "decoder")
    assert weights.is_pulled(tmp_path, "decoder")
    monkeypatch.setattr(weights, "FORM", "2")
    assert not weights.is_pulled(tmp_path, "decoder")
    assert weights.state_of(folder, "decoder") is State.DAMAGED
