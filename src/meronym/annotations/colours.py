"""Colours that stay apart for every kind of eye.

The first eight were found by search: starting from blue, orange, green, pink, sky, red, yellow and purple,
each was moved within 20 CIELAB units of its start to make the smallest distance between any two as large as
it can be, as seen with normal sight, deuteranopia and protanopia (Machado, Oliveira and Fernandes 2009,
severity 1). Every further one is the colour of a regular RGB grid that lies farthest, in that same sense,
from all before it. The smallest distance is 36 for 8 colours, 19 for 16, 13 for 32 and 8 for 64 (Okabe and
Ito's seven: 17).
"""

import numpy as np

_TABLE = (
    "1796FF D75F07 6DCB88 B3588C 43E2FF 9C0025 F0ED29 840A90 004EE9 B1FF85 21FFDE 4E9BD3 E94E4E 9B164E "
    "E9BC43 B12C0B D34364 43BC9B A6FFB1 903785 904EC8 4EC8C8 85D36F DE4EBC 007AFF 37FFFF D39B43 642CBC "
    "37C8FF 7ADEB1 E9F464 FF8500 00B1FF C82C43 9B1664 A637A6 009B7A 9BFFC8 A62143 85A664 D3592C 9BF490 "
    "E96485 FFBC2C 854EDE E96FDE 00B1A6 6FE964 43D3BC B14E9B B14E2C 9B2C16 7AE9A6 4EE9DE 6F37B1 BC3764 "
    "9B6FDE 3764FF 0085BC 59DEE9 FF6F59 90437A 59DE85 00856F"
)
_COLOURS = np.array([list(bytes.fromhex(code)) for code in _TABLE.split()], dtype=np.uint8)
MAX_PARTS = 255
"""Label maps are uint8 and 0 is the background."""


def palette(parts: int) -> np.ndarray:
    """The colours of parts 1 to `parts`: (parts, 3) uint8 RGB, no two alike and none black.

    `palette(k)` begins `palette(k + 1)`, so a part keeps its colour when K changes. From the 65th on the
    colours are darker shades of the first 64.

    Raises:
        ValueError: `parts` is not between 0 and 255.
    """
    if not 0 <= parts <= MAX_PARTS:
        raise ValueError(f"palette({parts}): a label map has room for 0 to {MAX_PARTS} parts")
    shades = [np.rint(_COLOURS * strength).astype(np.uint8) for strength in (1, 0.72, 0.52, 0.37)]
    return np.concatenate(shades)[:parts]


def hex_colour(colour: np.ndarray) -> str:
    """A colour as web pages and annotation tools write it, "#1796ff"."""
    return "#" + bytes(int(channel) for channel in colour).hex()


def png_palette(colours: np.ndarray) -> bytes:
    """The 768 bytes of a PNG palette: index 0 black, index k the colour of part k, the rest mid grey."""
    table = np.full((256, 3), 128, dtype=np.uint8)
    table[0] = 0
    table[1 : len(colours) + 1] = colours
    return table.tobytes()
