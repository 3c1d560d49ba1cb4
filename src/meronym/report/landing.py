"""On which part each annotated thing lies, as one SVG: what is told apart, and what is confused."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from meronym.parts import palette
from meronym.report.markup import clean

CELL, LEFT, TOP, GAP = 44, 132, 92, 3


def landing_svg(counts: Int[np.ndarray, "R C"], parts: Sequence[str], kinds: Sequence[str]) -> str:
    """A picture of a contingency table: a row for each kind of keypoint or true part, a column for each part found.

    counts: (R, C) with one row a part found, as `Contingency` has it. parts: R names, of which the first may be
    "no part". kinds: C names. A cell is as strong as the share of that kind that lies on that part. Kinds that lie on
    one part stand together; one that never occurs is left out.
    """
    share = counts.T / np.maximum(counts.sum(0)[:, None], 1)
    rows = [i for i in np.argsort(share.argmax(1) - share.max(1), kind="stable") if counts[:, i].sum()]
    width, height = LEFT + CELL * len(parts) + 12, TOP + CELL * len(rows) + 12
    ground = len(parts) > 1 and parts[0] == "no part"
    colours = [*([np.array([128, 128, 128])] * ground), *palette(len(parts) - ground)]
    text = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, Liberation Sans, sans-serif" font-size="13" fill="#3c4046">',
        f'<rect width="{width}" height="{height}" rx="10" fill="#fff"/>',
    ]
    for column, (name, colour) in enumerate(zip(parts, colours, strict=True)):
        x = LEFT + CELL * column + CELL / 2
        text.append(f'<circle cx="{x}" cy="{TOP - 12}" r="6" fill="#{bytes(colour.astype(np.uint8)).hex()}"/>')
        text.append(f'<text transform="translate({x + 4} {TOP - 24}) rotate(-50)">{clean(name[:14])}</text>')
    for place, row in enumerate(rows):
        y = TOP + CELL * place
        text.append(f'<text x="{LEFT - 10}" y="{y + CELL / 2 + 5}" text-anchor="end">{clean(kinds[row][:18])}</text>')
        for column, colour in enumerate(colours):
            value, x = share[row, column], LEFT + CELL * column
            size = f'width="{CELL - GAP}" height="{CELL - GAP}" rx="5"'
            text.append(f'<rect x="{x}" y="{y}" {size} fill="#f3f1ec"/>')
            if value < 0.005:
                continue
            strength = min(1, 0.12 + 0.88 * value)
            fill = f"#{bytes(colour.astype(np.uint8)).hex()}"
            text.append(f'<rect x="{x}" y="{y}" {size} fill="{fill}" fill-opacity="{strength:.2f}"/>')
            middle = f'x="{x + (CELL - GAP) / 2}" y="{y + CELL / 2 + 3}" text-anchor="middle" font-size="12"'
            light = 255 + strength * (float(colour @ (0.3, 0.6, 0.1)) - 255)
            ink = "#fff" if light < 120 else "#1c1e22"
            text.append(f'<text {middle} fill="{ink}">{100 * value:.0f}</text>')
    return "\n".join([*text, "</svg>"])
