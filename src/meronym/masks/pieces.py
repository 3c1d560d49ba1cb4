"""One object or several: the pieces of a mask."""

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

LEAST_SHARE = 0.2
"""Of the area of the largest piece: what is smaller is no object of its own."""


def pieces(mask: Bool[np.ndarray, "H W"], least: float = LEAST_SHARE) -> list[Bool[np.ndarray, "H W"]]:
    """The connected pieces of a mask that are at least so large, beside the largest; largest first."""
    label, count = ndimage.label(mask)  # type: ignore[misc]
    size = np.bincount(label.ravel(), minlength=2)[1:]
    large = [k for k in np.argsort(-size, kind="stable")[:count] if size[k] >= least * size.max()]
    return [label == k + 1 for k in large]
