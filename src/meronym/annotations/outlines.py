"""Masks to polygons and back, without loss.

A mask is traced along the borders between its pixels, so filling its polygons gives the same pixels again.
Each 4-connected piece is one polygon; a hole is joined to the border on its left by a cut of no width,
since none of the polygon formats has holes.
"""

import numpy as np

_RIGHT, _DOWN, _LEFT, _UP = range(4)
_STEP_X, _STEP_Y = np.array([1, 0, -1, 0]), np.array([0, 1, 0, -1])
_INWARD_X, _INWARD_Y = np.array([0, -1, 0, 1]), np.array([1, 0, -1, 0])
"""The side of each step on which the mask lies: on its right hand."""


def outlines(mask: np.ndarray, inset: float = 0.0) -> list[np.ndarray]:
    """The outlines of a mask, one polygon for each 4-connected piece, the largest first.

    Args:
        mask: (H, W) bool.
        inset: draw the polygons this far inside the mask, in pixels, below 0.5. With an inset, readers that
            round coordinates down and paint the line itself (OpenCV's fillPoly, as YOLO's loaders call it)
            get the mask back, and so do readers that fill the area. With none only the latter do.

    Returns:
        (N, 2) arrays of x, y in pixels from the top left corner of the photo; int64 if there is no inset.
        The last point is joined to the first. None for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    x, y, direction, following = _border_steps(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    chains = _without_holes(x, y, direction, following)
    before = np.empty_like(following)
    before[following] = np.arange(len(following))
    came = direction[before]
    polygons = []
    for chain, joints in chains:
        chain = np.array(chain)
        points = np.stack([x[chain] + left, y[chain] + top], 1)
        if inset:
            inward = np.stack([_INWARD_X[direction] + _INWARD_X[came], _INWARD_Y[direction] + _INWARD_Y[came]], 1)
            points = points + inset * np.sign(inward[chain])
        polygons.append(points[(direction[chain] != came[chain]) | np.array(joints)])
    return polygons


def _border_steps(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Every unit step along the border of a mask, with the mask on its right, and the step that follows it.

    Returns:
        x, y of the step's start, its direction, and the index of the next step, each (steps,) int64. Where
        two pixels meet in a corner only, the border turns right and stays with its pixel: pieces are
        4-connected.
    """
    m = np.pad(mask, 1)
    inner = m[1:-1, 1:-1]
    sides = (~m[:-2, 1:-1], ~m[1:-1, 2:], ~m[2:, 1:-1], ~m[1:-1, :-2])
    starts = ((0, 0), (1, 0), (1, 1), (0, 1))
    found = [np.nonzero(inner & side) for side in sides]
    x = np.concatenate([c + dx for (_, c), (dx, _) in zip(found, starts, strict=True)])
    y = np.concatenate([r + dy for (r, _), (_, dy) in zip(found, starts, strict=True)])
    direction = np.repeat(np.arange(4), [len(r) for r, _ in found])
    width = mask.shape[1] + 1
    keys = (y * width + x) * 4 + direction
    order = np.argsort(keys)
    in_order = keys[order]
    ends = (y + _STEP_Y[direction]) * width + x + _STEP_X[direction]
    following = np.full(len(keys), -1)
    for turn in (-1, 0, 1):  # left, straight on, right: the last that is possible stays
        wanted = ends * 4 + (direction + turn) % 4
        at = np.minimum(np.searchsorted(in_order, wanted), len(keys) - 1)
        following = np.where(in_order[at] == wanted, order[at], following)
    return x, y, direction, following


def _without_holes(
    x: np.ndarray, y: np.ndarray, direction: np.ndarray, following: np.ndarray
) -> list[tuple[list[int], list[bool]]]:
    """The closed chains of steps, holes joined to the border left of them.

    A hole is cut open from its leftmost highest corner straight to the left. Up to the first corner of any
    border that the cut meets, all four pixels around every corner on its way are the mask's, so it meets
    the same piece: either its outer border or a hole that begins further left, and has been joined before.

    Returns:
        For each piece, largest first, the steps in order and which of them are ends of a cut.
    """
    after = following.tolist()
    rings = _rings(after)
    areas = [_signed_area(x, direction, ring) for ring in rings]
    outer = sorted((i for i, a in enumerate(areas) if a > 0), key=lambda i: -areas[i])
    holes = [min(rings[i], key=lambda s: (x[s], y[s])) for i, a in enumerate(areas) if a < 0]
    before = {step: last for ring in rings for last, step in zip([ring[-1], *ring[:-1]], ring, strict=True)}
    width = int(x.max()) + 1
    corner = y * width + x
    by_corner = np.argsort(corner, kind="stable")
    corners = corner[by_corner]
    step_of = list(range(len(after)))
    joint = [False] * len(after)
    for hole in sorted(holes, key=lambda s: (x[s], y[s])):
        target = int(by_corner[np.searchsorted(corners, corner[hole]) - 1])
        hole_again, target_again = len(after), len(after) + 1
        after += [target_again, after[target]]
        step_of += [step_of[hole], step_of[target]]
        joint += [True, True]
        joint[hole] = joint[target] = True
        after[before[hole]] = hole_again
        after[target] = hole
    chains = []
    for i in outer:
        nodes = _walk(after, rings[i][0])
        chains.append(([step_of[n] for n in nodes], [joint[n] for n in nodes]))
    return chains


def _rings(after: list[int]) -> list[list[int]]:
    seen = [False] * len(after)
    rings = []
    for first in range(len(after)):
        if not seen[first]:
            ring = _walk(after, first)
            for step in ring:
                seen[step] = True
            rings.append(ring)
    return rings


def _walk(after: list[int], first: int) -> list[int]:
    ring, step = [first], after[first]
    while step != first:
        ring.append(step)
        step = after[step]
    return ring


def _signed_area(x: np.ndarray, direction: np.ndarray, ring: list[int]) -> int:
    """The area inside a ring in pixels; negative for the border of a hole."""
    steps = np.array(ring)
    return int((x[steps] * _STEP_Y[direction[steps]]).sum())


def fill(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool: the pixels whose centres lie inside a polygon, by the even-odd rule.

    Args:
        polygon: (N, 2) x, y in pixels from the top left corner; it may reach outside the photo.
        size: (H, W).
    """
    height, width = size
    start = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    end = np.roll(start, -1, axis=0)
    upper = np.where((start[:, 1] <= end[:, 1])[:, None], start, end)
    lower = np.where((start[:, 1] <= end[:, 1])[:, None], end, start)
    first = np.clip(np.ceil(upper[:, 1] - 0.5), 0, height).astype(int)
    stop = np.clip(np.ceil(lower[:, 1] - 0.5), 0, height).astype(int)
    count = stop - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    a, b = upper[edge], lower[edge]
    x = a[:, 0] + (row + 0.5 - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(int)
    filled = np.zeros(size, dtype=bool)
    if len(row):
        top, bottom, left, right = row.min(), row.max() + 1, column.min(), column.max() + 1
        wide = right - left
        cells = (row - top) * wide + column - left
        crossings = np.bincount(cells, minlength=(bottom - top) * wide).reshape(-1, wide)
        inside = np.cumsum(crossings, axis=1) % 2 == 1
        filled[top:bottom, left:right] = inside[:, : width - left]
    return filled
