"""Gated dynamic cross-modal attention: what of each modality reaches the answers, and how much.

    label queries, tokens of each modality, task -> fused queries, gates, importance

In every layer each stream (the queries and the modalities) looks at each modality. A gate in (0, 1) for each pair weighs what it
sees: it knows what both hold, how far the modality agrees with the others about the labels, and the task, and learns to close on
one that contradicts the rest. The importance of the modalities, a distribution, follows from the task and from what each of them
holds: it is learned from what is missed most. Attention is sparse: a narrow score picks the key pairs, only those attend.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from medomni.model.config import LABELS, MODALITIES, TASKS, OmniConfig

ROUTE = 16
"""Channels of the narrow score that picks the pairs."""
AGREEMENTS, SPREAD = 2, 4.0
"""Numbers that compare what a modality says of the labels with what the others say, and their scale: about 1 between patients."""
MASKED, UNSEEN = -1e4, -1e3
"""Score of a pair that does not exist, and what is lower than any score of one that does."""
QUERY = "query"
STREAMS = (QUERY, *MODALITIES)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Tokens of one modality.

    Attributes:
        tokens: (batch, token, width).
        mask: (batch, token).
        claims: (batch, label), logit of each label from this modality by itself; None where it answers nothing by itself.
    """

    tokens: torch.Tensor
    mask: torch.Tensor
    claims: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Fused:
    """What comes out.

    Attributes:
        queries: (batch, label, width).
        streams: the tokens of each modality that was there, having seen the others.
        gates: (batch, layer) for each (stream, modality) pair that was there.
        importance: (batch, modality), 0 for those that were not there.
        multiply_adds: of the attention between streams, as done and as dense attention would need.
    """

    queries: torch.Tensor
    streams: Mapping[str, Tokens]
    gates: Mapping[tuple[str, str], torch.Tensor]
    importance: torch.Tensor
    multiply_adds: tuple[int, int]


class Fusion(nn.Module):
    """See the module."""

    def __init__(self, config: OmniConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.kept = config.kept_pairs
        self.query = nn.Embedding(len(LABELS), config.width)
        self.task = nn.Embedding(len(TASKS), config.width)
        self.kind = nn.Embedding(len(MODALITIES), config.width)
        self.important = nn.Linear(config.width, len(MODALITIES))
        self.telling = nn.Sequential(nn.LayerNorm(config.width), nn.Linear(config.width, 1))
        self.layers = nn.ModuleList(FusionLayer(config) for _ in range(config.fusion_layers))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, given: Mapping[str, Tokens], task: str, kept: float | None = None) -> Fused:
        """Fuse the modalities that are there; ``kept`` overrides the share of pairs that attend, 1 is dense."""
        some = next(iter(given.values())).tokens
        task_token = self.task.weight[TASKS.index(task)].expand(len(some), -1)
        streams = {name: Tokens(one.tokens + self.kind.weight[MODALITIES.index(name)], one.mask) for name, one in given.items()}
        importance = self._importance(streams, task_token)
        agreement = {name: agreed(name, given) for name in given}
        labels = self.query.weight.expand(len(some), -1, -1) + task_token[:, None]
        streams[QUERY] = Tokens(labels, torch.ones(labels.shape[:2], dtype=torch.bool, device=labels.device))
        gates: dict[tuple[str, str], list[torch.Tensor]] = {}
        done = dense = 0
        for layer in self.layers:
            streams, opened, counted = layer(streams, task_token, importance, agreement, self.kept if kept is None else kept)
            for pair, gate in opened.items():
                gates.setdefault(pair, []).append(gate)
            done, dense = done + counted[0], dense + counted[1]
        queries = self.norm(streams.pop(QUERY).tokens)
        stacked = {pair: torch.stack(found, dim=1) for pair, found in gates.items()}
        return Fused(queries, streams, stacked, importance, (done, dense))

    def _importance(self, streams: Mapping[str, Tokens], task_token: torch.Tensor) -> torch.Tensor:
        """A distribution over the modalities that have tokens, from the task and from what they hold."""
        scores = self.important(task_token)
        there, told = torch.zeros_like(scores, dtype=torch.bool), torch.zeros_like(scores)
        for name, one in streams.items():
            there[:, MODALITIES.index(name)] = one.mask.any(dim=1)
            told[:, MODALITIES.index(name)] = self.telling(mean_of(one.tokens, one.mask)).squeeze(-1)
        scores = scores + told
        weights = scores.masked_fill(~there, -1e4).softmax(dim=-1)
        out: torch.Tensor = weights * there
        return out


class FusionLayer(nn.Module):
    """Every stream looks at every modality but itself, then at itself."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        width = config.width
        self.norms = nn.ModuleDict({name: nn.LayerNorm(width) for name in STREAMS})
        self.looks = nn.ModuleDict({name: Look(config) for name in STREAMS})
        self.shows = nn.ModuleDict({name: Show(config) for name in MODALITIES})
        self.gate = nn.Sequential(nn.Linear(3 * width + 1 + AGREEMENTS, width), nn.GELU(), nn.Linear(width, 1))
        self.pair = nn.Parameter(torch.zeros(len(STREAMS), len(MODALITIES)))
        self.own = nn.ModuleDict({name: _feed_forward(width) for name in STREAMS})

    def forward(
        self,
        streams: dict[str, Tokens],
        task: torch.Tensor,
        importance: torch.Tensor,
        agreement: Mapping[str, torch.Tensor],
        kept: float,
    ) -> tuple[dict[str, Tokens], dict[tuple[str, str], torch.Tensor], tuple[int, int]]:
        """The streams afterwards, the gates (batch,) of each pair, and multiply-adds as done and as dense."""
        normed = {name: self.norms[name](one.tokens) for name, one in streams.items()}
        known = Known(
            pooled={name: mean_of(normed[name], one.mask) for name, one in streams.items()},
            there={name: one.mask.any(dim=1, keepdim=True).to(task.dtype) for name, one in streams.items()},
            agreement=agreement,
            task=task,
        )
        shown = {name: self.shows[name](normed[name]) for name in streams if name != QUERY}
        out, gates, done, dense = dict[str, Tokens](), dict[tuple[str, str], torch.Tensor](), 0, 0
        for name, one in streams.items():
            x = one.tokens
            for other, offered in shown.items():
                if other == name:
                    continue
                seen, counted = self.looks[name](normed[name], *offered, streams[other].mask, kept)
                gate = self.opened(name, other, known)
                weight = gate * (len(MODALITIES) * importance[:, MODALITIES.index(other)]).clamp(max=2.0)
                x = x + weight[:, None, None] * seen
                gates[name, other] = gate
                done, dense = done + counted[0], dense + counted[1]
            x = x + self.own[name](x)
            out[name] = Tokens(x, one.mask)
        return out, gates, (done, dense)

    def opened(self, name: str, other: str, known: "Known") -> torch.Tensor:
        """The gate (batch,) through which a stream sees a modality: from both, how alike they are, and the task."""
        rest = [key for key in known.pooled if key not in (QUERY, other)]
        company = sum(((known.pooled[key] * known.there[key]) for key in rest), torch.zeros_like(known.task))
        company = company / sum((known.there[key] for key in rest), torch.zeros_like(known.there[other])).clamp(min=1.0)
        unit = (nn.functional.normalize(vector, dim=-1) for vector in (company, known.pooled[other]))
        likeness = torch.mul(*unit).sum(dim=-1, keepdim=True)
        seen = torch.cat([company, known.pooled[other], known.task, likeness, known.agreement[other]], dim=-1)
        return torch.sigmoid(self.gate(seen).squeeze(-1) + self.pair[STREAMS.index(name), MODALITIES.index(other)])


@dataclass(frozen=True, eq=False)
class Known:
    """What a gate knows: the mean of each stream, which are there, how far each modality agrees with the others, the task."""

    pooled: Mapping[str, torch.Tensor]
    there: Mapping[str, torch.Tensor]
    agreement: Mapping[str, torch.Tensor]
    task: torch.Tensor


def agreed(name: str, given: Mapping[str, Tokens]) -> torch.Tensor:
    """How far a modality says of the labels what the others say, (batch, AGREEMENTS): 0 where there is nothing to compare.

    The overlap (Dice) of what both hold for likely, and how far they differ on average.
    """
    own, mask = given[name].claims, given[name].mask
    none = torch.zeros(len(mask), AGREEMENTS, dtype=given[name].tokens.dtype, device=mask.device)
    others = [(one.claims, one.mask) for key, one in given.items() if key != name and one.claims is not None]
    if own is None or not others:
        return none
    weights = torch.stack([there.any(dim=1) for _, there in others]).to(none.dtype)[..., None]  # (other, batch, 1)
    likely = torch.stack([torch.sigmoid(claims.detach()) for claims, _ in others])
    theirs = (likely * weights).sum(dim=0) / weights.sum(dim=0).clamp(min=1.0)
    mine = torch.sigmoid(own.detach())
    overlap = 2 * (mine * theirs).sum(dim=1) / (mine + theirs).sum(dim=1)
    compared = torch.stack([overlap, (mine - theirs).abs().mean(dim=1)], dim=1)
    return SPREAD * compared * (mask.any(dim=1, keepdim=True) & (weights.sum(dim=0) > 0))


class Show(nn.Module):
    """Keys, values and narrow keys of a modality."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.key = nn.Linear(config.width, config.width)
        self.value = nn.Linear(config.width, config.width)
        self.route = nn.Linear(config.width, ROUTE)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Each (batch, token, channel)."""
        return self.key(x), self.value(x), self.route(x)


class Look(nn.Module):
    """What a stream sees of a modality, over the key pairs that a narrow score picks."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.ask = nn.Linear(config.width, config.width)
        self.route = nn.Linear(config.width, ROUTE)
        self.out = nn.Linear(config.width, config.width)

    def forward(
        self, x: torch.Tensor, key: torch.Tensor, value: torch.Tensor, narrow: torch.Tensor, mask: torch.Tensor, kept: float
    ) -> tuple[torch.Tensor, tuple[int, int]]:
        """(batch, token, width), and multiply-adds as done and as dense attention would need."""
        batch, asked, width = x.shape
        offered = key.shape[1]
        picked = (offered * round(kept * 1000) + 999) // 1000  # whole numbers stay symbols when the model is traced
        routed = self.route(x) @ narrow.transpose(1, 2) / math.sqrt(ROUTE)  # (batch, asked, offered)
        routed = routed.masked_fill(~mask[:, None], MASKED)
        scores, where = routed.topk(picked, dim=-1)  # (batch, asked, picked)
        attend = self._by_mask if self.training else self._by_pairs
        seen = attend(self._parted(self.ask(x)), self._parted(key), self._parted(value), scores, where)
        full = 2 * batch * asked * offered * width
        sparse = batch * asked * (offered * ROUTE + 2 * picked * width) if picked < offered else full
        return self.out(seen.flatten(2)), (int(sparse), int(full))  # sizes are symbols while the model is traced

    def _parted(self, tokens: torch.Tensor) -> torch.Tensor:
        """(batch, token, width) to (batch, token, head, channel)."""
        return tokens.view(*tokens.shape[:2], self.heads, -1)

    @staticmethod
    def _by_pairs(
        question: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        """Only the picked pairs are computed: (batch, asked, head, channel)."""
        rows = torch.arange(len(key), device=key.device)[:, None, None]
        fit = torch.einsum("bahc,bakhc->bahk", question, key[rows, where]) / math.sqrt(key.shape[-1])
        share = (fit + scores[:, :, None]).softmax(dim=-1) * (scores > UNSEEN)[:, :, None]
        return torch.einsum("bahk,bakhc->bahc", share, value[rows, where])

    @staticmethod
    def _by_mask(
        question: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scores: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        """The same from all pairs with the others masked: more arithmetic, far less memory to move when gradients are wanted."""
        routed = scores.new_full((*scores.shape[:2], key.shape[1]), MASKED).scatter(-1, where, scores)
        fit = torch.einsum("bahc,bkhc->bahk", question, key) / math.sqrt(key.shape[-1])
        share = (fit + routed[:, :, None]).softmax(dim=-1) * (routed > UNSEEN)[:, :, None]
        return torch.einsum("bahk,bkhc->bahc", share, value)


def _feed_forward(width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))


def mean_of(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of the tokens that are there, (batch, width); 0 where there is none."""
    weight = mask[..., None].to(x.dtype)
    return (x * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1.0)
