"""Two processes (gloo) compute what one does: the contrast sees the parts of all of them."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    one = two_processes.everything(folder)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launcher, two_processes.__file__, folder], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder, one, torch.load(folder / "two.pt", weights_only=True)


@pytest.mark.parametrize("kind", ["head", "deeplab", "trained"])
def test_two_are_one(found, kind):
    _, one, two = found
    assert one[kind].keys() == two[kind].keys() and len(one[kind]) >= 2
    for name, value in one[kind].items():
        assert value.abs().max() > 0 and value.isfinite().all()
        error = (two[kind][name] - value).abs().max() / value.abs().max()
        assert error < 1e-5, (name, float(error))


def test_two_write_one_run(found):
    folder: Path = found[0]
    one, two = ((folder / f"run-{n}" / "metrics.csv").read_text().splitlines() for n in (1, 2))
    assert len(one) == len(two) == 6 and one[0] == two[0]
    for a, b in zip(one[1:], two[1:], strict=True):
        a, b = ([float(v) for i, v in enumerate(row.split(",")) if i != 1] for row in (a, b))
        assert a == pytest.approx(b, rel=1e-4)
