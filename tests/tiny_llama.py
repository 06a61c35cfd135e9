"""A Llama with next to no weights, in the form in which the language model is kept."""

import json

import numpy as np

from medomni.model import weights
from medomni.model.decoder_weights import CONFIG, TOKENIZER, save

WIDTH, INNER, LAYERS, HEADS, SHARED, HEAD = 64, 96, 2, 4, 2, 16


def write_tiny_llama(folder, seed=0):
    """Write the folder and return it; every byte is a word, and ``<|end|>`` ends a text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate([*alphabet, "<|end|>"])}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken("<|end|>", special=True)])
    tokenizer.save(str(folder / TOKENIZER))
    config = {
        "model_type": "llama",
        "hidden_size": WIDTH,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": SHARED,
        "head_dim": HEAD,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 512,
        "vocab_size": len(words),
        "bos_token_id": len(words) - 1,
        "eos_token_id": len(words) - 1,
        "tie_word_embeddings": True,
        "hidden_act": "silu",
    }
    (folder / CONFIG).write_text(json.dumps(config))
    rng = np.random.default_rng(seed)

    def random(*shape):
        return (rng.standard_normal(shape) * 0.2).astype(np.float32)

    tensors = {"model.embed_tokens.weight": random(len(words), WIDTH), "model.norm.weight": 1 + random(WIDTH)}
    for layer in range(LAYERS):
        stem = f"model.layers.{layer}"
        shapes = {
            "q": (HEADS * HEAD, WIDTH),
            "k": (SHARED * HEAD, WIDTH),
            "v": (SHARED * HEAD, WIDTH),
            "o": (WIDTH, HEADS * HEAD),
        }
        tensors |= {f"{stem}.self_attn.{name}_proj.weight": random(*shape) for name, shape in shapes.items()}
        inner = {"gate": (INNER, WIDTH), "up": (INNER, WIDTH), "down": (WIDTH, INNER)}
        tensors |= {f"{stem}.mlp.{name}_proj.weight": random(*shape) for name, shape in inner.items()}
        tensors |= {f"{stem}.{name}.weight": 1 + random(WIDTH) for name in ("input_layernorm", "post_attention_layernorm")}
    save(folder, tensors)
    weights.write_record(folder, "decoder")
    return folder
