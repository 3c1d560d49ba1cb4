"""Annotations of all photos as a file to download: written in the background, one photo in memory at a time."""

import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meronym.annotations import FORMATS, Item, find
from meronym.edits import Edits
from meronym.explorer.study import Study
from meronym.images import BadPhoto
from meronym.prediction import write_edited

MOST_NAMED = 100


class Busy(ValueError):
    """An export is under way already."""


@dataclass
class Export:
    """One export. state: running, ready, failed or cancelled. file: once it is ready. left_out: (photo, reason)."""

    format: str
    total: int
    done: int = 0
    state: str = "running"
    file: Path | None = None
    error: str = ""
    wrong: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def summary(self) -> dict[str, Any]:
        """As the page takes it."""
        return {
            "format": self.format,
            "state": self.state,
            "done": self.done,
            "total": self.total,
            "name": self.file.name if self.file else None,
            "bytes": self.file.stat().st_size if self.file and self.file.exists() else None,
            "error": self.error,
            "wrong": self.wrong,
            "left_out": self.left_out[:MOST_NAMED],
            "left_out_count": len(self.left_out),
        }


class _Stopped(Exception):
    pass


class Exports:
    """At most one export at a time; the file of the last one is kept until the next, or until the explorer ends."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.folder = study.run / "explorer" / "export"
        self.current: Export | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self, format: str, with_wrong: bool = False) -> Export:
        """Begin to write the annotations of all photos, as they are edited now.

        with_wrong: also of photos marked as wrong. Raises ValueError for an unknown format, `Busy`.
        """
        find(format)
        with self._lock:
            if self.current is not None and self.current.state == "running":
                raise Busy(f"{self.current.format} is being written; wait for it, or cancel it")
            if self._thread is not None:
                self._thread.join()
            edits = self.study.edits
            ids = self.study.collection.ids
            chosen = [n for n, id_ in enumerate(ids) if with_wrong or id_ not in edits.wrong]
            export = Export(format, len(chosen), wrong=len(ids) - len(chosen))
            self.current = export
            self._thread = threading.Thread(target=self._run, args=(export, edits, chosen), daemon=True)
            self._thread.start()
            return export

    def cancel(self) -> None:
        """Stop the export under way, and remove what was written."""
        export = self.current
        if export is not None:
            export.stop.set()

    def close(self) -> None:
        """Stop, and remove the last file."""
        self.cancel()
        if self._thread is not None:
            self._thread.join(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, export: Export, edits: Edits, chosen: list[int]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            export.file = self._write(export, edits, chosen)
            export.state = "ready"
            return
        except (_Stopped, CancelledError):
            export.state = "cancelled"
        except Exception as error:  # said on the page
            export.error = next(iter(str(error).splitlines()), "") or type(error).__name__
            export.state = "failed"
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, export: Export, edits: Edits, chosen: list[int]) -> Path:
        self.folder.mkdir(parents=True)
        place = find(export.format).out
        items = self._items(export, edits, chosen)
        written = write_edited(export.format, items, self.folder / place, edits, self.study.model.names)
        if export.done == len(export.left_out):
            raise ValueError("there is no photo to write: all are marked as wrong, or cannot be read")
        name = f"{_plain(self.study.collection.name)}-{place}"
        if not written.is_dir() and len(list(self.folder.iterdir())) == 1:
            return written.rename(self.folder / name)
        stem = name.rsplit(".", 1)[0] if not written.is_dir() else name
        archive = self.folder / f"{stem}.zip"
        _zip(written if written.is_dir() else self.folder, archive, export)
        return archive

    def _items(self, export: Export, edits: Edits, chosen: list[int]) -> Iterator[Item]:
        with_photo = find(export.format) is FORMATS["overlay"]
        for photo, parts in self.study.photos.whole(chosen, with_photo):
            if export.stop.is_set():
                raise _Stopped
            export.done += 1
            if isinstance(parts, BadPhoto):
                export.left_out.append((self.study.collection.ids[photo], parts.reason))
            else:
                yield edits.apply(parts).item()


def _plain(name: str) -> str:
    """A collection's name as part of a file's, on any system."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:60] or "photos"


def _zip(folder: Path, archive: Path, export: Export) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for path in sorted(folder.rglob("*")):
            if export.stop.is_set():
                raise _Stopped
            if path.is_file() and path != archive:
                kept = zipfile.ZIP_STORED if path.suffix == ".png" else zipfile.ZIP_DEFLATED
                file.write(path, path.relative_to(folder).as_posix(), compress_type=kept)
