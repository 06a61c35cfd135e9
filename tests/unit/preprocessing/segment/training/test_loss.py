import torch

from preprocessing.segment.classes import CHANNELS, LABELS
from preprocessing.segment.training.loss import segmentation_loss
from preprocessing.segment.training.tissues import IGNORE, LUNG_RIGHT

SHAPE = (4, 6, 5)


def scores_of(labels: torch.Tensor, strength: float = 20.0) -> torch.Tensor:
    return strength * torch.nn.functional.one_hot(labels.long(), CHANNELS).permute(0, 4, 1, 2, 3).float()


def uniform(label: int) -> torch.Tensor:
    return torch.full((1, *SHAPE), label, dtype=torch.uint8)


def test_right_answers_cost_nothing() -> None:
    target = torch.randint(0, CHANNELS, (1, *SHAPE), dtype=torch.uint8)
    assert segmentation_loss(scores_of(target), target, 1.0) < 0.01


def test_wrong_answers_cost_much() -> None:
    assert segmentation_loss(scores_of(uniform(LABELS["spleen"])), uniform(LABELS["liver"]), 1.0) > 10


def test_unjudged_voxels_do_not_count() -> None:
    target, answer = uniform(LABELS["liver"]), uniform(LABELS["liver"])
    target[:, 0], answer[:, 0] = IGNORE, LABELS["spleen"]
    assert segmentation_loss(scores_of(answer), target, 1.0) < 0.01


def test_any_lobe_is_right_where_the_lobe_is_unknown_but_no_other_organ_is() -> None:
    target = uniform(LUNG_RIGHT)
    for name in ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"):
        assert segmentation_loss(scores_of(uniform(LABELS[name])), target, 0.0) < 0.01
    for name in ("lung_upper_lobe_left", "liver"):
        assert segmentation_loss(scores_of(uniform(LABELS[name])), target, 0.0) > 10


def test_loss_has_a_gradient_everywhere_it_is_judged() -> None:
    scores = torch.zeros(1, CHANNELS, *SHAPE, requires_grad=True)
    segmentation_loss(scores, uniform(LABELS["heart"]), 1.0).backward()
    assert scores.grad is not None
    assert bool((scores.grad[:, LABELS["heart"]] < 0).all())
