"""The embedded drafter: SmolLM2 with an adapter, on the CPU, without a network, inside a grammar."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import MissingPart
from medomni.model import weights
from medomni.model.adapter import base_identity, load
from medomni.model.generate import Decoder
from medomni.model.prompt import TOKENS_EACH, grammar, groups, prompt, sentences
from medomni.reporting.statement import Statement
from medomni.settings import Settings
from medomni.types.provenance import Part

if TYPE_CHECKING:
    from medomni.pipeline import Shown

NAME = "smollm2"
WEIGHTS = "decoder"
"""Name of the language model among the weights that are pulled."""


@dataclass(eq=False)
class SmolLm2:
    """The drafter of a home folder; what it needs is looked for when the first statement is worded."""

    home: Path
    adapter: Path
    name: str = NAME

    @cached_property
    def _decoder(self) -> Decoder:
        decoder = Decoder(weights.require(self.home, WEIGHTS))
        try:
            shape = decoder.shape
        except (OSError, ValueError, KeyError) as error:
            remedy = f"run: medomni weights verify {WEIGHTS}"
            raise MissingPart("the language model is damaged", found=type(error).__name__, remedy=remedy, where=NAME) from error
        decoder.adapter = load(self.adapter, shape, base_identity())
        return decoder

    @property
    def parts(self) -> tuple[Part, ...]:
        """The language model and its adapter, as far as they are there."""
        if not weights.is_pulled(self.home, WEIGHTS):
            return ()
        adapter = self._decoder.adapter
        model = Part(role="drafter", name="SmolLM2-135M-Instruct", version=base_identity()[-7:], digest=self._decoder.digest)
        return (model, Part(role="adapter", name=adapter.name, version="1", digest=adapter.digest)) if adapter else (model,)

    def word(self, statements: Sequence[Statement], language: str, _shown: "Shown | None" = None) -> list[str]:
        """See ``medomni.pipeline.Drafter``."""
        if language != "en":
            return []
        texts: list[str] = []
        for part in groups(statements):
            written = self._decoder.write(prompt(part), grammar(part), TOKENS_EACH * len(part))
            texts += sentences(written.text, len(part))
        return texts


def drafter(settings: Settings, adapter: Path | None) -> SmolLm2:
    """The embedded drafter with an adapter that was checked.

    Raises:
        ValueError: no adapter is given: without one the model words nothing well.
    """
    if adapter is None:
        raise ValueError("the embedded drafter needs an adapter")
    return SmolLm2(settings.home, adapter)
