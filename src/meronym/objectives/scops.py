"""The terms of SCOPS (Hung et al., *SCOPS: Self-Supervised Co-Part Segmentation*, CVPR 2019) that are its own.

R_k are the maps of the K parts: channels 1 to K of a softmax over K + 1, whose channel 0 is the background. Positions
u are in [-1, 1] on both axes. Its equivariance of maps is `equivariance` with one_way.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def semantic_consistency(
    maps: Float[Tensor, "B K h w"],
    features: Float[Tensor, "B D h w"],
    foreground: Float[Tensor, "B h w"],
    basis: Float[Tensor, "K D"],
) -> Float[Tensor, ""]:
    """L_sc: the mean over photos, cells and channels of (f_u F_u - sum_k R_ku w_k)^2, f the foreground.

    Multiplied out, so that what is rebuilt, as large as the features, is never made.
    """
    seen = features * foreground[:, None]
    gathered = torch.einsum("bkhw,bdhw->kd", maps, seen)
    overlap = torch.einsum("bkhw,bjhw->kj", maps, maps)
    total = seen.square().sum() - 2 * (gathered * basis).sum() + (overlap * (basis @ basis.T)).sum()
    return total / features.numel()


def orthonormality(basis: Float[Tensor, "K D"]) -> Float[Tensor, ""]:
    """L_on: ||W W^T - I||^2 of the basis with rows of unit length."""
    unit = F.normalize(basis, dim=1)
    return (unit @ unit.T - torch.eye(len(unit)).to(unit)).square().sum()


def centres(maps: Float[Tensor, "B K H W"], eps: float = 1e-3) -> Float[Tensor, "B K 2"]:
    """x, y of c_k = sum_u R_ku u / sum_u R_ku, with eps added to every R_ku as published."""
    share, (y, x) = _shares(maps, eps)
    return torch.stack([share.sum(2) @ x, share.sum(3) @ y], 2)


def geometric_concentration(maps: Float[Tensor, "B K H W"], eps: float = 1e-3) -> Float[Tensor, " B"]:
    """L_con: sum_k sum_u ||u - c_k||^2 R_ku / sum_u R_ku, with eps as in `centres`."""
    share, (y, x) = _shares(maps, eps)
    variance = torch.zeros(()).to(maps)
    for along, axis in ((share.sum(2), x), (share.sum(3), y)):
        variance = variance + along @ axis.square() - (along @ axis).square()
    return variance.sum(1)


def centre_equivariance(warped: Float[Tensor, "B K H W"], predicted: Float[Tensor, "B K H W"]) -> Float[Tensor, ""]:
    """L_lm: the mean over photos, parts and axes of the squared difference between the centres of both maps.

    warped: maps of the photo, then warped. predicted: maps of the warped photo.
    """
    return F.mse_loss(centres(predicted), centres(warped))


def _shares(maps: Tensor, eps: float) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """The maps, each with sum 1, and the positions along y and x."""
    maps = maps + eps
    height, width = (torch.linspace(-1, 1, n, dtype=maps.dtype, device=maps.device) for n in maps.shape[2:])
    return maps / maps.sum((2, 3), keepdim=True), (height, width)
