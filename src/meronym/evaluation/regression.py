"""Keypoint regression: annotated keypoints from the centres of the parts (section 4.1 of the paper), error ×100.

A part's centre is the mean position under its soft assignment, within the object's mask. Centres and keypoints are
measured in units of the ground-truth box. The regression is fitted on the training photos and scored on the visible
keypoints of the test photos: of all classes (`kpr`), and as in Table 1 of each of CUB's first three classes after a
fit on those three (`kpr_001`, `kpr_002`, `kpr_003`).

Also the rows of Table 1 that need no model, whose one landmark is known from the annotation. The published figures
come from readings of their own, `published=True`: the midpoint with width and height swapped, and an invisible
keypoint counted as one at pixel (0, 0). Measured here on CUB-001/002/003, plain and published: midpoint
26.7/26.1/26.5 and 27.4/26.8/27.2, mean keypoint 14.5/15.8/12.8 and 20.9/22.5/19.9, throat 12.7/13.1/12.4 and
16.4/14.9/15.3.

Differs from the published code: centres come from the window around the object, not from the whole photo, and from
the network's own grid; it counts pixels from 1.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from meronym.collections import Collection, Sample
from meronym.evaluation.keypoints import located, usable
from meronym.images import Window, crop_mask
from meronym.metrics import keypoint_error, regress_keypoints
from meronym.model import PartModel, object_box

SUBSETS = ("001", "002", "003")
BASELINES = ("midpoint", "mean_keypoint", "single_keypoint")


class Landmarks(NamedTuple):
    """Of N photos, in units of their boxes: landmarks (x, y of each), keypoints (x, y, visible), and categories."""

    places: Float[np.ndarray, "N D"]
    keypoints: Float[np.ndarray, "N P 3"]
    categories: np.ndarray

    def of(self, categories: list[int]) -> "Landmarks":
        chosen = np.isin(self.categories, categories)
        return Landmarks(self.places[chosen], self.keypoints[chosen], self.categories[chosen])


def evaluate_regression(model: PartModel, fit: Collection, test: Collection, masks: bool = True) -> dict[str, float]:
    """Errors ×100 of a model: regressions fitted on one split's photos, scored on another's.

    masks: whether parts are looked for within the object's mask only.
    Raises ValueError for a collection without keypoints.
    """
    _check(test)
    return scores(part_centres(model, fit, masks), part_centres(model, test, masks), test.category_names)


def evaluate_baseline(
    name: str, fit: Collection, test: Collection, *, published: bool = False, keypoint: str = "throat"
) -> dict[str, float]:
    """Errors ×100 of one landmark that needs no model, see BASELINES; keypoint: the single one.

    published: the readings that give the paper's figures.
    """
    _check(test)
    if name not in BASELINES:
        raise ValueError(f"baseline {name!r}: one of {', '.join(BASELINES)}")
    if name == "single_keypoint" and keypoint not in test.keypoint_names:
        raise ValueError(f"keypoint {keypoint!r}: {test.name} has {', '.join(test.keypoint_names)}")
    kind = test.keypoint_names.index(keypoint) if name == "single_keypoint" else 0

    def landmarks(collection: Collection) -> Landmarks:
        return _gather((sample, _landmark(name, sample, kind, published)) for sample in usable(collection))

    known, asked = landmarks(fit), landmarks(test)
    if np.isnan(known.places).all():
        raise ValueError(f"{name}: none of its keypoints is visible in the photos to fit on")
    return scores(known, asked, test.category_names)


def scores(fit: Landmarks, test: Landmarks, category_names: tuple[str, ...]) -> dict[str, float]:
    """`kpr` of all photos, and where there are CUB's first three classes, of each of them.

    A landmark that is not known (NaN) is taken to be at its mean in the photos to fit on.
    """

    def error(known: Landmarks, asked: Landmarks) -> float:
        mean = np.nanmean(known.places, 0)
        places, others = (np.where(np.isnan(each.places), mean, each.places) for each in (known, asked))
        found = regress_keypoints(places, known.keypoints, others)
        return 100 * keypoint_error(found, asked.keypoints)

    result = {"kpr": error(fit, test)}
    places = {name.split(".")[0]: i for i, name in enumerate(category_names)}
    chosen = [places[subset] for subset in SUBSETS if subset in places]
    if len(chosen) == len(SUBSETS) and set(chosen) <= set(fit.categories) & set(test.categories):
        few = fit.of(chosen)
        result |= {f"kpr_{name}": error(few, test.of([c])) for name, c in zip(SUBSETS, chosen, strict=True)}
    return result


def part_centres(model: PartModel, collection: Collection, masks: bool = True) -> Landmarks:
    """The centres of the parts in every usable photo. masks: whether they are within the object's mask."""

    def centres() -> Iterator[tuple[Sample, np.ndarray]]:
        for sample, window, logits, _ in located(model, collection):
            grid = (logits.shape[2], logits.shape[1])
            within = crop_mask(sample.mask, window, grid) if masks and sample.mask is not None else np.ones(grid[::-1])
            object_ = torch.from_numpy(within.astype(np.float32))
            unit = soft_centres(model.shares(logits), object_, model.segmenter.corners).numpy()
            yield sample, _in_box(_out_of(window, unit), sample)

    return _gather(centres())


def soft_centres(
    shares: Float[Tensor, "K h w"], foreground: Float[Tensor, "h w"], corners: bool = False
) -> Float[Tensor, "K 2"]:
    """x, y in 0..1 of the window: sum_u M_ku f_u u / sum_u M_ku f_u, M the shares of the parts and f the foreground.

    A part that is nowhere on the object has the object's centre, and on an empty foreground the window's.
    """
    inside = foreground.double() + 1e-9
    masks = (shares.double() + 1e-9) * inside
    masks = masks / masks.sum((1, 2), keepdim=True)
    y, x = (_axis(n, corners) for n in shares.shape[1:])
    return torch.stack([masks.sum(1) @ x, masks.sum(2) @ y], 1)


def _axis(cells: int, corners: bool) -> Float[Tensor, " n"]:
    """Where the cells of a grid lie in 0..1 along one axis."""
    if corners and cells > 1:
        return torch.linspace(0, 1, cells, dtype=torch.float64)
    return (torch.arange(cells, dtype=torch.float64) + 0.5) / cells


def _landmark(name: str, sample: Sample, kind: int, published: bool) -> Float[np.ndarray, "1 2"]:
    """In units of the box; NaN where it is not known."""
    width, height = sample.image.size
    if name == "midpoint":
        place = np.array((height, width) if published else (width, height)) / 2
        return _in_box(place[None], sample)
    assert sample.keypoints is not None
    points = sample.keypoints[[kind]] if name == "single_keypoint" else sample.keypoints
    seen = points[:, 2] > 0.5
    if not seen.any() and not published:
        return np.full((1, 2), np.nan)
    total = (points[:, :2] * seen[:, None]).sum(0, keepdims=True)
    return _in_box(total / (len(points) if published else seen.sum()), sample)


def _gather(found: Iterator[tuple[Sample, np.ndarray]]) -> Landmarks:
    places, keypoints, categories = [], [], []
    for sample, landmarks in found:
        assert sample.keypoints is not None
        places.append(landmarks.ravel().astype(np.float64))
        points = _in_box(sample.keypoints[:, :2], sample)
        keypoints.append(np.concatenate([points, sample.keypoints[:, 2:]], 1))
        categories.append(-1 if sample.category is None else sample.category)
    if not places:
        raise ValueError("no photo to regress keypoints on could be used: a training and a test split are needed")
    return Landmarks(np.stack(places), np.stack(keypoints), np.array(categories))


def _out_of(window: Window, unit: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "K 2"]:
    x0, y0, x1, y1 = window
    return (x0, y0) + unit * (x1 - x0, y1 - y0)


def _in_box(points: Float[np.ndarray, "K 2"], sample: Sample) -> Float[np.ndarray, "K 2"]:
    x0, y0, x1, y1 = object_box(sample)
    return (points.astype(np.float64) - (x0, y0)) / (x1 - x0, y1 - y0)


def _check(collection: Collection) -> None:
    if not collection.keypoint_names:
        raise ValueError(f"{collection.name} has no keypoints to regress")
