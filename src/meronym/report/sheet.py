"""Many results on one picture: rows of photos with their parts, each row as wide as the sheet."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from meronym.parts import Parts

FLATTEST, TALLEST = 2.5, 0.4
"""Width over height of a cell; a photo beyond that is letterboxed."""


def overlay_sheet(
    parts: Sequence[Parts],
    columns: int = 6,
    *,
    width: int = 1200,
    gap: int = 6,
    ground: tuple[int, int, int] = (255, 255, 255),
) -> Image.Image:
    """A contact sheet: photos with their parts over them, `columns` to a row, in order, none cut off.

    Photos of one row have one height, such that the row fills the sheet; a last row that is not full is as
    high as the rows before it on average, and stays short.

    Args:
        parts: the results; one that was kept without its photo is drawn on a plain ground.
        columns: photos in a row.
        width: of the sheet in pixels.
        gap: pixels between photos.
        ground: RGB of what lies between them.

    Returns:
        RGB, `width` wide and as high as needed.

    Raises:
        ValueError: nothing to draw, or no room for that many columns.
    """
    if not parts:
        raise ValueError("overlay_sheet: no parts given; a sheet needs the parts of one photo at least")
    if not 1 <= columns <= width // (gap + 8):
        raise ValueError(f"columns={columns}: between 1 and {width // (gap + 8)} fit on {width} pixels")
    rows = [parts[start : start + columns] for start in range(0, len(parts), columns)]
    heights = _heights(rows, columns, width, gap)
    sheet = Image.new("RGB", (width, sum(heights) + gap * (len(rows) - 1)), ground)
    top = 0
    for row, height in zip(rows, heights, strict=True):
        left = 0.0
        for item in row:
            x, right = round(left), round(left + height * _aspect(item))
            full = len(row) == columns and item is row[-1]
            cell = (max(1, (width if full else min(right, width)) - x), height)
            sheet.paste(ImageOps.pad(plot_small(item, cell), cell, color=ground), (x, top))
            left += height * _aspect(item) + gap
        top += height + gap
    return sheet


def _heights(rows: list[Sequence[Parts]], columns: int, width: int, gap: int) -> list[int]:
    """The height of each row in pixels."""
    room = width - gap * (columns - 1)
    full = [room / sum(map(_aspect, row)) for row in rows if len(row) == columns]
    last = rows[-1]
    if len(last) < columns:
        usual = sum(full) / len(full) if full else room / columns / (sum(map(_aspect, last)) / len(last))
        full.append(min(usual, (width - gap * (len(last) - 1)) / sum(map(_aspect, last))))
    return [max(1, round(height)) for height in full]


def _aspect(parts: Parts) -> float:
    width, height = parts.size
    return min(max(width / height, TALLEST), FLATTEST)


def plot_small(parts: Parts, cell: tuple[int, int], alpha: float = 0.55) -> Image.Image:
    """The overlay, drawn at twice the size of the cell, so that its lines come out thin."""
    scale = 2 * min(cell[0] / parts.size[0], cell[1] / parts.size[1])
    return resized(parts, min(scale, 4)).plot(alpha)


def resized(parts: Parts, scale: float) -> Parts:
    """The same parts on a photo `scale` times as large, without their confidence."""
    width, height = (max(1, round(side * scale)) for side in parts.size)
    labels = Image.fromarray(parts.labels).resize((width, height), Image.Resampling.NEAREST)
    photo = parts.image and parts.image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    return Parts(np.asarray(labels), parts.names, colours=parts.colours, id=parts.id, image=photo)
