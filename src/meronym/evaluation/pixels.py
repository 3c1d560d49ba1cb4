"""The protocol for collections with part labels for pixels (DeepFashion, PASCAL-Part, drawn creatures, ...).

All labelled pixels of all photos are pooled and scored once. Foreground scores count the pixels that truly belong to
a part; full scores count every pixel, with the background as one label more on both sides.
"""

import torch

from meronym.collections import Collection
from meronym.evaluation.keypoints import Scored, located
from meronym.metrics import Contingency
from meronym.model import PartModel, paint


def evaluate_pixels(model: PartModel, collection: Collection, protocol: str) -> Scored:
    """Score a model on a collection with part labels, in protocol "box" (foreground) or "whole" (full)."""
    if not collection.part_names:
        raise ValueError(f"{collection.name} has no part labels to score against")
    kinds, whole = len(collection.part_names) + 1, protocol == "whole"
    table = Contingency(model.parts + 1, kinds)
    for sample, window, logits, objects in located(model, collection, whole):
        assert sample.part_labels is not None
        size = sample.image.size
        found, _ = paint(logits, window, size, model.segmenter.corners)
        found = model.merged(found)
        if whole and sample.mask is not None:
            found = found * sample.mask
        elif whole and objects is not None:
            inside, _ = paint(torch.stack([objects - 0.5, 0.5 - objects]), window, size, model.segmenter.corners)
            found = found * (inside == 1)
        counted = slice(None) if whole else sample.part_labels > 0
        predicted, true = (
            torch.from_numpy(map_[counted].astype("int64")).flatten() for map_ in (found, sample.part_labels)
        )
        table.update(predicted, true)
    prefix = "" if whole else "fg_"
    scores = table.compute() | {"miou": table.matched_iou()}
    named = {prefix + name: 100 * value for name, value in scores.items()}
    return Scored(named, table.table.numpy(), ("background", *collection.part_names))
