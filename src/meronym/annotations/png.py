"""PNG, one file a photo: index maps (`png`), transparent coloured layers (`colour`), overlays (`overlay`).

In an index PNG a pixel's value is its part; the palette shows the parts in their colours and the background
transparent. In a layer the parts have their colours and everything else is transparent, to lay over the
photo in any program. Both are read back identical: the photo's name and the part names travel inside each
file as PNG text, so that a file that was moved still says what it is. An overlay is the photo itself with
its parts drawn over it.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from meronym.annotations.base import Annotations, BadAnnotations, Item, safe_name, stem, whole_file
from meronym.annotations.colours import palette, png_palette
from meronym.annotations.overlay import draw_overlay
from meronym.images import list_photos

PHOTO_KEY, NAMES_KEY, COLOURS_KEY = "Meronym photo", "Meronym parts", "Meronym colours"
SURE_KEY = "Meronym confidence"
_END = b"IEND\xaeB`\x82"


def save_index_png(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    names: Sequence[str],
    colours: np.ndarray,
    photo: str = "",
    confidence: Sequence[float | None] | None = None,
) -> Path:
    """Writes one label map (H, W) uint8 as a PNG with a palette; returns its path.

    The file appears whole or not at all, whatever stops the writing. confidence: the mean of each part, to be kept
    in the file; None for a part that is absent.

    Raises:
        ValueError: the path does not end in .png.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a label map is written as PNG, which loses nothing; end the name in .png")
    image = Image.fromarray(labels)
    image.putpalette(png_palette(colours))
    text = PngInfo()
    if confidence is not None:
        text.add_text(SURE_KEY, json.dumps([None if sure is None else round(sure, 6) for sure in confidence]))
    runs = 3  # zlib's Z_RLE: twice as fast on label maps as its default, and smaller
    _save(image, path, names, colours, photo, text, transparency=bytes([0]) + b"\xff" * 255, compress_type=runs)
    return path


def is_whole(path: str | os.PathLike[str]) -> bool:
    """Whether there is a PNG that is complete to its last byte; decodes nothing."""
    try:
        with open(path, "rb") as file:
            file.seek(-len(_END), os.SEEK_END)
            return file.read() == _END
    except OSError:
        return False


def photo_of(path: str | os.PathLike[str]) -> str | None:
    """Which photo an index PNG says that it is of; None where it says nothing (or there is none). Decodes nothing."""
    try:
        with Image.open(path) as image:
            return json.loads(image.info.get(PHOTO_KEY, "null")) or None
    except (OSError, ValueError, SyntaxError):
        return None


def _save(
    image: Image.Image,
    path: Path,
    names: Sequence[str],
    colours: np.ndarray,
    photo: str,
    text: PngInfo | None = None,
    **options: Any,
) -> None:
    text = text or PngInfo()
    text.add_text(PHOTO_KEY, json.dumps(photo))
    text.add_text(NAMES_KEY, json.dumps(list(names)))
    text.add_text(COLOURS_KEY, json.dumps(np.asarray(colours).tolist()))
    with whole_file(path, "wb") as file:
        image.save(file, "PNG", pnginfo=text, **options)


def write_png(
    items: Iterable[Item],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
) -> Path:
    """Writes an index PNG for each item below the folder `out`, in the photos' sub folders; returns `out`."""
    table = palette(len(names)) if colours is None else colours
    for item, path in _places(items, Path(out)):
        save_index_png(path, item.labels, names, table, item.name)
    return Path(out)


def write_colour(
    items: Iterable[Item],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
) -> Path:
    """Writes a transparent coloured layer (RGBA, parts at 60 %) for each item below `out`; returns `out`.

    Raises:
        ValueError: two parts of one colour, which could not be told apart again.
    """
    table = np.asarray(palette(len(names)) if colours is None else colours, dtype=np.uint8).reshape(-1, 3)
    if len(np.unique(table, axis=0)) < len(table):
        raise ValueError("two parts have the same colour; a coloured layer needs a different one for each")
    rgba = np.zeros((len(names) + 1, 4), dtype=np.uint8)
    rgba[1:, :3], rgba[1:, 3] = table, 153
    for item, path in _places(items, Path(out)):
        _save(Image.fromarray(rgba[item.labels]), path, names, table, item.name)
    return Path(out)


def write_overlay(
    items: Iterable[Item],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
    alpha: float = 0.55,
    edges: bool = True,
    written: bool = False,
) -> Path:
    """Writes each photo with its parts drawn over it below the folder `out`; returns `out`.

    The options are those of `draw_overlay`.

    An item without its photo is drawn on a plain ground. `written` writes the names on the parts.
    """
    table = palette(len(names)) if colours is None else colours
    for item, path in _places(items, Path(out)):
        height, width = item.size
        photo = Image.new("RGB", (width, height), (245, 245, 245)) if item.image is None else item.image
        tags = names if written else None
        drawn = draw_overlay(photo.convert("RGB"), item.labels, table, alpha=alpha, edges=edges, names=tags)
        _save(drawn, path, names, table, item.name)
    return Path(out)


def _places(items: Iterable[Item], out: Path) -> Iterator[tuple[Item, Path]]:
    taken: set[str] = set()
    for item in items:
        yield item, out / _place(item.name, taken)


def index_places(photos: Iterable[str], out: Path) -> list[Path]:
    """Where `write_png` puts the label maps of these photos, in this order."""
    taken: set[str] = set()
    return [out / _place(safe_name(photo), taken) for photo in photos]


def _place(photo: str, taken: set[str]) -> str:
    """Where a photo goes: "a/1.jpg" to a/1.png, or to a/1.jpg.png if a/1.png is taken."""
    place = f"{stem(photo)}.png"
    while place.casefold() in taken:
        place = f"{photo}.png" if place != f"{photo}.png" else f"{place}.png"
    taken.add(place.casefold())
    return place


def read_png(path: str | os.PathLike[str]) -> Annotations:
    """Reads the index PNGs (or coloured layers) below a folder, or a single one.

    Index PNGs from elsewhere are read too: their name stands for the photo's, and parts are called by
    number.

    Raises:
        FileNotFoundError: no such file or folder.
        BadAnnotations: there is no PNG, or one that is neither an index map nor a layer of Meronym.
    """
    root = Path(path)
    files = [f for f in list_photos(root) if f.suffix.lower() == ".png"] if root.is_dir() else [root]
    if not files:
        raise BadAnnotations(path, "no PNG file below this folder")
    if not root.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    with Image.open(files[0]) as first:
        names = json.loads(str(first.info.get(NAMES_KEY, "null")))
    if names is None:
        highest = max(int(_labels(file)[0].max()) for file in files)
        names = [f"part {k}" for k in range(1, highest + 1)]
    return Annotations(tuple(names), _items(files, root))


def _items(files: Sequence[Path], root: Path) -> Iterator[Item]:
    for file in files:
        item = read_index(file)
        name = item.name or (file.relative_to(root).as_posix() if file != root else file.name)
        yield item._replace(name=name)


def read_index(file: Path) -> Item:
    """The label map of one file; its photo's name ("") and how sure each part is (None) if the file knows them.

    Raises:
        BadAnnotations: it is neither an index map nor a layer of Meronym.
    """
    labels, photo, sure = _labels(file)
    confidence = None
    if sure is not None:
        means = np.zeros(256, dtype=np.float32)
        means[1 : len(sure) + 1] = [value or 0.0 for value in sure]
        confidence = means[labels]
    return Item(photo, (labels.shape[0], labels.shape[1]), labels, confidence)


def _labels(file: Path) -> tuple[np.ndarray, str, list[float | None] | None]:
    """The label map of one file, the name of its photo and the confidences if the file knows them."""
    with Image.open(file) as image:
        image.load()
        photo = json.loads(str(image.info.get(PHOTO_KEY, '""')))
        if image.mode in ("P", "L", "1"):
            return np.array(image, dtype=np.uint8), photo, json.loads(str(image.info.get(SURE_KEY, "null")))
        if image.mode != "RGBA" or COLOURS_KEY not in image.info:
            raise BadAnnotations(file, f"a {image.mode} picture; a label map is an index PNG or a coloured layer")
        rgba = np.array(image)
        labels = np.zeros(rgba.shape[:2], dtype=np.uint8)
        for part, colour in enumerate(json.loads(str(image.info[COLOURS_KEY])), start=1):
            labels[(rgba[..., :3] == colour).all(-1) & (rgba[..., 3] > 0)] = part
    return labels, photo, None
