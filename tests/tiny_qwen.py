"""Qwen-Omni models with next to no weights, saved to disk as their makers save theirs."""

import json

WORDS = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]


def write_tiny_qwen(folder, kind):
    """Write a model of ``qwen2_5_omni_thinker`` or ``qwen3_omni_moe_thinker`` with tokenizer and image processor."""
    import torch
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: number for number, word in enumerate([*alphabet, *WORDS])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in WORDS])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    ids = {name: vocabulary[f"<|{name}|>"] for name in ("image_pad", "vision_start", "vision_end")}
    model = (_tiny_25 if kind.startswith("qwen2_5") else _tiny_3)(transformers, len(vocabulary), ids)
    model.save_pretrained(folder)
    picture = {"patch_size": 14 if kind.startswith("qwen2_5") else 16, "merge_size": 2, "temporal_patch_size": 2}
    picture |= {"min_pixels": 3136, "max_pixels": 50176}
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_processor_type": "Qwen2VLImageProcessor", **picture}))
    return folder


_TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
_ROPE = {"rope_theta": 10000.0, "rope_type": "default"}
_SOUND = {"d_model": 32, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "num_mel_bins": 16}


def _tiny_25(transformers, words, ids):
    config = transformers.Qwen2_5OmniThinkerConfig(
        audio_config={**_SOUND, "output_dim": 32, "n_window": 50},
        vision_config={"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
        | {"patch_size": 14, "fullatt_block_indexes": [0], "window_size": 112},
        text_config={**_TEXT, "vocab_size": words, "rope_parameters": {**_ROPE, "mrope_section": [1, 1, 2]}},
        image_token_index=ids["image_pad"],
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
        audio_token_index=words - 1,
        video_token_index=words - 2,
    )
    return transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)


def _tiny_3(transformers, words, ids):
    experts = {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2, "decoder_sparse_step": 1}
    config = transformers.Qwen3OmniMoeThinkerConfig(
        audio_config={**_SOUND, "output_dim": 32, "n_window": 50, "downsample_hidden_size": 16},
        vision_config={"depth": 1, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
        | {"patch_size": 16, "deepstack_visual_indexes": [0], "num_position_embeddings": 64},
        text_config={**_TEXT, **experts, "head_dim": 8, "vocab_size": words}
        | {"rope_parameters": {**_ROPE, "mrope_section": [1, 1, 2], "mrope_interleaved": True}},
        image_token_id=ids["image_pad"],
        vision_start_token_id=ids["vision_start"],
        audio_token_id=words - 1,
        video_token_id=words - 2,
    )
    return transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config)
