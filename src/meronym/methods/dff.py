"""Deep feature factorisation: non-negative matrix factorisation of the object's features, a row of Tables 1 and 5.

Collins, Achanta and Süsstrunk, *Deep Feature Factorization for Concept Discovery*, ECCV 2018: the features of all
cells of all photos, stacked, are V ~ C W with C, W >= 0; the K rows of W are the parts, a cell's part is its largest
coefficient. As in the paper, only cells of the object count. The authors' code has no licence and was not used.

Differs from it: scikit-learn's coordinate descent from an SVD, by mini-batches where there are more than MOST_EXACT
cells, instead of 50 to 200 multiplicative updates from random numbers; rows of W have unit length, so that
coefficients compare, and are not divided by their maximum in each photo, which lets an absent part win; any photo is
encoded against the fixed W (`FactorHead`). Features below zero, as transformers have, are set to zero (ReLU). No mean
is taken off first, as published, also on transformers: on DINOv2 ViT-S/14, CUB-50, K = 4, centre 0, 0.5 and 1 give
FG-NMI 40.3, 34.2 and 35.7 (seed 0).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from sklearn.decomposition import NMF, MiniBatchNMF
from torch import Tensor
from torch.nn import functional as F

from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.heads import FactorHead
from meronym.methods.frozen import FrozenMethod
from meronym.methods.kmeans import sample_points
from meronym.segmenters import HeadSegmenter
from meronym.training.run import Run

MOST_EXACT = 2**14


@dataclass(frozen=True, kw_only=True)
class DFF(FrozenMethod):
    """See `FrozenMethod` for the backbone's settings; centre None: nothing is taken off.

    iterations: of the factorisation, at most.
    """

    name: ClassVar[str] = "dff"
    usual_centre = 0.0
    iterations: int = 200

    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        points = sample_points(features, segmenter.centre, seed)[0].relu()
        factors, error = factorise(points, segmenter.parts, self.iterations, seed)
        segmenter.head = FactorHead(points.shape[1], segmenter.parts)
        segmenter.head.factors.copy_(factors)
        return {"total": error}


def factorise(
    points: Float[Tensor, "N D"], parts: int, iterations: int, seed: int
) -> tuple[Float[Tensor, "K D"], float]:
    """W of V ~ C W, its rows of unit length, and the mean over cells of ||v - c W||^2.

    Raises ValueError where there are fewer cells or channels than parts.
    """
    if parts > min(points.shape):
        raise ValueError(f"--parts {parts}: {points.shape[0]} cells of {points.shape[1]} channels hold fewer factors")
    settings = {"n_components": parts, "init": "nndsvda", "random_state": seed, "max_iter": iterations}
    few = len(points) <= MOST_EXACT
    found = NMF(**settings) if few else MiniBatchNMF(batch_size=4096, **settings)
    found.fit(points.numpy())
    factors = torch.from_numpy(found.components_).float()
    return F.normalize(factors, dim=1), float(found.reconstruction_err_) ** 2 / len(points)
