"""The factorisation: it finds the factors that made the cells, whole or by mini-batches, and says where it cannot."""

import numpy as np
import pytest
import torch

from meronym.methods import dff


def mixed(cells: int = 600) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells that are mixtures of three factors of their own channels, most of them of one."""
    rng = np.random.default_rng(0)
    factors = np.kron(np.eye(3), np.ones((1, 4))) / 2
    shares = rng.uniform(size=(cells, 3)) * (rng.uniform(size=(cells, 3)) > 0.5)
    return torch.from_numpy(np.float32(shares @ factors)), torch.from_numpy(np.float32(factors))


@pytest.mark.parametrize("most", [2**14, 100])
def test_the_factors_that_made_the_cells_are_found(most, monkeypatch):
    monkeypatch.setattr(dff, "MOST_EXACT", most)
    points, truth = mixed()
    found, error = dff.factorise(points, 3, 400, seed=0)
    assert (found >= 0).all() and found.norm(dim=1).allclose(torch.ones(3))
    assert sorted((found @ truth.T).argmax(1).tolist()) == [0, 1, 2] and (found @ truth.T).amax(1).min() > 0.95
    assert error < 0.05 * float(points.square().sum(1).mean())


def test_too_many_parts():
    with pytest.raises(ValueError, match="--parts 13: 600 cells of 12 channels hold fewer factors"):
        dff.factorise(mixed()[0], 13, 10, seed=0)
