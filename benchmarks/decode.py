"""Claim: the decoder writes three times as fast as torch in float32 and 1.2 times as fast as llama.cpp.

    python benchmarks/decode.py [--json] [--rounds 3] [--tokens 96]

All parties decode the same prompt greedily with one thread, in turn, each in a fresh child that is warmed up once; tokens per
CPU-second (user and system), the best of the rounds. The model is SmolLM2-135M as ``medomni weights pull decoder`` keeps it: four
bits in the blocks, eight in the table of words, activations rounded to eight. torch computes with the same weights in float32
(transformers, with its cache of keys); the share of words of a text after which both would write the same word is printed.
llama.cpp reads the GGUF file the weights came from
(``--gguf``), when llama-cpp-python is installed; it is not otherwise. The cost of the grammar is that of a mask of allowed words.
Ratios hold within one run only.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from evaluation.scorecard import all_hold, as_line, at_least, at_most, row

TORCH_BAR, LLAMA_BAR, GRAMMAR_BAR_MS = 3.0, 1.2, 0.1
PROMPT = "Findings:\n1 stated right pleural effusion {image} {numbers}\n2 possible nodule {image} {numbers} {place}\nSentences:\n"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PARTIES = ("medomni", "torch", "llama.cpp")


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--tokens", type=int, default=96)
    words.add_argument("--gguf", type=Path, help="model.gguf of the wheel, for llama.cpp")
    words.add_argument("--one", choices=PARTIES, help=argparse.SUPPRESS)
    given = words.parse_args()
    folder = decoder_folder()
    if folder is None:
        sys.stderr.write("the decoder is not here (medomni weights pull decoder): not run\n")
        return 0
    if given.one:
        print(json.dumps(measure(given.one, folder, given.tokens, given.gguf)))
        return 0
    rows = compare(given.rounds, given.tokens, given.gguf)
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def decoder_folder() -> Path | None:
    """Where the decoder was pulled to; None when it was not."""
    from medomni.model import weights
    from medomni.settings import load

    home = load(os.environ).home
    return weights.folder_of(home, "decoder") if weights.is_pulled(home, "decoder") else None


def compare(rounds: int, tokens: int, gguf: Path | None) -> list[dict]:
    """Let every party decode in turn and compare the best of each."""
    best: dict[str, dict] = {}
    for _ in range(rounds):
        for party in PARTIES:
            command = [sys.executable, __file__, "--one", party, "--tokens", str(tokens)]
            command += ["--gguf", str(gguf)] if gguf else []
            done = subprocess.run(command, capture_output=True, text=True, env=os.environ | ONE_THREAD, check=False)
            found = json.loads(done.stdout) if done.returncode == 0 else {}
            if found and found["rate"] > best.get(party, {}).get("rate", 0.0):
                best[party] = found
    mine = best["medomni"]
    rows = [row(f"{party}: tokens per CPU-second", found["rate"]) for party, found in best.items()]
    rows.append(at_least("ratio to torch float32", mine["rate"] / best["torch"]["rate"], TORCH_BAR))
    if "llama.cpp" in best:
        rows.append(at_least("ratio to llama.cpp, same GGUF", mine["rate"] / best["llama.cpp"]["rate"], LLAMA_BAR))
    else:
        rows.append(row("ratio to llama.cpp: not run (llama-cpp-python or --gguf is missing)", 0.0))
    alike = float(np.mean(np.equal(mine["words"], best["torch"]["words"])))
    rows.append(row("share of words after which torch would write the same word", alike))
    rows.append(at_most("grammar, CPU ms a token", mine["grammar_ms"], GRAMMAR_BAR_MS))
    return rows


def measure(party: str, folder: Path, tokens: int, gguf: Path | None) -> dict:
    """Tokens per CPU-second of one party, and the likeliest word after each of the prompt."""
    return {"medomni": measure_ours, "torch": measure_torch, "llama.cpp": measure_llama}[party](folder, tokens, gguf)


def measure_ours(folder: Path, tokens: int, _gguf: Path | None) -> dict:
    """The graph of ``medomni.model.generate``, and a mask for each token."""
    from llguidance import LLMatcher
    from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

    from medomni.model.generate import Decoder

    decoder = Decoder(folder)
    ids = decoder._grammars.tokenize_str(PROMPT)
    request, place, words = decoder._request(), 0, list[int]()
    for word in ids:
        scores, place = decoder._read(request, decoder._words[[word]], place)
        words.append(int(scores.argmax()))
    for length in (4, tokens):
        request, place = decoder._request(), 0
        scores, place = decoder._read(request, decoder._words[ids], place)
        start = time.process_time()
        for _ in range(length):
            scores, place = decoder._read(request, decoder._words[[int(scores.argmax())]], place)
        spent = time.process_time() - start
    matcher = LLMatcher(decoder._grammars, LLMatcher.grammar_from_lark("start: WORDS\nWORDS: /[A-Za-z ,()-]{0,70}/"))
    mask = allocate_token_bitmask(1, decoder.shape.vocabulary)
    begin = time.process_time()
    for _ in range(200):
        fill_next_token_bitmask(matcher, mask, 0)
    return {
        "rate": tokens / spent,
        "words": words,
        "grammar_ms": 1000 * (time.process_time() - begin) / 200,
    }


def measure_torch(folder: Path, tokens: int, _gguf: Path | None) -> dict:
    """Transformers in float32 with the same values."""
    import torch
    from safetensors import safe_open
    from transformers import LlamaConfig, LlamaForCausalLM

    from medomni.model.decoder_weights import CONFIG, TOKENIZER, WEIGHTS, StoredWeights

    torch.set_num_threads(1)
    model = LlamaForCausalLM(LlamaConfig(**json.loads((folder / CONFIG).read_text()))).eval()
    stored = StoredWeights(safe_open(folder / WEIGHTS, "np"))
    model.load_state_dict({name: torch.from_numpy(values) for name, values in stored.as_plain()}, strict=False)
    from llguidance import LLTokenizer

    ids = LLTokenizer(str(folder / TOKENIZER), n_vocab=model.config.vocab_size).tokenize_str(PROMPT)
    with torch.inference_mode():
        for length in (4, tokens):
            out = model(torch.tensor([ids]), use_cache=True)
            words = out.logits[0].argmax(dim=-1).tolist()
            start = time.process_time()
            for _ in range(length):
                word = out.logits[0, -1].argmax().reshape(1, 1)
                out = model(word, past_key_values=out.past_key_values, use_cache=True)
            spent = time.process_time() - start
    return {"rate": tokens / spent, "words": words}


def measure_llama(_folder: Path, tokens: int, gguf: Path | None) -> dict:
    """llama.cpp with the GGUF file."""
    from llama_cpp import Llama

    model = Llama(str(gguf), n_ctx=512, n_threads=1, n_threads_batch=1, verbose=False)
    ids = model.tokenize(PROMPT.encode(), add_bos=False)
    for length in (4, tokens):
        model.reset()
        model.eval(ids)
        start = time.process_time()
        for _ in range(length):
            model.eval([model.sample(temp=0.0)])
        spent = time.process_time() - start
    return {"rate": tokens / spent, "words": []}


if __name__ == "__main__":
    sys.exit(main())
