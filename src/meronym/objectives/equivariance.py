"""Parts move with the photo: the parts of a warped photo are the warped parts (Eq. 5)."""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def equivariance(
    warped: Float[Tensor, "B K H W"],
    predicted: Float[Tensor, "B K H W"],
    valid: Float[Tensor, "B H W"],
    one_way: bool = False,
) -> Float[Tensor, " B"]:
    """L_e, Eq. 5: KL(T f(I) || f(T I)) + KL(f(T I) || T f(I)) a pixel, averaged over the warped foreground.

    warped: logits of the photo, then warped by T. predicted: logits of the warped photo.
    valid: the warped foreground, which is 0 where T looks outside the photo.
    one_way: published-code form, the first KL only, with T f(I) held fixed.
    """
    if one_way:
        warped = warped.detach()
    log_p, log_q = F.log_softmax(warped, dim=1), F.log_softmax(predicted, dim=1)
    forward = log_p.exp() * (log_p - log_q)
    each = forward if one_way else forward + log_q.exp() * (log_q - log_p)
    return (each.sum(1) * valid).sum((1, 2)) / (valid.sum((1, 2)) + 1e-7)
