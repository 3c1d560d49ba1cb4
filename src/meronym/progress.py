"""One progress line for all long work: a bar with time left on a terminal, a plain line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    def __call__(self, done: int, note: str = "") -> None: ...


def say(text: str) -> None:
    """One plain line to the person at the terminal, on stderr, so that stdout stays for results."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int, unit: str = "photos", every: float = 15.0) -> Iterator[Advance]:
    """Yield a function to call with how much is done so far (and a short note, such as the loss).

    every: seconds between plain lines where stderr is not a terminal.
    """
    if sys.stderr.isatty():
        with _bar(what, total, unit) as advance:
            yield advance
    else:
        yield _Lines(what, total, unit, every)


@contextmanager
def _bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit + " · {task.fields[rate]} · {task.fields[note]}left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, note="", rate="")

        def advance(done: int, note: str = "") -> None:
            speed = bar.tasks[0].speed
            rate = f"{speed:.1f}/s" if speed else ""
            bar.update(task, completed=done, note=f"{note} · " if note else "", rate=rate)

        yield advance


class _Lines:
    """What a log file gets: the first line after `every` seconds, and the last one if there was any before."""

    def __init__(self, what: str, total: int, unit: str, every: float) -> None:
        self.what, self.total, self.unit, self.every = what, total, unit, every
        self.begin = self.last = time.monotonic()
        self.first: int | None = None

    def __call__(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if self.first is None:
            self.first, self.begin = done, now
        if now - self.last < self.every:
            return
        self.last = now
        rate = (done - self.first) / max(now - self.begin, 1e-9)
        left = f", {_clock((self.total - done) / rate)} left" if rate > 0 else ""
        note = f", {note}" if note else ""
        say(f"{self.what}: {done}/{self.total} {self.unit}, {rate:.1f}/s{left}{note}")


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
