"""Consistency within a part: of its features (Eq. 2) and of its colours (Eq. 4)."""

from jaxtyping import Float
from torch import Tensor

from meronym.objectives.pooling import Pooled, pool


def part_consistency(pooled: Pooled) -> Float[Tensor, " B"]:
    """L_f, Eq. 2: sum_k sum_u M_ku ||z_k - F_u||^2, for each photo, divided by its foreground pixels.

    The division is the published code's; the published weights are meant for it. z_k carries gradient.
    """
    within = pooled.energy - pooled.mass * pooled.z.square().sum(2)
    return within.sum(1) / (pooled.mass.sum(1) + 1e-5)


def visual_consistency(masks: Float[Tensor, "B K H W"], colours: Float[Tensor, "B 3 h w"]) -> Float[Tensor, " B"]:
    """L_v, Eq. 4: the same variance of the colours, each part being one Gaussian of unit covariance.

    colours: the clean photo, in CIELAB (L in 0..100) as published, on the mask grid or a coarser one.
    """
    return part_consistency(pool(masks, [colours]))
