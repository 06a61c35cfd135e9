"""Two masks -> how much they overlap."""

from medomni.types.volume import Mask


def dice(one: Mask, other: Mask) -> float:
    """The Dice coefficient of two masks, 0 to 1; 0 when both are empty.

    >>> import numpy as np
    >>> dice(np.array([[[True, True]]]), np.array([[[True, False]]]))
    0.6666666666666666
    """
    return 2.0 * float((one & other).sum()) / max(1.0, float(one.sum() + other.sum()))
