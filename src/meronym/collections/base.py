"""The nouns of data: `Sample`, one photo with what is known of it; `Collection`, a sequence of them."""

import copy
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from PIL import Image

from meronym.images import BadPhoto, Window, content_hash, open_alpha, open_mask

SMALLEST_SIDE = 8
"""A photo with a side of fewer pixels is too small to have parts, and is skipped."""


class CollectionError(ValueError):
    """A collection that cannot be opened: one line that says what was found and what is expected."""


class CollectionNotFound(CollectionError, FileNotFoundError):
    """There is nothing at the path that was given."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One photo and whatever annotation exists. All coordinates are pixels of `image`, upright.

    Attributes:
        id: names the sample within its collection, most often a relative path.
        image: RGB.
        mask: bool (H, W), where the object is.
        box: x0, y0, x1, y1 around the object.
        keypoints: float32 (P, 3): x, y, and 1 where visible, else 0.
        part_labels: uint8 (H, W): 0 = background, k = `part_names[k - 1]`.
        category: index into `category_names`.
    """

    id: str
    image: Image.Image
    mask: np.ndarray | None = None
    box: Window | None = None
    keypoints: np.ndarray | None = None
    part_labels: np.ndarray | None = None
    category: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What a collection holds in memory of one sample: names, never pixels.

    `mask` is the file the mask comes from: the photo itself where that has an alpha channel. `split` is None
    for a sample that belongs to every split. `row` is whatever else the adapter needs to find the annotation.
    `full` is the record as it was before its mask and box were hidden.
    """

    id: str
    photo: Path = Path()
    mask: Path | None = None
    box: Window | None = None
    category: int | None = None
    split: str | None = None
    row: Any = None
    full: "Record | None" = None

    @property
    def annotation(self) -> Path:
        """The mask's file, where the adapter gives every record one."""
        assert self.mask is not None
        return self.mask


class Collection(Sequence[Sample], ABC):
    """Photos of one category and whatever annotation exists: a light, picklable sequence of `Sample`.

    A photo is read when it is asked for; one that turns out to be broken raises `BadPhoto`. Photos that could
    be told to be unusable on opening are not in the sequence but in `skipped`. An adapter calls `__init__`
    with its records and says how a record is read;
    `all_masked` is for samples whose masks come from no file, `noun` for samples that are less than a photo.

    Attributes:
        name: short name for tables and folders.
        splits: names that `split` takes.
        skipped: (path, reason) of each photo left out on opening.
        notes: remarks that `summary` ends with.
    """

    def __init__(
        self,
        name: str,
        records: Iterable[Record],
        *,
        origin: str,
        splits: tuple[str, ...] = ("train", "test"),
        skipped: Iterable[tuple[str, str]] = (),
        notes: Iterable[str] = (),
        all_masked: bool = False,
        noun: str = "photo",
    ) -> None:
        self.name = name
        self.origin = origin
        self.splits = splits
        self.skipped = list(skipped)
        self.notes = list(notes)
        self.all_masked = all_masked
        self.noun = noun
        self.keypoint_names: tuple[str, ...] = ()
        self.part_names: tuple[str, ...] = ()
        self.category_names: tuple[str, ...] = ()
        self.records = list(records)

    @staticmethod
    @abstractmethod
    def found_at(path: Path) -> bool:
        """If this adapter's layout lies at a path; for all but the plain folder, unmistakably."""

    @abstractmethod
    def read(self, record: Record) -> Sample:
        """Read one sample. Raises `BadPhoto`."""

    @abstractmethod
    def key(self, record: Record) -> str:
        """What `fingerprint` answers for one record."""

    @property
    def ids(self) -> list[str]:
        """The samples' ids, in order."""
        return [record.id for record in self.records]

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...
    def __getitem__(self, index: int | slice) -> "Sample | Self":
        """Sample number `index`, read now (raises `BadPhoto`); or, for a slice, a smaller collection."""
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        record = self.records[index]
        return self.read(record) if record.full is None else replace(self.read(record.full), mask=None, box=None)

    def fingerprint(self, index: int) -> str:
        """A hash of the content of photo `index` and of its mask's source. It keys the feature cache.

        Raises:
            BadPhoto: a file cannot be read.
        """
        record = self.records[index]
        return files_key(record) if record.full and record.photo.is_file() else self.key(record.full or record)

    @property
    def unmarked(self) -> bool:
        """Whether nobody says where any object is: neither a mask nor a box."""
        return not any(map(self.marked, range(len(self))))

    def marked(self, index: int) -> bool:
        """Whether somebody says where the object of photo `index` is, by a mask or a box."""
        return self.has_mask(index) or self.records[index].box is not None

    def has_mask(self, index: int) -> bool:
        """Whether photo `index` comes with a mask."""
        return self.all_masked or self.records[index].mask is not None

    @property
    def masked(self) -> bool:
        """Whether any sample comes with a mask."""
        return any(map(self.has_mask, range(len(self))))

    def without_masks(self) -> Self:
        """The same photos as if nobody had said where the object is: neither masks nor boxes."""
        blind = copy.copy(self)
        blind.all_masked = False
        blind.records = [replace(record, mask=None, box=None, full=record.full or record) for record in self.records]
        return blind

    def select(self, indices: Iterable[int]) -> Self:
        """The samples at `indices`, in that order, as a collection."""
        smaller = copy.copy(self)
        smaller.records = [self.records[int(index)] for index in indices]
        return smaller

    def split(self, name: str) -> Self:
        """The samples of one split. Raises `ValueError` for a name that is not in `splits`."""
        if name not in self.splits:
            raise ValueError(f"split {name!r}: {self.name} has {' and '.join(self.splits)}")
        return self.select(i for i, record in enumerate(self.records) if record.split in (None, name))

    def summary(self) -> str:
        """One line: how many photos, how many with masks, what was skipped and why."""
        sources = [(record.mask, record.photo) for record in self.records if record.mask is not None]
        alphas = sum(mask == photo for mask, photo in sources)
        masks = len(self) if self.all_masked else len(sources) - alphas
        held = [f"{masks:,} with masks"] * bool(masks) + [f"{alphas:,} with an alpha channel"] * bool(alphas)
        total = counted(len(self), self.noun)
        line = f"found {total} ({', '.join(held) or 'none with a mask'}) {self.origin}"
        if self.skipped:
            line += f", skipped {len(self.skipped):,}: {listed(self.skipped)}"
        return "; ".join([line, *self.notes])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}: {counted(len(self), self.noun)} {self.origin}>"


def counted(number: int, noun: str) -> str:
    """A number with its noun: "1 photo", "1,243 photos"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(skipped: Sequence[tuple[str, str]], most: int = 3) -> str:
    """The first few: "a.jpg (empty file), b.jpg (not a picture) and 4 more"."""
    shown = ", ".join(f"{os.path.basename(path)} ({reason})" for path, reason in skipped[:most])
    return shown + (f" and {len(skipped) - most:,} more" if len(skipped) > most else "")


def files_key(record: Record, *more: str) -> str:
    """A hash of the bytes of a record's photo and mask files, and of any text that also decides the mask."""
    files = dict.fromkeys(path for path in (record.photo, record.mask) if path is not None)
    parts = [content_hash(path) for path in files] + list(more)
    return hashlib.blake2b("/".join(parts).encode(), digest_size=16).hexdigest()


def read_mask(record: Record, image: Image.Image) -> np.ndarray | None:
    """The mask of a photo: bool (H, W), from its own file or its alpha channel, or None.

    Raises:
        BadPhoto: the mask cannot be read, has another size than the photo, or marks nothing.
    """
    if record.mask is None:
        return None
    if record.mask == record.photo:
        mask = open_alpha(record.photo)
        return mask if mask is None else not_empty(mask, record.photo, "its alpha channel")
    mask = same_size(open_mask(record.mask), image, record.mask)
    return not_empty(mask, record.photo, f"its mask {record.mask.name}")


def same_size(array: np.ndarray, image: Image.Image, path: Path) -> np.ndarray:
    """`array` (H, W) itself, if it has the size of the photo; else raises `BadPhoto`."""
    if array.shape != (image.height, image.width):
        raise BadPhoto(
            path,
            f"{array.shape[1]}x{array.shape[0]} pixels, its photo {image.width}x{image.height}; "
            "make the mask again at the photo's own size, or remove it",
        )
    return array


def not_empty(mask: np.ndarray, photo: Path, what: str) -> np.ndarray:
    """`mask` itself, if it marks anything; else raises `BadPhoto`."""
    if not mask.any():
        raise BadPhoto(photo, f"{what} marks nothing; draw the object in white, or remove the mask")
    return mask


def box_of(mask: np.ndarray) -> Window | None:
    """The smallest box around a mask (H, W): x0, y0, x1, y1, or None where it marks nothing."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def read_index(path: Path) -> list[list[str]]:
    """The fields of each line of a text file; raises `CollectionError` if it cannot be read."""
    try:
        return [line.split() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CollectionError(f"{path}: cannot be read as text ({type(error).__name__})") from error
