"""Foreground of whole photos from frozen features, and a linear classifier that knows object from background.

People aim the camera at what they photograph. Over many photos of one kind of thing, a classifier of cells in the
middle against cells at the border, so strongly regularised that it can learn little but what all photos share, already
scores object above background; two-means on the scores draws the line, and a classifier trained on that side of the
line draws it better. That finds the object with a halo: cells beside it have seen it too. So the next classifier
learns only what lies inside as object, and the halo as background. The photo's colours know where the object ends:
what is found then is moved to the edges of the photo (guided filter), and the last classifiers are trained on that,
one for each quarter of a cell.

Training a linear classifier on its own refined masks is from FOUND (Siméoni et al., CVPR 2023), which starts from the
least attended cell and refines with a bilateral solver. Nothing is supervised. Arrays in, arrays out.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage
from sklearn.linear_model import LogisticRegression

from meronym.edges import outlined
from meronym.images import averaged
from meronym.masks.base import Finder, Maps

CELLS_A_PHOTO, CELLS = 40, 15_000
"""Seen of each photo, or more where all photos together would have fewer than that."""
MOST_CELLS = 80_000

Lines = tuple[Float[np.ndarray, "Q D"], Float[np.ndarray, " Q"]]
"""Weights and biases of linear classifiers of cells, whose sigmoid is how surely it is object: one classifier of the
whole cell, or one of each of its quarters, row by row. A cell's features tell on which side of it the object ends."""


class Split(Finder):
    """What these photos share in the middle, against what they have at the border."""

    learns = True
    divided = 2
    lines: Lines

    def learn(self, maps: Maps, views: Iterable[Image.Image]) -> None:
        self.lines = learn_object(maps, views)

    def find(self, seen: Float[np.ndarray, "D h w"]) -> Float[np.ndarray, "2*h 2*w"]:
        return certainty(seen, self.lines)


def learn_object(maps: Maps, views: Iterable[Image.Image]) -> Lines:
    """What tells the object of these photos from their backgrounds, for each quarter of a cell.

    maps: called for a fresh pass over the photos' features, once a round. All photos have one grid. views: what the
    features are of. Raises ValueError where there is nothing to tell apart.
    """
    weight, bias = _classifiers(maps(), [_inside(cells) for cells in split_foreground(maps)], strength=1.0)
    bias = -np.array([_two_means(np.stack([_scores(features, weight)[0] for features in maps()]))], np.float32)
    refined = []
    for features, view in zip(maps(), views, strict=True):
        refined.append(along_edges(certainty(features, (weight, bias)), view, features.shape[1:], divided=2))
    return _classifiers(maps(), refined, strength=1.0)


def _scores(features: Float[np.ndarray, "D h w"], weight: Float[np.ndarray, "Q D"]) -> Float[np.ndarray, "Q h w"]:
    return np.tensordot(weight, features.astype(np.float32), 1)


def _inside(cells: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Without those that touch the background; all of them where that leaves none."""
    core = ndimage.binary_erosion(cells, np.ones((3, 3)), border_value=1)
    return (core if core.any() else cells).astype(np.float32)


def certainty(features: Float[np.ndarray, "D h w"], lines: Lines) -> Float[np.ndarray, "i j"]:
    """How surely each cell is object, 0 to 1, or each quarter of a cell: twice as many rows and columns."""
    sure = 1 / (1 + np.exp(-(_scores(features, lines[0]) + lines[1][:, None, None])))
    side, (height, width) = math.isqrt(len(sure)), sure.shape[1:]
    return sure.reshape(side, side, height, width).transpose(2, 0, 3, 1).reshape(side * height, side * width)


def along_edges(
    share: Float[np.ndarray, "i j"], view: Image.Image, grid: tuple[int, int], divided: int = 1
) -> Float[np.ndarray, "_ _"]:
    """The share of each cell of a grid (h, w) that is object, once its outline is moved to the edges of the photo.

    divided: of how many by how many places of a cell, each by itself.
    """
    outline = outlined(torch.from_numpy(share).float(), view, grid)
    return averaged(outline, (divided * grid[0], divided * grid[1]))


def split_foreground(maps: Maps, rounds: int = 3) -> list[Bool[np.ndarray, "h w"]]:
    """Which cells of each photo are object, or beside it: what `learn_object` starts from."""
    seeds = [_middle_and_border(features.shape[1:]) for features in maps()]
    for _ in range(rounds):
        weight, _ = _classifiers(maps(), seeds, strength=1e-3)
        scores = np.stack([_scores(features, weight)[0] for features in maps()])
        seeds = list((scores > _two_means(scores)).astype(np.float32))
    return [seed > 0.5 for seed in seeds]


def _middle_and_border(grid: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    """1 in the middle third, 0 in the outer two rings, NaN (no statement) between."""
    height, width = grid
    y, x = np.mgrid[:height, :width]
    edge = np.minimum.reduce([y, x, height - 1 - y, width - 1 - x])
    middle = (abs(y - (height - 1) / 2) < height / 6) & (abs(x - (width - 1) / 2) < width / 6)
    return np.where(middle, 1.0, np.where(edge < 2, 0.0, np.nan)).astype(np.float32)


def _two_means(values: np.ndarray, rounds: int = 8) -> float:
    """The threshold between two clusters of numbers."""
    cut = float(values.mean())
    for _ in range(rounds):
        above = values > cut
        if above.all() or not above.any():
            return cut
        cut = float(values[above].mean() + values[~above].mean()) / 2
    return cut


def object_classifiers(
    maps: Iterable[Float[np.ndarray, "D h w"]], foregrounds: Sequence[Float[np.ndarray, "i j"]]
) -> Lines:
    """Logistic regressions from a cell's features to being object.

    foregrounds: share of each cell that is object, 0 to 1, or of each quarter of a cell. Raises ValueError where all
    are of one kind.
    """
    return _classifiers(maps, foregrounds, strength=10.0)


def _classifiers(maps: Iterable[np.ndarray], foregrounds: Sequence[np.ndarray], strength: float) -> Lines:
    """strength: scikit-learn's C. A cell whose share is NaN is left out."""
    points, kinds = [], []
    each = max(CELLS_A_PHOTO, CELLS // len(foregrounds))  # of few cells in all, regularisation leaves a small object
    for seed, (features, foreground) in enumerate(zip(maps, foregrounds, strict=True)):
        dim, height, width = features.shape
        of_cell = foreground.reshape(height, len(foreground) // height, width, -1).transpose(0, 2, 1, 3)
        of_cell = of_cell.reshape(height * width, -1)
        told = np.flatnonzero(~np.isnan(of_cell).any(1))
        chosen = np.random.default_rng(seed).choice(told, min(each, len(told)), replace=False)
        points.append(features.reshape(dim, -1).T[chosen].astype(np.float32))
        kinds.append(of_cell[chosen] > 0.5)
    x, y = np.concatenate(points), np.concatenate(kinds)
    if len(x) > MOST_CELLS:
        kept = np.random.default_rng(0).choice(len(x), MOST_CELLS, replace=False)
        x, y = x[kept], y[kept]
    if (y.all(0) | ~y.any(0)).any():
        raise ValueError("every cell is object, or none is: there is nothing to tell apart")
    one = LogisticRegression(C=strength, max_iter=300, warm_start=True)  # quarters of a cell are much alike
    fitted = [(one.fit(x, kind).coef_[0], np.ravel(one.intercept_)[0]) for kind in y.T]
    weight, bias = (np.array(values, np.float32) for values in zip(*fitted, strict=True))
    return weight, bias
