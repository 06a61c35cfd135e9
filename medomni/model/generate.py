"""The decoder: tokens of a CT and a prompt in, text out, word by word, inside a grammar.

    prefix (token, width), prompt, grammar -> text

Greedy, so the same input gives the same text. What the grammar leaves no choice about is not computed but taken over. Needs
neither torch nor transformers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from medomni.errors import MissingPart
from medomni.model import weights
from medomni.model.adapter import Adapter
from medomni.model.decoder_graph import RANK, build
from medomni.model.decoder_weights import TOKENIZER, WEIGHTS, LlamaShape, StoredWeights
from medomni.model.runtime import core, openvino

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from openvino import CompiledModel, InferRequest

ROUNDING = 32
"""Activations are rounded in groups as wide as those of the weights: 1.7 times as fast as products in full precision
(``benchmarks/decode.py``)."""


@dataclass(frozen=True)
class Written:
    """What the decoder wrote.

    Attributes:
        text: the whole text.
        is_whole: whether the grammar came to its end; False when the limit of tokens did first.
        tokens: how many tokens were computed; ``taken`` more were taken over from the grammar.
    """

    text: str
    is_whole: bool
    tokens: int
    taken: int


@dataclass(eq=False)
class Decoder:
    """One language model on the CPU; opened once, then asked many times, each time with the adapter that is given.

    ``rounding`` is how many neighbouring activations share a scale when they are rounded to eight bits; 0 rounds none.
    """

    folder: Path
    threads: int = 1
    rounding: int = ROUNDING
    calls: int = field(default=0, init=False)

    @cached_property
    def shape(self) -> LlamaShape:
        """Sizes of the model."""
        return LlamaShape.read(self.folder)

    @cached_property
    def digest(self) -> str:
        """Digest of the kept model."""
        return weights.digest_of(self.folder)

    @cached_property
    def _words(self) -> Float32[np.ndarray, "word width"]:
        return self._stored.words().values()

    @cached_property
    def _stored(self) -> StoredWeights:
        from safetensors import safe_open

        return StoredWeights(safe_open(self.folder / WEIGHTS, "np"))

    @cached_property
    def _compiled(self) -> "CompiledModel":
        how = {
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self.rounding,
        }
        return core().compile_model(build(self._stored, self.shape), "CPU", how)

    @cached_property
    def _grammars(self) -> "LLTokenizer":
        try:
            from llguidance import LLTokenizer
        except ImportError as error:
            raise MissingPart("grammars cannot be followed", remedy="pip install llguidance", where="llguidance") from error
        return LLTokenizer(str(self.folder / TOKENIZER), n_vocab=self.shape.vocabulary)

    def check(self) -> None:
        """Look for what a text is written with.

        Raises:
            MissingPart: OpenVINO or llguidance is missing.
        """
        openvino()
        _ = self._grammars

    def write(
        self,
        prompt: str,
        grammar: str,
        longest: int,
        prefix: Float32[np.ndarray, "token width"] | None = None,
        heard: Callable[[str], None] = lambda _: None,
        adapter: Adapter | None = None,
    ) -> Written:
        """Write a text.

        Args:
            prompt: what stands before the text.
            grammar: what the text may be, in Lark's notation.
            longest: tokens after which the text is cut.
            prefix: embeddings that stand before the prompt.
            heard: told each piece of text when it is there.
            adapter: what is added to the model for this text alone.
        """
        words = self._grammars  # says so when llguidance is missing
        from llguidance import LLMatcher

        matcher = LLMatcher(words, LLMatcher.grammar_from_lark(grammar))
        if matcher.is_error():
            raise ValueError(f"the grammar cannot be used: {matcher.get_error()}")
        request = self._request(adapter)
        begin = self._words[words.tokenize_str(prompt)]
        logits, place = self._read(request, begin if prefix is None else np.concatenate([prefix, begin]), 0)
        pieces, computed, taken = list[str](), 0, 0
        while computed + taken < longest and not matcher.is_stopped():
            ids = matcher.compute_ff_tokens()[: longest - computed - taken]
            taken += len(ids)
            if not ids:
                ids = [self._likeliest(matcher, logits)]
                computed += 1
            matcher.consume_tokens(ids)
            pieces.append(words.decode_str(ids))
            heard(pieces[-1])
            if not matcher.is_stopped():
                logits, place = self._read(request, self._words[ids], place)
        return Written("".join(pieces), matcher.is_accepting() or matcher.is_stopped(), computed, taken)

    def _likeliest(self, matcher: "LLMatcher", logits: Float32[np.ndarray, "word"]) -> int:
        """The likeliest word that the grammar allows."""
        from llguidance.numpy import allocate_token_bitmask, fill_next_token_bitmask

        mask = allocate_token_bitmask(1, self.shape.vocabulary)
        fill_next_token_bitmask(matcher, mask, 0)
        some = np.flatnonzero(mask[0])  # of 32 words each: a grammar of sentences leaves a few
        bits = np.unpackbits(mask[0, some].view(np.uint8), bitorder="little").reshape(len(some), 32)
        allowed = (some[:, None] * 32 + np.arange(32))[bits > 0]
        return int(allowed[logits[allowed].argmax()])

    def _request(self, adapter: Adapter | None = None) -> "InferRequest":
        """A fresh reading with an adapter in place."""
        from openvino import Tensor

        request = self._compiled.create_infer_request()
        rows = (self.shape.heads + 2 * self.shape.shared_heads) * self.shape.head
        none = (np.zeros((RANK, self.shape.width), np.float32), np.zeros((rows, RANK), np.float32))
        blocks = adapter.blocks if adapter else {}
        for number in range(self.shape.layers):
            down, up = blocks.get(number, none)
            request.set_tensor(f"model.layers.{number}.down", Tensor(down))
            request.set_tensor(f"model.layers.{number}.up", Tensor(up))
        return request

    def _read(
        self, request: "InferRequest", embeddings: Float32[np.ndarray, "token width"], place: int
    ) -> tuple[Float32[np.ndarray, "word"], int]:
        """The scores of the word after some embeddings, and the place after them."""
        self.calls += 1
        after = place + len(embeddings)
        found = request.infer({"embeddings": embeddings[None], "positions": np.arange(place, after, dtype=np.float32)})
        return np.asarray(found[0][0], np.float32), after
