"""Foreground of whole photos from frozen features, and a small network that knows object from background.

People aim the camera at what they photograph. Over many photos of one kind of thing, a classifier of cells in the
middle against cells at the border, so strongly regularised that it can learn little but what all photos share, already
scores object above background; two-means on the scores draws the line, and a classifier trained on that side of the
line draws it better. That finds the object with a halo: cells beside it have seen it too. So the next classifier
learns only what lies inside as object, and the halo as background. The photo's colours know where the object ends:
what is found then is moved to the edges of the photo (guided filter), and a network of one hidden layer learns from
that where in each cell the object ends, as from masks where they are given: the features hold it, but no line does.

Training a classifier on its own refined masks is from FOUND (Siméoni et al., CVPR 2023), which starts from the
least attended cell and refines with a bilateral solver. Nothing is supervised. Arrays in, arrays out.
"""

import math
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from scipy import ndimage
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from meronym.edges import outlined
from meronym.images import averaged
from meronym.masks.base import Finder, Maps

CELLS_A_PHOTO, CELLS = 40, 15_000
"""What a line sees of each photo, or more where all photos together would have fewer than that."""
WIDTH, CELLS_OF_NETWORK, EPOCHS, STEPS = 128, 80_000, 10, 150
"""Of the network: its hidden layer, how many cells of all photos it sees, how often, and in how many steps at least."""

Layers = list[tuple[Float[np.ndarray, "_ _"], Float[np.ndarray, " _"]]]
"""Weights (out, in) and biases, one line or a network with ReLU between its layers. The sigmoid of what comes out is
how surely a cell is object, or each of its quarters, row by row."""


class Split(Finder):
    """What these photos share in the middle, against what they have at the border."""

    learns = True
    divided = 2
    layers: Layers

    def learn(self, maps: Maps, views: Iterable[Image.Image]) -> None:
        self.layers = object_network(maps(), found_quarters(maps, views))

    def find(self, seen: Float[np.ndarray, "D h w"]) -> Float[np.ndarray, "2*h 2*w"]:
        return certainty(seen, self.layers)


def found_quarters(maps: Maps, views: Iterable[Image.Image]) -> list[Float[np.ndarray, "i j"]]:
    """How much of each quarter of a cell is object in these photos, by what tells it from their backgrounds.

    maps: called for a fresh pass over the photos' features, once a round. All photos have one grid. views: what the
    features are of. Raises ValueError where there is nothing to tell apart.
    """
    ((weight, _),) = object_lines(maps(), [_inside(cells) for cells in split_foreground(maps)], strength=1.0)
    line = [(weight, -np.array([_two_means(np.stack([_scores(f, weight)[0] for f in maps()]))], np.float32))]
    refined = []
    for features, view in zip(maps(), views, strict=True):
        refined.append(along_edges(certainty(features, line), view, features.shape[1:], divided=2))
    return refined


def _scores(features: Float[np.ndarray, "D h w"], weight: Float[np.ndarray, "Q D"]) -> Float[np.ndarray, "Q h w"]:
    """By torch, as what follows: the threads of two libraries in turn take four times as long as those of one."""
    return torch.tensordot(torch.from_numpy(weight), torch.from_numpy(features.astype(np.float32)), 1).numpy()


def _inside(cells: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Without those that touch the background; all of them where that leaves none."""
    core = ndimage.binary_erosion(cells, np.ones((3, 3)), border_value=1)
    return (core if core.any() else cells).astype(np.float32)


def certainty(features: Float[np.ndarray, "D h w"], layers: Layers) -> Float[np.ndarray, "i j"]:
    """How surely each cell is object, 0 to 1, or each quarter of a cell: twice as many rows and columns."""
    scores = _scores(features, layers[0][0]) + layers[0][1][:, None, None]
    for weight, bias in layers[1:]:
        scores = _scores(scores.clip(0), weight) + bias[:, None, None]
    sure = 1 / (1 + np.exp(-scores))
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
    """Which cells of each photo are object, or beside it: what `found_quarters` starts from."""
    seeds = [_middle_and_border(features.shape[1:]) for features in maps()]
    for _ in range(rounds):
        ((weight, _),) = object_lines(maps(), seeds, strength=1e-3)
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


def object_network(maps: Iterable[Float[np.ndarray, "D h w"]], quarters: Sequence[Float[np.ndarray, "i j"]]) -> Layers:
    """A network from a cell's features to which of its quarters are object.

    quarters: share of each that is object, 0 to 1. Raises ValueError where all are of one kind.
    """
    points, kinds = _sampled(maps, quarters, CELLS_OF_NETWORK // len(quarters))
    size = math.sqrt(points.shape[1])  # features have length 1; so their values are of the size that it expects
    batch: Any = min(1024, len(points))
    rounds = max(EPOCHS, STEPS * batch // len(points))  # of few cells, a round is few steps
    network = MLPClassifier(
        WIDTH, batch_size=batch, learning_rate_init=2e-3, max_iter=rounds, n_iter_no_change=rounds, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is not to fit them to the last
        network.fit(size * points, kinds)
    first, last = zip([w.T.astype(np.float32) for w in network.coefs_], network.intercepts_, strict=True)
    return [(size * first[0], first[1].astype(np.float32)), (last[0], last[1].astype(np.float32))]


def object_lines(
    maps: Iterable[Float[np.ndarray, "D h w"]], foregrounds: Sequence[Float[np.ndarray, "i j"]], strength: float = 10.0
) -> Layers:
    """Logistic regressions from a cell's features to being object, which cannot learn all that masks hold.

    foregrounds: share of each cell that is object, or of each quarter of a cell; where it is NaN, the cell is left out.
    strength: scikit-learn's C. Raises ValueError where all are of one kind.
    """
    each = max(CELLS_A_PHOTO, CELLS // len(foregrounds))  # of few cells in all, regularisation leaves a small object
    points, kinds = _sampled(maps, foregrounds, each)
    one = LogisticRegression(C=strength, max_iter=300, warm_start=True)  # quarters of a cell are much alike
    fitted = [(one.fit(points, kind).coef_[0], np.ravel(one.intercept_)[0]) for kind in kinds.T]
    weight, bias = (np.array(values, np.float32) for values in zip(*fitted, strict=True))
    return [(weight, bias)]


def _sampled(
    maps: Iterable[np.ndarray], foregrounds: Sequence[np.ndarray], each: int
) -> tuple[Float[np.ndarray, "N D"], Bool[np.ndarray, "N Q"]]:
    """So many cells of each photo, and whether they, or their quarters, are object; none whose share is NaN."""
    points, kinds = [], []
    for seed, (features, foreground) in enumerate(zip(maps, foregrounds, strict=True)):
        dim, height, width = features.shape
        of_cell = foreground.reshape(height, len(foreground) // height, width, -1).transpose(0, 2, 1, 3)
        of_cell = of_cell.reshape(height * width, -1)
        told = np.flatnonzero(~np.isnan(of_cell).any(1))
        chosen = np.random.default_rng(seed).choice(told, min(max(1, each), len(told)), replace=False)
        points.append(features.reshape(dim, -1).T[chosen].astype(np.float32))
        kinds.append(of_cell[chosen] > 0.5)
    x, y = np.concatenate(points), np.concatenate(kinds)
    if y.all() or not y.any():
        raise ValueError("every cell is object, or none is: there is nothing to tell apart")
    return x, y
