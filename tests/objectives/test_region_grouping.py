"""Each term of region grouping against a naive float64 twin: value and gradient."""

import math

import torch
from torch.nn import functional as F

from meronym.objectives.region_grouping import (
    beta_quantiles,
    grouping,
    occurrence,
    occurrence_distance,
    region_features,
)
from twins import agree, leaf


def test_the_dictionary_is_a_linear_head_on_features_of_unit_length():
    centres, smoothing, x = leaf(3, 6), leaf(3, seed=1), F.normalize(leaf(6, seed=2), dim=0)
    weight, bias = grouping(centres, smoothing)
    naive = torch.stack([-((x - centres[k]) ** 2).sum() / smoothing[k] for k in range(3)])
    agree((weight @ x + bias) @ smoothing.detach(), naive @ smoothing.detach(), centres, smoothing)


def test_region_features():
    maps, features, centres = leaf(2, 3, 4, 5), leaf(2, 6, 4, 5, seed=1), leaf(3, 6, seed=2)
    total = sum(maps[1, 2, y, x] * (features[1, :, y, x] - centres[2]) for y in range(4) for x in range(5))
    naive, direction = total / total.norm(), leaf(6, seed=3).detach()
    agree(region_features(maps, features, centres)[1, 2] @ direction, naive @ direction, maps, features, centres)
    assert region_features(0 * maps, features, centres).isfinite().all()


def test_occurrence():
    maps = leaf(2, 3, 6, 7)
    weights = {(y, x): math.exp(-(y * y + x * x) / 0.32) for y in range(-2, 3) for x in range(-2, 3)}
    padded = F.pad(maps[1, 2], (2, 2, 2, 2))
    blurred = [
        sum(w * padded[2 + y + i, 2 + x + j] for (y, x), w in weights.items()) / sum(weights.values())
        for i in range(6)
        for j in range(7)
    ]
    agree(occurrence(maps)[1, 2], torch.stack(blurred).max(), maps)


def test_occurrence_distance():
    assert torch.allclose(beta_quantiles(4, 1.0, 2.0), 1 - (1 - torch.tensor([1, 3, 5, 7]).double() / 8).sqrt())
    found = leaf(4, 3)
    naive = 0
    for k in range(3):
        for i, value in enumerate(sorted(found[:, k])):
            prior = 1 - (1 - (2 * i + 1) / 8) ** 0.5
            naive = naive + (torch.log(value + 1e-5) - math.log(prior + 1e-5)).abs() / 12
    agree(occurrence_distance(found, 1.0, 2.0), naive, found)
    assert occurrence_distance(beta_quantiles(9, 1.0, 0.5)[:, None].flip(0), 1.0, 0.5) < 1e-12
