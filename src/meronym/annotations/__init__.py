"""Label maps and part names, to and from the formats of annotation tools. Knows arrays only.

>>> write("coco", [("robins/1.jpg", (H, W), labels)], "parts.json", ["head", "wing"])
>>> found = read("coco", "parts.json")
>>> found.names, [(item.name, item.labels) for item in found.items]

Writers take an iterator and keep one photo in memory at a time; files appear whole or not at all. Adding a
format takes one file with a writer and a reader, and one line in `FORMATS`.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meronym.annotations import coco, cvat, label_studio, png, table, yolo
from meronym.annotations.base import Annotations, BadAnnotations, Item, MissingExtra, checked
from meronym.annotations.table import read_parquet

__all__ = [
    "FORMATS",
    "Annotations",
    "BadAnnotations",
    "Format",
    "Item",
    "MissingExtra",
    "find",
    "read",
    "read_parquet",
    "write",
]


class Format(NamedTuple):
    """One format.

    Attributes:
        write: (items, out, names, **options) -> the path written.
        read: path -> Annotations, or None where masks cannot be read back.
        out: what the file or folder is called where nobody says; a folder has no suffix.
        about: one line for people.
        coloured: its writer takes `colours`.
    """

    write: Callable[..., Path]
    read: Callable[[Any], Annotations] | None
    out: str
    about: str
    coloured: bool = False


FORMATS = {
    "png": Format(png.write_png, png.read_png, "labels", "index PNGs: a pixel's value is its part", True),
    "colour": Format(png.write_colour, png.read_png, "layers", "transparent coloured PNG layers", True),
    "overlay": Format(png.write_overlay, None, "overlays", "the photos with their parts drawn over them", True),
    "coco": Format(coco.write_coco, coco.read_coco, "coco.json", "COCO, run-length masks"),
    "coco_polygons": Format(coco.write_coco_polygons, coco.read_coco, "coco_polygons.json", "COCO, polygons"),
    "yolo": Format(yolo.write_yolo, yolo.read_yolo, "yolo", "YOLO-seg (Ultralytics): text files and data.yaml"),
    "cvat": Format(cvat.write_cvat, cvat.read_cvat, "cvat.zip", "CVAT 1.1 for images, masks", True),
    "label_studio": Format(
        label_studio.write_label_studio,
        label_studio.read_label_studio,
        "label_studio.json",
        "Label Studio tasks with brush pre-annotations",
        True,
    ),
    "parquet": Format(table.write_parquet, None, "parts.parquet", "area, centre, box, confidence of each part"),
}


def find(format: str) -> Format:
    """The format of a name; "coco-polygons" is "coco_polygons".

    Raises:
        ValueError: there is none; the message names the nearest and all.
    """
    name = format.lower().replace("-", "_")
    if name in FORMATS:
        return FORMATS[name]
    near = get_close_matches(name, FORMATS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"no annotation format {format!r}; {hint}There are: {', '.join(FORMATS)}")


def write(
    format: str,
    items: Iterable[Sequence[Any]],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
    **options: Any,
) -> Path:
    """Writes labelled photos in a format; returns the file or folder written.

    Args:
        format: a key of `FORMATS`.
        items: `Item`s, or plain (photo name, (H, W), labels) of a photo each, names relative to their
        folder. out: the file or folder to write. names: the K part names. **options: of the format's
        writer, such as `colours` for PNGs.

    Raises:
        ValueError: an unknown format, or an item that is not sound; the message names the photo.
        MissingExtra: a library of the `annotations` extra is missing.
    """
    names = [str(name) for name in names]
    chosen = find(format)
    if chosen.coloured and colours is not None:
        options["colours"] = colours
    return chosen.write(checked(items, names), out, names, **options)


def read(format: str, path: str | os.PathLike[str]) -> Annotations:
    """Reads a format back: part names and, one after the other, the photos with their label maps.

    Raises:
        FileNotFoundError: no such file or folder.
        BadAnnotations: it is not in this format.
        ValueError: an unknown format, or one that holds no masks.
    """
    reader = find(format).read
    if reader is None:
        able = ", ".join(name for name, entry in FORMATS.items() if entry.read)
        raise ValueError(f"{format} holds no masks to read back; formats that do: {able}")
    return reader(path)
