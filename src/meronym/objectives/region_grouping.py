"""The terms of region grouping (Huang and Li, *Interpretable and Accurate Fine-grained Recognition via Region
Grouping*, CVPR 2020) that are its own.

q_k are the maps of K parts, 0 outside the object. Positions are cells of the feature grid.
"""

import torch
from jaxtyping import Float
from scipy.special import betaincinv
from torch import Tensor
from torch.nn import functional as F


def grouping(centres: Float[Tensor, "K D"], smoothing: Float[Tensor, " K"]) -> tuple[Tensor, Tensor]:
    """Weight (K, D) and bias (K) of the logits -||x - c_k||^2 / s_k, for features x of unit length."""
    return 2 * centres / smoothing[:, None], -(1 + centres.square().sum(1)) / smoothing


def region_features(
    maps: Float[Tensor, "B K h w"], features: Float[Tensor, "B D h w"], centres: Float[Tensor, "K D"]
) -> Float[Tensor, "B K D"]:
    """z_k: the residual sum_u q_ku x_u / sum_u q_ku - c_k at unit length, which takes out the published 1 / sigma_k."""
    sums = torch.einsum("bkhw,bdhw->bkd", maps, features)
    return F.normalize(sums / maps.sum((2, 3)).clamp(min=1e-5)[:, :, None] - centres, dim=2)


def occurrence(maps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K"]:
    """How surely a part is there: the largest value of its map, blurred by a Gaussian of 5 x 5 cells, deviation 0.4."""
    line = torch.exp(-torch.arange(-2, 3).to(maps).square() / (2 * 0.4**2))
    kernel = torch.outer(line, line) / line.sum() ** 2
    return F.conv2d(maps.flatten(0, 1)[:, None], kernel[None, None], padding=2).amax((1, 2, 3)).view(maps.shape[:2])


def beta_quantiles(count: int, alpha: float, beta: float) -> Float[Tensor, " count"]:
    """The quantiles (2 i - 1) / (2 count) of the prior Beta(alpha, beta), i = 1 to count."""
    levels = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    return torch.from_numpy(betaincinv(alpha, beta, levels.numpy()))


def occurrence_distance(
    occurrences: Float[Tensor, "B K"], alpha: float, beta: float, eps: float = 1e-5
) -> Float[Tensor, ""]:
    """The earth mover's distance between each part's occurrences in a batch and the prior, in log units.

    In one dimension it is in closed form: the mean over i of |log(e_(i) + eps) - log(q_i + eps)|, e_(i) the sorted
    occurrences and q_i the prior's quantiles; then the mean over parts.
    """
    prior = beta_quantiles(len(occurrences), alpha, beta).to(occurrences)
    return ((occurrences.sort(0).values + eps).log() - (prior + eps).log()[:, None]).abs().mean()
