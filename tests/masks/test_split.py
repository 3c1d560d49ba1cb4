"""Features with two kinds of cells: what fills the middle of the photos is the object."""

import numpy as np
import pytest

from meronym.masks import object_classifier, split_foreground
from pictures import disc

OBJECT, REST = np.random.default_rng(0).standard_normal((2, 16))


def photos(count: int = 12, flip: float = 1.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Features (16, 12, 14) with noise, and where their object is."""
    rng = np.random.default_rng(1)
    masks = [disc(14, 12, rng.uniform(2.5, 4)) for _ in range(count)]
    maps = [np.where(mask, OBJECT[:, None, None], REST[:, None, None]) * flip for mask in masks]
    return [m + 0.3 * rng.standard_normal(m.shape) for m in maps], masks


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_middle_is_found_whatever_the_sign(flip, dtype):
    maps, masks = photos(flip=flip)
    found = split_foreground(lambda: (m.astype(dtype) for m in maps))
    assert len(found) == len(masks) and all(f.dtype == bool for f in found)
    assert np.mean([(f == m).mean() for f, m in zip(found, masks, strict=True)]) > 0.98


def test_the_classifier_knows_the_object_in_new_photos():
    maps, masks = photos(20)
    weight, bias = object_classifier(maps[:12], [m.astype(np.float32) for m in masks[:12]])
    for features, mask in zip(maps[12:], masks[12:], strict=True):
        assert ((np.tensordot(weight, features, 1) + bias > 0) == mask).mean() > 0.97


def test_both_are_functions_of_the_photos():
    maps, masks = photos()
    again = [object_classifier(maps, [m.astype(float) for m in masks]) for _ in range(2)]
    assert np.array_equal(again[0][0], again[1][0]) and again[0][1] == again[1][1]
    assert all(map(np.array_equal, *(split_foreground(lambda: iter(maps)) for _ in range(2))))


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_to_tell_apart(value):
    maps, masks = photos(3)
    with pytest.raises(ValueError, match="every cell is object, or none is"):
        object_classifier(maps, [np.full_like(mask, value, dtype=np.float32) for mask in masks])


def test_photos_of_one_colour_hold_no_object():
    with pytest.raises(ValueError, match="every cell is object, or none is"):
        split_foreground(lambda: iter([np.ones((4, 9, 10), np.float32)] * 3))
