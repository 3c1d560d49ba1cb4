"""Figures over many photos: which parts come together, what is usual of a part, and which photos are in doubt.

Pure functions of arrays. N photos, K parts of the model, G parts as shown (some of the K merged); the columns of a
part's figures are those of `look`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8

from meronym.explorer.look import COLUMNS, HIDDEN, SHARE, SURE, X0, X1, Y1, X, Y
from meronym.report.survey import PRESENT

LEAST = {SHARE: 0.15, X: 0.05, Y: 0.05, SURE: 0.03}
"""Spreads below these count as these: where all photos are alike, small differences mean nothing."""


class Unusual(NamedTuple):
    """How far a part in each photo is from what is usual of it, in spreads, and what is most unusual; NaN if absent."""

    distance: Float[np.ndarray, " N"]
    why: list[str]


def merged(figures: Float[np.ndarray, "N K 8"], groups: Sequence[Sequence[int]]) -> Float[np.ndarray, "N G 8"]:
    """The figures of groups of parts, numbered from 1: shares add up, means are weighted by them, boxes join."""
    result = np.full((len(figures), len(groups), COLUMNS), np.nan, dtype=np.float32)
    for column, members in enumerate(groups):
        those = figures[:, [part - 1 for part in members]]
        if len(members) == 1:
            result[:, column] = those[:, 0]
            continue
        shares = those[..., SHARE]
        total = shares.sum(1)
        there = total > 0
        result[:, column, SHARE] = total
        weights = np.divide(shares, total[:, None], out=np.zeros_like(shares), where=there[:, None])
        for mean in (SURE, X, Y):
            values = np.where(shares > 0, those[..., mean], 0)
            result[there, column, mean] = (weights * values).sum(1)[there]
        result[there, column, X0 : X0 + 2] = np.nanmin(those[there, :, X0 : X0 + 2], axis=1)
        result[there, column, X1 : Y1 + 1] = np.nanmax(those[there, :, X1 : Y1 + 1], axis=1)
    return result


def sureness(figures: Float[np.ndarray, "N K 8"]) -> Float[np.ndarray, " N"]:
    """Mean confidence over the object in each photo; NaN where there is no object, or confidence is not known."""
    shares, sure = figures[..., SHARE], figures[..., SURE]
    total = np.where(np.isnan(sure), 0, shares).sum(1)
    summed = np.where(np.isnan(sure), 0, shares * sure).sum(1)
    return np.divide(summed, total, out=np.full(len(figures), np.nan, dtype=np.float32), where=total > 0)


def present(figures: Float[np.ndarray, "N G 8"]) -> Bool[np.ndarray, "N G"]:
    """Whether a photo has each part: at least half a percent of its object."""
    return figures[..., SHARE] >= PRESENT


def together(there: Bool[np.ndarray, "N G"]) -> Float[np.ndarray, "G G"]:
    """Of the photos with the part of the row, the share that has the part of the column; NaN where there are none."""
    counts = there.astype(np.float64).T @ there.astype(np.float64)
    return _shares(counts, there.sum(0).astype(np.float64))


def landing(keypoints: UInt8[np.ndarray, "N P"], table: UInt8[np.ndarray, " 256"], parts: int) -> np.ndarray:
    """Of the photos that show a keypoint, the share where it lies on each part: (P, 1 + parts), no part first.

    table: the number as shown, up to `parts`, of each of the model's parts. NaN for a keypoint that is never seen.
    """
    counts = np.zeros((keypoints.shape[1], parts + 1))
    for row, column in zip(counts, keypoints.T, strict=True):
        row += np.bincount(table[column[column != HIDDEN]], minlength=parts + 1)
    return _shares(counts, counts.sum(1))


def unusual(figures: Float[np.ndarray, "N 8"]) -> Unusual:
    """How one part differs, in each photo, from what is usual of it: in size, place and confidence.

    Each is measured from its median in median absolute deviations. A photo and its mirror image count the same; being
    surer than usual is not unusual.
    """
    there = figures[:, SHARE] >= PRESENT
    distance = np.full(len(figures), np.nan)
    why = [""] * len(figures)
    if not there.any():
        return Unusual(distance, why)
    own = figures[there].astype(np.float64)
    place = np.abs(own[:, X] - 0.5)
    scores = np.stack(
        [
            _spreads(np.log(own[:, SHARE]), LEAST[SHARE]),
            np.hypot(_spreads(place, LEAST[X]), _spreads(own[:, Y], LEAST[Y])) / np.sqrt(2),
            np.minimum(np.nan_to_num(_spreads(own[:, SURE], LEAST[SURE])), 0),
        ]
    )
    distance[there] = np.sqrt((scores**2).mean(0))
    most = np.abs(scores).argmax(0)
    for index, which, size in zip(np.flatnonzero(there), most, scores[0], strict=True):
        why[index] = ("small" if size < 0 else "large", "odd place", "unsure")[which]
    return Unusual(distance, why)


def scattered(total: int) -> np.ndarray:
    """All numbers below `total`, each once, in an order in which any first few are spread evenly over the whole."""
    step = max(1, round(total * 0.618))
    while np.gcd(step, total) > 1:
        step += 1
    return np.arange(total) * step % max(1, total)


def _spreads(values: np.ndarray, least: float) -> np.ndarray:
    """Distances from the median, in robust standard deviations of at least `least`, at most 8 of them."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.zeros_like(values)
    middle = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - middle))
    return np.clip((values - middle) / max(spread, least), -8, 8)


def _shares(counts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    total = totals[:, None] + np.zeros_like(counts)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
