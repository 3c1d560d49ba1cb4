"""Small pictures for tests."""

import numpy as np
from PIL import Image


def picture(width: int = 48, height: int = 32, seed: int = 0) -> Image.Image:
    """A small smooth RGB photo, the same for the same seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def disc(width: int = 48, height: int = 32, radius: float = 9) -> np.ndarray:
    """A mask (height, width): a disc in the middle."""
    y, x = np.mgrid[:height, :width]
    return (x - width / 2) ** 2 + (y - height / 2) ** 2 < radius**2
