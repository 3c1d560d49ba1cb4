"""k-means on the object's features: the baseline of Tables 2 and 5, and the start of other methods.

Every cell of the object in every photo is a point; parts are the K clusters. scikit-learn's KMeans on a bounded
sample, so memory does not grow with the collection.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import average, cut_tree
from scipy.spatial.distance import squareform
from sklearn.cluster import KMeans as Lloyd
from threadpoolctl import threadpool_limits
from torch import Tensor

from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.heads import LinearHead
from meronym.methods.frozen import FrozenMethod
from meronym.segmenters import HeadSegmenter, photo_mean
from meronym.training.run import Run
from meronym.training.sampling import generator

MOST_POINTS = 2**17
SMALL, STARTS = 512, 50
"""How many small clusters points are put into, and how many k-means of these are run."""


@dataclass(frozen=True, kw_only=True)
class KMeans(FrozenMethod):
    """See `FrozenMethod` for the settings."""

    name: ClassVar[str] = "kmeans"

    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        points, _ = sample_points(features, segmenter.centre, seed)
        centres, spread = cluster(points, segmenter.parts, seed)
        assert isinstance(segmenter.head, LinearHead)
        segmenter.head.start_from(centres, sharpness=5 / spread)
        return {"total": spread}


def sample_points(
    features: FeatureSet, centre: float, seed: int, most: int = MOST_POINTS
) -> tuple[Float[Tensor, "N D"], Int[Tensor, " N"]]:
    """Prepared features of the object's cells, and the photo of each.

    At most `most`, the same number from each photo if it has them; of more photos than that, only some are looked at.
    """
    features = features.spread(most)
    each = most // len(features)
    points, photos = [], []
    for positions, maps, foreground in features.batches(cells=True):
        shift = centre * photo_mean(maps, foreground)[..., 0] if centre else torch.zeros(len(maps), 1, 1)
        for position, photo, taken, inside in zip(positions, maps, shift, foreground > 0.5, strict=True):
            cells = inside.flatten().nonzero()[:, 0]
            chosen = cells[torch.randperm(len(cells), generator=generator(seed, "points", position))[:each]]
            points.append((photo.flatten(1)[:, chosen] - taken).T)
            photos.append(torch.full((len(chosen),), position))
    return torch.cat(points), torch.cat(photos)


def cluster(
    points: Float[Tensor, "N D"], parts: int, seed: int, starts: int = 5, rounds: int = 300
) -> tuple[Float[Tensor, "K D"], float]:
    """The best of some k-means: K centres, and the mean squared distance of a point to its centre.

    Raises ValueError where there are fewer different points than parts.
    """
    values = points.numpy()
    _check_different(values, parts)
    with threadpool_limits(2, "openmp"):  # the sums of three threads and more are added as they come
        found = Lloyd(parts, n_init=starts, max_iter=rounds, random_state=seed).fit(values)  # type: ignore[arg-type]
    centres = torch.from_numpy(found.cluster_centers_).float()
    return centres, max(float(found.inertia_) / len(values), 1e-6)  # type: ignore[arg-type]


def different(values: Float[np.ndarray, "N D"]) -> int:
    """How many different points there are, among at most 8,191 of them."""
    return len(np.unique(values[:: max(1, len(values) // 4096)], axis=0))


def _check_different(values: np.ndarray, parts: int) -> None:
    if different(values) < parts:
        raise ValueError(f"--parts {parts}: the photos hold fewer different patches than that; choose fewer parts")


def linkage(apart: Float[np.ndarray, "M M"]) -> Int[np.ndarray, "M M"]:
    """Average linkage of M things: in column c the group of each of them in M - c groups. apart: 0 to themselves."""
    return cut_tree(average(squareform(apart, checks=False)))


def linked(apart: Float[np.ndarray, "M M"], groups: int) -> Int[np.ndarray, " M"]:
    """The same cut into so many groups."""
    return linkage(apart)[:, len(apart) - groups]


class SmallClusters:
    """Points in many clusters of a few: dozens of k-means of their centres take less time than one of the points.

    spread: the mean squared distance of a point to the centre of its small cluster.
    """

    def __init__(self, points: Float[Tensor, "N D"], seed: int, most: int = SMALL) -> None:
        self.points, self.seed = points, seed
        count = max(2, min(most, len(points) // 8))
        with threadpool_limits(2, "openmp"):
            found = Lloyd(count, init="random", n_init=1, max_iter=12, random_state=seed).fit(points.numpy())  # type: ignore[arg-type]
        self.centres, self.of_point = found.cluster_centers_, torch.from_numpy(np.asarray(found.labels_)).long()
        self.size = torch.bincount(self.of_point, minlength=count).numpy().astype(float)
        self.spread = float(found.inertia_) / len(points)  # type: ignore[arg-type]

    def __len__(self) -> int:
        return len(self.centres)

    def kmeans(self, parts: int, starts: int, random: np.random.RandomState) -> list[Lloyd]:
        """So many k-means, each small cluster worth its points; the tightest first. ValueError for few points."""
        if parts > len(self):
            raise ValueError(f"--parts {parts}: the photos show too little for so many; choose fewer parts")
        _check_different(self.points.numpy(), parts)
        with threadpool_limits(1):
            once = [Lloyd(parts, n_init=1, random_state=random) for _ in range(starts)]  # type: ignore[arg-type]
            found = [each.fit(self.centres, sample_weight=self.size) for each in once]
        return sorted(found, key=lambda each: float(each.inertia_))  # type: ignore[arg-type]


def starts(small: SmallClusters, parts: int) -> list[tuple[Float[Tensor, "K D"], float]]:
    """STARTS k-means of small clusters, the tightest first: centres, and a point's mean squared distance to its own.

    None is there twice. Of points too few for small clusters it is the one that `cluster` gives.
    """
    if parts > len(small):
        return [cluster(small.points, parts, small.seed)]
    found = small.kmeans(parts, STARTS, np.random.RandomState(small.seed))
    different = {round(float(each.inertia_), 5): each.cluster_centers_ for each in found}  # type: ignore[arg-type]
    count = len(small.points)
    return [
        (torch.from_numpy(centres).float(), max(inertia / count + small.spread, 1e-6))
        for inertia, centres in different.items()
    ]


def refined(points: Float[Tensor, "N D"], centres: Float[Tensor, "K D"]) -> tuple[Float[Tensor, "K D"], float]:
    """The k-means of points that begins from these centres, as `cluster` gives it."""
    with threadpool_limits(2, "openmp"):
        found = Lloyd(len(centres), init=centres.numpy(), n_init=1, max_iter=20).fit(points.numpy())  # type: ignore[arg-type]
    spread = float(found.inertia_) / len(points)  # type: ignore[arg-type]
    return torch.from_numpy(found.cluster_centers_).float(), max(spread, 1e-6)
