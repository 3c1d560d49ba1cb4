"""Landmarks from an auto-encoder, on a frozen backbone: the row "ULD" of Table 1.

Zhang, Guo, Jin, Luo, He and Lee, *Unsupervised Discovery of Object Landmarks as Structural Representations*, CVPR
2018: K heat-maps and a background one; Gaussians around the landmarks and a few numbers about each have to rebuild what
is seen; concentration, separation and equivariance. The authors' code is Apache-2.0 (TensorFlow 1); the forms and
weights of the terms are read from it, no line was used.

Differs from it: a linear head on frozen features instead of an hourglass on pixels; what is rebuilt is the object's
features instead of the photo, by one linear layer under the Gaussians; no axis balancing. Each photo has one warp
(`training.turned`), far stronger than the authors', and landmarks that it moves out of the photo do not count. At the
published weight of 10,000 equivariance then gathers the landmarks in the middle of the object, which moves with any
warp; it weighs 1,000. Landmarks start at the k-means centres: from random maps they hardly part (docs/experiments.md).
A part is where its landmark's heat-map is the largest. Measured on DINOv2 ViT-S/14, CUB-50, K = 4, seed 0: FG-NMI 54.4,
FG-ARI 22.8, keypoint error 8.7 (its k-means start: 56.9, 24.2 and 9.2).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.heads import LinearHead
from meronym.methods.frozen import FrozenMethod
from meronym.methods.kmeans import cluster, sample_points
from meronym.objectives import pool
from meronym.objectives.landmarks import (
    concentration,
    gaussians,
    landmark_equivariance,
    painted,
    reconstruction,
    separation,
)
from meronym.segmenters import HeadSegmenter, remove_mean
from meronym.training.loop import Batch, Gather, Training, make_fabric, optimise
from meronym.training.run import Run
from meronym.training.samples import Samples
from meronym.training.sampling import derive, photos_of_step, share
from meronym.training.turned import Turned, turn_all
from meronym.training.views import warp


@dataclass(frozen=True, kw_only=True)
class Landmarks(FrozenMethod):
    """See `FrozenMethod` for the backbone's settings.

    lambda_*: weights of reconstruction (a sum over cells and channels; ten times as much in the second third of the
    steps, a hundred times in the last), concentration and separation as published, and equivariance.
    bandwidth: of the separation; deviation: of the Gaussians that are painted; in sides of the photo.
    numbers: how many describe what is at a landmark. sharpness: as in `Contrastive`.
    steps, batch, learning_rate: of Adam.
    """

    name: ClassVar[str] = "landmarks"
    lambda_rec: float = 0.1
    lambda_conc: float = 100.0
    lambda_sep: float = 20.0
    lambda_eqv: float = 1e3
    bandwidth: float = 0.08
    deviation: float = 0.125
    numbers: int = 8
    sharpness: float = 5.0
    steps: int = 400
    batch: int = 8
    learning_rate: float = 1e-2

    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        assert isinstance(segmenter.head, LinearHead)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "landmarks"))
            network = LandmarkNetwork(segmenter.head, self.numbers, self.deviation)
        if not run.checkpoint.exists():
            points, _ = sample_points(features, segmenter.centre, seed)
            centres, spread = cluster(points, segmenter.parts, seed)
            segmenter.head.start_from(centres, self.sharpness / spread)
        training = LandmarkTraining(self, network, turn_all(collection, segmenter, features), seed)
        training.samples = Samples(segmenter, collection, self.steps)
        optimise(training, run, make_fabric(one=True))
        return training.last


class LandmarkNetwork(nn.Module):
    """Heat-maps, and what rebuilds the features from them."""

    def __init__(self, head: LinearHead, numbers: int, deviation: float) -> None:
        super().__init__()
        parts, dim = head.weight.shape
        self.head, self.background, self.deviation = head, LinearHead(dim, 1), deviation
        self.describe = nn.Parameter(torch.randn(parts + 1, numbers, dim) / dim**0.5)
        self.rebuild = nn.Parameter(torch.randn(parts + 1, dim, numbers) / numbers**0.5)

    def forward(self, features: Float[Tensor, "B D h w"], foreground: Float[Tensor, "B h w"]) -> tuple[Tensor, ...]:
        """The places and deviations of the landmarks, and how far what they rebuild is from the features."""
        logits = torch.cat([self.head(features), self.background(features)], 1)
        maps = logits.softmax(1) * foreground[:, None]
        places, deviations = gaussians(maps[:, :-1])
        codes = torch.einsum("knd,bkd->bkn", self.describe, pool(maps, [features]).z)
        seen = torch.einsum("kdn,bkn->bkd", self.rebuild, codes)
        weights = painted(places, features, self.deviation)
        return places, deviations, reconstruction(weights, seen, features, foreground)


class LandmarkTraining(Training):
    """All terms on cached features of photos and of their warped copies."""

    def __init__(self, method: Landmarks, network: LandmarkNetwork, photos: Turned, seed: int) -> None:
        self.method, self.network, self.photos, self.seed = method, network, photos, seed
        self.steps = method.steps
        self.optimizer = torch.optim.Adam(network.parameters(), lr=method.learning_rate)

    def batch(self, step: int, rank: int, world: int) -> Batch:
        photos = photos_of_step(self.seed, step, self.method.batch, len(self.photos.plain), world)
        rising = 10 ** (3 * step // self.steps)
        return self.photos.batch(share(photos, rank, world)) | {"rising": rising}

    def loss(self, network: nn.Module, batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        method, foreground, theta = self.method, batch["foreground"], batch["theta"]
        assert method.centre is not None
        valid = warp(foreground[:, None], theta)[:, 0]
        prepared = remove_mean(batch["features"], foreground, method.centre)
        turned = remove_mean(batch["turned"], valid, method.centre)
        places, deviations, errors = network(torch.cat([prepared, turned]), torch.cat([foreground, valid]))
        before, after = places.chunk(2)
        terms = {
            "L_rec": errors.mean(),
            "L_conc": concentration(deviations).mean(),
            "L_sep": separation(places, method.bandwidth).mean(),
            "L_eqv": landmark_equivariance(before, after, theta).mean(),
        }
        weights = {name: getattr(method, f"lambda_{name[2:]}") for name in terms}
        weights["L_rec"] *= batch["rising"]
        return sum(weights[name] * value for name, value in terms.items()), terms  # type: ignore[return-value]
