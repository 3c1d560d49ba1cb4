"""Polygons give back the mask they were traced from, in every way that readers fill them."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from meronym.annotations.outlines import fill, outlines


def masks() -> dict[str, np.ndarray]:
    """Masks that are hard on tracers, by name."""
    rng = np.random.default_rng(0)
    ring = np.ones((9, 11), dtype=bool)
    ring[2:7, 3:8] = False
    island = ring.copy()
    island[4, 5] = True
    nested = np.ones((15, 15), dtype=bool)
    for k, value in enumerate((True, False, True, False, True)):
        nested[k : 15 - k, k : 15 - k] = value
    comb = np.ones((7, 21), dtype=bool)
    comb[1:6, 1:20:2] = False
    found = {
        "one pixel": np.ones((1, 1), dtype=bool),
        "pixel in a corner": np.pad(np.ones((1, 1), dtype=bool), ((6, 0), (4, 0))),
        "row": np.ones((1, 13), dtype=bool),
        "column": np.ones((13, 1), dtype=bool),
        "ring": ring,
        "island in a hole": island,
        "nested rings": nested,
        "many holes": comb,
        "checkerboard": np.indices((9, 9)).sum(0) % 2 == 0,
        "corner to corner": np.eye(6, dtype=bool),
        "full": np.ones((17, 5), dtype=bool),
    }
    for k in range(120):
        height, width = rng.integers(1, 14, 2)
        found[f"noise {k}"] = rng.random((height, width)) < rng.choice([0.2, 0.5, 0.7, 0.9])
    noise = Image.fromarray(rng.integers(0, 256, (131, 97), dtype=np.uint8))
    found["blobs"] = np.asarray(noise.filter(ImageFilter.GaussianBlur(2))) > 128
    return found


def filled(polygons: list[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    result = np.zeros(size, dtype=bool)
    for polygon in polygons:
        result |= fill(polygon, size)
    return result


def even_odd(polygon: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The rule itself, pixel by pixel: is the number of sides to the left of the centre odd?"""
    result = np.zeros(size, dtype=bool)
    sides = list(zip(polygon, np.roll(polygon, -1, axis=0), strict=True))
    for r, c in np.ndindex(size):
        y, x, count = r + 0.5, c + 0.5, 0
        for (x0, y0), (x1, y1) in sides:
            if (y0 <= y) != (y1 <= y):
                count += x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x
        result[r, c] = count % 2
    return result


@pytest.mark.parametrize("mask", masks().values(), ids=list(masks()))
def test_outlines_hold_exactly_the_mask(mask: np.ndarray):
    coco = pytest.importorskip("pycocotools.mask")
    exact, inset = outlines(mask), outlines(mask, 0.1)
    assert np.array_equal(filled(exact, mask.shape), mask)
    assert np.array_equal(filled(inset, mask.shape), mask)
    if exact:
        flat = [polygon.ravel().tolist() for polygon in exact]
        decoded = coco.decode(coco.merge(coco.frPyObjects(flat, *mask.shape)))
        assert np.array_equal(decoded > 0, mask)


def test_one_polygon_for_each_piece_largest_first():
    mask = np.zeros((20, 20), dtype=bool)
    mask[1:3, 1:3] = mask[3, 3] = True  # touch in a corner: two pieces
    mask[6:18, 6:18] = True
    mask[8:10, 8:10] = mask[12:14, 8:16] = False
    assert [int(polygon.min()) for polygon in outlines(mask)] == [6, 1, 3]
    assert outlines(mask)[1].tolist() == [[1, 1], [3, 1], [3, 3], [1, 3]]
    assert outlines(np.zeros((3, 3), dtype=bool)) == []


def test_fill_follows_the_even_odd_rule_for_any_polygon():
    rng = np.random.default_rng(3)
    for _ in range(25):
        polygon = rng.uniform(-6, 20, (rng.integers(3, 9), 2))
        assert np.array_equal(fill(polygon, (11, 13)), even_odd(polygon, (11, 13)))
    assert not fill(np.array([[1, 1], [5, 1], [3, 1]]), (8, 8)).any()
    assert not fill(np.array([[50, 50], [60, 50], [60, 60]]), (8, 8)).any()


def test_opencv_paints_the_inset_polygons_back():
    cv2 = pytest.importorskip("cv2")
    for name, mask in masks().items():
        painted = np.zeros(mask.shape, dtype=np.uint8)
        for polygon in outlines(mask, 0.1):
            cv2.fillPoly(painted, [polygon.astype(np.int32)], 1)
        assert np.array_equal(painted > 0, mask), name
