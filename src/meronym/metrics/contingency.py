"""NMI and ARI (section 4.1 of the paper) from one table of counts.

The counts add up over batches, processes and machines, so both scores pool the whole test set exactly.
Formulas in float64; scikit-learn's `normalized_mutual_info_score` (arithmetic mean) and `adjusted_rand_score`
are the oracle in the tests. (torchmetrics' own ARI overflows int64 from about 100,000 labels.)
"""

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics import Metric


class Contingency(Metric):
    """Counts of (predicted label, true label) pairs: `update` with batches, `compute` for {"nmi", "ari"} in 0..1."""

    full_state_update = False
    table: Tensor

    def __init__(self, predicted: int, true: int) -> None:
        """predicted, true: how many labels there are on each side; labels are 0 .. n-1."""
        super().__init__()
        self.add_state("table", torch.zeros(predicted, true, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Int[Tensor, " N"], true: Int[Tensor, " N"]) -> None:
        """Add N labelled points (pixels or keypoints)."""
        rows, columns = self.table.shape
        index = predicted.long() * columns + true.long()
        self.table += torch.bincount(index, minlength=rows * columns).view(rows, columns)

    def compute(self) -> dict[str, float]:
        return {"nmi": nmi(self.table), "ari": ari(self.table)}

    def matching(self) -> dict[int, tuple[int, float]]:
        """For each predicted label the true one it is matched with, and their intersection over union.

        One to one, with the highest sum (Hungarian method); where one side has more labels, some stay without.
        """
        counts = self.table.double()
        union = counts.sum(0) + counts.sum(1, keepdim=True) - counts
        iou = (counts / union.clamp(min=1)).numpy()
        rows, columns = linear_sum_assignment(iou, maximize=True)
        return {int(row): (int(column), float(iou[row, column])) for row, column in zip(rows, columns, strict=True)}

    def matched_iou(self) -> float:
        """Mean intersection over union of the true labels that occur, after `matching`; one without counts as 0."""
        found = sum(iou for _, iou in self.matching().values())
        return found / max(int((self.table.sum(0) > 0).sum()), 1)


def nmi(table: Int[Tensor, "R C"]) -> float:
    """Normalised mutual information of a contingency table: I(R; C) over the mean of the two entropies."""
    counts = table.double()
    total = counts.sum()
    if total == 0:
        return float("nan")
    joint = counts / total
    rows, columns = joint.sum(1), joint.sum(0)
    mutual = _entropy(rows) + _entropy(columns) - _entropy(joint)
    mean = (_entropy(rows) + _entropy(columns)) / 2
    return 1.0 if mean == 0 else max(0.0, float(mutual / mean))


def ari(table: Int[Tensor, "R C"]) -> float:
    """Adjusted Rand index of a contingency table (Hubert and Arabie 1985)."""
    counts = table.double()
    both, rows, columns = _pairs(counts), _pairs(counts.sum(1)), _pairs(counts.sum(0))
    total = _pairs(counts.sum())
    if total == 0:
        return float("nan")
    expected = rows * columns / total
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((both - expected) / (largest - expected))


def _entropy(p: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    return -torch.xlogy(p, p).sum()


def _pairs(counts: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    return (counts * (counts - 1) / 2).sum()
