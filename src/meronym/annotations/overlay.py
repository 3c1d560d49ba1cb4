"""Parts drawn over their photo."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from meronym.annotations.colours import png_palette


def draw_overlay(
    photo: Image.Image,
    labels: np.ndarray,
    colours: np.ndarray,
    *,
    alpha: float = 0.55,
    edges: bool = True,
    names: Sequence[str] | None = None,
) -> Image.Image:
    """The photo with its parts tinted and outlined, and everything else a little greyer and darker.

    Args:
        photo: RGB, the size of the label map.
        labels: (H, W) uint8, 0 for the background and k for part k.
        colours: (K, 3) uint8.
        alpha: how much of a part is its colour, from 0 (the photo) to 1 (flat colour).
        edges: draw a thin white line with a dark rim along every border between parts.
        names: K names, to write each on its part; None writes none.

    Returns:
        RGB, the size of the photo.

    Raises:
        ValueError: `alpha` is not between 0 and 1.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha={alpha}: it is a share, from 0 (only the photo) to 1 (only colour)")
    tint = Image.fromarray(labels)
    tint.putpalette(png_palette(colours))
    painted = Image.blend(photo, tint.convert("RGB"), alpha)
    grey = Image.blend(photo, photo.convert("L").convert("RGB"), 0.55).point(lambda value: value * 0.78)
    inside = Image.fromarray((labels > 0).astype(np.uint8) * 255)
    drawn = Image.composite(painted, grey, inside)
    if edges:
        drawn = _outlined(drawn, labels)
    if names is not None:
        _write_names(drawn, labels, colours, names)
    return drawn


def _outlined(drawn: Image.Image, labels: np.ndarray) -> Image.Image:
    border = np.zeros(labels.shape, dtype=np.uint8)
    border[:, :-1] |= labels[:, :-1] != labels[:, 1:]
    border[:-1] |= labels[:-1] != labels[1:]
    line = Image.fromarray(border * 255)
    thickness = round(max(labels.shape) / 600)
    if thickness > 1:
        line = line.filter(ImageFilter.MaxFilter(thickness // 2 * 2 + 1))
    rim = line.filter(ImageFilter.GaussianBlur(1.3 * max(1, thickness))).point(
        [min(150, round(v * 1.1)) for v in range(256)]
    )
    core = line.filter(ImageFilter.GaussianBlur(0.55)).point([min(235, round(v * 1.45)) for v in range(256)])
    drawn = Image.composite(Image.new("RGB", drawn.size, (12, 14, 20)), drawn, rim)
    return Image.composite(Image.new("RGB", drawn.size, (255, 255, 255)), drawn, core)


def _write_names(drawn: Image.Image, labels: np.ndarray, colours: np.ndarray, names: Sequence[str]) -> None:
    """Each present part's name in a small tag of its colour, where the part is thickest."""
    pen = ImageDraw.Draw(drawn)
    font = ImageFont.load_default(max(9, min(drawn.size) // 30))
    _, high, _, low = pen.textbbox((0, 0), "Ag", font=font)
    pad = max(2, (low - high) // 4)
    for part in np.unique(labels[labels > 0]):
        text = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in names[part - 1])[:40]
        x, y = thickest_point(labels == part)
        left, _, right, _ = pen.textbbox((0, 0), text, font=font)
        half_w, half_h = (right - left) / 2 + 1.5 * pad, (low - high) / 2 + pad
        x = float(np.clip(x, half_w, max(half_w, drawn.width - half_w - 1)))
        y = float(np.clip(y, half_h, max(half_h, drawn.height - half_h - 1)))
        colour = tuple(int(c) for c in colours[part - 1])
        box = (x - half_w, y - half_h, x + half_w, y + half_h)
        pen.rounded_rectangle(box, radius=pad + 1, fill=colour, outline=(255, 255, 255))
        ink = (0, 0, 0) if np.dot(colour, (0.299, 0.587, 0.114)) > 120 else (255, 255, 255)
        pen.text((x - (left + right) / 2, y - (high + low) / 2), text, fill=ink, font=font)


def thickest_point(mask: np.ndarray) -> tuple[float, float]:
    """x, y in pixels of a point deep inside a mask (H, W) bool that is not empty: always on the mask."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    inner = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    step = max(1, max(inner.shape) // 96)
    small = inner[::step, ::step] if inner[::step, ::step].any() else inner
    step = step if small is not inner else 1
    layer = np.pad(small, 1)
    while True:
        eroded = layer.copy()
        eroded[1:-1, 1:-1] &= layer[:-2, 1:-1] & layer[2:, 1:-1] & layer[1:-1, :-2] & layer[1:-1, 2:]
        if not eroded.any():
            break
        layer = eroded
    spots = np.argwhere(layer[1:-1, 1:-1])
    middle = spots.mean(0)
    y, x = spots[((spots - middle) ** 2).sum(1).argmin()]
    return float(left + x * step + 0.5), float(top + y * step + 0.5)
