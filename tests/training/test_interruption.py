"""Whatever stops a run, the same command goes on, and ends where a run in peace ends: bit for bit."""

import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file


def metrics(run: Path) -> list[list[str]]:
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    return [[step, *values] for step, _, *values in rows]


def test_power_loss_at_every_awkward_moment(tmp_path):
    program = Path(__file__).with_name("killed.py")
    done = subprocess.run([sys.executable, program, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    peace, war = tmp_path / "peace/run", tmp_path / "war/run"
    a, b = (load_file(run / "model/model.safetensors") for run in (peace, war))
    assert {key: (a[key] - b[key]).abs().max().item() for key in a} == dict.fromkeys(a, 0.0)
    assert (peace / "model/model.safetensors").read_bytes() == (war / "model/model.safetensors").read_bytes()
    assert metrics(peace) == metrics(war) and len(metrics(war)) == 13
    assert (war / "report.html").exists() and not list(war.rglob("*.part"))
