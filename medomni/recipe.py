"""What our trainings share: a recipe from a TOML file, and how the learning rate goes."""

import math
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

Recipe = TypeVar("Recipe")


def recipe_of(kind: type[Recipe], package: str, shipped: str, path: Path | None) -> Recipe:
    """The recipe of a file; without one the ``shipped`` file of the package. Every field of ``kind`` must be there, no other.

    Raises:
        TypeError: a field is missing or unknown.
    """
    text = path.read_text("utf-8") if path else files(package).joinpath(shipped).read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    return kind(**table)


def share_of_rate(step: int, warm_up: int, steps: int) -> float:
    """Share of the learning rate at a step: a linear start of ``warm_up`` steps, then a half cosine down to a hundredth."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
