"""Views are addressed by (seed, step, photo), and one warp moves photo, mask and logits alike."""

import numpy as np
import pytest
import torch
from PIL import Image

from meronym.collections import Sample
from meronym.training.sampling import generator
from meronym.training.views import random_affine, recolour, views, warp
from pictures import disc, picture

IDENTITY = torch.eye(2, 3)[None]


@pytest.fixture
def sample() -> Sample:
    return Sample("a", picture(60, 44), disc(60, 44, 12))


def test_views_are_a_function_of_their_address(sample):
    first = views(sample, 48, 0, 7, 3)
    torch.rand(5), np.random.rand(5)  # whatever else is drawn
    again, other = views(sample, 48, 0, 7, 3), views(sample, 48, 0, 8, 3)
    assert first.keys() == {"clean", "foreground", "first", "second", "warp"}
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)
    state = torch.random.get_rng_state()
    views(sample, 48, 0, 9, 3)
    assert torch.equal(state, torch.random.get_rng_state())


def test_views_have_their_shapes_and_ranges(sample):
    for example in (views(sample, 48, 1), views(Sample("b", picture(9, 200)), 48, 1)):
        for key in ("clean", "first", "second"):
            assert example[key].shape == (3, 48, 48) and example[key].min() >= 0 and example[key].max() <= 1
        assert example["foreground"].shape == (48, 48) and example["warp"].shape == (2, 3)
    assert example["foreground"].min() == 1  # no mask: all is foreground


def test_foreground_follows_the_photo(sample):
    """A photo that is its own mask: flips and crops move both alike."""
    white = Image.fromarray(np.repeat(sample.mask[..., None] * np.uint8(255), 3, 2))
    for address in range(6):
        example = views(Sample("c", white, sample.mask), 48, address)
        inside = example["foreground"] > 0.99
        assert (example["clean"][0][inside] > 0.6).all()
        assert (example["clean"][0] - example["foreground"]).abs().mean() < 0.02
        assert 0.3 < example["foreground"].mean() < 0.8  # the box, 5 % padding, 5 % jitter


def test_identity_is_identity():
    x = torch.rand(2, 3, 17, 23)
    torch.testing.assert_close(warp(x, IDENTITY.expand(2, -1, -1)), x)


def test_a_shift_is_a_shift():
    x, theta = torch.rand(1, 1, 20, 40), IDENTITY.clone()
    theta[0, 0, 2], theta[0, 1, 2] = 2 * 3 / 40, -2 * 5 / 20  # 3 pixels from the right, 5 from above
    moved = warp(x, theta)
    torch.testing.assert_close(moved[..., 5:, :-3], x[..., :-5, 3:])
    assert not moved[..., :4, :].any() and not moved[..., -2:].any()


def test_mask_photo_and_logits_move_alike():
    """The warp of channels stacked is the stack of warps, and finer or coarser maps of one thing move alike."""
    theta = random_affine(generator(5))[None]
    photo, mask = torch.rand(1, 3, 32, 32), (torch.rand(1, 1, 32, 32) > 0.5).float()
    both = warp(torch.cat([photo, mask], 1), theta)
    assert torch.equal(both[:, :3], warp(photo, theta)) and torch.equal(both[:, 3:], warp(mask, theta))
    y, x = torch.meshgrid(torch.linspace(-1, 1, 257), torch.linspace(-1, 1, 257), indexing="ij")
    bump = torch.exp(-8 * ((x - 0.2) ** 2 + (y + 0.1) ** 2))[None, None]
    fine = torch.nn.functional.avg_pool2d(bump[..., :256, :256], 2)
    coarse = torch.nn.functional.avg_pool2d(fine, 4)
    moved = torch.nn.functional.avg_pool2d(warp(fine, theta), 4)
    assert (moved - warp(coarse, theta)).abs().max() < 0.02


def test_warps_are_similarities_in_their_range():
    for seed in range(50):
        theta = random_affine(generator(seed))
        (a, b, x), (c, d, y) = theta.tolist()
        assert a == pytest.approx(d) and b == pytest.approx(-c)
        assert 1 / 2 - 1e-6 <= np.hypot(a, c) <= 1 / 0.7 + 1e-6 and abs(np.degrees(np.arctan2(c, a))) <= 60.001
        assert max(abs(x), abs(y)) <= 0.1


def test_colours_change_and_places_do_not():
    image = torch.rand(3, 16, 16)
    seen = torch.stack([recolour(image, seed) for seed in range(40)])
    grey = (seen[:, 0] - seen[:, 1]).abs().amax((1, 2)) < 1e-6
    assert 2 <= grey.sum() <= 18 and ((seen - image).abs().amax((1, 2, 3)) < 1e-6).sum() <= 16
    assert torch.equal(recolour(image, 3), recolour(image, 3))
