"""A tree of parts: the finest ones, and how they are merged into half as many, a quarter, ... down to two.

Every level is trained by itself. Each part is given to that part of the next coarser training in which most of its
cells lie. What that means for a cell of a part that lies in two depends on which of the two levels is the surer.
Of more than SURE parts k-means divides some at random: there the coarser level is as it was trained, and a cell that it
gives to a part can only be one of that part's pieces. Up to SURE it is the other way round: the finer level is as it
was trained, and the parts of the coarser one are those of the finer, merged.
"""

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def halves(parts: int) -> list[int]:
    """The levels above `parts`, finest first: 16 gives 8, 4, 2."""
    return [parts >> n for n in range(1, parts.bit_length()) if parts >> n >= 2]


SURE = 8
"""Up to how many parts k-means are sure of, whatever the collection."""


def wholes(trained: Mapping[int, Int[Tensor, " N"]]) -> dict[int, list[int]]:
    """For each level but the coarsest, which part of the next coarser level each of its parts belongs to.

    trained: for each level K, the labels of the same N cells by its own training.
    """
    found, levels = {}, sorted(trained, reverse=True)
    labels = trained[levels[0]]
    for fine, coarse in pairwise(levels):
        table = torch.bincount(labels * coarse + trained[coarse], minlength=fine * coarse).view(fine, coarse)
        found[fine] = joined(table.numpy()).tolist()
        labels = torch.tensor(found[fine])[labels] if fine <= SURE else trained[coarse]
    return found


def of_finest(parts: int, wholes: Mapping[int, list[int]]) -> dict[int, list[int]]:
    """For each level K, finest first, the part of each of the finest parts. wholes: as `wholes` gives them."""
    levels = {parts: list(range(parts))}
    for fine in sorted(wholes, reverse=True):
        levels[max(wholes[fine]) + 1] = [wholes[fine][part] for part in levels[fine]]
    return levels


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
