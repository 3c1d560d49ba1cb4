"""How many photos a second a student labels, and how many its teacher, side by side.

    python benchmarks/student.py STUDENT TEACHER PHOTOS [--count 48] [--threads 2] [--results results]

Both label the same photos, given each object's box, a few batches at a time and in turn: read, cropped, seen, and
painted at their own size. What is told is the median over these pairs, by the wall clock, and by the time of all
processors, which does not depend on what else the machine does.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from meronym.collections import Collection, open_collection
from meronym.evaluation.results import append
from meronym.model import PartModel

BATCH = 8
ROUND = 2 * BATCH
CLOCKS = ("time", "processor time")


def seconds(model: PartModel, photos: Collection) -> np.ndarray:
    """For a photo, by each of `CLOCKS`."""

    def samples() -> Iterator:
        for i in range(len(photos)):
            yield photos[i]

    begin = time.perf_counter(), time.process_time()
    for _ in model.stream(samples(), BATCH):
        pass
    end = time.perf_counter(), time.process_time()
    return (np.array(end) - np.array(begin)) / len(photos)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    models = [PartModel.load(run) for run in (given.student, given.teacher)]
    photos = open_collection(given.photos)[: given.count]
    for model in models:
        seconds(model, photos[:BATCH])  # warm-up
    spent = np.array(
        [[seconds(model, photos[start : start + ROUND]) for model in models] for start in range(0, len(photos), ROUND)]
    )
    setting = f"{photos.name}, {models[0].segmenter.size} and {models[1].segmenter.size} px, batch {BATCH}"
    for i, clock in enumerate(CLOCKS):
        ours, other = 1 / spent[:, 0, i], 1 / spent[:, 1, i]
        ratios = ours / other
        spread = f"{ratios.min():.1f} to {ratios.max():.1f} in {len(ratios)} pairs"
        print(f"{clock}: {np.median(ratios):.1f} times as many photos a second; {spread}")
        line = {
            "benchmark": f"student, {clock}",
            "ours": round(float(np.median(ours)), 3),
            "other": round(float(np.median(other)), 3),
            "ratio": round(float(np.median(ratios)), 3),
            "unit": "photos a second",
            "compared": f"{models[0].about['backbone']} student; {models[1].about['backbone']} teacher ({setting}, "
            f"{given.threads} threads); {spread}",
        }
        append(given.results, line)


if __name__ == "__main__":
    main()
