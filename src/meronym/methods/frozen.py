"""What all methods on a frozen backbone share: the segmenter, the collection's features, and where the objects are."""

import dataclasses
import functools
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from PIL import Image

from meronym.backbones import FeatureCache, is_transformer, load_backbone
from meronym.collections import Collection
from meronym.features import FeatureSet, Views, extract
from meronym.masks import Layers, along_edges, certainty, found_quarters, object_lines, object_network, pieces
from meronym.methods.base import Method, check_parts, measured
from meronym.model import PartModel, best_device
from meronym.progress import progress, say
from meronym.segmenters import HeadSegmenter
from meronym.training.run import Run

MOST_PHOTOS = 400
"""From which is learned what an object looks like."""
FEW_MARKED = 5
"""Masks and boxes that are fewer, and of less than a tenth of the photos, are not used: they say too little."""
LEAST_CELLS = 4
"""An object of fewer cells is none."""
TOUCHED = 0.1
"""A cell of which the object covers less, or that is less surely object, does not touch it."""


@dataclass(frozen=True, kw_only=True)
class FrozenMethod(Method):
    """backbone: a name, see `meronym info`. layers, size: None for the backbone's own.

    centre: which share of each photo's own mean over its object is taken off its features, 0 to 1; None:
    `usual_centre`, or, where a method has none, half of it on transformers, whose cells all carry something of the
    whole photo, and nothing on convolutional networks.

    masks: "none" for parts from the photos alone, whatever masks and boxes there are.
    """

    usual_centre: ClassVar[float | None] = None

    backbone: str
    layers: tuple[str, ...] | None = None
    size: int | None = None
    centre: float | None = None
    masks: Literal["none"] | None = None

    def seen(self, collection: Collection) -> Collection:
        if self.masks == "none":
            return collection.without_masks()
        marked = sum(map(collection.marked, range(len(collection))))
        if 0 < marked < min(FEW_MARKED, len(collection) / 10):
            say(f"only {marked:,} of {len(collection):,} photos say where the object is: too few to learn from")
            return collection.without_masks()
        return collection

    def resolved(self, parts: int) -> Self:
        if self.centre is not None:
            return self
        usual = self.usual_centre
        if usual is None:
            usual = 0.5 if is_transformer(self.backbone) else 0.0
        return dataclasses.replace(self, centre=usual)

    def fit(self, collection: Collection, parts: int, run: Run, seed: int = 0) -> PartModel:
        method, collection = self.resolved(parts), self.seen(collection)
        about = method.settings() | {"seed": seed}
        with measured(about, run):
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
        collection = self.seen(collection)
        backbone = load_backbone(self.backbone, layers=self.layers, size=self.size).to(best_device())
        assert self.centre is not None, "settings are resolved before anything is prepared"
        segmenter = HeadSegmenter(backbone, parts, self.centre, zoom=not collection.unmarked)
        features = extract(collection, segmenter, FeatureCache(), whole=not segmenter.zoom)
        check_parts(parts, len(features))
        views = Views(collection, segmenter, FeatureCache(), whole=not segmenter.zoom)
        told = [collection.has_mask(row) for row in features.rows]
        given = features.select(np.flatnonzero(told).tolist())
        if given.masked:
            known = object_network(given.maps(), given.shares())
        else:
            say("no masks given: finding the objects by their features")
            known = learned_object(features, views)
        some = given.spread(MOST_PHOTOS)
        lines = functools.cache(lambda: object_lines(some.maps(), some.shares()) if given.masked else known)
        blind = [i for i in range(len(features)) if not (given.masked and told[i])]
        if blind and given.masked:
            say(f"{len(blind):,} of {len(features):,} photos have no mask: finding their objects by what masks show")
        if blind:
            features = found_objects(features, views, lines(), blind)
            check_parts(parts, len(features))
        segmenter.know_object([(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in known])
        return segmenter, dataclasses.replace(features, lines=lines)


def learned_object(features: FeatureSet, views: Views) -> Layers:
    """What tells object from background where nobody says, learned from MOST_PHOTOS of the photos."""
    some = features.spread(MOST_PHOTOS)
    quarters = found_quarters(some.maps, (_guide(some, views, i) for i in range(len(some))))
    return object_lines(some.maps(), quarters, strength=1.0)


def found_objects(features: FeatureSet, views: Views, lines: Layers, positions: Sequence[int]) -> FeatureSet:
    """The same features with the foreground that they themselves show at these positions.

    A photo without any object is left out; of several all are kept. Parts are learned on every cell that the object
    touches: in whole photos a beak or a leg is thinner than a cell, and lies in cells that are mostly background.
    """
    foreground, kept, several = features.foreground.copy(), np.ones(len(features), bool), 0
    grid = foreground.shape[1:]
    with progress("objects", len(positions)) as advance:
        for done, i in enumerate(positions, 1):
            share = np.rint(255 * along_edges(certainty(features.map(i), lines), _guide(features, views, i), grid))
            kept[i] = (share > 127).sum() >= LEAST_CELLS
            several += kept[i] and len(pieces(share > 127)) > 1
            foreground[i] = np.where(share > 255 * TOUCHED, 255, 0)
            advance(done)
    lost = np.flatnonzero(~kept)
    say(f"objects found in {len(positions) - len(lost):,} of {len(positions):,} photos, several in {several:,}")
    empty = [(views.collection.ids[features.rows[i]], "no object found in it") for i in lost]
    found = dataclasses.replace(features, foreground=foreground, skipped=features.skipped + empty)
    return found.select(np.flatnonzero(kept).tolist())


def _guide(features: FeatureSet, views: Views, position: int) -> Image.Image:
    return views.guide(features.rows[position], features.paths[position].stem, features.foreground.shape[1:])
