"""Small photos, and checkpoints in the layouts in which they are published."""

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def quiet_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No hub and no local weights unless a test names them; one thread."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("MERONYM_WEIGHTS", raising=False)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def photos() -> torch.Tensor:
    """Three smooth pictures, (3, 3, 112, 112) in [0, 1]."""
    coarse = torch.rand(3, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (112, 112), mode="bicubic").clamp(0, 1)
