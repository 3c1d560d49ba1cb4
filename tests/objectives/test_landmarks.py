"""Each term of landmark discovery against a naive float64 twin: value and gradient."""

import math

import torch

from meronym.objectives.landmarks import (
    concentration,
    gaussians,
    landmark_equivariance,
    painted,
    reconstruction,
    separation,
)
from twins import agree, leaf


def test_gaussians_and_concentration():
    maps = leaf(2, 3, 4, 5)
    means, deviations = gaussians(maps, eps=0)
    for b in range(2):
        for k in range(3):
            weight = maps[b, k] / maps[b, k].sum()
            x, y = (torch.tensor([(i + 0.5) / n for i in range(n)], dtype=torch.float64) for n in (5, 4))
            mean = torch.stack([(weight * x).sum(), (weight * y[:, None]).sum()])
            spread = (weight * (x - mean[0]) ** 2).sum().sqrt() + (weight * (y[:, None] - mean[1]) ** 2).sum().sqrt()
            agree(means[b, k] @ mean.detach(), mean @ mean.detach(), maps)
            agree(deviations[b, k], spread / 2, maps)
    naive = sum(2 * math.pi * math.e * deviations[1, k] ** 2 for k in range(3))
    agree(concentration(deviations)[1], naive, maps)


def test_separation():
    places = leaf(2, 4, 2)
    naive = sum(
        torch.exp(-((places[1, k] - places[1, j]) ** 2).sum() / (2 * 0.3**2))
        for k in range(4)
        for j in range(4)
        if k != j
    )
    agree(separation(places, 0.3)[1], naive, places)


def test_landmarks_that_move_with_the_photo_cost_nothing_and_those_that_leave_it_do_not_count():
    cos, sin = math.cos(0.5), math.sin(0.5)
    theta = torch.tensor([[[0.6 * cos, -0.6 * sin, 0.1], [0.6 * sin, 0.6 * cos, -0.05]]], dtype=torch.float64)
    turned = leaf(1, 3, 2)
    places = ((theta[0, :, :2] @ (2 * turned[0].T - 1) + theta[0, :, 2:]).T[None] + 1) / 2
    assert landmark_equivariance(places, turned, theta) < 1e-20
    off = leaf(1, 3, 2, seed=1)
    naive = 4 * sum(((turned[0, k] - off[0, k]) ** 2).sum() for k in range(3))
    agree(landmark_equivariance(places, off, theta)[0], naive, off)
    far = torch.tensor([[[0.0, 0.0], [0.99, 0.99]]], dtype=torch.float64)
    assert landmark_equivariance(far, off[:, :2], theta) == 0


def test_what_is_painted():
    places = leaf(2, 3, 2)
    found = painted(places, torch.zeros(2, 1, 4, 5, dtype=torch.float64), 0.2)
    near = [
        torch.exp(-((places[1, k, 0] - 3.5 / 5) ** 2 + (places[1, k, 1] - 1.5 / 4) ** 2) / (2 * 0.2**2))
        for k in range(3)
    ]
    agree(found[1, 2, 1, 3], near[2] / (sum(near) + math.exp(-2)), places)
    assert torch.allclose(found.sum(1), torch.ones(2, 4, 5, dtype=torch.float64))


def test_reconstruction():
    weights, codes, features, inside = (
        leaf(2, 3, 4, 5),
        leaf(2, 3, 6, seed=1),
        leaf(2, 6, 4, 5, seed=2),
        leaf(2, 4, 5, seed=3),
    )
    naive = sum(
        inside[1, y, x] * ((features[1, :, y, x] - sum(weights[1, k, y, x] * codes[1, k] for k in range(3))) ** 2).sum()
        for y in range(4)
        for x in range(5)
    )
    agree(reconstruction(weights, codes, features, inside)[1], naive, weights, codes)
