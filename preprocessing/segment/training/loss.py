"""Cross-entropy and Dice over partly known targets: voxels may be unjudged, or known to be lung of an unknown lobe."""

import torch

from preprocessing.segment.classes import CLASSES, LABELS, LOBES_LEFT, LOBES_RIGHT
from preprocessing.segment.training.tissues import LUNG_LEFT, LUNG_RIGHT

WEIGHTS = {
    **dict.fromkeys(range(1, len(CLASSES) + 1), 1.0),
    0: 0.25,
    **dict.fromkeys((*LOBES_LEFT, *LOBES_RIGHT, LUNG_RIGHT, LUNG_LEFT), 0.5),
    LABELS["liver"]: 0.6,
    **{LABELS[name]: 1.5 for name in ("kidney_right", "kidney_left", "airway", "pleural_effusion")},
    **{LABELS[name]: 2.0 for name in ("aorta", "esophagus", "pancreas", "gallbladder", "nodule", "lymph_node")},
    **{LABELS[name]: 2.5 for name in ("pulmonary_artery", "lung_opacity")},
}
"""Weight of a voxel of each class in the cross-entropy: about the inverse root of its share, so that small organs are learned."""
_SETS = ((LUNG_RIGHT, LOBES_RIGHT), (LUNG_LEFT, LOBES_LEFT))


def segmentation_loss(scores: torch.Tensor, target: torch.Tensor, dice_weight: float) -> torch.Tensor:
    """Weighted mean cross-entropy of the judged voxels plus ``dice_weight`` times (1 - mean soft Dice) of the classes in view.

    Args:
        scores: (batch, class, z, y, x).
        target: (batch, z, y, x), uint8: a class, lung of an unknown lobe, or ``IGNORE``.
        dice_weight: weight of the Dice part.
    """
    logs = torch.log_softmax(scores, dim=1)
    labels = target.long()
    plain = torch.where(labels < scores.shape[1], labels, 0)
    picked = logs.gather(1, plain[:, None])[:, 0]
    for label, members in _SETS:
        here = labels == label
        if bool(here.any()):
            picked = torch.where(here, torch.logsumexp(logs[:, list(members)], dim=1), picked)
    table = torch.zeros(256, device=scores.device)
    table[list(WEIGHTS)] = torch.tensor(list(WEIGHTS.values()), device=scores.device)
    weights = table[labels]
    entropy = -(picked * weights).sum() / weights.sum().clamp(min=1)
    if dice_weight == 0:
        return entropy
    return entropy + dice_weight * (1 - _dice(logs.exp(), labels))


def _dice(shares: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Mean soft Dice of the classes in view; voxels whose class is not known by name do not count."""
    known = (labels < shares.shape[1]).float()
    flat = torch.where(labels < shares.shape[1], labels, 0).flatten()
    classes = shares.shape[1]
    weighted = (shares * known[:, None]).transpose(0, 1).flatten(1)
    both = torch.zeros(classes, dtype=shares.dtype, device=shares.device)
    own = weighted.gather(0, flat[None])[0]
    both = both.index_add(0, flat, own)
    true = torch.zeros_like(both).index_add(0, flat, known.flatten())
    total = weighted.sum(dim=1) + true
    seen = true > 0
    seen[0] = False
    if not bool(seen.any()):
        return torch.ones((), device=shares.device)
    return ((2 * both[seen] + 1) / (total[seen] + 1)).mean()
