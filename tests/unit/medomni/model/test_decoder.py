import json

import numpy as np
import pytest

from medomni.model import quantize
from medomni.model.adapter import Adapter
from medomni.model.decoder_graph import RANK
from medomni.model.decoder_weights import CONFIG, WEIGHTS, LlamaShape, StoredWeights
from medomni.model.generate import Decoder
from medomni.model.runtime import import_openvino
from tests.tiny_llama import HEAD, HEADS, LAYERS, SHARED, WIDTH, write_tiny_llama

pytestmark = pytest.mark.skipif(import_openvino() is None, reason="OpenVINO is not installed")
LINES = r"""
start: "1. " WORDS "{size}" WORDS ".\n2. " WORDS ".\n"
WORDS: /[a-z ]{1,12}/
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def decoder(folder):
    pytest.importorskip("llguidance")
    return Decoder(folder, rounding=0)


@pytest.fixture(scope="module")
def reference(folder):
    """The same weights in transformers, in plain numbers."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    from safetensors import safe_open

    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**json.loads((folder / CONFIG).read_text())))
    tensors = {name: torch.from_numpy(values) for name, values in StoredWeights(safe_open(folder / WEIGHTS, "np")).as_plain()}
    assert set(model.load_state_dict(tensors, strict=False).unexpected_keys) == set()
    return model.eval()


def thin_blocks(seed=1):
    rng = np.random.default_rng(seed)
    rows = (HEADS + 2 * SHARED) * HEAD
    return {
        layer: (
            rng.standard_normal((RANK, WIDTH)).astype(np.float32) * 0.1,
            rng.standard_normal((rows, RANK)).astype(np.float32) * 0.1,
        )
        for layer in range(LAYERS)
    }


def scores(decoder, embeddings, adapter=None):
    return decoder._read(decoder._request(adapter), embeddings, 0)[0]


def test_four_bits_lose_no_more_than_a_step():
    values = np.random.default_rng(0).standard_normal((6, 64)).astype(np.float32)
    small = quantize.to_int4(values)
    step = small.scales.astype(np.float32).repeat(quantize.GROUP, axis=1)
    kept = (np.abs(values) < 0.8 * np.abs(values).max(axis=1, keepdims=True)) & (np.abs(small.values() - values) <= step)
    assert kept.mean() > 0.9
    assert small.shape == values.shape
    assert np.abs(quantize.to_int8(values).values() - values).max() <= np.abs(values).max() / 127


def test_joined_matrices_are_their_rows_in_turn():
    one, other = (np.random.default_rng(seed).standard_normal((2, 32)).astype(np.float32) for seed in (1, 2))
    parts = [quantize.to_int4(one), quantize.to_int4(other)]
    assert np.array_equal(quantize.joined(parts).values(), np.concatenate([part.values() for part in parts]))


def test_graph_scores_as_the_plain_model_does(decoder, reference):
    import torch

    ids = [3, 14, 15, 92, 65]
    with torch.no_grad():
        expected = reference(torch.tensor([ids])).logits[0, -1].numpy()
    assert np.allclose(scores(decoder, decoder._words[ids]), expected, atol=2e-3)


def test_rounded_activations_score_nearly_the_same(folder, decoder):
    ids, rounded = [3, 14, 15, 92, 65], Decoder(folder)
    exact = scores(decoder, decoder._words[ids])
    assert np.corrcoef(scores(rounded, rounded._words[ids]), exact)[0, 1] > 0.99


def test_word_after_word_scores_as_all_at_once(decoder):
    ids, request, place = [3, 14, 15, 92, 65], decoder._request(), 0
    for word in ids:
        found, place = decoder._read(request, decoder._words[[word]], place)
    assert np.allclose(found, scores(decoder, decoder._words[ids]), atol=2e-3)


def test_adapter_changes_scores_as_merged_weights_do(folder, reference):
    import copy

    import torch

    adapter, merged = Adapter("a", thin_blocks()), copy.deepcopy(reference)
    sizes = [HEADS * HEAD, SHARED * HEAD, SHARED * HEAD]
    for layer, (down, up) in adapter.blocks.items():
        attention = merged.model.layers[layer].self_attn
        added = torch.from_numpy(up @ down).split(sizes)
        for part, more in zip((attention.q_proj, attention.k_proj, attention.v_proj), added, strict=True):
            part.weight.data += more
    ids = [3, 14, 15, 92, 65]
    with torch.no_grad():
        expected = merged(torch.tensor([ids])).logits[0, -1].numpy()
        plain = reference(torch.tensor([ids])).logits[0, -1].numpy()
    decoder = Decoder(folder, rounding=0)
    found = scores(decoder, decoder._words[ids], adapter)
    assert np.allclose(found, expected, atol=2e-3)
    assert not np.allclose(found, plain, atol=2e-2)


def test_adapter_is_swapped_without_opening_the_model_again(folder):
    decoder = Decoder(folder, rounding=0)
    compiled, ids = decoder._compiled, [3, 14, 15]
    plain = scores(decoder, decoder._words[ids])
    adapted = scores(decoder, decoder._words[ids], Adapter("a", thin_blocks()))
    assert np.array_equal(scores(decoder, decoder._words[ids]), plain)
    assert not np.allclose(adapted, plain, atol=2e-2)
    assert decoder._compiled is compiled


def test_text_follows_its_grammar_and_is_the_same_each_time(decoder):
    import re

    heard = []
    one = decoder.write("say: ", LINES, 80, heard=heard.append)
    assert re.fullmatch(r"1\. [a-z ]{1,12}\{size\}[a-z ]{1,12}\.\n2\. [a-z ]{1,12}\.\n", one.text)
    assert one.is_whole
    assert "".join(heard) == one.text
    assert one.taken >= len("1. ") + len("{size}")
    assert decoder.write("say: ", LINES, 80) == one


def test_text_is_cut_at_its_limit_and_says_so(decoder):
    short = decoder.write("say: ", LINES, 9)
    assert not short.is_whole
    assert short.tokens + short.taken <= 9


def test_prefix_changes_what_is_written(decoder):
    prefix = np.random.default_rng(0).standard_normal((4, WIDTH)).astype(np.float32)
    assert decoder.write("say: ", LINES, 80, prefix).text != decoder.write("say: ", LINES, 80).text


def test_grammar_that_is_none_is_our_mistake(decoder):
    with pytest.raises(ValueError, match="grammar"):
        decoder.write("say: ", "start: (", 10)


def test_sizes_are_those_of_the_folder(folder):
    shape = LlamaShape.read(folder)
    assert (shape.width, shape.layers, shape.heads, shape.shared_heads) == (WIDTH, LAYERS, HEADS, SHARED)
