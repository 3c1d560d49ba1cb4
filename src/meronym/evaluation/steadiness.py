"""Which parts are shaky: the same parts are searched in either half of the photos, and those that come out otherwise.

A part's steadiness is the Jaccard index of its cells and those of the part it is matched with in a half's model, mean
over both halves (cluster-wise stability: Hennig, 2007, Computational Statistics & Data Analysis 52:1). Below SHAKY it
is hardly the same part: Hennig's rule, under which a cluster "should not be trusted".
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from meronym.collections import Collection
from meronym.heads import of_points
from meronym.methods.consensus import Consensus
from meronym.methods.frozen import FrozenMethod
from meronym.methods.kmeans import sample_points
from meronym.metrics import Contingency
from meronym.model import PartModel
from meronym.progress import say
from meronym.segmenters import HeadSegmenter
from meronym.training.run import Run
from meronym.training.sampling import generator

SHAKY = 0.6
MOST_POINTS = 2**15


def steadiness(model: PartModel, method: FrozenMethod, collection: Collection, run: Run, seed: int) -> list[float]:
    """For each part of a model that this method found in this collection, how far two halves of it agree, 0 to 1.

    Trains once on either half, in folders below the run's that go on where they stopped.
    """
    assert isinstance(model.segmenter, HeadSegmenter)
    if isinstance(method, Consensus):  # halves choose as the whole did
        method = replace(method, individual=float(method.by_contrast(model.about["eta_squared"])), tree=False)
    segmenter, features = method.prepare(collection, model.parts)
    points, _ = sample_points(features, model.segmenter.centre, seed, MOST_POINTS)
    order = torch.randperm(len(features), generator=generator(seed, "steadiness")).tolist()
    found = _label(model.segmenter, points)
    total, blank = torch.zeros(model.parts), segmenter.head
    for number, half in enumerate((order[::2], order[1::2])):
        say(f"which parts are shaky: the same again in half of the photos, {number + 1} of 2")
        own = Run(run.folder / "halves" / str(number), {**run.settings, "half": number})
        segmenter.head = deepcopy(blank)
        method.teach(segmenter, features.select(sorted(half)), collection, own, seed)
        total += overlap(found, _label(segmenter, points), model.parts)
    return (total / 2).tolist()


def _label(segmenter: HeadSegmenter, points: Float[Tensor, "N D"]) -> Int[Tensor, " N"]:
    with torch.inference_mode():
        head = deepcopy(segmenter.head).cpu()  # where points are
        return of_points(head, points).argmax(0)


def overlap(a: Int[Tensor, " N"], b: Int[Tensor, " N"], parts: int) -> Float[Tensor, " K"]:
    """The Jaccard index of each part of `a` and the part of `b` it is matched with (Hungarian method)."""
    table = Contingency(parts, parts)
    table.update(a, b)
    return torch.tensor([iou for _, (_, iou) in sorted(table.matching().items())])


def shaky(names: Sequence[str], steady: Sequence[float]) -> str:
    """One plain line: which parts are shaky, if any."""
    loose = [f"{name} ({value:.2f})" for name, value in zip(names, steady, strict=True) if value < SHAKY]
    if not loose:
        return f"all {len(names)} parts come out alike in either half of the photos"
    return f"shaky, for they come out otherwise in half of the photos: {', '.join(loose)}"
