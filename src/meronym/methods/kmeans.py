"""k-means on the object's features: the baseline of Tables 2 and 5, and the start of other methods.

Every cell of the object in every photo is a point; parts are the K clusters. scikit-learn's KMeans on a bounded
sample, so memory does not grow with the collection.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans as Lloyd
from threadpoolctl import threadpool_limits
from torch import Tensor

from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.methods.frozen import FrozenMethod
from meronym.segmenters import HeadSegmenter, LinearHead, remove_mean
from meronym.training.run import Run
from meronym.training.sampling import generator

MOST_POINTS = 2**17


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

    At most `most`, the same number from each photo if it has them.
    """
    each = max(1, most // len(features))
    points, photos = [], []
    for positions, maps, foreground in features.batches():
        prepared = remove_mean(maps, foreground, centre)
        for position, photo, inside in zip(positions, prepared, foreground > 0.5, strict=True):
            cells = photo[:, inside].T
            chosen = torch.randperm(len(cells), generator=generator(seed, "points", position))[:each]
            points.append(cells[chosen])
            photos.append(torch.full((len(chosen),), position))
    return torch.cat(points), torch.cat(photos)


def cluster(
    points: Float[Tensor, "N D"], parts: int, seed: int, starts: int = 5, rounds: int = 300
) -> tuple[Float[Tensor, "K D"], float]:
    """The best of some k-means: K centres, and the mean squared distance of a point to its centre.

    Raises ValueError where there are fewer different points than parts.
    """
    values = points.numpy()
    if len(np.unique(values[:: max(1, len(values) // 4096)], axis=0)) < parts:
        raise ValueError(f"--parts {parts}: the photos hold fewer different patches than that; choose fewer parts")
    with threadpool_limits(2, "openmp"):  # the sums of three threads and more are added as they come
        found = Lloyd(parts, n_init=starts, max_iter=rounds, random_state=seed).fit(values)  # type: ignore[arg-type]
    centres = torch.from_numpy(found.cluster_centers_).float()
    return centres, max(float(found.inertia_) / len(values), 1e-6)  # type: ignore[arg-type]
