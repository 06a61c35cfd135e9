"""A language model in a GGUF file -> a folder that transformers, tokenizers and our own decoder read.

    model.gguf -> config.json, decoder.safetensors (``decoder_weights.py``), tokenizer.json

For the Llama family with a byte-level tokenizer, which SmolLM2 is. GGUF keeps the rows of queries and keys in pairs for its way
to rotate them; they are put back. Reads numbers and words only; nothing of the file is run.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from medomni.errors import BadInput, MissingPart
from medomni.model.decoder_weights import CONFIG, TOKENIZER, save

if TYPE_CHECKING:
    from gguf import GGUFReader

_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def convert(gguf_file: Path, out: Path) -> None:
    """Write the folder of a GGUF file.

    Raises:
        MissingPart: the reader of GGUF files is not installed.
        BadInput: the file holds no Llama model with a byte-level tokenizer.
    """
    try:
        from gguf import GGUFReader
    except ImportError as error:
        raise MissingPart("GGUF files cannot be read", remedy="pip install gguf", where="gguf") from error
    reader = GGUFReader(gguf_file)
    if _field(reader, "general.architecture") != "llama" or _field(reader, "tokenizer.ggml.model") != "gpt2":
        raise BadInput("the model is no Llama with a byte-level tokenizer", remedy="pull the weights again", where=gguf_file.name)
    config = _config(reader)
    (out / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    save(out, _tensors(reader, config))
    _save_tokenizer(reader, out / TOKENIZER)


def _field(reader: "GGUFReader", name: str) -> Any:  # noqa: ANN401  (GGUF fields are of any kind)
    field = reader.fields.get(name)
    if field is None:
        raise BadInput("the model lacks a field", found=name, remedy="pull the weights again", where="gguf")
    return field.contents()


def _config(reader: "GGUFReader") -> dict[str, Any]:
    heads = int(_field(reader, "llama.attention.head_count"))
    width = int(_field(reader, "llama.embedding_length"))
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": width,
        "intermediate_size": int(_field(reader, "llama.feed_forward_length")),
        "num_hidden_layers": int(_field(reader, "llama.block_count")),
        "num_attention_heads": heads,
        "num_key_value_heads": int(_field(reader, "llama.attention.head_count_kv")),
        "head_dim": width // heads,
        "rms_norm_eps": float(np.float32(_field(reader, "llama.attention.layer_norm_rms_epsilon"))),
        "rope_theta": float(_field(reader, "llama.rope.freq_base")),
        "max_position_embeddings": int(_field(reader, "llama.context_length")),
        "vocab_size": len(_field(reader, "tokenizer.ggml.tokens")),
        "bos_token_id": int(_field(reader, "tokenizer.ggml.bos_token_id")),
        "eos_token_id": int(_field(reader, "tokenizer.ggml.eos_token_id")),
        "tie_word_embeddings": True,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
    }


def _tensors(reader: "GGUFReader", config: dict[str, Any]) -> dict[str, Float32[np.ndarray, "..."]]:
    from gguf.quants import dequantize

    tensors = {}
    for tensor in reader.tensors:
        values = np.asarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        stem = tensor.name.removesuffix(".weight")
        if stem in _WHOLE:
            name = _WHOLE[stem]
        elif stem.startswith("blk."):
            _, layer, part = stem.split(".")
            name = f"model.layers.{layer}.{_LAYER[part]}"
            if part in ("attn_q", "attn_k"):
                key = "num_attention_heads" if part == "attn_q" else "num_key_value_heads"
                values = _unpaired(values, int(config[key]))
        else:  # a table of frequencies or an output layer of its own: SmolLM2 has neither
            raise BadInput(
                "the model holds a tensor that is not known", found=stem, remedy="pull the weights again", where="gguf"
            )
        tensors[f"{name}.weight"] = values
    return tensors


def _unpaired(rows: Float32[np.ndarray, "row column"], heads: int) -> Float32[np.ndarray, "row column"]:
    """The rows of each head with the first halves of all pairs before the second halves."""
    count, columns = rows.shape
    paired = rows.reshape(heads, count // heads // 2, 2, columns)
    return np.ascontiguousarray(paired.swapaxes(1, 2).reshape(count, columns))


def _save_tokenizer(reader: "GGUFReader", path: Path) -> None:
    """Byte-level BPE; digits stand alone, and words of the control type are never split."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    words, kinds = _field(reader, "tokenizer.ggml.tokens"), _field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(pair.split(" ", 1)) for pair in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [word for word, kind in zip(words, kinds, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(word, normalized=False, special=True) for word in control])
    tokenizer.save(str(path))
