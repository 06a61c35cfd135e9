"""Qwen-Omni models with next to no weights, saved to disk as their makers save theirs."""

import json

TURNS = ["<|im_start|>", "<|im_end|>"]
WORDS_25 = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>"]
WORDS_3 = ["<|audio_pad|>", "<|audio_start|>", "<|audio_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
WORDS_3 += ["<|video_pad|>"]
"""Added tokens of the makers' tokenizers, for sound, the ends of a sound, the ends of a picture, picture and video."""


def write_tiny_qwen(folder, kind):
    """Write a model of ``qwen2_5_omni_thinker`` or ``qwen3_omni_moe_thinker`` with tokenizer and processors."""
    import torch
    import transformers
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    is_25 = kind.startswith("qwen2_5")
    words = TURNS + (WORDS_25 if is_25 else WORDS_3)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: number for number, word in enumerate([*alphabet, *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in words])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    model = (_tiny_25 if is_25 else _tiny_3)(transformers, len(vocabulary), [vocabulary[word] for word in words[2:]])
    model.save_pretrained(folder)
    picture = {"patch_size": 14 if is_25 else 16, "merge_size": 2, "temporal_patch_size": 2}
    picture |= {"min_pixels": 3136, "max_pixels": 50176, "image_processor_type": "Qwen2VLImageProcessor"}
    sound = {"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": 16, "sampling_rate": 16000, "hop_length": 160}
    sound |= {"chunk_length": 300 if is_25 else 30, "n_fft": 400, "padding_value": 0.0, "return_attention_mask": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(picture | sound))
    return folder


def write_whole_qwen(thinker, folder):
    """Write the model of a folder as its makers give the whole one: what thinks below ``thinker.``, and what speaks."""
    import shutil

    import numpy as np
    from safetensors.numpy import load_file, save_file

    shutil.copytree(thinker, folder)
    config = json.loads((folder / "config.json").read_text())
    kind = config["model_type"].removesuffix("_thinker")
    (folder / "config.json").write_text(json.dumps({"model_type": kind, "thinker_config": config, "talker_config": {}}))
    weights = {f"thinker.{name}": values for name, values in load_file(folder / "model.safetensors").items()}
    weights["talker.codec_head.weight"] = np.zeros((4, 4), np.float32)
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def write_as_vocabulary(thinker, folder):
    """Write the model of a folder with its tokenizer as vocabulary, merges and added tokens, as that of Qwen3-Omni is given."""
    import shutil

    shutil.copytree(thinker, folder)
    told = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    added = {str(one["id"]): {key: one[key] for key in one if key != "id"} for one in told["added_tokens"]}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added, "unk_token": None})
    )
    (folder / "vocab.json").write_text(json.dumps(told["model"]["vocab"]))
    (folder / "merges.txt").write_text("#version: 0.2\n")
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
        audio_token_index=ids[0],
        audio_start_token_id=ids[1],
        audio_end_token_id=ids[2],
        vision_start_token_id=ids[3],
        vision_end_token_id=ids[4],
        image_token_index=ids[5],
        video_token_index=ids[6],
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
        audio_token_id=ids[0],
        audio_start_token_id=ids[1],
        vision_start_token_id=ids[3],
        image_token_id=ids[5],
        video_token_id=ids[6],
    )
    return transformers.Qwen3OmniMoeThinkerForConditionalGeneration(config)
