"""Features with two kinds of cells: what fills the middle of the photos is the object."""

import numpy as np
import pytest
from PIL import Image

from meronym.images import averaged
from meronym.masks import along_edges, certainty, found_quarters, object_lines, object_network, pieces
from meronym.masks.split import split_foreground
from pictures import disc

OBJECT, REST, BESIDE = np.random.default_rng(0).standard_normal((3, 16))


def photos(count: int = 12, flip: float = 1.0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Features (16, 12, 14) with noise, and where their object is."""
    rng = np.random.default_rng(1)
    masks = [disc(14, 12, rng.uniform(2.5, 4)) for _ in range(count)]
    maps = [np.where(mask, OBJECT[:, None, None], REST[:, None, None]) * flip for mask in masks]
    return [m + 0.3 * rng.standard_normal(m.shape) for m in maps], masks


def view(mask: np.ndarray) -> Image.Image:
    """A red object on blue, 8 pixels to a cell."""
    return Image.fromarray(
        np.where(mask.repeat(8, 0).repeat(8, 1)[..., None], (200, 40, 40), (40, 40, 200)).astype("u1")
    )


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_middle_is_found_whatever_the_sign(flip, dtype):
    maps, masks = photos(flip=flip)
    found = split_foreground(lambda: (m.astype(dtype) for m in maps))
    assert len(found) == len(masks) and all(f.dtype == bool for f in found)
    assert np.mean([(f == m).mean() for f, m in zip(found, masks, strict=True)]) > 0.98


def test_the_halo_of_an_object_is_not_object():
    """Cells beside the object have half of its features, and something of their own."""
    rng, radii = np.random.default_rng(2), np.linspace(4, 6, 30)
    masks, halos = [disc(20, 20, r) for r in radii], [disc(20, 20, r + 1.2) for r in radii]
    cells = [np.where(mask, 2, halo) for mask, halo in zip(masks, halos, strict=True)]
    maps = [np.stack([REST, 0.5 * OBJECT + BESIDE, OBJECT])[cell].transpose(2, 0, 1) for cell in cells]
    maps = [m + 0.1 * rng.standard_normal(m.shape) for m in maps]
    quarters = found_quarters(lambda: iter(maps), map(view, masks))
    found = split_foreground(lambda: iter(maps)), [averaged(each, (20, 20)) > 0.5 for each in quarters]
    halo, none = (np.mean([(f != m).mean() for f, m in zip(one, masks, strict=True)]) for one in found)
    assert halo > 0.05 and none < 0.02


def test_an_outline_moves_to_the_edges_of_the_photo():
    mask, found = disc(20, 20, 6), disc(20, 20, 6.3)
    refined = along_edges(np.where(found, 0.9, 0.1), view(mask), mask.shape)
    assert refined.dtype == np.float32 and refined.shape == mask.shape
    finer = np.where(found, 0.9, 0.1).repeat(2, 0).repeat(2, 1)
    np.testing.assert_allclose(along_edges(finer, view(mask), mask.shape), refined, atol=0.3)
    assert (found != mask).mean() > 0.02 and np.array_equal(refined > 0.5, mask)


def test_the_classifier_knows_the_object_in_new_photos():
    maps, masks = photos(20)
    ((weight, bias),) = lines = object_lines(maps[:12], [m.astype(np.float32) for m in masks[:12]])
    assert weight.shape == (1, 16) and bias.shape == (1,)
    for features, mask in zip(maps[12:], masks[12:], strict=True):
        assert ((certainty(features, lines) > 0.5) == mask).mean() > 0.97


@pytest.mark.parametrize("learned", [object_lines, object_network])
def test_a_cell_tells_which_of_its_quarters_are_object(learned):
    """Features say where in its cell the object ends; in a cell's order, row by row, stand the map's quarters."""
    rng = np.random.default_rng(3)
    ways = rng.standard_normal((4, 16))
    quarters = [rng.random((12, 14)) < 0.5 for _ in range(200)]
    maps = [
        np.einsum("qd,qhw->dhw", ways, q.reshape(6, 2, 7, 2).transpose(1, 3, 0, 2).reshape(4, 6, 7)) for q in quarters
    ]
    maps = [m + 0.1 * rng.standard_normal(m.shape) for m in maps]
    layers = learned(maps[:160], [q.astype(np.float32) for q in quarters[:160]])
    assert layers[-1][0].shape[0] == 4
    for features, q in zip(maps[160:], quarters[160:], strict=True):
        assert ((certainty(features, layers) > 0.5) == q).mean() > 0.97


def test_a_network_learns_an_object_that_no_line_tells():
    """Cells of two kinds far apart, and the rest between them."""
    maps, masks = photos(160)
    side = np.random.default_rng(4).random((160, 12, 14)) < 0.5
    maps = [np.where(mask & one, -m, np.where(mask, m, 0 * m)) for m, mask, one in zip(maps, masks, side, strict=True)]
    quarters = [mask.repeat(2, 0).repeat(2, 1).astype(np.float32) for mask in masks]
    right = []
    for learned in (object_lines, object_network):
        layers = learned(maps[:120], quarters[:120])
        right.append(
            np.mean([((certainty(m, layers) > 0.5) == q) for m, q in zip(maps[120:], quarters[120:], strict=True)])
        )
    assert right[0] < 0.95 < 0.98 < right[1]


def test_both_are_functions_of_the_photos():
    maps, masks = photos()
    quarters = [found_quarters(lambda: iter(maps), map(view, masks)) for _ in range(2)]
    assert all(np.array_equal(one, other) for one, other in zip(*quarters, strict=True))
    for learned in (object_lines, object_network):
        again = [np.concatenate([np.ravel(x) for layer in learned(maps, quarters[0]) for x in layer]) for _ in range(2)]
        assert np.array_equal(*again)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_nothing_to_tell_apart(value):
    maps, masks = photos(3)
    with pytest.raises(ValueError, match="every cell is object, or none is"):
        object_lines(maps, [np.full_like(mask, value, dtype=np.float32) for mask in masks])


def test_photos_of_one_colour_hold_no_object():
    with pytest.raises(ValueError, match="every cell is object, or none is"):
        found_quarters(lambda: iter([np.ones((4, 9, 10), np.float32)] * 3), map(view, [np.ones((9, 10))] * 3))


def test_pieces_come_largest_first_and_without_crumbs():
    mask = np.zeros((20, 20), bool)
    mask[1:4, 1:4], mask[6:16, 6:16], mask[18, 18] = True, True, True
    found = pieces(mask, 0.05)
    assert [piece.sum() for piece in found] == [100, 9] and [p.sum() for p in pieces(mask)] == [100]
    assert pieces(np.zeros((4, 4), bool)) == []
