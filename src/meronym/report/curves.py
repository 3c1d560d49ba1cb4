"""Loss curves as inline SVG: metrics.csv in, one small chart a column out. No plotting library."""

import csv
import math
from pathlib import Path

import numpy as np

from meronym.report.markup import clean

NAMES = {
    "total": "total loss",
    "L_f": "part consistency, L_f",
    "L_c": "contrast across photos, L_c",
    "L_v": "visual consistency, L_v",
    "L_e": "equivariance, L_e",
}
WIDTH, HEIGHT = 380, 220
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 12, 40
MOST_POINTS = 300

Curve = tuple[np.ndarray, np.ndarray]


def read_curves(path: Path) -> dict[str, Curve]:
    """Each column's (steps, values), where it has at least two finite values; nothing without a file.

    A value that is missing or cut short, as by a power cut, is left out.
    """
    if not path.is_file():
        return {}
    points: dict[str, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            step = _number(row.get("step"))
            for name, text in row.items():
                value = _number(text)
                if name not in (None, "step", "seconds") and step is not None and value is not None:
                    points.setdefault(name, []).append((step, value))
    return {name: tuple(np.array(p).T) for name, p in points.items() if len(p) > 1}  # type: ignore[misc]


def _number(text: object) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def chart(name: str, curve: Curve, along: str = "step") -> str:
    """One curve as an <svg>: what was logged, thin, and its running mean, bold; both axes labelled."""
    steps, values = (_thinned(v) for v in curve)
    mean = _running_mean(values)
    low, high = np.quantile(np.concatenate([values, mean]), (0.01, 0.99))
    y_ticks = ticks(min(low, mean.min()), max(high, mean.max()))
    x0, x1 = curve[0][[0, -1]]
    y0, y1 = y_ticks[0], y_ticks[-1]

    def place(x: np.ndarray, y: np.ndarray) -> str:
        left = LEFT + (x - x0) / max(x1 - x0, 1e-12) * (WIDTH - LEFT - RIGHT)
        top = TOP + (y1 - y.clip(y0, y1)) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
        return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(left, top, strict=True))

    grid = []
    digits = max(len(f"{value:.10f}".rstrip("0").partition(".")[2]) for value in y_ticks)
    style = f".{digits}f" if digits < 5 else ".3g"
    for value in y_ticks:
        a = place(np.array([x0, x1]), np.full(2, value))
        y = a.split(",")[-1]
        grid.append(f'<polyline class="grid" points="{a}"/>')
        grid.append(f'<text x="{LEFT - 7}" y="{y}" dy=".32em" text-anchor="end">{value:{style}}</text>')
    for value in ticks(x0, x1):
        if x0 <= value <= x1:
            x = place(np.array([value]), np.array([y0])).split(",")[0]
            grid.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{value:,.6g}</text>')
    title = clean(NAMES.get(name, name))
    below = f'x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 5}"'
    beside = f'transform="translate(11 {TOP + (HEIGHT - TOP - BOTTOM) / 2:g}) rotate(-90)"'
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title} by {along}: '
        f'from {values[0]:.4g} to {values[-1]:.4g}">{"".join(grid)}'
        f'<text class="axis" {below} text-anchor="middle">{along}</text>'
        f'<text class="axis" {beside} text-anchor="middle">{title}</text>'
        f'<polyline class="raw" points="{place(steps, values)}"/>'
        f'<polyline class="mean" points="{place(steps, mean)}"/></svg>'
    )


def ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers, evenly apart, from one at or below `low` to one at or above `high`."""
    if not high > low:
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    unit = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)
    first, last = math.floor(low / unit + 1e-9), math.ceil(high / unit - 1e-9)
    return [round(i * unit, 12 - math.floor(math.log10(unit))) for i in range(first, last + 1)]


def _thinned(values: np.ndarray) -> np.ndarray:
    """At most MOST_POINTS means of neighbouring values."""
    pieces = np.array_split(values, min(len(values), MOST_POINTS))
    return np.array([piece.mean() for piece in pieces])


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Over a fifth of the curve, fewer values near its ends, as many before as after."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    reach = np.minimum(max(1, len(values) // 10), np.minimum(index, index[::-1]))
    return (sums[index + reach + 1] - sums[index - reach]) / (2 * reach + 1)
