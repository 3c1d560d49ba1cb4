"""NMI and ARI against scikit-learn, also past the size where int64 overflows."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from meronym.metrics import Contingency, ari, nmi


@pytest.mark.parametrize("seed", range(4))
def test_scores_equal_sklearn_in_any_batching(seed):
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(0, 5, 400), rng.integers(0, 15, 400)
    true[:200] = predicted[:200] * 3
    metric = Contingency(5, 15)
    for part in np.array_split(np.arange(400), 7):
        metric.update(torch.from_numpy(predicted[part]), torch.from_numpy(true[part]))
    scores = metric.compute()
    assert scores["nmi"] == pytest.approx(normalized_mutual_info_score(true, predicted), abs=1e-12)
    assert scores["ari"] == pytest.approx(adjusted_rand_score(true, predicted), abs=1e-12)


def test_tables_of_two_machines_add_up():
    a, b, whole = Contingency(3, 4), Contingency(3, 4), Contingency(3, 4)
    p, t = torch.randint(0, 3, (100,)), torch.randint(0, 4, (100,))
    a.update(p[:30], t[:30]), b.update(p[30:], t[30:]), whole.update(p, t)
    assert torch.equal(a.table + b.table, whole.table)


def test_a_billion_pixels_do_not_overflow():
    small = torch.tensor([[30, 2], [5, 40]])
    assert ari(small * 20_000_000) == pytest.approx(ari(small * 2000), abs=1e-4)
    assert nmi(small * 20_000_000) == pytest.approx(nmi(small), abs=1e-12)


def test_degenerate_tables():
    assert nmi(torch.tensor([[10, 0], [0, 10]])) == 1 and ari(torch.tensor([[10, 0], [0, 10]])) == 1
    assert nmi(torch.tensor([[5, 5], [0, 0]])) == 0 and ari(torch.tensor([[5, 5], [0, 0]])) == 0
    assert np.isnan(nmi(torch.zeros(2, 2, dtype=torch.int64)))


def test_matched_iou_is_the_best_one_to_one_matching():
    rng = np.random.default_rng(0)
    predicted, true = rng.integers(0, 4, 300), rng.integers(0, 3, 300)
    predicted[:200] = (true[:200] + 1) % 3
    metric = Contingency(4, 5)  # two true labels never occur
    metric.update(torch.from_numpy(predicted), torch.from_numpy(true))
    each = [
        sum(
            ((predicted == p) & (true == t)).sum() / ((predicted == p) | (true == t)).sum()
            for t, p in enumerate(chosen)
        )
        for chosen in itertools.permutations(range(4), 3)
    ]
    assert metric.matched_iou() == pytest.approx(max(each) / 3, abs=1e-12)
