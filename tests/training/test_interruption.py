"""Whatever stops a run, the same command goes on, and ends where a run in peace ends: bit for bit."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file
from with_workers import Endless

from meronym import cli, commands
from meronym.methods.base import measured
from meronym.training import loop
from meronym.training.run import Run


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


def program(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from meronym.cli import main; main()", *map(str, arguments)]


def stopped(command: list[str], run: Path, number: int) -> tuple[int, str]:
    """How a command ends, and what it says, when its whole group gets a signal a few steps into its training."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        begin = time.monotonic()
        while not (run / "metrics.csv").exists() or len(metrics(run)) < 3:
            assert process.poll() is None and time.monotonic() - begin < 120, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, number)
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


def test_ctrl_c_on_the_command_line(tmp_path):
    command = program("train", "toy:9", "--parts", 3, "--method", "contrastive", "--run", tmp_path / "run")
    code, said = stopped(
        [*command, "--backbone", "efficientnet_lite0", "--set", "size=128", "steps=1000000"],
        tmp_path / "run",
        signal.SIGINT,
    )
    assert code == 130 and "Traceback" not in said
    assert re.search(r"^meronym: stopped after step \d+ of 1000000; the same command goes on$", said, re.M)
    assert (tmp_path / "run/last.ckpt").exists()


def test_sigterm_reaches_the_loaders_workers_too(tmp_path):
    """As a scheduler sends it: to every process of the group. The workers leave it to the training process."""
    command = [sys.executable, Path(__file__).with_name("with_workers.py"), tmp_path / "run"]
    code, said = stopped(command, tmp_path / "run", signal.SIGTERM)
    assert code == 7 and said.count("stopping after this step") == 1 and "killed by signal" not in said


class Short(Endless):
    steps, workers = 2, 0


def test_ctrl_c_while_the_last_step_is_saved(tmp_path, monkeypatch):
    save = loop._save
    monkeypatch.setattr(loop, "_save", lambda *what: os.kill(os.getpid(), signal.SIGINT) or save(*what))
    with pytest.raises(loop.Interrupted, match="stopped after step 2 of 2; the same command goes on"):
        loop.optimise(Short(), Run(tmp_path, {}), loop.make_fabric())
    assert loop.optimise(Short(), Run(tmp_path, {}), loop.make_fabric()) == []


def test_the_seconds_before_a_stop_count_too(tmp_path, monkeypatch):
    for leg in (1, 2):
        training, about, run = Short(), {}, Run(tmp_path, {})
        training.steps, now = 2 * leg, time.monotonic()
        with measured(about, run), monkeypatch.context() as patch:
            patch.setattr(time, "monotonic", lambda now=now: now + 1000)
            loop.optimise(training, run, loop.make_fabric())
    rows = [float(line.split(",")[1]) for line in (tmp_path / "metrics.csv").read_text().splitlines()[1:]]
    assert rows == pytest.approx([1000, 1000, 2000, 2000], abs=60) and 1000 <= about["train_seconds"] < 1060


def test_ctrl_c_before_training(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "train", interrupt)
    monkeypatch.setattr(sys, "argv", ["meronym", "train", "toy"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 130 and capsys.readouterr().err == "meronym: stopped; the same command goes on\n"
