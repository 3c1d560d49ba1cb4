"""A run is a folder: settings, metrics, checkpoints, samples, the model and a report. Nothing is written elsewhere."""

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from meronym.collections import Collection, drawn, open_again
from meronym.files import write_atomically


def level_folder(run: str | Path, parts: int) -> Path:
    """Where the level of so many parts of a run's tree is a run of its own."""
    return Path(run) / f"at-{parts}"


def photos_of(settings: Mapping[str, Any]) -> str:
    """Where the photos of a run are, by its settings: as they were given, from the folder where that was ("at")."""
    photos, there = settings["photos"], Path(settings.get("at", ""), settings["photos"])
    return str(there) if "at" in settings and there.exists() and not drawn(photos) else photos


def open_photos(settings: Mapping[str, Any], photos: str | Path | None = None, kind: str | None = None) -> Collection:
    """What a run was trained on, all splits of it, or these photos. kind: by default the run's, or found out."""
    return open_again(photos or photos_of(settings), kind or (None if photos else settings["kind"]))


def trained_on(settings: Mapping[str, Any], photos: str | Path) -> bool:
    """Whether these are the photos of the run itself, by whose ids its edits go."""
    return Path(photos_of(settings)).resolve() == Path(photos).resolve()


def as_trained(settings: Mapping[str, Any], collection: Collection) -> Collection:
    """A collection as the run sees it: without masks and boxes, if it was to find its parts without."""
    return collection.without_masks() if settings.get("masks") == "none" else collection


class RunExists(ValueError):
    """The folder holds a run of other settings; nothing of it was touched."""


class Run:
    """Opens a run folder, or creates it. The same settings go on where the run stopped."""

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.settings = dict(settings)
        self._check()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / "settings.yaml", yaml.safe_dump(self.settings, sort_keys=False))
        self._columns: list[str] | None = None
        self._begin = time.monotonic()
        self.earlier = 0.0  # seconds that led to the checkpoint it went on from

    @staticmethod
    def read(folder: str | Path) -> dict[str, Any]:
        """The settings of a run. Raises FileNotFoundError where there is none."""
        path = Path(folder) / "settings.yaml"
        if not path.exists():
            raise FileNotFoundError(f"{folder} is no run folder: it has no settings.yaml")
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (ValueError, yaml.YAMLError):
            found = None
        if not isinstance(found, dict):
            raise FileNotFoundError(f"{folder} is no run folder: its settings.yaml is of something else")
        return found

    def _check(self) -> None:
        path = self.folder / "settings.yaml"
        held = [p.name for p in self.folder.iterdir() if not p.name.startswith(".")] if self.folder.is_dir() else []
        if not held:
            return
        try:
            before = self.read(self.folder)
        except FileNotFoundError:
            raise RunExists(f"{self.folder} is not empty and holds no run: choose another folder with --run") from None
        if held == [path.name] and "parts" in before:  # nothing came of it yet
            return
        changed = [
            f"{key}: {before.get(key)!r} there, {self.settings.get(key)!r} here"
            for key in sorted({*before, *self.settings})
            if key != "at" and before.get(key) != self.settings.get(key)
        ]
        if not changed and "at" in before and not drawn(before["photos"]):
            there, here = (Path(photos_of(settings)) for settings in (before, self.settings))
            if there.exists() and here.exists() and not there.samefile(here):
                changed = [f"photos: {there.resolve()} there, {here.resolve()} here"]
        if changed:
            raise RunExists(
                f"{self.folder} holds a run with other settings ({'; '.join(changed)}): "
                "repeat its settings to go on with it, or choose another folder with --run"
            )

    @property
    def seconds(self) -> float:
        """Spent on the run so far, whenever and however often it was stopped."""
        return self.earlier + time.monotonic() - self._begin

    @property
    def checkpoint(self) -> Path:
        return self.folder / "last.ckpt"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    @property
    def finished(self) -> bool:
        return (self.model / "config.json").exists()

    def rewind(self, step: int) -> None:
        """Forget the logged rows from `step` on: they will be computed again."""
        path = self.folder / "metrics.csv"
        if not path.exists():
            return
        with path.open(newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        if not header:
            return
        kept = [row for row in rows if len(row) == len(header) and int(row[0]) < step]  # a power cut halves the last
        write_atomically(path, "".join(",".join(row) + "\n" for row in [header, *kept]))
        self._columns = header

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row to metrics.csv; the columns are those of the first row."""
        path = self.folder / "metrics.csv"
        if self._columns is None:
            self._columns = ["step", "seconds", *values]
            path.write_text(",".join(self._columns) + "\n")
        row = {"step": step, "seconds": f"{self.seconds:.1f}"}
        row |= {key: f"{value:.6g}" for key, value in values.items()}
        with path.open("a", newline="") as file:
            file.write(",".join(str(row.get(column, "")) for column in self._columns) + "\n")
