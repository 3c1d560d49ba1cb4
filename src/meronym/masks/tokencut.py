"""The object as one side of the normalised cut of a photo's cells, each photo for itself.

"Self-Supervised Transformers for Unsupervised Object Discovery using Normalized Cut", Wang, Shen, Hu, Yuan, Crowley,
Vaufreydaz, CVPR 2022: cells are joined where the cosine of their features is above tau, and cut by the second
eigenvector of the normalised Laplacian, at its mean. Two things differ: the features are a backbone's last layer, not
its keys, with tau 0.4, not 0.2; and of the two sides the object is the one that is more in the middle and less at the
border, where the authors take that with the largest entry. The authors' code: YangtaoWANG95/TokenCut, MIT; not used.
"""

import numpy as np
from jaxtyping import Float
from scipy.sparse.linalg import eigsh

from meronym.masks.base import Finder

TAU = 0.4
APART = 1e-5
"""The closeness of cells that are not joined, so that the graph hangs together."""


class TokenCut(Finder):
    def find(self, seen: Float[np.ndarray, "D h w"]) -> Float[np.ndarray, "h w"]:
        height, width = seen.shape[1:]
        cells = seen.reshape(len(seen), -1).T.astype(np.float32)
        side = _cut(cells / np.linalg.norm(cells, axis=1, keepdims=True).clip(1e-6)).reshape(height, width)
        return (side if _central(side) >= _central(~side) else ~side).astype(np.float32)


def _cut(cells: Float[np.ndarray, "N D"]) -> np.ndarray:
    """The side of the normalised cut that each unit vector is on: bool (N,)."""
    close = np.where(cells @ cells.T > TAU, 1, APART)
    root = np.sqrt(close.sum(1))
    first = root / np.linalg.norm(root)  # the trivial eigenvector is taken out, so that the second comes first
    laplacian = close / root[:, None] / root - np.outer(first, first)
    start = np.random.default_rng(0).standard_normal(len(cells))
    if np.abs(laplacian).max() < 1e-9:  # all cells are alike
        return np.zeros(len(cells), bool)
    _, vectors = eigsh(laplacian, k=1, which="LA", tol=1e-3, v0=start)  # type: ignore[arg-type]
    vector = vectors[:, 0] / root
    return vector > vector.mean()


def _central(side: np.ndarray) -> float:
    """Its share of the middle quarter of the grid, less its share of the outer two rings."""
    height, width = side.shape
    border = np.ones(side.shape, bool)
    border[2:-2, 2:-2] = False
    middle = side[height // 4 : -(height // 4) or None, width // 4 : -(width // 4) or None]
    return float(middle.mean() - side[border].mean())
