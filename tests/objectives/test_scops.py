"""Each term of SCOPS against a naive float64 twin: value and gradient."""

import torch

from meronym.objectives.scops import (
    centre_equivariance,
    centres,
    geometric_concentration,
    orthonormality,
    semantic_consistency,
)
from twins import agree, leaf


def test_semantic_consistency():
    maps, features, foreground, basis = leaf(2, 3, 4, 5), leaf(2, 6, 4, 5, seed=1), leaf(2, 4, 5, seed=2), leaf(3, 6)
    naive = sum(
        (foreground[b, y, x] * features[b, d, y, x] - sum(maps[b, k, y, x] * basis[k, d] for k in range(3))) ** 2
        for b in range(2)
        for d in range(6)
        for y in range(4)
        for x in range(5)
    )
    agree(semantic_consistency(maps, features, foreground, basis), naive / 240, maps, basis)


def test_orthonormality():
    basis = leaf(3, 6)
    unit = [row / row.norm() for row in basis]
    naive = sum((unit[i] @ unit[j] - float(i == j)) ** 2 for i in range(3) for j in range(3))
    agree(orthonormality(basis), naive, basis)
    assert orthonormality(torch.eye(4) * 3).abs() < 1e-12


def naive_moments(maps, eps=1e-3):
    """Centre and variance of every map, pixel by pixel."""
    b, k, height, width = maps.shape
    places = [
        (y, x, torch.tensor([2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1], dtype=torch.float64))
        for y in range(height)
        for x in range(width)
    ]
    middles, spreads = [], []
    for n in range(b):
        for part in range(k):
            weight = maps[n, part] + eps
            middle = sum(weight[y, x] * place for y, x, place in places) / weight.sum()
            spread = sum(weight[y, x] * (place - middle).square().sum() for y, x, place in places)
            middles.append(middle), spreads.append(spread / weight.sum())
    return torch.stack(middles).view(b, k, 2), torch.stack(spreads).view(b, k)


def test_centres_and_concentration():
    maps = leaf(2, 3, 4, 5)
    middles, spreads = naive_moments(maps)
    weight = leaf(2, 3, 2, seed=4).detach()
    agree((centres(maps) * weight).sum(), (middles * weight).sum(), maps)
    agree(geometric_concentration(maps)[1], naive_moments(maps)[1][1].sum(), maps)
    assert torch.allclose(geometric_concentration(maps), spreads.sum(1))


def test_centre_equivariance():
    warped, predicted = leaf(2, 3, 4, 5), leaf(2, 3, 4, 5, seed=1)
    naive = (naive_moments(warped)[0] - naive_moments(predicted)[0]).square().sum() / 12
    agree(centre_equivariance(warped, predicted), naive, warped, predicted)
