"""Probabilities and outcomes -> how far the ones are from the others."""

import numpy as np
from jaxtyping import Bool, Float64

BINS = 10


def calibration_error(probabilities: Float64[np.ndarray, "n"], outcomes: Bool[np.ndarray, "n"]) -> float:
    """The expected calibration error (Naeini et al. 2015) over ``BINS`` bins of equal width, 0 to 1; 0 without a probability.

    >>> calibration_error(np.array([0.25, 0.25, 0.25, 0.25]), np.array([True, False, False, False]))
    0.0
    """
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(probabilities[bins == k].mean() - outcomes[bins == k].mean())) * float((bins == k).sum())
        for k in range(BINS)
        if (bins == k).any()
    ]
    return sum(gaps) / max(1, len(probabilities))
