"""A label map as SVG paths, one a part, so that a page can tint, outline and single out parts by itself.

The border of a part is drawn through the middles of the pixel edges along it: stairs become straight slopes,
and neighbours still share one line. Coordinates are half pixels, whole numbers all.
"""

from collections import defaultdict

import numpy as np
from PIL import Image

_STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))


def overlay_svg(labels: np.ndarray, side: int = 288) -> str:
    """An <svg> to lay over a photo: a path of class p1, p2, ... for each part, p0 for what belongs to none.

    Args:
        labels: (H, W) uint8, 0 for the background.
        side: longest side, in pixels, of the label map that is traced.
    """
    scale = side / max(labels.shape)
    if scale < 1:
        size = max(1, round(labels.shape[1] * scale)), max(1, round(labels.shape[0] * scale))
        labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    height, width = labels.shape
    paths = "".join(f'<path class="p{k}" d="{path(labels == k)}"/>' for k in np.unique(labels))
    return f'<svg viewBox="0 0 {2 * width} {2 * height}" aria-hidden="true">{paths}</svg>'


def path(mask: np.ndarray) -> str:
    """The `d` of a path around a mask (H, W) bool, in half pixels; holes come out by the even-odd rule."""
    return "".join(_closed(ring) for ring in rings(mask))


def rings(mask: np.ndarray) -> list[np.ndarray]:
    """The closed borders of a mask, around its pieces and around their holes.

    Returns:
        (N, 2) int arrays of x, y in half pixels: the middles of the pixel edges along the border, in order.
    """
    padded = np.pad(mask, 1)
    inner = padded[1:-1, 1:-1]
    beyond = (padded[:-2, 1:-1], padded[1:-1, 2:], padded[2:, 1:-1], padded[1:-1, :-2])
    begins = ((0, 0), (1, 0), (1, 1), (0, 1))  # of the edges above, right, below, left, clockwise
    leaving: dict[tuple[int, int], list[int]] = defaultdict(list)
    for way, (outside, (right, down)) in enumerate(zip(beyond, begins, strict=True)):
        for y, x in np.argwhere(inner & ~outside).tolist():
            leaving[x + right, y + down].append(way)
    found = []
    while leaving:
        at = next(iter(leaving))
        way, middles = leaving[at][0], []
        while at in leaving:
            ways = leaving[at]
            way = next(w for turn in (1, 0, -1) if (w := (way + turn) % 4) in ways)
            ways.remove(way)
            if not ways:
                del leaving[at]
            dx, dy = _STEPS[way]
            middles.append((2 * at[0] + dx, 2 * at[1] + dy))
            at = at[0] + dx, at[1] + dy
        found.append(np.array(middles))
    return found


def _closed(ring: np.ndarray) -> str:
    """One closed subpath, in relative steps, points on a straight line left out."""
    step = np.diff(ring, axis=0, prepend=ring[-1:])
    turns = (step != np.roll(step, -1, axis=0)).any(1)
    corners = ring[turns]
    x, y = corners[0]
    moves = np.diff(corners, axis=0)
    return f"M{x} {y}l" + " ".join(f"{dx} {dy}" for dx, dy in moves.tolist()) + "z"
