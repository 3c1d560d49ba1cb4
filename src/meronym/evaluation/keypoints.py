"""The paper's protocols on keypoints (section 4.1; what the published evaluation does, exactly).

Every visible keypoint of every photo is one sample: its true label is which keypoint it is, its predicted label the
part found at its pixel. All photos are pooled, then scored once. Two protocols:

box    the photo is cropped to its ground-truth box, without padding; the part is the argmax of the K logits, no mask.
       FG-NMI, FG-ARI. The first public release computed FG-ARI with the background as a label: `fg_ari_asreleased`.
whole  the network sees the whole photo; outside the given mask a keypoint is background, one label more. NMI, ARI.
       Where no mask is given, background is where the model is nine to one sure of it: keypoints mark tips and
       outlines, which fill a small share of a cell.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from meronym.backbones import FeatureCache
from meronym.collections import Collection, Sample
from meronym.features import extract
from meronym.images import BadPhoto, Window
from meronym.metrics import Contingency
from meronym.model import PartModel, View, best_device, object_box, photo_window
from meronym.progress import progress, say
from meronym.segmenters import HeadSegmenter

PROTOCOLS = ("box", "whole")
BARELY = 0.1
"""A keypoint whose cell is less surely object lies on the background."""


class Scored(NamedTuple):
    """What came of a protocol. scores: ×100. counts: on which part (row) each kind (column) lies; a first row more than
    the model has parts is the background. kinds: their names.
    """

    scores: dict[str, float]
    counts: Int[np.ndarray, "R C"]
    kinds: tuple[str, ...]


def evaluate_keypoints(model: PartModel, collection: Collection, protocol: str) -> Scored:
    """Score a model on a collection with keypoints. Raises ValueError for one without."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r}: one of {', '.join(PROTOCOLS)}")
    if not collection.keypoint_names:
        raise ValueError(f"{collection.name} has no keypoints to score against")
    kinds, parts = len(collection.keypoint_names), model.parts
    plain, masked = Contingency(parts, kinds), Contingency(parts + 1, kinds)
    for one in located(model, collection, whole=protocol == "whole"):
        points, kind = visible(one.sample)
        if len(kind) == 0:
            continue
        where = one.window, model.segmenter.frame(one.window), points, model.segmenter.corners
        output, inside = at_points(one.logits, *where), on_object(one.sample, points)
        label = torch.from_numpy(model.merged(output.numpy() + 1).astype(np.int64)) - 1
        if one.sample.mask is None and one.objects is not None:
            inside = at_points(torch.stack([BARELY - one.objects, one.objects - BARELY]), *where) == 1
        plain.update(label, kind)
        masked.update(torch.where(inside, label + 1, 0), kind)
    table = masked if protocol == "whole" else plain
    return Scored(_scores(plain, masked, protocol), table.table.numpy(), tuple(collection.keypoint_names))


def _scores(plain: Contingency, masked: Contingency, protocol: str) -> dict[str, float]:
    without, within = plain.compute(), masked.compute()
    if protocol == "whole":
        return {"nmi": 100 * within["nmi"], "ari": 100 * within["ari"]}
    return {
        "fg_nmi": 100 * without["nmi"],
        "fg_ari": 100 * without["ari"],
        "fg_ari_asreleased": 100 * within["ari"],
    }


def visible(sample: Sample) -> tuple[Float[np.ndarray, "P 2"], Int[Tensor, " P"]]:
    """Positions (x, y) in photo pixels and kinds of a sample's visible keypoints."""
    assert sample.keypoints is not None
    seen = np.flatnonzero(sample.keypoints[:, 2] > 0.5)
    return sample.keypoints[seen, :2], torch.from_numpy(seen)


def on_object(sample: Sample, points: Float[np.ndarray, "P 2"]) -> torch.Tensor:
    """Which points lie on the mask; all where there is none."""
    if sample.mask is None:
        return torch.ones(len(points), dtype=torch.bool)
    height, width = sample.mask.shape
    x, y = (np.clip(points[:, axis].astype(int), 0, side - 1) for axis, side in ((0, width), (1, height)))
    return torch.from_numpy(sample.mask[y, x])


def at_points(
    logits: Float[Tensor, "K h w"],
    window: Window,
    frame: tuple[int, int],
    points: Float[np.ndarray, "P 2"],
    corners: bool,
) -> Int[Tensor, " P"]:
    """The part at each point: logits upsampled bilinearly to the network's input, argmax at the nearest pixel.

    Only the pixels asked for are computed. A point outside the window takes the nearest pixel inside.
    """
    x0, y0, x1, y1 = window
    size = np.array(frame)
    pixel = np.floor((points - (x0, y0)) / (x1 - x0, y1 - y0) * size).clip(0, size - 1)
    place = 2 * pixel / np.maximum(size - 1, 1) - 1 if corners else (2 * pixel + 1) / size - 1
    grid = torch.from_numpy(place.astype(np.float32))[None, None]
    found = F.grid_sample(logits[None], grid, padding_mode="border", align_corners=corners)
    return found[0, :, 0].argmax(0)


class Located(NamedTuple):
    """What a model says of a photo. window: what was looked at. objects: where the object is, if the model knows."""

    sample: Sample
    window: Window
    logits: Float[Tensor, "K h w"]
    objects: Float[Tensor, "i j"] | None


def located(model: PartModel, collection: Collection, whole: bool = False) -> Iterator[Located]:
    """Each usable photo with the window that was looked at (the object's box, or the whole photo) and its logits.

    Features of a frozen backbone come from the cache. In a box the model is not told the mask; whole, it is.
    """
    if isinstance(model.segmenter, HeadSegmenter):
        yield from _from_cache(model.segmenter, collection, whole)
        return
    for sample in usable(collection):
        window = photo_window(sample) if whole else model.segmenter.window(object_box(sample))
        view = model.view(sample, window)
        yield Located(sample, window, *model.segment([view if whole else View(view.window, view.photo, None)])[0])


def usable(collection: Collection) -> Iterator[Sample]:
    """Each photo that can be used, with a line of progress; the others are named on stderr."""
    with progress("evaluating", len(collection)) as advance:
        for i in range(len(collection)):
            advance(i)
            try:
                yield collection[i]
            except BadPhoto as error:
                say(f"skipped {error}")


def _from_cache(segmenter: HeadSegmenter, collection: Collection, whole: bool) -> Iterator[Located]:
    features, device = extract(collection, segmenter, FeatureCache(), whole, least=0), best_device()
    for positions, maps, foreground in features.batches():
        with torch.inference_mode():
            maps = maps.to(device)
            logits = segmenter.cut(maps, foreground.to(device) if whole and features.masked else None)
            objects = segmenter.outline(maps)
        for place, position in enumerate(positions):
            sample = collection[features.rows[position]]
            window = photo_window(sample) if whole else segmenter.window(object_box(sample))
            found = None if objects is None else objects[place].cpu()
            yield Located(sample, window, logits[place].cpu(), found)
