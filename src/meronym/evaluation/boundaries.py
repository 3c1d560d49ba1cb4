"""How well the borders of the parts lie on those of the true labels, at the photo's own size."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Integer
from scipy.ndimage import distance_transform_edt

from meronym.collections import Collection
from meronym.images import BadPhoto
from meronym.model import PartModel
from meronym.progress import progress, say


def evaluate_boundaries(model: PartModel, collection: Collection, within: float = 2.0) -> dict[str, float]:
    """Boundary F ×100, the mean over photos, of a model that is told each object's box but not its mask.

    boundary_f_bilinear: of the same maps enlarged bilinearly, without following the photo's edges. within: pixels.
    Raises ValueError for a collection without part labels.
    """
    if not collection.part_names:
        raise ValueError(f"{collection.name} has no part labels to score against")
    scores: dict[str, list[float]] = {"boundary_f": [], "boundary_f_bilinear": []}
    sharp = model.segmenter.sharp
    with progress("evaluating", len(collection)) as advance:
        for i in range(len(collection)):
            advance(i)
            try:
                sample = collection[i]
            except BadPhoto as error:
                say(f"skipped {error}")
                continue
            assert sample.part_labels is not None
            view = model.view(sample)
            blind = dataclasses.replace(sample, mask=None)
            found = model.segment([dataclasses.replace(view, foreground=None)])[0]
            for name, follow in (("boundary_f", sharp), ("boundary_f_bilinear", False)):
                model.segmenter.sharp = follow
                labels = model.painted(blind, view, *found).labels
                scores[name].append(boundary_f(labels, sample.part_labels, within))
            model.segmenter.sharp = sharp
    return {name: 100 * float(np.nanmean(values)) for name, values in scores.items()}


def boundary_f(found: Integer[np.ndarray, "H W"], true: Integer[np.ndarray, "H W"], within: float) -> float:
    """F of precision and recall of border pixels, each right if one of the other map lies within so many pixels.

    NaN where the true map has no border.
    """
    a, b = borders(found), borders(true)
    if not b.any():
        return float("nan")
    if not a.any():
        return 0.0
    precision = (distance_transform_edt(~b)[a] <= within).mean()  # type: ignore[index]
    recall = (distance_transform_edt(~a)[b] <= within).mean()  # type: ignore[index]
    return 0.0 if precision + recall == 0 else float(2 * precision * recall / (precision + recall))


def borders(labels: Integer[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels whose right or lower neighbour has another label."""
    edge = np.zeros(labels.shape, bool)
    edge[:-1] |= labels[:-1] != labels[1:]
    edge[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    return edge
