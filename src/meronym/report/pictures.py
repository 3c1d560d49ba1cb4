"""The small pictures of a report: a photo around its object, a part cut out, a map of where a part lies."""

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, label

from meronym.annotations.overlay import draw_overlay
from meronym.images import Window, crop_labels, crop_photo
from meronym.parts import Parts


def around_object(parts: Parts, box: Window, margin: float = 0.12) -> Parts:
    """The part of a photo that holds its object, with a margin, as far as the photo goes.

    Args:
        parts: with their photo.
        box: around the object, x0, y0, x1, y1 in pixels.
        margin: as a share of the box's longer side. A slim box gets more, until it is 0.7 as wide as
            high, and a tiny one until it is a fifth of the photo.
    """
    width, height = parts.size
    x0, y0, x1, y1 = box
    pad = margin * max(x1 - x0, y1 - y0)
    wide = max(x1 - x0 + 2 * pad, 0.7 * (y1 - y0 + 2 * pad), 0.2 * width)
    high = max(y1 - y0 + 2 * pad, 0.55 * wide)
    left, right = _within((x0 + x1 - wide) / 2, wide, width)
    top, bottom = _within((y0 + y1 - high) / 2, high, height)
    photo = None if parts.image is None else parts.image.crop((left, top, right, bottom))
    labels = parts.labels[top:bottom, left:right]
    return Parts(labels, parts.names, colours=parts.colours, id=parts.id, image=photo)


def _within(start: float, length: float, limit: int) -> tuple[int, int]:
    """A stretch moved into 0..limit, and cut to it; whole pixels, one at least."""
    length = min(max(length, 1), limit)
    start = min(max(start, 0), limit - length)
    first = min(int(start), limit - 1)
    return first, max(first + 1, round(start + length))


def close_up(parts: Parts, part: int, side: int = 208) -> Image.Image:
    """One part in the middle of a square picture, all else darker. Part and photo must be there."""
    mask = parts.labels == part
    window = part_window(largest_piece(mask), least=0.16 * min(parts.size))
    photo = crop_photo(parts.image, window, (side, side))  # type: ignore[arg-type]
    pixels = max(1, round(window[2] - window[0]))
    cut = Image.fromarray(crop_labels(mask.astype(np.uint8) * 255, window, (pixels, pixels)))
    here = np.asarray(cut.resize((side, side), Image.Resampling.BICUBIC)) > 127
    return draw_overlay(photo, here.astype(np.uint8), parts.colours[part - 1 : part], alpha=0.08)


def largest_piece(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected piece of a mask (H, W) bool."""
    pieces: np.ndarray = label(mask)[0]  # type: ignore[index]
    return mask & (pieces == np.bincount(pieces[mask]).argmax())


def part_window(mask: np.ndarray, least: float, spread: float = 2.3) -> Window:
    """A square around the bulk of a mask (H, W): the mean plus and minus `spread` standard deviations.

    It lies in the photo, and stray pixels far away do not make it larger. least: smallest side in pixels.
    """
    height, width = mask.shape
    y, x = np.nonzero(mask)
    half = max(spread * max(x.std(), y.std()) * 1.15, least / 2, 4.0)
    half = min(half, min(height, width) / 2)
    cx, cy = (_centre(v.mean() + 0.5, half, limit) for v, limit in ((x, width), (y, height)))
    return cx - half, cy - half, cx + half, cy + half


def _centre(middle: float, half: float, limit: int) -> float:
    """Moved so that the window stays in the photo, where it fits."""
    return limit / 2 if 2 * half >= limit else min(max(middle, half), limit - half)


def heat_map(where: np.ndarray, silhouette: np.ndarray, colour: np.ndarray, side: int = 144) -> Image.Image:
    """Where a part lies, in its colour, over where the object lies, in grey; transparent elsewhere.

    Args:
        where: (G, G) in how many photos the part covers a cell.
        silhouette: (G, G) the same for all parts together.
        colour: (3,) uint8.
    """
    heat, body = (_smooth(values / max(values.max(), 1e-9), side) for values in (where, silhouette))
    body = 0.22 * body
    alpha = heat + body * (1 - heat)
    mix = np.divide(heat, alpha, out=np.zeros_like(alpha), where=alpha > 0)[..., None]
    rgb = mix * colour + (1 - mix) * 128
    return Image.fromarray(np.rint(np.dstack([rgb, alpha * 255])).astype(np.uint8), "RGBA")


def _smooth(values: np.ndarray, side: int) -> np.ndarray:
    values = gaussian_filter(values.astype(np.float32), 0.8, mode="nearest")
    image = Image.fromarray(values).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(image).clip(0, 1)
