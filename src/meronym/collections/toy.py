"""Drawn creatures with exact parts: data with perfect ground truth, on any machine, in no time.

Creature `i` of seed `s` is the same everywhere and whenever it is asked for; nothing is stored.
"""

import hashlib
from pathlib import Path

import numpy as np

from meronym.collections.base import Collection, CollectionError, Record, Sample, box_of
from meronym.collections.creature import PARTS, draw

VERSION = 1  # of the drawing: raised when a (seed, index) comes to look different, so that no stale feature is used


class Toy(Collection):
    """Drawn creatures, each 256x256 with a mask, a box, six part labels and a keypoint on each part.

    Args:
        source: "toy" (200 to train on, 40 to test), or "toy:N": N to train on, N / 5 but at least 20 to test.
        seed: which creatures; a fresh draw by default, kept in `seed`.

    Raises:
        CollectionError: N is not a number above 0.
    """

    def __init__(self, source: str | Path = "toy", *, seed: int | None = None) -> None:
        train = _count(str(source))
        test = max(20, train // 5)
        self.seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else int(seed)
        if self.seed < 0:
            raise CollectionError(f"seed {self.seed}: 0 or above is needed")
        records = [
            Record(f"{part}/{i:05d}", split=part, row=(part == "test", i))
            for part, count in (("train", train), ("test", test))
            for i in range(count)
        ]
        super().__init__("toy", records, origin=f"drawn from seed {self.seed}", all_masked=True)
        self.part_names = PARTS
        self.keypoint_names = PARTS

    @staticmethod
    def found_at(path: Path) -> bool:
        """The word "toy", or "toy:" and a number."""
        return str(path) == "toy" or str(path).startswith("toy:")

    def read(self, record: Record) -> Sample:
        image, labels, keypoints = draw(np.random.default_rng([self.seed, *map(int, record.row)]))
        mask = labels > 0
        return Sample(record.id, image, mask, box_of(mask), keypoints, labels)

    def key(self, record: Record) -> str:
        text = f"toy {VERSION} {self.seed} {record.id}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _count(source: str) -> int:
    word, colon, number = source.partition(":")
    if word != "toy" or (colon and not (number.isdecimal() and int(number))):
        raise CollectionError(f"{source!r}: toy, or toy:200 for 200 creatures to train on, is expected")
    return int(number) if number else 200
