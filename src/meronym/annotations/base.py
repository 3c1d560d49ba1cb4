"""What every format shares: the item that is written and read, safe names, files that appear whole."""

import importlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
from PIL import Image

from meronym.annotations.colours import MAX_PARTS
from meronym.files import beside
from meronym.images import PHOTO_SUFFIXES


class Item(NamedTuple):
    """One labelled photo.

    Attributes:
        name: the photo's path below its folder, with forward slashes, "robins/robin 1.jpg".
        size: (H, W) of the upright photo.
        labels: (H, W) uint8; 0 is the background, k is part k.
        confidence: (H, W) in [0, 1], or None. Only formats that carry scores look at it.
        image: the photo, upright RGB, or None. Only `overlay` looks at it.
    """

    name: str
    size: tuple[int, int]
    labels: np.ndarray
    confidence: np.ndarray | None = None
    image: Image.Image | None = None


@dataclass(frozen=True)
class Annotations:
    """What a reader found: the part names, and the photos, each read when it is asked for."""

    names: tuple[str, ...]
    items: Iterator[Item]


class BadAnnotations(ValueError):
    """A file or folder that is not what its format says. The message names it and says what is wrong."""

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(f"{path}: {reason}")


class MissingExtra(ImportError):
    """A library of an extra is not installed."""


def need(module: str, who: str = "this format", extra: str = "annotations") -> ModuleType:
    """Imports a library that only some formats, or another extra, use.

    Raises:
        MissingExtra: it is not installed; the message is the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtra(f'{who} needs {package}, which is not installed: pip install "meronym[{extra}]"') from error


def safe_name(name: str) -> str:
    """A photo's path as it is written in every format: relative, forward slashes, never out of its folder.

    Raises:
        ValueError: an empty or absolute path, one with "..", or one with a NUL character.
    """
    path = PurePosixPath(PurePath(name).as_posix())
    leaves = path.is_absolute() or PurePath(name).drive or ".." in path.parts
    if leaves or not path.parts or "\0" in name:
        raise ValueError(f"photo name {name!r}: give its path below the photos' folder, such as 'robins/1.jpg'")
    return str(path)


def stem(name: str) -> str:
    """A photo's path without its suffix, if that is a photo's suffix: "robins/1.jpg" is "robins/1"."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in PHOTO_SUFFIXES else str(path)


def checked(items: Iterable[Sequence[Any]], names: Sequence[str]) -> Iterator[Item]:
    """The items one by one, each known to be sound; a plain (name, size, labels) will do for an item.

    Raises:
        ValueError: labels that are not uint8 of the given size, a part without a name, an unsafe or second
            photo name. The message names the photo.
    """
    if len(names) > MAX_PARTS:
        raise ValueError(f"{len(names)} part names: a label map has room for {MAX_PARTS} parts")
    seen: set[str] = set()
    for given in items:
        item = Item(*given)
        name, labels = safe_name(item.name), item.labels
        if labels.ndim != 2 or labels.dtype != np.uint8 or not labels.size:
            shape = "x".join(map(str, labels.shape))
            raise ValueError(f"{name}: labels are {labels.dtype} of {shape}; give uint8 of (height, width)")
        if labels.shape != tuple(item.size):
            raise ValueError(f"{name}: labels are {labels.shape}, the photo {tuple(item.size)} (height, width)")
        if labels.max() > len(names):
            raise ValueError(f"{name}: labels hold part {labels.max()}, but there are {len(names)} part names")
        if name in seen:
            raise ValueError(f"{name}: this photo came twice; give each photo its own name")
        seen.add(name)
        yield item._replace(name=name)


def distinct(names: Sequence[str]) -> Sequence[str]:
    """The names, if no two are the same: some formats know a part by nothing but its name.

    Raises:
        ValueError: two parts of one name.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        numbers = [k for k, name in enumerate(names, start=1) if name == twice[0]]
        raise ValueError(
            f"parts {numbers} are all called {twice[0]!r}, and this format tells parts apart by name: "
            "merge them or rename one"
        )
    return names


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """A file to write that appears under its name once it is complete, or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = beside(path)
    text = "b" not in mode
    encoding, errors, newline = ("utf-8", "surrogateescape", "\n") if text else (None, None, None)
    try:
        with open(unfinished, mode, encoding=encoding, errors=errors, newline=newline) as file:
            yield file
        os.replace(unfinished, path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def read_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file.

    Raises:
        FileNotFoundError: no such file.
        BadAnnotations: not JSON.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadAnnotations(path, f"not a JSON file ({error})") from error
