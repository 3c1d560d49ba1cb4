"""A look at one photo: its label map at the explorer's size, and the figures of its parts."""

import struct
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from meronym.parts import Parts

SHARE, SURE, X, Y, X0, Y0, X1, Y1 = range(8)
"""Columns of a part's figures: its share of the object's pixels (0 if absent); mean confidence; its centre, from 0 to 1
over the box around all parts; its box, from 0 to 1 over the photo. NaN where absent or unknown."""
COLUMNS = 8
HIDDEN = 255
"""What is under a keypoint that the photo does not show."""


@dataclass(frozen=True, eq=False)
class Look:
    """What the model makes of one photo.

    size: (width, height) of the photo itself. keypoints: the part under each, 0 for none, `HIDDEN` if not visible.
    """

    size: tuple[int, int]
    figures: Float[np.ndarray, "K 8"]
    keypoints: UInt8[np.ndarray, " P"]
    labels: UInt8[np.ndarray, "h w"] | None = None

    @property
    def exact(self) -> bool:
        """Whether the label map has the photo's own size, so that it is the model's very answer."""
        return self.labels is not None and self.labels.shape == self.size[::-1]


def look_at(parts: Parts, size: tuple[int, int], keypoints: Float[np.ndarray, "P 3"] | None = None) -> Look:
    """The figures of a prediction. size: width and height of the photo itself, whose pixels the keypoints count in."""
    rows = parts.table()
    width, height = parts.size
    figures = np.full((len(rows), COLUMNS), np.nan, dtype=np.float32)
    total = max(1, sum(row["area"] for row in rows))
    left, top, right, bottom = _extent([row["box"] for row in rows if row["box"]])
    for figure, row in zip(figures, rows, strict=True):
        figure[SHARE] = row["area"] / total
        if row["box"] is None or row["centre"] is None:
            continue
        (x, y), (x0, y0, x1, y1) = row["centre"], row["box"]
        figure[SURE] = np.nan if row["confidence"] is None else row["confidence"]
        figure[X], figure[Y] = (x - left) / max(1, right - left), (y - top) / max(1, bottom - top)
        figure[X0:] = x0 / width, y0 / height, x1 / width, y1 / height
    return Look(size, figures, _under(keypoints, parts.labels, size), parts.labels)


def pack_figures(look: Look) -> bytes:
    """All of a look but its label map, as it is kept on disk."""
    header = struct.pack("<IIHH", *look.size, len(look.figures), len(look.keypoints))
    return header + look.figures.astype("<f4").tobytes() + look.keypoints.tobytes()


def unpack_figures(data: bytes) -> Look:
    """What `pack_figures` made of a look. Raises ValueError or struct.error for anything else."""
    width, height, parts, keypoints = struct.unpack("<IIHH", data[:12])
    middle = 12 + 4 * COLUMNS * parts
    if len(data) != middle + keypoints:
        raise ValueError("figures of another length than they say")
    figures = np.frombuffer(data[12:middle], dtype="<f4").reshape(parts, COLUMNS)
    return Look((width, height), figures, np.frombuffer(data[middle:], dtype=np.uint8))


def _extent(boxes: list[tuple[int, int, int, int]]) -> tuple[int, int, int, int]:
    if not boxes:
        return 0, 0, 1, 1
    x0, y0, x1, y1 = zip(*boxes, strict=True)
    return min(x0), min(y0), max(x1), max(y1)


def _under(
    keypoints: Float[np.ndarray, "P 3"] | None, labels: UInt8[np.ndarray, "h w"], size: tuple[int, int]
) -> UInt8[np.ndarray, " P"]:
    if keypoints is None:
        return np.zeros(0, dtype=np.uint8)
    height, width = labels.shape
    x = np.clip(np.nan_to_num(keypoints[:, 0]) * width / size[0], 0, width - 1).astype(int)
    y = np.clip(np.nan_to_num(keypoints[:, 1]) * height / size[1], 0, height - 1).astype(int)
    return np.where(keypoints[:, 2] > 0, labels[y, x], HIDDEN).astype(np.uint8)
