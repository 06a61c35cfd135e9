"""Claim: the decoder writes three times as fast as torch in float32, as well as that, and 1.2 times as fast as llama.cpp.

    python benchmarks/decode.py [--json] [--rounds 3] [--tokens 96] [--gguf FILE] [--count 40] [--first-seed 90000]

All parties decode the same prompt greedily with one thread, in turn, each in a fresh child that is warmed up once; tokens per
CPU-second (user and system), the best of the rounds. The model is SmolLM2-135M as ``medomni weights pull decoder`` keeps it: four
bits in the blocks, eight in the table of words, activations rounded to eight. torch computes with the same weights in float32
(transformers, with its cache of keys); the share of words of a text after which both would write the same word is printed.
llama.cpp reads the GGUF file the weights came from
(``--gguf``), when llama-cpp-python is installed; where it is not, that ratio is not measured and its bar not held.

Then both, the decoder and torch in float32, word statements with the adapter ``chest_ct`` as a draft does: drawn as in the
training of the adapter, by ``--count`` seeds it never saw. The guard reads their sentences: written within the grammar, which
holds only sentences that the guard knows; and with the words left free, which is what tells the two apart: there a sentence
counts that says its statement, whether or not it is one of the known ones. The cost of the grammar is all that ``Decoder.write``
does for each token beside the network: building the grammar, what it leaves no choice about, the mask, the choice. Ratios hold
within one run only. Exits with 1 when a figure misses its bar.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.scorecard import Row, all_hold, as_line, at_least, at_most, not_measured, row
from medomni.model.generate import Decoder

TORCH_BAR, LLAMA_BAR, GRAMMAR_BAR_MS, SCORE_BAR = 3.0, 1.2, 0.1, 0.01
ADAPTER = "chest_ct"
PROMPT = "Findings:\n1 stated right pleural effusion {image} {numbers}\n2 possible nodule {image} {numbers} {place}\nSentences:\n"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PARTIES = ("medomni", "torch", "llama.cpp")
WRITERS = ("int4", "float32")


def main() -> int:
    """Print one row for each figure."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--json", action="store_true", help="one JSON object a line")
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--tokens", type=int, default=96)
    words.add_argument("--gguf", type=Path, help="model.gguf of the wheel, for llama.cpp")
    words.add_argument("--count", type=int, default=40, help="prompts of one to six statements that are worded")
    words.add_argument("--first-seed", type=int, default=90_000)
    words.add_argument("--one", choices=(*PARTIES, *WRITERS), help=argparse.SUPPRESS)
    given = words.parse_args()
    folder = decoder_folder()
    if folder is None:
        sys.stderr.write("the decoder is not here (medomni weights pull decoder): nothing was measured\n")
        return 1
    if given.one in WRITERS:
        print(json.dumps(worded(given.one, folder, range(given.first_seed, given.first_seed + given.count))))
        return 0
    if given.one:
        print(json.dumps(measure(given.one, folder, given.tokens, given.gguf)))
        return 0
    rows = [*compare(given.rounds, given.tokens, given.gguf), *wording_rows(given.count, given.first_seed)]
    for one in rows:
        print(json.dumps(one) if given.json else as_line(one))
    return 0 if all_hold(rows) else 1


def decoder_folder() -> Path | None:
    """Where the decoder was pulled to; None when it was not."""
    from medomni.model import weights
    from medomni.settings import load

    home = load(os.environ).home
    return weights.folder_of(home, "decoder") if weights.is_pulled(home, "decoder") else None


def compare(rounds: int, tokens: int, gguf: Path | None) -> list[Row]:
    """Let every party decode in turn and compare the best of each."""
    best: dict[str, dict] = {}
    has_llama = gguf is not None and find_spec("llama_cpp") is not None
    for _ in range(rounds):
        for party in PARTIES if has_llama else PARTIES[:2]:
            found = child(party, "--tokens", str(tokens), *(["--gguf", str(gguf)] if gguf else []))
            if found and found["rate"] > best.get(party, {}).get("rate", 0.0):
                best[party] = found
    mine = best["medomni"]
    rows = [row(f"{party}: tokens per CPU-second", found["rate"]) for party, found in best.items()]
    rows.append(at_least("ratio to torch float32", mine["rate"] / best["torch"]["rate"], TORCH_BAR))
    if "llama.cpp" in best:
        rows.append(at_least("ratio to llama.cpp, same GGUF", mine["rate"] / best["llama.cpp"]["rate"], LLAMA_BAR))
    else:
        why = "llama-cpp-python or --gguf is missing"
        rows.append(not_measured("ratio to llama.cpp, same GGUF", why, LLAMA_BAR))
    alike = float(np.mean(np.equal(mine["words"], best["torch"]["words"])))
    rows.append(row("share of words after which torch would write the same word", alike))
    return rows


def child(party: str, *more: str) -> dict:
    """What one party finds in a fresh process with one thread; nothing where it fails."""
    command = [sys.executable, __file__, "--one", party, *more]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else {}


def wording_rows(count: int, first_seed: int) -> list[Row]:
    """What the guard says of the sentences of both writers, and what the grammar costs."""
    seeds = ("--count", str(count), "--first-seed", str(first_seed))
    mine, exact = (child(writer, *seeds) for writer in WRITERS)
    rows = [
        row(f"sentences that the guard lets stand, {kind}: {writer} (n = {len(one[key])})", float(np.mean(one[key])))
        for key, kind in (("stands", "within the grammar"), ("says", "words free"))
        for writer, one in zip(WRITERS, (mine, exact), strict=True)
    ]
    title = "sentences that say their statement, words free: float32 less int4"
    rows.append(at_most(title, float(np.mean(exact["says"]) - np.mean(mine["says"])), SCORE_BAR))
    alike = float(np.mean(np.equal(mine["texts"], exact["texts"])))
    rows.append(row("sentences within the grammar that both write alike", alike))
    rows.append(at_most("grammar, CPU ms a token", mine["grammar_ms"], GRAMMAR_BAR_MS))
    rows.append(row("of these for building it", mine["building_ms"]))
    return rows


class Timed(Decoder):
    """The decoder, with the CPU-seconds that its network took, its adapter put in among them."""

    reading_s = 0.0

    def _request(self, adapter: Any = None) -> Any:  # noqa: ANN401
        start = time.process_time()
        found = super()._request(adapter)
        self.reading_s += time.process_time() - start
        return found

    def _read(self, request: Any, embeddings: np.ndarray, place: int) -> tuple[np.ndarray, int]:  # noqa: ANN401
        start = time.process_time()
        found = super()._read(request, embeddings, place)
        self.reading_s += time.process_time() - start
        return found


class InTorch(Timed):
    """The same decoder with torch in float32 for its network, whose time is not taken; one adapter is added to the weights."""

    adapter: Any = None

    @cached_property
    def _plain(self) -> Any:  # noqa: ANN401
        import torch

        model = plain_model(self.folder)
        head = self.shape.head
        sizes = [self.shape.heads * head, self.shape.shared_heads * head, self.shape.shared_heads * head]
        for layer, (down, up) in (self.adapter.blocks if self.adapter else {}).items():
            attention = model.model.layers[layer].self_attn
            parts = (attention.q_proj, attention.k_proj, attention.v_proj)
            for part, more in zip(parts, torch.from_numpy(up @ down).split(sizes), strict=True):
                part.weight.data += more
        return model

    def _request(self, adapter: Any = None) -> Any:  # noqa: ANN401
        from transformers import DynamicCache

        self.adapter = adapter
        return DynamicCache()

    def _read(self, request: Any, embeddings: np.ndarray, place: int) -> tuple[np.ndarray, int]:  # noqa: ANN401
        import torch

        with torch.inference_mode():
            out = self._plain(inputs_embeds=torch.from_numpy(embeddings)[None], past_key_values=request, use_cache=True)
        return out.logits[0, -1].numpy(), place + len(embeddings)


def worded(writer: str, folder: Path, seeds: Sequence[int]) -> dict:
    """What a writer makes of drawn statements: which sentences stand, and the cost of the grammar."""
    from llguidance import LLMatcher

    from adapters import wordings
    from app import wiring
    from medomni.model.adapter import base_identity, load
    from medomni.model.prompt import TOKENS_EACH, grammar, prompt, sentences
    from medomni.reporting.guard import Reason, objection

    decoder = Timed(folder) if writer == "int4" else InTorch(folder)
    write = partial(decoder.write, adapter=load(wiring.adapter_folder(Path(ADAPTER)), decoder.shape, base_identity()))
    asked = [wordings.draw(np.random.default_rng(seed)) for seed in seeds]
    write(prompt(asked[0]), grammar(asked[0]), TOKENS_EACH)  # warms up
    decoder.reading_s, spent, building, tokens = 0.0, 0.0, 0.0, 0
    texts, stands, says = list[str](), list[bool](), list[bool]()
    for statements in asked:
        count = len(statements)
        start = time.process_time()
        written = write(prompt(statements), grammar(statements), TOKENS_EACH * count)
        written_at = time.process_time()
        LLMatcher(decoder._grammars, LLMatcher.grammar_from_lark(grammar(statements)))
        spent, building = spent + written_at - start, building + time.process_time() - written_at
        tokens += written.tokens + written.taken
        said = sentences(written.text, count)
        texts += said
        stands += [objection(text, one, "en") is None for one, text in zip(statements, said, strict=True)]
    grammar_ms = 1000 * (spent - decoder.reading_s) / tokens
    for statements in asked:
        written = write(prompt(statements), freely(len(statements)), TOKENS_EACH * len(statements))
        said = sentences(written.text, len(statements))
        says += [objection(text, one, "en") in (None, Reason.WORDING) for one, text in zip(statements, said, strict=True)]
    return {"texts": texts, "stands": stands, "says": says, "grammar_ms": grammar_ms, "building_ms": 1000 * building / tokens}


def freely(count: int) -> str:
    """A grammar of numbered lines that leaves their words free."""
    lines = " ".join(f'"{number} " WORDS "\\n"' for number in range(1, count + 1))
    return f"start: {lines}\nWORDS: /[^\\n]{{1,200}}/"


def measure(party: str, folder: Path, tokens: int, gguf: Path | None) -> dict:
    """Tokens per CPU-second of one party, and the likeliest word after each of the prompt."""
    return {"medomni": measure_ours, "torch": measure_torch, "llama.cpp": measure_llama}[party](folder, tokens, gguf)


def measure_ours(folder: Path, tokens: int, _gguf: Path | None) -> dict:
    """The graph of ``medomni.model.generate``."""
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
    return {"rate": tokens / spent, "words": words}


def measure_torch(folder: Path, tokens: int, _gguf: Path | None) -> dict:
    """Transformers in float32 with the same values."""
    import torch
    from llguidance import LLTokenizer

    from medomni.model.decoder_weights import TOKENIZER

    model = plain_model(folder)
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


def plain_model(folder: Path) -> Any:  # noqa: ANN401
    """The language model in torch, in float32."""
    import torch
    from safetensors import safe_open
    from transformers import LlamaConfig, LlamaForCausalLM

    from medomni.model.decoder_weights import CONFIG, WEIGHTS, StoredWeights

    torch.set_num_threads(1)
    model = LlamaForCausalLM(LlamaConfig(**json.loads((folder / CONFIG).read_text()))).eval()
    stored = StoredWeights(safe_open(folder / WEIGHTS, "np"))
    model.load_state_dict({name: torch.from_numpy(values) for name, values in stored.as_plain()}, strict=False)
    return model


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
