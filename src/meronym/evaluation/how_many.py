"""How many parts? The number on which two halves of the photos agree best.

Groups of cells (see `consensus`) are found in either half, every cell is given a part by both, and the adjusted Rand
index of the two labellings is the stability of K (stability selection of clusterings: Ben-Hur, Elisseeff & Guyon, 2002,
Pacific Symposium on Biocomputing 7). Proposed is the largest K that is within NEARLY of the most stable one, from LEAST
up: two and three parts are coarse, and their stability is a matter of luck.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from meronym.collections import Collection
from meronym.methods.consensus import Consensus, groups, individuality
from meronym.methods.frozen import FrozenMethod
from meronym.methods.kmeans import SmallClusters, sample_points
from meronym.metrics import ari
from meronym.progress import progress
from meronym.training.sampling import generator

COUNTS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
LEAST = 4
NEARLY = 0.02
SPLITS = 3
STARTS, SMALL = 60, 128
MOST_POINTS = 12_000


def how_many(method: FrozenMethod, collection: Collection, seed: int = 0) -> tuple[int, dict[int, float]]:
    """A number of parts for these photos, and the stability of each number that was tried, at most 1.

    Raises ValueError for fewer than 8 photos.
    """
    _check_enough(len(collection))
    segmenter, features = method.resolved(LEAST).prepare(collection, LEAST)
    _check_enough(len(features))
    points, photos = sample_points(features, segmenter.centre, seed, MOST_POINTS)
    if isinstance(method, Consensus) and method.by_contrast(
        individuality(features, segmenter.centre, seed, points, photos)
    ):
        centre = method.contrast(LEAST).centre
        assert centre is not None, "its settings are resolved"
        points, photos = sample_points(features, centre, seed, MOST_POINTS)
    curve = stability(points, photos, seed)
    return most_stable(curve), curve


def _check_enough(photos: int) -> None:
    if photos < 8:
        raise ValueError(f"{photos} usable photos are too few to see how many parts there are: give --parts")


def most_stable(curve: dict[int, float]) -> int:
    """The largest number from LEAST up whose stability is within NEARLY of the best of them."""
    best = max(value for parts, value in curve.items() if parts >= LEAST)
    return max(parts for parts, value in curve.items() if parts >= LEAST and value >= best - NEARLY)


def stability(points: Float[Tensor, "N D"], photos: Int[Tensor, " N"], seed: int) -> dict[int, float]:
    """For each K of COUNTS: the adjusted Rand index of the parts of two halves of the photos, mean over SPLITS.

    Numbers above LEAST for which either half has fewer than 32 points a part are left out.
    """
    counts = [parts for parts in COUNTS if parts <= max(LEAST, len(points) // 64)]
    sums: dict[int, float] = dict.fromkeys(counts, 0.0)
    with progress("how many parts", SPLITS * len(counts), "numbers") as advance:
        for split in range(SPLITS):
            order = torch.randperm(int(photos.max()) + 1, generator=generator(seed, "halves", split))
            first = (order < len(order) / 2)[photos]
            halves = [SmallClusters(points[half], seed, SMALL) for half in (first, ~first)]
            for place, parts in enumerate(counts):
                advance(split * len(counts) + place)
                a, b = (torch.cdist(points, groups(half, parts, STARTS)[0]).argmin(1) for half in halves)
                table = torch.bincount(a * parts + b, minlength=parts**2).view(parts, parts)
                sums[parts] += ari(table) / SPLITS
    return sums
