r"""The omni model, read top to bottom: a CT, a history and a dictation in; labels and fused tokens out.

    Scan -> VisionHybrid --\
    text -> TextEncoder  ----> Fusion -> label queries -> logits, prefix of the decoder
    sound -> AudioHybrid --/       \-> pooled tokens -> the shared space in which matching pairs lie close

A modality that is not given is never built nor run: ``calls`` counts what ran.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from medomni.model.audio import AudioHybrid
from medomni.model.config import LABELS, MODALITIES, OmniConfig
from medomni.model.fusion import Fused, Fusion, Tokens, mean_of
from medomni.model.text import Heard, TextEncoder
from medomni.model.vision import Near, Seen, Sight, VisionHybrid

SHARED = 64
"""Channels of the space in which matching pairs are found."""
SAID = ("text", "audio")
"""Modalities of words; what they claim of a label is added to what the answer knows of it without them."""


@dataclass(frozen=True, eq=False)
class Given:
    """What is known of a batch of patients; what is None is not there.

    Attributes:
        seen: what the vision encoder made of the scans.
        text: ids (batch, word) of the history, and of a dictation whose words are known.
        spectra, frames: log-mel spectra (batch, mel, frame) and how many frames of each are sound.
    """

    seen: Seen | None = None
    text: torch.Tensor | None = None
    spectra: torch.Tensor | None = None
    frames: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model answers.

    Attributes:
        logits: (batch, label).
        claims: (batch, label), what each modality that was there says by itself.
        fused: queries, gates and importance.
        shared: a unit vector (batch, SHARED) for each modality that was there.
    """

    logits: torch.Tensor
    fused: Fused
    claims: Mapping[str, torch.Tensor] = field(default_factory=dict)
    shared: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Omni(nn.Module):
    """The model; ``modalities`` says which encoders are built at all."""

    def __init__(self, config: OmniConfig, modalities: Sequence[str] = MODALITIES) -> None:
        """Build with random weights."""
        super().__init__()
        self.config, self.calls = config, Counter[str]()
        if "vision" in modalities:
            self.vision = VisionHybrid(config)
        if "text" in modalities:
            self.text = TextEncoder(config)
            self.heard = Heard(config)
        if "audio" in modalities:
            self.audio = AudioHybrid(config)
            self.overheard = Heard(config)
        self.fusion = Fusion(config)
        self.judge = nn.Linear(config.width, 1)
        self.prior = nn.Parameter(torch.full((len(LABELS),), -1.5))
        self.share = nn.ModuleDict({name: nn.Linear(config.width, SHARED) for name in MODALITIES})
        self.warmth = nn.Parameter(torch.tensor(2.3))

    def see(self, codes: torch.Tensor, structures: torch.Tensor) -> tuple[Seen, Near]:
        """Run the vision encoder on scans."""
        self.calls.update(("near", "far"))
        seen, near = self.vision(codes, structures)
        return seen, near

    def near(self, codes: torch.Tensor, structures: torch.Tensor) -> Near:
        """The half of the vision encoder that costs: what is seen place by place."""
        self.calls["near"] += 1
        found: Near = self.vision.near(codes, structures)
        return found

    def far(self, sight: Sight) -> Seen:
        """The half of the vision encoder that follows."""
        self.calls["far"] += 1
        seen: Seen = self.vision.far(sight)
        return seen

    def forward(self, given: Given, task: str = "label", kept: float | None = None) -> Answer:
        """Answer from what is given.

        Raises:
            ValueError: nothing is given.
        """
        streams = self.encode(given)
        if not streams:
            raise ValueError("nothing is given: no scan, no text, no sound")
        fused = self.fusion(streams, task, kept)
        logits = self.judge(fused.queries).squeeze(-1) + self.prior  # (batch, label)
        if given.seen is not None:
            logits = logits + trust(fused, "vision")[:, None] * given.seen.guess
        claims = {name: one.claims for name, one in streams.items() if one.claims is not None}
        for name in SAID:
            if name in claims:
                logits = logits + trust(fused, name)[:, None] * (claims[name] - self.prior)
        return Answer(logits, fused, claims, {name: self.shared(name, one) for name, one in streams.items()})

    def encode(self, given: Given) -> dict[str, Tokens]:
        """The tokens of each modality that is there."""
        streams = {}
        if given.seen is not None:
            streams["vision"] = Tokens(given.seen.tokens, given.seen.mask, given.seen.guess)
        if given.text is not None:
            self.calls["text"] += 1
            tokens, mask = self.text(given.text)
            streams["text"] = Tokens(tokens, mask, self.heard(tokens, mask) + self.prior)
        if given.spectra is not None and given.frames is not None:
            self.calls["audio"] += 1
            tokens, mask = self.audio(given.spectra, given.frames)
            streams["audio"] = Tokens(tokens, mask, self.overheard(tokens, mask) + self.prior)
        return streams

    def shared(self, name: str, one: Tokens) -> torch.Tensor:
        """One unit vector (batch, SHARED) for each patient."""
        return nn.functional.normalize(self.share[name](mean_of(one.tokens, one.mask)), dim=-1)


def trust(fused: Fused, modality: str) -> torch.Tensor:
    """How far (batch,) the answer follows what a modality says by itself: its gate, and its importance where that is low."""
    gate = fused.gates["query", modality].mean(dim=1)
    return gate * (len(MODALITIES) * fused.importance[:, MODALITIES.index(modality)]).clamp(max=1.0)
