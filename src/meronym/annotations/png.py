"""Index PNG: one file a photo, the pixel's value is its part. Read back identical.

The palette shows the parts in their colours and the background transparent; the photo's name and the part
names travel inside each file as PNG text, so that a file that was moved still says what it is.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from meronym.annotations.colours import png_palette

PHOTO_KEY, NAMES_KEY = "Meronym photo", "Meronym parts"


def save_index_png(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    names: Sequence[str],
    colours: np.ndarray,
    photo: str = "",
) -> Path:
    """Writes one label map (H, W) uint8 as a PNG with a palette; returns its path.

    The file appears whole or not at all, whatever stops the writing.

    Raises:
        ValueError: the path does not end in .png.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path}: a label map is written as PNG, which loses nothing; end the name in .png")
    image = Image.fromarray(labels)
    image.putpalette(png_palette(colours))
    text = PngInfo()
    text.add_text(PHOTO_KEY, json.dumps(photo))
    text.add_text(NAMES_KEY, json.dumps(list(names)))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    image.save(unfinished, "PNG", transparency=bytes([0]) + b"\xff" * 255, pnginfo=text)
    os.replace(unfinished, path)
    return path
