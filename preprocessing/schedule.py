"""How the learning rate of our trainings goes: a linear start, then a half cosine down to a hundredth."""

import math


def share_of_rate(step: int, warm_up: int, steps: int) -> float:
    """Share of the learning rate at a step of a training of ``steps`` steps, the first ``warm_up`` of which rise."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
