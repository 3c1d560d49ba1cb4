"""Foreground of whole photos from frozen features, and a linear classifier that knows object from background.

The split follows a well-known property of DINOv2 (Oquab et al. 2023, section 7.5): over photos of one kind of thing
the first principal component of all patches separates the object from what surrounds it. Arrays in, arrays out.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

CELLS_A_PHOTO = 40
MOST_CELLS = 80_000


def split_foreground(maps: Iterable[Float[np.ndarray, "D h w"]], rounds: int = 5) -> list[Bool[np.ndarray, "h w"]]:
    """Which cells of each photo are object: two-means on the first principal component of all photos' cells.

    The object is the side that touches the photos' borders less. maps: may be read lazily; it is gone through twice.
    """
    maps = list(maps)
    sample = np.concatenate([_some(m.reshape(m.shape[0], -1).T, seed) for seed, m in enumerate(maps)])
    component = PCA(1, random_state=0).fit(sample[:MOST_CELLS].astype(np.float32))
    scores = [component.transform(m.reshape(m.shape[0], -1).T.astype(np.float32)).reshape(m.shape[1:]) for m in maps]
    pooled = np.concatenate([score.ravel() for score in scores])
    cut = pooled.mean()
    for _ in range(rounds):
        cut = (pooled[pooled > cut].mean() + pooled[pooled <= cut].mean()) / 2
    border = np.concatenate([np.r_[s[0], s[-1], s[1:-1, 0], s[1:-1, -1]] for s in scores])
    above_is_object = (border > cut).mean() < (pooled > cut).mean()
    return [(score > cut) == above_is_object for score in scores]


def object_classifier(
    maps: Iterable[Float[np.ndarray, "D h w"]], foregrounds: Iterable[Float[np.ndarray, "h w"]]
) -> tuple[Float[np.ndarray, " D"], float]:
    """Weight and bias of a logistic regression from a cell's features to being object.

    foregrounds: share of each cell that is object, 0 to 1. Raises ValueError where all cells are of one kind.
    """
    points, kinds = [], []
    for seed, (features, foreground) in enumerate(zip(maps, foregrounds, strict=True)):
        chosen = _some(np.arange(foreground.size)[:, None], seed)[:, 0]
        points.append(features.reshape(features.shape[0], -1).T[chosen].astype(np.float32))
        kinds.append(foreground.ravel()[chosen] > 0.5)
    x, y = np.concatenate(points), np.concatenate(kinds)
    if len(x) > MOST_CELLS:
        kept = np.random.default_rng(0).choice(len(x), MOST_CELLS, replace=False)
        x, y = x[kept], y[kept]
    if y.all() or not y.any():
        raise ValueError("every cell is object, or none is: there is nothing to tell apart")
    fitted = LogisticRegression(C=10, max_iter=300).fit(x, y)
    return fitted.coef_[0], float(fitted.intercept_[0])


def _some(rows: np.ndarray, seed: int) -> np.ndarray:
    """CELLS_A_PHOTO rows, drawn without replacement."""
    count = min(CELLS_A_PHOTO, len(rows))
    return rows[np.random.default_rng(seed).choice(len(rows), count, replace=False)]
