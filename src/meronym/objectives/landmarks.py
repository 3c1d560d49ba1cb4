"""The terms of landmark discovery (Zhang et al., *Unsupervised Discovery of Object Landmarks as Structural
Representations*, CVPR 2018) that are its own.

D_k is the heat-map of landmark k. Positions (x, y) are in 0..1, cells being half a cell away from the borders.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def gaussians(maps: Float[Tensor, "B K h w"], eps: float = 1e-7) -> tuple[Tensor, Tensor]:
    """Each heat-map as an isotropic Gaussian: its mean (B, K, 2), and its deviation (B, K), the mean of both axes'."""
    share = maps / (maps.sum((2, 3), keepdim=True) + eps)
    means, deviations = [], []
    for along, axis in ((share.sum(2), _cells(maps, 3)), (share.sum(3), _cells(maps, 2))):
        means.append(along @ axis)
        deviations.append(((along * (axis - means[-1][..., None]).square()).sum(2) + eps).sqrt())
    return torch.stack(means, 2), (deviations[0] + deviations[1]) / 2


def concentration(deviations: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """L_conc: sum_k 2 pi e sigma_k^2, the exponential of the Gaussians' entropy."""
    return 2 * math.pi * math.e * deviations.square().sum(1)


def separation(places: Float[Tensor, "B K 2"], bandwidth: float) -> Float[Tensor, " B"]:
    """L_sep: the sum over k != j of exp(-||x_k - x_j||^2 / (2 bandwidth^2))."""
    squares = (places[:, :, None] - places[:, None]).square().sum(3)
    others = ~torch.eye(places.shape[1], dtype=torch.bool, device=places.device)
    return (torch.exp(-squares / (2 * bandwidth**2)) * others).sum((1, 2))


def landmark_equivariance(
    places: Float[Tensor, "B K 2"], turned: Float[Tensor, "B K 2"], theta: Float[Tensor, "B 2 3"]
) -> Float[Tensor, " B"]:
    """L_eqv: sum_k ||x'_k - T x_k||^2 in units of half the photo's side, x'_k of the warped photo, over the landmarks
    that T leaves inside it.

    theta: from the warped photo to the photo, in -1..1, as in `warp`.
    """
    moved = torch.linalg.solve(theta[:, :, :2], (2 * places - 1).mT - theta[:, :, 2:]).mT
    inside = (moved.abs() < 1).all(2)
    return ((2 * turned - 1 - moved).square().sum(2) * inside).sum(1)


def painted(
    places: Float[Tensor, "B K 2"], like: Float[Tensor, "B D h w"], deviation: float
) -> Float[Tensor, "B _ h w"]:
    """What the decoder sees: K Gaussians of one deviation around the landmarks and the background (last), sum 1.

    The background is as strong as a Gaussian at two deviations.
    """
    x, y = (_cells(like, axis) - places[..., i, None] for i, axis in ((0, 3), (1, 2)))
    near = torch.exp(-(x.square()[:, :, None] + y.square()[..., None]) / (2 * deviation**2))
    every = torch.cat([near, torch.full_like(near[:, :1], math.exp(-2))], 1)
    return every / every.sum(1, keepdim=True)


def reconstruction(
    weights: Float[Tensor, "B K h w"],
    codes: Float[Tensor, "B K D"],
    features: Float[Tensor, "B D h w"],
    foreground: Float[Tensor, "B h w"],
) -> Float[Tensor, " B"]:
    """L_rec: sum_u f_u ||F_u - sum_k r_ku d_k||^2, f the foreground, r the weights and d the codes.

    Multiplied out, so that what is rebuilt, as large as the features, is never made.
    """
    inside = weights * foreground[:, None]
    gathered = torch.einsum("bkhw,bdhw->bkd", inside, features)
    overlap = torch.einsum("bkhw,bjhw->bkj", inside, weights)
    energy = (features.square().sum(1) * foreground).sum((1, 2))
    return energy - 2 * (gathered * codes).sum((1, 2)) + (overlap * (codes @ codes.mT)).sum((1, 2))


def _cells(maps: Tensor, axis: int) -> Float[Tensor, " n"]:
    count = maps.shape[axis]
    return (torch.arange(count, dtype=maps.dtype, device=maps.device) + 0.5) / count
