"""A tree of parts: the finest ones, and how they are merged into half as many, a quarter, ... down to two.

Every level is trained by itself, and parts are nested so that they agree with these trainings on most cells. Which
level gives way where they do not depends on which is the surer. Of more than SURE parts k-means divides some at random:
there the coarser level is as it was trained, and a cell that it gives to a part can only be one of that part's pieces.
Up to SURE it is the other way round: the finer level is as it was trained, and the parts of the coarser ones are those
of the finer, merged.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise, product

import numpy as np
import torch
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

SURE = 8
"""Up to how many parts k-means are sure of, whatever the collection."""


def halves(parts: int) -> list[int]:
    """The levels above `parts`, finest first: 16 gives 8, 4, 2."""
    return [parts >> n for n in range(1, parts.bit_length()) if parts >> n >= 2]


def wholes(trained: Mapping[int, Int[Tensor, " N"]]) -> dict[int, list[int]]:
    """For each level but the coarsest, which part of the next coarser level each of its parts belongs to.

    trained: for each level K, the labels of the same N cells by its own training.
    """
    levels = sorted(trained, reverse=True)

    def both(a: int, b: int) -> Int[np.ndarray, "A B"]:
        return shared(trained[a], a, trained[b], b)

    pieces = {fine: joined(both(fine, whole)) for fine, whole in pairwise(levels) if fine > SURE}
    base, *coarser = [k for k in levels if k <= SURE]
    merges = merged([both(base, k) for k in coarser])
    return {k: part.tolist() for k, part in (pieces | dict(zip([base, *coarser], merges, strict=False))).items()}


def shared(fine: Int[Tensor, " N"], a: int, whole: Int[Tensor, " N"], b: int) -> Int[np.ndarray, "A B"]:
    """How many of N cells each of a parts shares with each of b. fine, whole: their labels of the same cells."""
    return torch.bincount(fine * b + whole, minlength=a * b).view(a, b).numpy()


def of_finest(parts: int, wholes: Mapping[int, list[int]]) -> dict[int, list[int]]:
    """For each level K, finest first, the part of each of the finest parts. wholes: as `wholes` gives them."""
    levels = {parts: list(range(parts))}
    for fine in sorted(wholes, reverse=True):
        levels[max(wholes[fine]) + 1] = [wholes[fine][part] for part in levels[fine]]
    return levels


def merged(tables: Sequence[Int[np.ndarray, "A _"]]) -> list[Int[np.ndarray, " _"]]:
    """How A <= SURE parts are merged, level by level, so that most cells agree in all levels together.

    tables: how many cells they share with each part of a coarser level, the finest first; two levels at the most.
    Returns for each which of its parts each part of the level before belongs to; none is left empty. Exact: all ways.
    """
    if not tables:
        return []
    first, *rest = tables
    ways = _onto(*first.shape)
    agree = first[np.arange(len(first)), ways].sum(1)
    if not rest:
        return [ways[agree.argmax()]]
    (second,), parts = rest, np.arange(first.shape[1])
    below = _onto(len(parts), second.shape[1])
    gathered = np.einsum("wap,ab->wpb", (ways[..., None] == parts).astype(int), second)
    together = agree[:, None] + gathered[:, parts, below].sum(-1)
    one, other = np.unravel_index(together.argmax(), together.shape)
    return [ways[one], below[other]]


def _onto(a: int, b: int) -> Int[np.ndarray, "_ A"]:
    """All ways to give each of A parts one of B, such that none is left empty."""
    return np.array([way for way in product(range(b), repeat=a) if len(set(way)) == b])


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
