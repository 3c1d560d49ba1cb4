"""What comparing an objective with its naive twin needs."""

import torch


def leaf(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=g, dtype=torch.float64).requires_grad_()


def agree(ours, naive, *wrt):
    """The same value, and the same gradient."""
    mine, theirs = (torch.autograd.grad(x, wrt, retain_graph=True) for x in (ours, naive))
    for one, other in zip(mine, theirs, strict=True):
        assert (one - other).norm() <= 1e-9 * other.norm() + 1e-12
    assert torch.allclose(ours, naive, rtol=1e-9, atol=1e-12)
