"""The pictures that the explorer sends: photos made smaller, and label maps as runs of equal pixels."""

import io
import zlib

import numpy as np
from PIL import Image

SIDE = 1024
"""Longest side in pixels of a photo, and of its label map, as the explorer keeps them."""
TILE = 384
"""Longest side in pixels of a photo in the gallery."""


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """A size (width, height) brought down, if it is larger, until its longest side is `side`."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def jpeg(image: Image.Image, side: int, quality: int = 84) -> bytes:
    """An RGB picture as JPEG, at most `side` pixels a side."""
    size = fitted(image.size, side)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def smaller_labels(labels: np.ndarray, side: int) -> np.ndarray:
    """A label map (H, W) uint8, at most `side` pixels a side; each pixel is one of the original's."""
    height, width = labels.shape
    new = fitted((width, height), side)
    if new == (width, height):
        return labels
    rows = (np.arange(new[1]) + 0.5) * height / new[1]
    columns = (np.arange(new[0]) + 0.5) * width / new[0]
    return labels[rows.astype(int)[:, None], columns.astype(int)]


def runs(labels: np.ndarray) -> bytes:
    """A label map (H, W) uint8 for the page: width and height (two bytes each), then runs of equal pixels.

    A run is a label (one byte) and a length (two bytes, little-endian); runs go on over the ends of rows.
    """
    height, width = labels.shape
    flat = labels.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths = np.diff(ends, prepend=0)
    pieces = (lengths + 65_534) // 65_535
    run = np.zeros(int(pieces.sum()), dtype=np.dtype([("label", "u1"), ("length", "<u2")]))
    run["label"] = np.repeat(flat[ends - 1], pieces)
    run["length"] = 65_535
    run["length"][np.cumsum(pieces) - 1] = lengths - 65_535 * (pieces - 1)
    return np.array([width, height], dtype="<u2").tobytes() + run.tobytes()


def pack(labels: np.ndarray) -> bytes:
    """A label map (H, W) uint8, at most 65,535 pixels a side, as it is kept on disk."""
    height, width = labels.shape
    return np.array([width, height], dtype="<u2").tobytes() + zlib.compress(labels.tobytes(), 2)


def unpack(data: bytes) -> np.ndarray:
    """What `pack` made a label map of. Raises ValueError or zlib.error for anything else."""
    width, height = np.frombuffer(data[:4], dtype="<u2").tolist()
    return np.frombuffer(zlib.decompress(data[4:]), dtype=np.uint8).reshape(height, width)
