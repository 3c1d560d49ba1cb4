"""What a label map says of each part, in numbers."""

from collections.abc import Sequence
from typing import TypedDict

import numpy as np


class Row(TypedDict):
    """One part of one photo. The last four are None where the part is absent.

    `centre` is the mean x and y, `box` is x0, y0, x1, y1, both in photo pixels measured from the top left
    corner of the photo, so that a part of one pixel at the corner has centre 0.5, 0.5 and box 0, 0, 1, 1.
    `confidence` is the mean over the part's pixels, and None too where none is known.
    """

    part: int
    name: str
    area: int
    share: float
    centre: tuple[float, float] | None
    box: tuple[int, int, int, int] | None
    confidence: float | None


def summarise(labels: np.ndarray, names: Sequence[str], confidence: np.ndarray | None = None) -> list[Row]:
    """One row for each part, in order, absent parts too.

    Args:
        labels: (H, W) uint8, 0 for the background and k for part k.
        names: K names.
        confidence: (H, W) in [0, 1], or None.
    """
    parts = len(names)
    areas = np.bincount(labels.ravel(), minlength=parts + 1)
    height, width = labels.shape
    by_row = _counts(labels, np.arange(height)[:, None], height, parts)
    by_column = _counts(labels, np.arange(width)[None], width, parts)
    sure = [None] * parts if confidence is None else mean_confidence(labels, confidence, parts)
    rows: list[Row] = []
    for part, name in enumerate(names, start=1):
        area = int(areas[part])
        y0, y1, y = _extent(by_row[part])
        x0, x1, x = _extent(by_column[part])
        there = area > 0
        rows.append(
            Row(
                part=part,
                name=name,
                area=area,
                share=area / labels.size if labels.size else 0.0,
                centre=(x, y) if there else None,
                box=(x0, y0, x1, y1) if there else None,
                confidence=sure[part - 1],
            )
        )
    return rows


def mean_confidence(labels: np.ndarray, confidence: np.ndarray, parts: int) -> list[float | None]:
    """The mean confidence of each of K parts, 0 to 1; None where the part is absent. labels, confidence: (H, W)."""
    inside = labels > 0
    there = labels[inside].astype(np.intp)
    areas = np.bincount(there, minlength=parts + 1)[1:]
    sums = np.bincount(there, confidence[inside], minlength=parts + 1)[1:]
    return [float(total / area) if area else None for total, area in zip(sums, areas, strict=True)]


def _counts(labels: np.ndarray, position: np.ndarray, length: int, parts: int) -> np.ndarray:
    """(K + 1, length): how many pixels of each label lie at each position of one axis."""
    cells = labels.astype(np.int64) * length + position
    return np.bincount(cells.ravel(), minlength=(parts + 1) * length).reshape(-1, length)


def _extent(counts: np.ndarray) -> tuple[int, int, float]:
    """First, one past the last, and mean position (pixel centres) of a histogram over one axis."""
    where = np.flatnonzero(counts)
    if not len(where):
        return 0, 0, 0.0
    return int(where[0]), int(where[-1]) + 1, float(np.average(where + 0.5, weights=counts[where]))
