"""A figure of many photos: a row for each way of looking at them, its name beside it, a note below."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from PIL import Image, ImageDraw, ImageFont

from meronym.parts import Parts
from meronym.report.sheet import plot_small

INK, GREY, GROUND = (22, 26, 33), (108, 115, 128), (255, 255, 255)


@dataclass(frozen=True)
class Row:
    """name and detail stand beside the photos; plain shows the photos without their parts."""

    name: str
    detail: str
    parts: Sequence[Parts]
    plain: bool = False


def grid(rows: Sequence[Row], groups: Sequence[tuple[str, int]], note: str = "", width: int = 2000) -> Image.Image:
    """RGB, `width` wide: columns as wide as their photos are, all cells of one height.

    Args:
        rows: each with the same photos, in the same windows.
        groups: what the columns are, and how many of each; groups stand apart, and "" has no heading.
        note: a sentence or two below, in small type.

    Raises:
        ValueError: rows of different lengths, or groups that do not add up to them.
    """
    count = sum(number for _, number in groups)
    if {len(row.parts) for row in rows} != {count}:
        raise ValueError(f"a grid of {count} columns needs as many photos in each row")
    gap, edge, large, small = width // 250, width // 80, _font(width // 72), _font(width // 108)
    words = [large.getlength(row.name) for row in rows] + [small.getlength(row.detail) for row in rows]
    left = round(edge + 2 * gap + max(words))
    starts = [sum(number for _, number in groups[:place]) for place in range(len(groups))]
    lefts, height = _columns(rows[0].parts, starts, left, width - edge, gap)
    top = edge + (round(1.5 * large.size) if any(title for title, _ in groups) else 0)
    bottom = top + len(rows) * (height + gap) - gap
    lines = _wrapped(note, round((width - 2 * edge) / (0.5 * small.size)))
    leading = round(1.45 * small.size)
    figure = Image.new("RGB", (width, bottom + (2 * gap + leading * len(lines) if lines else 0) + edge), GROUND)
    pen = ImageDraw.Draw(figure)
    for start, (title, _) in zip(starts, groups, strict=True):
        pen.text((lefts[start], top - large.size / 2), title, fill=INK, font=large, anchor="ls")
    for place, row in enumerate(rows):
        y = top + place * (height + gap)
        middle = y + height / 2 - (0.6 * small.size if row.detail else 0)
        pen.text((left - 2 * gap, middle), row.name, fill=INK, font=large, anchor="rm")
        pen.text((left - 2 * gap, middle + 1.1 * large.size), row.detail, fill=GREY, font=small, anchor="rm")
        for parts, x in zip(row.parts, lefts, strict=True):
            cell = round(x + height * _aspect(parts)) - round(x), height
            figure.paste(_drawn(parts, cell, row.plain), (round(x), y))
    for place, line in enumerate(lines):
        pen.text((edge, bottom + 2 * gap + place * leading), line, fill=GREY, font=small, anchor="la")
    return figure


def _wrapped(text: str, most: int) -> list[str]:
    """Lines of much the same length, none of more letters than `most`."""
    count = len(textwrap.wrap(text, most))
    return textwrap.wrap(text, min(most, len(text) // count + 8)) if count else []


def _font(size: int) -> ImageFont.FreeTypeFont:
    return cast(ImageFont.FreeTypeFont, ImageFont.load_default(size))


def _aspect(parts: Parts) -> float:
    return parts.size[0] / parts.size[1]


def _columns(parts: Sequence[Parts], starts: Sequence[int], left: int, right: int, gap: int) -> tuple[list[float], int]:
    """Where each column begins, and the height of all cells, such that they fill left to right."""
    between = [0, *(4 * gap if place in starts else gap for place in range(1, len(parts)))]
    height = (right - left - sum(between)) / sum(map(_aspect, parts))
    lefts, x = [], float(left)
    for item, space in zip(parts, between, strict=True):
        lefts.append(x + space)
        x += space + height * _aspect(item)
    return lefts, round(height)


def _drawn(parts: Parts, cell: tuple[int, int], plain: bool) -> Image.Image:
    shown = parts.image if plain else plot_small(parts, cell, alpha=0.68)
    assert shown is not None, "a grid shows photos"
    return shown.resize(cell, Image.Resampling.LANCZOS)
