"""Labels follow the edges of the photo, lie where the network put them, and do not depend on how they are computed."""

import kornia
import numpy as np
import pytest
import torch
from PIL import Image

from meronym import edges
from meronym.edges import EPSILON, FINE, REACH, SHARPNESS, follow_edges, highest
from meronym.model import paint
from pictures import picture


def coarse(mask: np.ndarray, cell: int) -> torch.Tensor:
    """Two maps on a grid of cells: the share of each that the mask covers, and the rest."""
    height, width = mask.shape
    share = mask.reshape(height // cell, cell, width // cell, cell).mean((1, 3))
    return torch.from_numpy(np.stack([1 - share, share]).astype(np.float32))


def two_colours(mask: np.ndarray, noise: float = 6) -> Image.Image:
    rng = np.random.default_rng(0)
    colours = np.where(mask[..., None], (200, 60, 40), (60, 120, 170)) + rng.normal(0, noise, (*mask.shape, 3))
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8))


def slanted(height: int = 160, width: int = 224) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (x + 0.6 * y > 150) & (x - 0.4 * y < 130)


def test_an_edge_inside_a_cell_is_found():
    mask, cell = slanted(), 16
    photo, maps = two_colours(mask), coarse(mask, cell)
    window = (0, 0, *photo.size)
    sharp, confidence = follow_edges(maps, window, photo, photo)
    plain = paint(maps.log(), window, photo.size)[0]
    missed, before = (((found == 2) != mask).mean() for found in (sharp, plain))
    assert missed < 0.004 and missed < before / 4
    assert confidence.min() >= 0 and confidence.max() <= 1 and confidence.mean() > 0.8


def test_without_edges_the_photo_changes_nothing():
    mask = slanted()
    maps, grey = coarse(mask, 16), Image.new("RGB", mask.shape[::-1], (90, 90, 90))
    sharp = follow_edges(maps, (0, 0, *grey.size), grey, grey)[0] == 2
    assert (sharp == mask).mean() > 0.96


@pytest.mark.parametrize("corners", [False, True])
def test_it_is_the_guided_filter(corners):
    """At the small copy's own size, kornia's filter is the oracle."""
    random = torch.Generator().manual_seed(0)
    maps = torch.randn(3, 9, 7, generator=random).softmax(0)
    photo = picture(7 * FINE, 9 * FINE)
    labels, confidence = follow_edges(maps, (0, 0, *photo.size), photo, photo, corners)
    guide = torch.from_numpy(np.asarray(photo, dtype=np.float32) / 255).permute(2, 0, 1)[None]
    logs = torch.nn.functional.interpolate(maps.log()[None], guide.shape[2:], mode="bilinear", align_corners=corners)
    side = 2 * round(REACH * FINE) + 1
    shares = kornia.filters.guided_blur(guide, (SHARPNESS * logs).softmax(1), side, EPSILON, border_type="constant")[0]
    inner = np.s_[side : -side or None, side : -side or None]  # kornia counts what lies outside the photo as 0
    assert (labels == shares.argmax(0).numpy() + 1)[inner].mean() > 0.99
    best = (shares.clamp(0, 1).max(0).values / shares.clamp(0, 1).sum(0)).numpy()
    np.testing.assert_allclose(confidence[inner], best[inner], atol=0.01)


@pytest.mark.parametrize("parts", [2, 16])
def test_however_many_parts_share_it_an_object_is_one(parts):
    mask = slanted()
    photo, inside = two_colours(mask), 0.35 + 0.3 * coarse(mask, 16)[1]
    random = torch.Generator().manual_seed(0)
    maps = (0.1 * torch.randn(parts, *inside.shape, generator=random)).softmax(0)
    labels, confidence = follow_edges(maps, (0, 0, *photo.size), photo, photo, inside=inside)
    assert ((labels > 0) == mask).mean() > 0.98 and len(np.unique(labels)) > parts / 2
    assert confidence[labels == 0].min() >= 0.5 and confidence[labels > 0].max() < 0.95


def test_the_highest_and_which_it_is():
    values = torch.rand(5, 256, 7, generator=torch.Generator().manual_seed(0))
    values[0, :, 0] = 0
    values[1, [4, 9], 1] = 1
    best, which = highest(values)
    np.testing.assert_allclose(best, values.amax(1), rtol=2**-15)
    np.testing.assert_allclose(values.gather(1, which[:, None].long())[:, 0], values.amax(1), rtol=2**-15)
    assert which[0, 0] == 0 and which[1, 1] == 4


@pytest.mark.parametrize("window", [(-30, -20, 190, 200), (40, 30, 140, 130), (150, 90, 400, 300)])
def test_a_window_past_the_photo_and_bands(window, monkeypatch):
    mask = slanted()
    photo = two_colours(mask)
    view = photo.crop(window).resize((128, 128))
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0)).softmax(0)
    monkeypatch.setattr(edges, "BAND", 2000)
    monkeypatch.setattr(edges, "COLUMNS", 33)
    labels, confidence = follow_edges(maps, window, photo, view)
    left, top, right, bottom = max(window[0], 0), max(window[1], 0), min(window[2], 224), min(window[3], 160)
    outside = np.ones_like(mask)
    outside[top:bottom, left:right] = False
    assert not labels[outside].any() and not confidence[outside].any() and (confidence[~outside] > 0).all()
    whole = Image.new("RGB", (window[2] - window[0], window[3] - window[1]))
    whole.paste(photo, (-window[0], -window[1]))  # the same from one photo that holds all of the window, in one band
    monkeypatch.setattr(edges, "BAND", 2**30)
    monkeypatch.setattr(edges, "COLUMNS", 2**30)
    same = follow_edges(maps, (0, 0, *whole.size), whole, view)[0]
    inside = same[top - window[1] : bottom - window[1], left - window[0] : right - window[0]]
    assert np.array_equal(labels[~outside], inside.ravel())
    part = follow_edges(maps, window, photo, view, within=(50, 40, 90, 300))[0]
    assert np.array_equal(part[40:, 50:90], labels[40:, 50:90]) and not part[:40].any() and not part[:, 90:].any()


def test_outside_the_photo_is_nothing():
    photo = picture(40, 30)
    labels, confidence = follow_edges(torch.full((2, 3, 3), 0.5), (50, 0, 60, 9), photo, photo)
    assert not labels.any() and not confidence.any()
