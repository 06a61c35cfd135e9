"""The embedded drafter: SmolLM2 with an adapter, on the CPU, without a network, inside a grammar."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medomni.errors import MissingPart
from medomni.model import weights
from medomni.model.adapter import Adapter, base_identity, load
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
    """The drafter of a home folder with an adapter; what it needs is looked for when the first statement is worded.

    The language model is opened once for each folder and process, whatever the adapters: they go in with each text.
    """

    home: Path
    adapter: Path
    name: str = NAME

    @property
    def _decoder(self) -> Decoder:
        return _opened(weights.require(self.home, WEIGHTS))

    @cached_property
    def _adapter(self) -> Adapter:
        return load(self.adapter, self._decoder.shape, base_identity())

    @property
    def parts(self) -> tuple[Part, ...]:
        """The language model and its adapter, as far as they are there."""
        if not weights.is_pulled(self.home, WEIGHTS):
            return ()
        adapter = self._adapter
        model = Part(role="drafter", name="SmolLM2-135M-Instruct", version=base_identity()[-7:], digest=self._decoder.digest)
        return model, Part(role="adapter", name=adapter.name, version="1", digest=adapter.digest)

    def check(self) -> None:
        """See ``medomni.pipeline.Checkable``."""
        self._decoder.check()
        _ = self._adapter

    def word(self, statements: Sequence[Statement], language: str, _shown: "Shown | None" = None) -> list[str]:
        """See ``medomni.pipeline.Drafter``."""
        if language != "en":
            return []
        texts: list[str] = []
        for part in groups(statements):
            written = self._decoder.write(prompt(part), grammar(part), TOKENS_EACH * len(part), adapter=self._adapter)
            texts += sentences(written.text, len(part))
        return texts


@cache
def _opened(folder: Path) -> Decoder:
    """The language model of a folder, for every drafter of this process.

    Raises:
        MissingPart: its files cannot be read.
    """
    decoder = Decoder(folder)
    try:
        _ = decoder.shape
    except (OSError, ValueError, KeyError) as error:
        remedy = f"run: medomni weights verify {WEIGHTS}"
        raise MissingPart("the language model is damaged", found=type(error).__name__, remedy=remedy, where=NAME) from error
    return decoder


def drafter(settings: Settings, adapter: Path | None) -> SmolLm2:
    """The embedded drafter with an adapter that was checked.

    Raises:
        ValueError: no adapter is given: without one the model words nothing well.
    """
    if adapter is None:
        raise ValueError("the embedded drafter needs an adapter")
    return SmolLm2(settings.home, adapter)
