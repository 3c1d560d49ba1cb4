"""The parts of all photos of a collection as a folder: label maps as they are found, other annotations from these.

out/predict.json    what the folder holds: which model, photos, names and colours
out/labels/         an index PNG for each photo, written whole or not at all: what is there is not computed again
out/skipped.txt     the photos that could not be used, and why
out/coco.json, ...  the formats asked for, made from the label maps
"""

import json
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from meronym.ahead import ahead
from meronym.annotations import FORMATS, Item, find, write
from meronym.annotations.png import index_places, is_whole, photo_of, read_index, save_index_png
from meronym.annotations.summary import mean_confidence
from meronym.collections import Collection, Sample
from meronym.edits import Edits, hex_of
from meronym.files import holds_anything, write_atomically
from meronym.images import BadPhoto
from meronym.model import PartModel
from meronym.parts import Parts
from meronym.progress import progress, say

RECORD = "predict.json"
READERS, WRITERS = 4, 2
OWN = ".png", ".txt", ".yaml", ".jsonl"
"""The files of formats that are folders."""


class FolderTaken(ValueError):
    """The folder holds something else; nothing of it was touched."""


@dataclass
class Labeller:
    """What finds the parts, in which photos, and where their label maps go: all that one process needs."""

    folder: Path
    model: PartModel
    collection: Collection
    edits: Edits

    def __post_init__(self) -> None:
        self.ids = self.collection.ids
        self.places = index_places(self.ids, self.folder / "labels")

    def labelled(self, photos: Sequence[int], batch: int) -> Iterator[tuple[int, str]]:
        """An index PNG for each of these photos: read ahead of the network, written behind it.

        Yields each photo's number once, when it is done, with why it could not be used ("" if it could). What is in
        memory does not grow with the number of photos.
        """
        number = {self.ids[i]: i for i in photos}
        bad: deque[tuple[int, str]] = deque()

        def samples() -> Iterator[Sample]:
            for i, read in ahead(self.collection.__getitem__, photos, READERS, 2 * READERS):
                try:
                    yield read.result()
                except BadPhoto as error:  # of the photo, or of its mask
                    own = error.path == str(self.collection.records[i].photo)
                    bad.append((i, error.reason if own else str(error)))

        def save(parts: Parts) -> int:
            save_parts(self.places[number[parts.id or ""]], self.edits.apply(parts))
            return number[parts.id or ""]

        for _, saved in ahead(save, self.model.stream(samples(), batch), WRITERS, batch):
            yield saved.result(), ""
            while bad:
                yield bad.popleft()
        yield from bad


LabelledBy = Callable[[Labeller, Sequence[int], int], Iterator[tuple[int, str]]]


@dataclass
class Predictions(Labeller):
    """A folder of predictions. The same model, photos and edits go on where it stopped.

    model, collection: what finds the parts, and in which photos. edits: of the run. photos: what the user called the
    collection. left_out: ids of photos that are not wanted. skipped: (id, reason) of those that could not be used.
    """

    photos: str
    left_out: frozenset[str] = frozenset()
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.skipped += self.collection.skipped
        self.made: dict[str, int] = self._checked().get("made", {})
        self.folder.mkdir(parents=True, exist_ok=True)
        self._record()

    def label(self, batch: int = 8, by: LabelledBy | None = None) -> None:
        """An index PNG for each photo that has none; by: who makes them, as `labelled` does, which is the default.

        Raises FolderTaken where one of another photo lies in the place of one.
        """
        for id_, place in zip(self.ids, self.places, strict=True):
            if (other := photo_of(place)) not in (None, id_):
                raise FolderTaken(
                    f"{place} is of {other}, and {id_} belongs there now, as photos were added or taken away: "
                    "move it elsewhere, or choose another folder with --out"
                )
        newer: list[str] = []
        for record, place in zip(self.collection.records, self.places, strict=True):
            if _of_another_size(place, record.photo):
                raise FolderTaken(
                    f"{place} is of another size than {record.photo}, which was changed since: "
                    "move it elsewhere, and the photo is labelled anew"
                )
            newer += [record.id] if _newer(record.photo, place) else []
        if newer:
            say(
                f"newer than their label maps: {newer[0]}"
                + (f" and {len(newer) - 1:,} more" if newer[1:] else "")
                + f"; where a photo was replaced, move its map out of {self.folder / 'labels'}, and it is labelled anew"
            )
        wanted = [i for i, id_ in enumerate(self.ids) if id_ not in self.left_out]
        missing = [i for i in wanted if not is_whole(self.places[i])]
        done = len(wanted) - len(missing)
        if done and missing:
            say(f"{done:,} of {len(wanted):,} photos are labelled already")
        with progress("parts", len(wanted)) as advance:
            advance(done)
            for i, reason in (by or Labeller.labelled)(self, missing, batch):
                self.skipped += [(self.ids[i], reason)] if reason else []
                done += 1
                advance(done)
        lines = [f"{photo}: {reason}\n" for photo, reason in self.skipped]
        if lines:
            write_atomically(self.folder / "skipped.txt", "".join(lines))
        else:
            (self.folder / "skipped.txt").unlink(missing_ok=True)

    def write(self, format: str) -> Path:
        """All labelled photos in one format, made from their index PNGs; returns the file or folder.

        Raises:
            FolderTaken: there is a file or folder of that name which was not made here, or was changed since.
        """
        chosen = find(format)
        path = self.folder / chosen.out
        if chosen is FORMATS["png"]:
            return path
        ours = self.made.get(path.name) in (0, _changed(path))
        if path.exists() and not ours:
            raise FolderTaken(f"{path} was not made by this command, or was changed since: move it elsewhere")
        before = self.made.get(path.name)
        self._record(path.name, 0)
        try:
            with progress(path.name, len(self.ids)) as advance:
                items = self._items(advance, chosen is FORMATS["overlay"])
                write_edited(format, items, path, self.edits, self.model.names)
        except BaseException:
            if before and _changed(path) == before:  # nothing of it was touched: whoever changes it now is not us
                self._record(path.name, before)
            raise
        self._record(path.name, _changed(path))
        return path

    def _items(self, advance: Any, with_photo: bool) -> Iterator[Item]:
        labelled = [i for i, place in enumerate(self.places) if self.ids[i] not in self.left_out and place.exists()]

        def read(i: int) -> Item:
            image = self.collection[i].image if with_photo else None
            return read_index(self.places[i])._replace(name=self.ids[i], image=image)

        for done, (_, item) in enumerate(ahead(read, labelled, READERS, 2 * READERS), start=1):
            yield item.result()
            advance(done)

    def _settings(self) -> dict[str, Any]:
        shown = self.edits.shown(self.model.names)
        parts = [{"name": part.name, "colour": hex_of(part), "of": list(part.members)} for part in shown]
        return {"model": self.model.fingerprint, "photos": self.photos, "parts": parts}

    def _record(self, name: str | None = None, changed: int = 0) -> None:
        """Write what the folder holds; name: a format's file or folder, changed: when (0: it is under way)."""
        if name is not None:
            self.made[name] = changed
        write_atomically(self.folder / RECORD, json.dumps(self._settings() | {"made": self.made}, indent=2) + "\n")

    def _checked(self) -> dict[str, Any]:
        """What the folder's record holds, if it is of the same predictions, or the folder is new."""
        if not holds_anything(self.folder):
            return {}
        path = self.folder / RECORD
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderTaken(
                f"{self.folder} is not empty and holds no predictions ({RECORD}): choose another folder with --out"
            ) from error
        now = self._settings()
        other = [key for key in now if before.get(key) != now[key]]
        if other:
            words = {"model": "another model", "photos": f"photos of {before.get('photos')}", "parts": "other edits"}
            raise FolderTaken(
                f"{self.folder} holds predictions with {' and '.join(words[key] for key in other)}: "
                "choose another folder with --out"
            )
        return before


def _of_another_size(place: Path, photo: Path) -> bool:
    """Whether a label map is not of its photo's size, upright; False where one of them cannot be read."""
    try:
        with Image.open(place) as labels, Image.open(photo) as image:
            if labels.size == image.size and image.format == "PNG" and "exif" not in image.info:
                return False  # to look for EXIF data behind its pixels, it would be decoded
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return labels.size != (image.size[::-1] if turned else image.size)
    except Exception:  # decoders raise nearly anything on a damaged file
        return False


def _newer(photo: Path, place: Path) -> bool:
    """Whether a photo was written after its label map."""
    try:
        return photo.is_file() and photo.stat().st_mtime > place.stat().st_mtime
    except OSError:
        return False


def _changed(path: Path) -> int:
    """When a format's file, with its interface, or any file of its folder was last written; 0 for none.

    Photos that somebody put into images/, and what other programs keep there, do not count.
    """
    files = [path, path.with_suffix(".config.xml")] if not path.is_dir() else []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if name != "images"]  # there may be many photos
        files += [Path(folder, name) for name in names if name.endswith(OWN)]
    return max((file.stat().st_mtime_ns for file in files if file.exists()), default=0)


def write_edited(format: str, items: Iterable[Item], path: Path, edits: Edits, names: Sequence[str]) -> Path:
    """Annotations under the names and colours that a run's edits give its parts (`names`: the model's own).

    The items' labels are edited already.
    """
    shown = edits.shown(names)
    colours = np.array([part.colour for part in shown], dtype=np.uint8)
    return write(format, items, path, [part.name for part in shown], colours=colours)


def checked_formats(formats: str, edits: Edits, names: Sequence[str]) -> list[str]:
    """The names in "coco,yolo", each known to be there, with what it needs, and able to take these parts.

    Raises:
        ValueError: no such format, or one that cannot take these parts.
        MissingExtra: its library is not installed.
    """
    chosen = list(dict.fromkeys(name.strip() for name in formats.split(",") if name.strip()))
    for name in chosen:
        with tempfile.TemporaryDirectory() as nowhere:
            write_edited(name, [], Path(nowhere) / find(name).out, edits, names)
    return chosen


def save_parts(path: Path, parts: Parts) -> Path:
    """An index PNG that also knows how sure each part is, on the average."""
    sure = None if parts.confidence is None else mean_confidence(parts.labels, parts.confidence, len(parts.names))
    return save_index_png(path, parts.labels, parts.names, parts.colours, parts.id or "", sure)
