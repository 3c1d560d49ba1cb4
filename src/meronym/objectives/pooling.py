"""Part descriptors of soft masks over features of lower resolution, without ever upsampling the features.

Let U be bilinear upsampling from the feature grid (h, w) to the mask grid (H, W). It is linear and separable, so

    sum_u M_ku (U F)_u     = sum_j (U^T M_k)_j F_j           pooling happens where the features live
    ||(U F)_u||^2          = inner products of the (at most four) cells around u, which need no gradient
    sum_u M_ku ||F_u-z||^2 = sum_u M_ku ||F_u||^2 - |M_k| ||z_k||^2

All three are equalities: the value and the gradient are those of the naive form (a (B, K, D, H, W) tensor),
at a hundredth of the memory. Source of the objective: Eq. 1 and 2 of the paper.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


class Pooled(NamedTuple):
    """What the masks gather from the features of each photo.

    z: (B, K, D) mean feature of each part, Eq. 1.
    mass: (B, K) |M_k|, pixels of the mask grid.
    energy: (B, K) sum_u M_ku ||F_u||^2.
    """

    z: Float[Tensor, "B K D"]
    mass: Float[Tensor, "B K"]
    energy: Float[Tensor, "B K"]


def pool(
    masks: Float[Tensor, "B K H W"],
    layers: Sequence[Float[Tensor, "B _ _ _"]],
    eps: float = 1e-7,
) -> Pooled:
    """Pool one or several feature maps (each at its own resolution) under soft masks.

    masks: softmax over parts times the foreground; outside the object all K channels are 0.
    layers: feature maps (B, D_l, h_l, w_l), thought of as upsampled bilinearly to (H, W) and concatenated.
    eps: keeps the mean of an empty part finite.
    """
    mass = masks.sum((2, 3))
    sums, energy = [], torch.zeros_like(mass)
    for features in layers:
        low, up = masks, None
        if features.shape[2:] != masks.shape[2:]:
            up = tuple(_upsampling(n, m, masks) for n, m in zip(masks.shape[2:], features.shape[2:], strict=True))
            low = up[0].T @ masks @ up[1]
        sums.append(torch.einsum("bkn,bdn->bkd", low.flatten(2), features.flatten(2)))
        with torch.no_grad():
            norms = _squared_norms(features, up)
        energy = energy + torch.einsum("bkn,bn->bk", masks.flatten(2), norms.flatten(1))
    return Pooled(torch.cat(sums, dim=2) / mass.clamp(min=eps)[:, :, None], mass, energy)


def _upsampling(n_out: int, n_in: int, like: Tensor) -> Float[Tensor, "n_out n_in"]:
    """Bilinear upsampling along one axis as a matrix."""
    eye = torch.eye(n_in, dtype=like.dtype, device=like.device)
    return F.interpolate(eye[None], size=n_out, mode="linear", align_corners=False)[0].T


def _squared_norms(features: Float[Tensor, "B D h w"], up: tuple[Tensor, ...] | None) -> Float[Tensor, "B H W"]:
    """||(U F)_u||^2 for every u of the fine grid, from the Gram products of neighbouring cells."""
    own = features.square().sum(1)
    if up is None:
        return own
    up_y, up_x = up
    right = (features[..., :-1] * features[..., 1:]).sum(1)
    below = (features[..., :-1, :] * features[..., 1:, :]).sum(1)
    across = (features[..., :-1, :-1] * features[..., 1:, 1:]).sum(1)
    across = across + (features[..., :-1, 1:] * features[..., 1:, :-1]).sum(1)
    square_y, square_x = up_y.square(), up_x.square()
    pair_y, pair_x = (2 * u[:, :-1] * u[:, 1:] for u in (up_y, up_x))
    return (
        square_y @ own @ square_x.T
        + square_y @ right @ pair_x.T
        + pair_y @ below @ square_x.T
        + pair_y @ across @ pair_x.T / 2
    )
