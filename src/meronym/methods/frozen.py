"""What all methods on a frozen backbone share: the segmenter, the collection's features, and where the objects are."""

import dataclasses
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch

from meronym.backbones import FeatureCache, is_transformer, load_backbone
from meronym.collections import Collection
from meronym.features import FeatureSet, extract
from meronym.masks import object_classifier, split_foreground
from meronym.methods.base import Method, check_parts, measured
from meronym.model import PartModel, best_device
from meronym.progress import say
from meronym.segmenters import HeadSegmenter
from meronym.training.run import Run


@dataclass(frozen=True, kw_only=True)
class FrozenMethod(Method):
    """backbone: a name, see `meronym info`. layers, size: None for the backbone's own.

    centre: which share of each photo's own mean over its object is taken off its features, 0 to 1; None:
    `usual_centre`, or, where a method has none, half of it on transformers, whose cells all carry something of the
    whole photo, and nothing on convolutional networks.
    """

    usual_centre: ClassVar[float | None] = None

    backbone: str
    layers: tuple[str, ...] | None = None
    size: int | None = None
    centre: float | None = None

    def resolved(self, parts: int) -> Self:
        if self.centre is not None:
            return self
        usual = self.usual_centre
        if usual is None:
            usual = 0.5 if is_transformer(self.backbone) else 0.0
        return dataclasses.replace(self, centre=usual)

    def fit(self, collection: Collection, parts: int, run: Run, seed: int = 0) -> PartModel:
        method = self.resolved(parts)
        about = method.settings() | {"seed": seed}
        with measured(about):
            segmenter, features = method.prepare(collection, parts)
            found = method.teach(segmenter, features, collection, run, seed)
        return PartModel(segmenter, about=about | found | {"skipped": features.skipped})

    @abstractmethod
    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        """Give a prepared segmenter a head that knows the parts. The settings are `resolved`.

        Returns what the run should remember of it, with "total", the loss that starts are compared by.
        """

    def prepare(self, collection: Collection, parts: int) -> tuple[HeadSegmenter, FeatureSet]:
        """A segmenter that knows the objects, with an untrained head, and the features to train it on.

        With masks, boxes or an alpha channel the head looks at the windows around the objects, else at whole photos.
        Where there is no mask, the objects are found by the features.
        """
        check_parts(parts, len(collection))
        backbone = load_backbone(self.backbone, layers=self.layers, size=self.size).to(best_device())
        assert self.centre is not None, "settings are resolved before anything is prepared"
        blind = not collection.all_masked and all(r.mask is None and r.box is None for r in collection.records)
        segmenter = HeadSegmenter(backbone, parts, self.centre, zoom=not blind)
        features = extract(collection, segmenter, FeatureCache(), whole=blind)
        check_parts(parts, len(features))
        if not features.masked:
            say("no masks given: finding the objects by their features")
            features = found_objects(features, collection)
        weight, bias = object_classifier(features.maps(), features.foreground / 255)
        with torch.no_grad():
            segmenter.object.weight.copy_(torch.from_numpy(weight)[None, :, None, None])
            segmenter.object.bias.fill_(bias)  # type: ignore[union-attr]
        segmenter.finds = True
        return segmenter, features


def found_objects(features: FeatureSet, collection: Collection) -> FeatureSet:
    """The same features with the foreground that they themselves show; a photo without any is left out."""
    foreground = np.stack(split_foreground(features.maps)).astype(np.uint8) * 255
    found = (foreground > 0).sum((1, 2)) >= 4
    keep = np.flatnonzero(found).tolist()
    lost = [row for row, here in zip(features.rows, found, strict=True) if not here]
    empty = [(collection.ids[row], "no object found in it") for row in lost]
    return dataclasses.replace(
        features,
        rows=[features.rows[i] for i in keep],
        paths=[features.paths[i] for i in keep],
        foreground=foreground[keep],
        skipped=features.skipped + empty,
    )
