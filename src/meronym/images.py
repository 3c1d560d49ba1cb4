"""Open any photo safely, list a folder of photos, cut windows out of photos and masks.

Only NumPy and Pillow are needed here. Every function that reads a file raises `BadPhoto`, one clear line that
names the file, whatever is wrong with it; nothing here lets a decoder's own exception through.
"""

import hashlib
import json
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # the hard limit stays

PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".ppm", ".pgm")
    + (".heic", ".heif")  # not read, but a photo to its owner: it is to be named among what was skipped
)
Window = tuple[float, float, float, float]
"""x0, y0, x1, y1 in photo pixels; it may lie partly, or wholly, outside the photo."""

FILL = (124, 116, 104)
"""The mean colour of ImageNet: what a crop shows outside the photo."""
MOST_OPAQUE = 0.99
"""Of a photo with an alpha channel: where more is opaque, nobody cut an object out."""
MOST_EMPTY = 4
"""How many times its photo a crop's own canvas may be, before the photo is made smaller."""


class BadPhoto(ValueError):
    """A photo, or its mask, that cannot be used.

    Attributes:
        path: the file, as it was given.
        reason: why, in a few words, without the file's name ("empty file", "truncated", ...).
    """

    def __init__(self, path: str | os.PathLike[str], reason: str) -> None:
        super().__init__(str(path), reason)
        self.path = str(path)
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class Header(NamedTuple):
    """What a photo's header tells: its size (width, height, as stored) and if it may be transparent."""

    size: tuple[int, int]
    alpha: bool


def name_of(photo: str | Path) -> str:
    """A photo's path such as annotations can have, and no other photo has.

    That is the path as it is given, or, where that is absolute or leads out of its folder, all of it but the root.
    """
    path = Path(photo)
    if path.is_absolute() or ".." in path.parts:
        path = Path(*Path(os.path.abspath(path)).parts[1:])
    return path.as_posix()


def list_photos(folder: str | os.PathLike[str]) -> list[Path]:
    """All files below `folder` with a photo's suffix, in natural order (bird2 before bird10).

    Hidden files and folders (and `__MACOSX`) are left out, and folders below it that hold a run, predictions or found
    masks: their pictures are no photos. Links to folders are followed once.
    Raises FileNotFoundError where there is no such folder, NotADirectoryError where it is a file.
    """
    root = Path(folder)
    if not root.exists():
        raise FileNotFoundError(f"{root}: no such folder")
    if not root.is_dir():
        raise NotADirectoryError(f"{root}: a file, where a folder of photos is expected")
    found: list[Path] = []
    seen: set[str] = set()
    for parent, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        kept = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        folders[:] = [name for name in kept if not _made_here(Path(parent, name))]
        found += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES
        ]
    return sorted(found, key=lambda path: natural_key(path.relative_to(root).as_posix()))


def _made_here(folder: Path) -> bool:
    """Whether a folder is one that `train`, `predict` or `masks` made, by what these leave in it."""
    a_run = os.path.exists(folder / "settings.yaml")  # False, as for all below, where the folder may not be entered
    if a_run and any(os.path.isdir(folder / name) for name in ("model", "samples")):
        return True
    for record in (folder / "predict.json", folder / "masks.json"):
        try:
            made = json.loads(record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(made, dict) and "photos" in made:
            return True
    return False


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """A sort key that counts: "a2" < "a10", and upper and lower case lie together."""
    pieces = re.split(r"([0-9]+)", text.casefold())
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces if piece], text


def peek(path: str | os.PathLike[str]) -> Header:
    """The header of a photo, without decoding it: cheap enough to run over a whole folder.

    Raises `BadPhoto`: missing, empty, not a picture, or too many pixels. Damage further in shows in `open_photo` only.
    """
    with _open(path) as image:
        return Header(image.size, _has_alpha(image))


def open_photo(path: str | os.PathLike[str], least: int | None = None) -> Image.Image:
    """A photo as RGB, upright as its EXIF data says.

    Any mode is taken: grey, 16-bit, palette, CMYK; what is transparent is shown on white; of an animation the
    first frame.

    Args:
        path: the file.
        least: for a small picture of a large photo, fast: a JPEG is read at a half, quarter or eighth of its
            size, as long as no side falls below so many pixels.

    Raises `BadPhoto`: missing, empty, truncated, not a picture, or more pixels than twice `PIL.Image.MAX_IMAGE_PIXELS`.
    """
    with _open(path) as image:
        if least is not None:
            image.draft(None, (least, least))
        return _decode(path, image, _to_rgb)


def as_photo(image: Image.Image) -> Image.Image:
    """A picture that is open already, of any mode, as `open_photo` gives it. Raises `BadPhoto` as it does."""
    return _decode(getattr(image, "filename", "") or "photo", image, _to_rgb)


def open_alpha(path: str | os.PathLike[str]) -> np.ndarray | None:
    """The object as a photo's own alpha channel shows it: bool (H, W), upright; None if hardly anything is left out.

    Raises `BadPhoto` as `open_photo` does.
    """
    with _open(path) as image:
        if not _has_alpha(image):
            return None
        alpha = np.asarray(_decode(path, image, lambda im: im.convert("RGBA").getchannel("A")))
    inside = alpha > 127
    return inside if inside.mean() < MOST_OPAQUE else None


def open_mask(path: str | os.PathLike[str]) -> np.ndarray:
    """A foreground mask: bool (H, W), upright.

    The object is what is not transparent, if anything is; else what is brighter than half, or, in a palette of more
    than dark and light greys, what is not zero, or, in a picture of 0 and 1, and of 255 where it leaves that open, what
    is 1. Raises `BadPhoto` as `open_photo` does.
    """
    if (cut_out := open_alpha(path)) is not None:
        return cut_out
    with _open(path) as image:
        return np.asarray(_decode(path, image, _object_in))


def _object_in(mask: Image.Image) -> Image.Image:
    if mask.mode == "P":
        used: list[Any] = [index for _, index in mask.getcolors(256) or []]
        entries = np.reshape(mask.getpalette("RGB") or [], (-1, 3))[used]
        if np.ptp(entries, axis=1).any() or entries.min() > 127 or entries.max() <= 127:
            return Image.fromarray(np.asarray(mask) != 0)
    grey = np.asarray(_to_rgb(mask, paper=(0, 0, 0)).convert("L"))
    indices = np.isin(grey, (0, 1, 255)).all() and (grey == 1).sum() > (grey == 255).sum()
    return Image.fromarray(grey == 1 if indices else grey > 127)


def open_labels(path: str | os.PathLike[str]) -> np.ndarray:
    """A label map, one index a pixel (a palette, 1-bit, 8-bit or 16-bit grey PNG): uint8 (H, W), upright.

    Raises `BadPhoto` as `open_photo` does, and where it is a colour picture, or holds an index above 255.
    """
    with _open(path) as image:
        if image.mode not in ("1", "L", "P") and not image.mode.startswith("I"):
            raise BadPhoto(path, f"a {image.mode} picture; a label map is a PNG with one index a pixel")
        labels = np.asarray(_decode(path, image, lambda im: im))
    if labels.size and (labels.max() > 255 or labels.min() < 0):
        raise BadPhoto(path, f"labels from {labels.min()} to {labels.max()}; a label map holds 0 to 255")
    return labels.astype(np.uint8)


def content_hash(path: str | os.PathLike[str]) -> str:
    """The BLAKE2b hash (16 bytes, in hex) of a file's bytes. Raises `BadPhoto` if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise BadPhoto(path, _why_unreadable(Path(path), error)) from error


def square_window(box: Window, pad: float = 0.0) -> Window:
    """The smallest square centred on `box` that holds it, enlarged by `pad` times its side on each side."""
    x0, y0, x1, y1 = box
    half = max(x1 - x0, y1 - y0) * (0.5 + pad)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (x - half, y - half, x + half, y + half)


def crop_photo(
    image: Image.Image, window: Window, size: tuple[int, int], fill: tuple[int, int, int] = FILL
) -> Image.Image:
    """The part of an RGB photo under `window`, resized with antialiasing to `size` (width, height).

    Where the window lies outside the photo the crop shows `fill`.

    Raises:
        ValueError: a window without area, or with a coordinate that is not finite.
    """
    x0, y0, x1, y1 = _checked(window)
    left, top = int(np.floor(x0)), int(np.floor(y0))
    right, bottom = int(np.ceil(x1)), int(np.ceil(y1))
    if left < 0 or top < 0 or right > image.width or bottom > image.height:
        if right <= 0 or bottom <= 0 or left >= image.width or top >= image.height:
            return Image.new("RGB", size, fill)
        shrunk = min((x1 - x0) / size[0], (y1 - y0) / size[1]) // 3
        if shrunk > 1 and (right - left) * (bottom - top) > MOST_EMPTY * image.width * image.height:
            smaller = image.reduce(int(shrunk))
            return crop_photo(smaller, (x0 / shrunk, y0 / shrunk, x1 / shrunk, y1 / shrunk), size, fill)
        canvas = Image.new("RGB", (right - left, bottom - top), fill)
        canvas.paste(image, (-left, -top))
        image, (x0, y0, x1, y1) = canvas, (x0 - left, y0 - top, x1 - left, y1 - top)
    return image.resize(size, Image.Resampling.BICUBIC, box=(x0, y0, x1, y1), reducing_gap=3.0)


def crop_mask(mask: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """The part of a mask (H, W), bool or in [0, 1], under `window`: float32 (h, w) for `size` (w, h).

    Each value is the share of its cell that the mask covers (exact, also for cells that cut pixels); outside
    the photo it is 0. Raises `ValueError` as `crop_photo` does.
    """
    x0, y0, x1, y1 = _checked(window)
    width, height = size
    rows, columns = _clip(y0, y1, mask.shape[0]), _clip(x0, x1, mask.shape[1])
    part = _cell_means(mask[rows, columns], np.linspace(y0, y1, height + 1) - rows.start)
    part = _cell_means(part.T, np.linspace(x0, x1, width + 1) - columns.start).T
    return np.clip(part, 0, 1).astype(np.float32)


def averaged(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The mean of what lies in each cell of a grid (h, w), float32, of an array whose sides are multiples of it."""
    height, width = grid
    return values.reshape(height, len(values) // height, width, -1).mean((1, 3), dtype=np.float32)


def crop_labels(labels: np.ndarray, window: Window, size: tuple[int, int]) -> np.ndarray:
    """The part of a label map (H, W) under `window`, nearest, 0 outside: uint8 (h, w) for `size` (w, h).

    Raises `ValueError` as `crop_photo` does.
    """
    x0, y0, x1, y1 = _checked(window)
    width, height = size
    y = np.floor(y0 + (np.arange(height) + 0.5) * (y1 - y0) / height).astype(int)
    x = np.floor(x0 + (np.arange(width) + 0.5) * (x1 - x0) / width).astype(int)
    out = np.zeros((height, width), np.uint8)
    inside_y = np.flatnonzero((y >= 0) & (y < labels.shape[0]))
    inside_x = np.flatnonzero((x >= 0) & (x < labels.shape[1]))
    out[np.ix_(inside_y, inside_x)] = labels[np.ix_(y[inside_y], x[inside_x])]
    return out


def _open(path: str | os.PathLike[str]) -> Image.Image:
    try:
        return Image.open(path)
    except Exception as error:  # decoders raise nearly anything on a hostile file
        raise BadPhoto(path, _why_unreadable(Path(path), error)) from error


def _decode(
    path: str | os.PathLike[str], image: Image.Image, convert: Callable[[Image.Image], Image.Image]
) -> Image.Image:
    """Load the pixels, convert them, turn them upright; any failure becomes a `BadPhoto`."""
    try:
        image.load()
        picture = convert(image)
        turn = _turn(image)
        return picture if turn is None else picture.transpose(turn)
    except Exception as error:  # as above
        raise BadPhoto(path, _why_unreadable(Path(path), error)) from error


def _turn(image: Image.Image) -> Image.Transpose | None:
    """The transposition that EXIF asks for; damaged EXIF data asks for none."""
    try:
        orientation = image.getexif().get(0x0112)
    except Exception:
        return None
    flips = Image.Transpose
    return {
        2: flips.FLIP_LEFT_RIGHT,
        3: flips.ROTATE_180,
        4: flips.FLIP_TOP_BOTTOM,
        5: flips.TRANSPOSE,
        6: flips.ROTATE_270,
        7: flips.TRANSVERSE,
        8: flips.ROTATE_90,
    }.get(orientation or 1)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _to_rgb(image: Image.Image, paper: tuple[int, int, int] = (255, 255, 255)) -> Image.Image:
    """Any mode to RGB: 16-bit and float scaled to 8 bits, transparency shown on `paper`."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_to_eight_bits(np.asarray(image, np.float64))).convert("RGB")
    if not _has_alpha(image):
        return image.convert("RGB")
    layer = image.convert("RGBA")
    page = Image.new("RGBA", layer.size, (*paper, 255))
    return Image.alpha_composite(page, layer).convert("RGB")


def _to_eight_bits(values: np.ndarray) -> np.ndarray:
    """Integers to 65535, floats to 1, or values that are 8-bit already; others are spread out."""
    values = np.nan_to_num(values)
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if low < 0 or high > 65535:
        scale, low = 255 / max(high - low, 1e-12), low
    else:
        scale, low = (255 if high <= 1 else 1 if high <= 255 else 255 / 65535), 0.0
    return np.round((values - low) * scale).clip(0, 255).astype(np.uint8)


def _why_unreadable(path: Path, error: Exception) -> str:
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        return f"more than {limit} megapixels; make it smaller"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory; make it smaller"
    if os.path.isdir(path):
        return "a folder, not a photo"
    if isinstance(error, PermissionError):
        return "may not be read; check its permissions"
    if not os.path.exists(path):
        return "no such file"
    if path.stat().st_size == 0:
        return "empty file"
    if isinstance(error, Image.UnidentifiedImageError):
        heic = path.suffix.lower() in (".heic", ".heif")
        return "HEIC is not read; convert it to JPEG" if heic else "not a picture"
    kind = "truncated" if "truncat" in str(error).lower() else "damaged"
    return f"{kind} ({_first_line(error)}); save or download it again"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:100] if lines else type(error).__name__


def _checked(window: Window) -> Window:
    x0, y0, x1, y1 = (float(value) for value in window)
    if not (np.isfinite([x0, y0, x1, y1]).all() and x1 > x0 and y1 > y0):
        raise ValueError(f"window {window}: x0 < x1 and y0 < y1 are needed, all finite")
    return x0, y0, x1, y1


def _clip(start: float, stop: float, length: int) -> slice:
    """The whole pixels that an interval touches, inside the photo."""
    first = int(np.clip(np.floor(start), 0, length))
    return slice(first, int(np.clip(np.ceil(stop), first, length)))


def _cell_means(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Means of rows over the cells between `edges` (in rows; 0 outside): (H, W) -> (cells, W)."""
    length = values.shape[0]
    sums = np.zeros((length + 1, values.shape[1]), np.float32)
    np.cumsum(values, axis=0, out=sums[1:])
    at = np.clip(edges, 0, length)
    below = np.minimum(at.astype(int), max(length - 1, 0))
    step = sums[np.minimum(below + 1, length)]
    sums = sums[below]
    step -= sums
    step *= (at - below).astype(np.float32)[:, None]
    sums += step
    return np.diff(sums, axis=0) / np.diff(edges).astype(np.float32)[:, None]
