"""Trains twice by the command line: once in peace, once killed at every awkward moment. Run as a program."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from meronym import cli, commands, model
from meronym.backbones import FeatureCache
from meronym.training import loop
from meronym.training.run import Run

COMMAND = "meronym train toy:9 --parts 3 --method contrastive --backbone efficientnet_lite0"
COMMAND += " --set size=128 steps=12 batch=4 --run"


def kill(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(calls: int, function: Callable, end: Callable = kill) -> Callable:
    """The function, until it has been called so often."""
    left = iter(range(calls))

    def called(*args: Any, **kwargs: Any) -> Any:
        return end(*args, **kwargs) if next(left, None) is None else function(*args, **kwargs)

    return called


def half_a_row(run: Run, step: int, values: Any) -> None:
    with (run.folder / "metrics.csv").open("a") as file:
        file.write("1")
    kill()


MOMENTS = {
    "a few photos have their features": lambda: setattr(FeatureCache, "put", after(4, FeatureCache.put)),
    "before there is any checkpoint": lambda: setattr(Run, "log", after(2, Run.log, half_a_row)),
    "the first checkpoint is not in its place": lambda: setattr(loop, "replace_durably", kill),
    "half a row after a checkpoint": lambda: setattr(Run, "log", after(6, Run.log, half_a_row)),
    "a checkpoint is not in its place": lambda: setattr(loop, "replace_durably", after(1, loop.replace_durably)),
    "the weights are there, their config is not": lambda: setattr(model, "write_atomically", kill),
    "all but the report": lambda: setattr(commands, "write_report", kill),
}


def train(folder: Path, arm: Callable | None = None) -> int:
    """How the command ends in a process of its own; negative: killed by that signal."""
    process = os.fork()
    if process == 0:
        os.environ["MERONYM_CACHE"] = str(folder / "cache")
        sys.argv = [*COMMAND.split(), str(folder / "run")]
        loop.Training.log_every, loop.Training.save_every = 1, 4
        if arm:
            arm()
        cli.main()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    root = Path(sys.argv[1])
    assert train(root / "peace") == 0
    for moment, arm in MOMENTS.items():
        assert train(root / "war", arm) == -signal.SIGKILL, moment
    assert train(root / "war") == 0
