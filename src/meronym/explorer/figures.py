"""The figures of all photos that were looked at, side by side in memory: a few hundred bytes a photo."""

import sqlite3
import struct
import threading

import numpy as np

from meronym.explorer.cache import Cache
from meronym.explorer.look import COLUMNS, HIDDEN, Look, pack_figures, unpack_figures


class Figures:
    """Looks without their label maps, for N photos, K parts and P keypoints.

    Attributes:
        seen: (N,) bool, whether a photo was looked at. sizes: (N, 2) width and height of its file.
        parts: (N, K, 8) float32, NaN where not seen. keypoints: (N, P) uint8.
    """

    def __init__(self, photos: int, parts: int, keypoints: int) -> None:
        self.seen = np.zeros(photos, dtype=bool)
        self.sizes = np.zeros((photos, 2), dtype=np.int32)
        self.parts = np.full((photos, parts, COLUMNS), np.nan, dtype=np.float32)
        self.keypoints = np.full((photos, keypoints), HIDDEN, dtype=np.uint8)
        self.lock = threading.Lock()
        """Held while arrays are written; readers that need them to agree hold it too."""

    def put(self, photo: int, look: Look) -> None:
        """Enter what was seen of a photo."""
        with self.lock:
            self.sizes[photo] = look.size
            self.parts[photo] = look.figures
            self.keypoints[photo] = look.keypoints if len(look.keypoints) else HIDDEN
            self.seen[photo] = True

    def get(self, photo: int) -> Look | None:
        """What was seen of a photo, without its label map; None if it was not looked at."""
        with self.lock:
            if not self.seen[photo]:
                return None
            width, height = self.sizes[photo].tolist()
            return Look((width, height), self.parts[photo].copy(), self.keypoints[photo].copy())

    def read(self, cache: Cache, stamp_of: "list[str]") -> None:
        """Enter all that a cache holds of photos that have not changed since."""
        for photo, stamp, data in cache.figures():
            if photo < len(stamp_of) and stamp == stamp_of[photo]:
                try:
                    self.put(photo, unpack_figures(data))
                except (ValueError, struct.error):
                    continue  # to be computed again


def keep(cache: Cache, photo: int, stamp: str, look: Look) -> None:
    """Write a look's figures to a cache; a full disk costs no more than the time to compute them again."""
    try:
        cache.put_figures(photo, stamp, pack_figures(look))
    except sqlite3.Error:
        return
