"""A tree of parts: the finest ones, and how they are merged into half as many, a quarter, ... down to two.

Every level is trained by itself, and the finest parts are merged so that they agree with these trainings as well as
nested parts can: going up, each part joins that part of the next training in which most of its cells lie.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def halves(parts: int) -> list[int]:
    """The levels above `parts`, finest first: 16 gives 8, 4, 2."""
    return [parts >> n for n in range(1, parts.bit_length()) if parts >> n >= 2]


def nested(parts: int, finest: Int[Tensor, " N"], trained: Mapping[int, Int[Tensor, " N"]]) -> dict[int, list[int]]:
    """For each level K, coarsest first, the part of each finest part.

    parts: how many finest ones. finest: labels of cells. trained: of the same cells, by the training at each coarser K.
    """
    merge = torch.arange(parts)
    levels = {parts: merge}
    for k in sorted(trained, reverse=True):
        table = torch.bincount(merge[finest] * k + trained[k], minlength=(int(merge.max()) + 1) * k)
        merge = torch.from_numpy(joined(table.view(-1, k).numpy()))[merge]
        levels[k] = merge
    return {k: levels[k].tolist() for k in sorted(levels)}


def joined(table: Int[np.ndarray, "A B"]) -> Int[np.ndarray, " A"]:
    """Which of B parts each of A >= B smaller ones joins, so that most cells agree and none is left empty.

    table: how many cells they share. Exact: of all ways to give every part one to begin with, that which costs least.
    """
    best = table.argmax(1)
    cost = table.max(1, keepdims=True) - table
    rows, columns = linear_sum_assignment(cost)
    best[rows] = columns
    return best


def in_order(levels: Mapping[int, list[int]]) -> tuple[list[int], dict[int, list[int]]]:
    """The finest parts sorted such that the parts of every level lie side by side, and the levels of that order.

    Returns (order, levels): finest part order[i] becomes part i.
    """
    coarsest_first = sorted(levels)
    order = sorted(range(max(levels)), key=lambda leaf: [levels[k][leaf] for k in coarsest_first])
    found = {}
    for k in coarsest_first:
        seen: dict[int, int] = {}
        found[k] = [seen.setdefault(levels[k][leaf], len(seen)) for leaf in order]
    return order, found
