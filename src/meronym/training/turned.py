"""Every photo of a collection a second time, warped: what geometric terms need where the backbone is frozen.

A network that is trained sees a fresh warp at each step (`views`); features are computed once, so here each photo has
one warp of its own, the same for every seed, and its features are cached like all others.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_pil_image

from meronym.backbones import FeatureCache, Job, cached_features
from meronym.collections import Collection
from meronym.features import FeatureSet, Views
from meronym.model import to_tensor
from meronym.progress import progress
from meronym.segmenters import HeadSegmenter
from meronym.training.loop import Batch
from meronym.training.sampling import generator
from meronym.training.views import random_affine, warp


@dataclass(frozen=True)
class Turned:
    """plain: the features of the photos as they are. turned: those of the warped photos, in the same order.

    theta: each photo's warp, for `warp`.
    """

    plain: FeatureSet
    turned: FeatureSet
    theta: Float[Tensor, "N 2 3"]

    def batch(self, positions: Sequence[int]) -> Batch:
        """{"features", "turned": (B, D, h, w); "foreground": (B, h, w) of the plain photos; "theta": (B, 2, 3)}."""
        features, foreground = self.plain.batch(positions)
        turned, theta = self.turned.batch(positions)[0], self.theta[list(positions)]
        return {"features": features, "foreground": foreground, "turned": turned, "theta": theta}


def turn_all(collection: Collection, segmenter: HeadSegmenter, features: FeatureSet) -> Turned:
    """The features of a collection (from `extract`) together with those of its warped photos.

    Raises ValueError for a photo that cannot be read any more.
    """
    views = Views(collection, segmenter, FeatureCache(), whole=not segmenter.zoom)
    bad, keys = dict[int, str](), [path.stem for path in features.paths]
    thetas = torch.stack([random_affine(generator("turned", key)) for key in keys])
    jobs = [
        Job(f"{key}-turned", lambda row=row, theta=theta: _turn(views.photo(row), theta))
        for key, row, theta in zip(keys, features.rows, thetas, strict=True)
    ]
    with progress(f"{segmenter.backbone.name} features, turned", len(jobs)) as advance:
        cache = FeatureCache()
        paths = cached_features(segmenter.backbone, jobs, cache, progress=lambda done, _: advance(done), skipped=bad)
    found = [path for path in paths if path is not None]
    if len(found) < len(jobs):
        raise ValueError(f"a photo of {collection.name} that could be read cannot be read again: {bad}")
    return Turned(features, replace(features, paths=found), thetas)


def _turn(photo: Image.Image, theta: Float[Tensor, "2 3"]) -> Image.Image:
    return to_pil_image(warp(to_tensor(photo)[None], theta[None])[0])
