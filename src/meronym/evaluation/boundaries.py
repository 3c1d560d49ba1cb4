"""How well the borders of the parts lie on those of the true labels, at the photo's own size."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Integer
from scipy.ndimage import distance_transform_edt

from meronym.collections import Collection
from meronym.evaluation.keypoints import usable
from meronym.model import PartModel


def evaluate_boundaries(model: PartModel, collection: Collection, within: float = 2.0) -> dict[str, float]:
    """Boundary F ×100, the mean over photos, of a model that is told each object's box but not its mask.

    boundary_f_bilinear: of the same maps enlarged bilinearly, without following the photo's edges. within: pixels.
    Raises ValueError for a collection without part labels.
    """
    if not collection.part_names:
        raise ValueError(f"{collection.name} has no part labels to score against")
    scores: dict[str, list[float]] = {"boundary_f": [], "boundary_f_bilinear": []}
    for sample in usable(collection):
        assert sample.part_labels is not None
        view = model.view(sample)
        blind = replace(sample, mask=None)
        found = model.segment([replace(view, foreground=None)])[0]
        for name, sharp in (("boundary_f", model.segmenter.sharp), ("boundary_f_bilinear", False)):
            labels = model.painted(blind, view, *found, sharp=sharp).labels
            scores[name].append(boundary_f(labels, sample.part_labels, within))
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
