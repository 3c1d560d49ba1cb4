"""What the explorer's tests share: photos as users have them, and patience."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

HOSTILE = '<img src=x onerror="document.title=1">&.png'
NAMES = ("a/1.png", "a/2.png", HOSTILE, "ä b'c.png", "large.jpg", "turned.jpg", "z.png")
ADDRESS = "http://127.0.0.1:8000"


def photos(folder: Path) -> Path:
    """Photos of several sizes, some with a mask that leaves their left half out, and one file that is cut off."""
    for index, name in enumerate(NAMES):
        size = {"large.jpg": (2100, 900), "turned.jpg": (60, 40)}.get(name, (80, 60))
        image = Image.effect_noise(size, 60).convert("RGB")
        path = folder / "birds" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        exif = Image.Exif()
        exif[0x0112] = 6 if name == "turned.jpg" else 1
        image.save(path, exif=exif)
        if index % 2 == 0 and name.endswith(".png"):
            mask = np.zeros(size[::-1], np.uint8)
            mask[:, size[0] // 2 :] = 255
            mask_path = folder / "masks" / name
            mask_path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(mask_path)
    broken = folder / "birds" / "broken.png"
    Image.effect_noise((90, 90), 60).save(broken)
    broken.write_bytes(broken.read_bytes()[:-2000])
    return folder / "birds"


def wait(done: Callable[[], bool], seconds: float = 20) -> None:
    """Until something is so."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.02)
