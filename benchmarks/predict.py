"""What `meronym predict` costs beyond the network, and whether its memory stays flat. Linux only.

    python benchmarks/predict.py RUN PHOTOS [--count 48] [--bare] [--results results]
    python benchmarks/predict.py RUN PHOTOS --interrupt

Time: photos are labelled a few batches at a time (read, cropped, seen, painted at their own size, written as PNG), and
after each of these the network alone sees the very same batches again, all of it twice. What is told is the median of
these pairs. The control is the same network on the same batches against itself: what differs there is the machine, and
an overhead smaller than that is not known. Processor time counts all threads, so it says how much work there is beyond
the network, whether a core is free for it or not.
Memory: the peak resident set of a process that labels all of the photos, and of one that labels half of them.
--bare: without the masks and boxes that the collection has, as a folder of photos is.
--interrupt: all photos of the test split by one process that is interrupted (SIGINT) in the middle and another that
goes on; each must be labelled once. What is told is the resident set after so many photos.
"""

import argparse
import multiprocessing
import os
import re
import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from meronym.collections import Collection, open_collection
from meronym.edits import Edits
from meronym.evaluation.results import append
from meronym.model import PartModel
from meronym.prediction import Predictions

BATCH = 8
ROUND = 3 * BATCH
CLOCKS = ("time", "processor time")


def clocks() -> np.ndarray:
    """Seconds of the wall clock, and of this process on all processors."""
    return np.array([time.perf_counter(), time.process_time()])


def label(model: PartModel, collection: Collection) -> np.ndarray:
    """What it takes to label all photos of a collection into a new folder, in `clocks`."""
    with tempfile.TemporaryDirectory() as folder:
        begun = Predictions(Path(folder), model, collection, Edits(), "")
        begin = clocks()
        begun.label(BATCH)
        return clocks() - begin


def pairs(model: PartModel, collection: Collection) -> np.ndarray:
    """(rounds, 2, 2, 2) seconds a photo: round, turn, with everything and the network alone, `clocks`."""
    segment, seen, spent = model.segmenter.segment, [], []

    def watched(images, foreground=None):
        seen.append((images, foreground))
        return segment(images, foreground)

    def turn(photos: Collection) -> tuple[np.ndarray, np.ndarray]:
        seen.clear()
        model.segmenter.segment = watched
        whole = label(model, photos)
        model.segmenter.segment = segment
        begin = clocks()
        with torch.inference_mode():
            for batch in seen:
                segment(*batch)
        return whole / len(photos), (clocks() - begin) / len(photos)

    turn(collection[:BATCH])  # warm-up
    for start in range(0, len(collection), ROUND):
        spent.append([turn(collection[start : start + ROUND]) for _ in range(2)])
    return np.array(spent)


def memory_mb(what: str, process: int | str = "self") -> float:
    """VmRSS, the resident set now, or VmHWM, its peak; ru_maxrss would begin at the parent's."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def opened(photos: Path, bare: bool = False) -> Collection:
    collection = open_collection(photos)
    return collection.without_masks() if bare else collection


def _peak(run: Path, photos: Path, bare: bool, count: int, queue: multiprocessing.Queue) -> None:
    label(PartModel.load(run), opened(photos, bare)[:count])
    queue.put(memory_mb("VmHWM"))


def peak_mb(run: Path, photos: Path, bare: bool, count: int) -> float:
    """The peak memory of a process of its own that labels so many photos."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=_peak, args=(run, photos, bare, count, queue))
    process.start()
    peak = queue.get()
    process.join()
    return peak


def _begin(run: Path, photos: Path, folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is born deaf to it
    collection = open_collection(photos).split("test")
    Predictions(folder, PartModel.load(run), collection, Edits(), "").label(BATCH)


def interrupted(run: Path, photos: Path) -> None:
    """Label the test split in two goes, and print the memory of each as it works."""
    total = len(open_collection(photos).split("test"))
    with tempfile.TemporaryDirectory() as temporary:
        folder, before = Path(temporary), {}
        for until in (total // 2, total):
            process = multiprocessing.get_context("spawn").Process(target=_begin, args=(run, photos, folder))
            process.start()
            told = 0
            while process.is_alive() and told < until:
                done = sum(1 for _ in folder.glob("labels/**/*.png"))
                if done >= min(told + 100, until) and done > len(before):
                    told = done
                    print(f"{done} photos: {memory_mb('VmRSS', process.pid or 0):.0f} MB")
                time.sleep(0.02)
            if until < total:
                os.kill(process.pid or 0, signal.SIGINT)
            process.join()
            after = {path: path.stat().st_mtime_ns for path in folder.glob("labels/**/*.png")}
            print(f"process ended with {process.exitcode}, {len(after)} of {total} photos are labelled")
            assert (process.exitcode == 0) == (until == total), "it was not interrupted"
            assert all(after[path] == when for path, when in before.items()), "a photo was labelled twice"
            before = after
        skipped = folder / "skipped.txt"
        missing = total - len(before)
        print(f"skipped: {missing}" + (f"\n{skipped.read_text()}" if skipped.exists() else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--bare", action="store_true")
    parser.add_argument("--interrupt", action="store_true")
    given = parser.parse_args()
    if given.interrupt:
        return interrupted(given.run, given.photos)
    model, collection = PartModel.load(given.run), opened(given.photos, given.bare)[: given.count]
    count, name = len(collection), model.about.get("backbone", "deeplab")
    masks = ", no masks" * given.bare
    threads = torch.get_num_threads()
    setting = f"{collection.name}{masks}, {model.segmenter.size} px, batch {BATCH}, {threads} threads"
    spent, lines = pairs(model, collection), []
    for i, clock in enumerate(CLOCKS):
        whole, bare = spent[:, :, 0, i].ravel(), spent[:, :, 1, i].ravel()
        first, second = spent[:, 0, 1, i], spent[:, 1, 1, i]
        lines.append((clock, "s a photo", whole, bare, f"labelling {count} photos; the network alone"))
        lines.append((f"{clock}, control", "s a photo", second, first, "the network alone; the same again"))
    large, small = (np.array([peak_mb(given.run, given.photos, given.bare, n)]) for n in (count, count // 2))
    lines.append(("memory", "MB", large, small, f"peak when labelling {count} photos; {count // 2} photos"))
    for what, unit, ours, other, compared in lines:
        ratios = other / ours
        least, most = (100 * (1 / ratio - 1) for ratio in (ratios.max(), ratios.min()))
        spread = f"; {least:+.1f} to {most:+.1f} % in {len(ratios)} pairs" if len(ratios) > 1 else ""
        print(f"{what}: {100 * (1 / np.median(ratios) - 1):+.1f} %{spread}")
        line = {
            "benchmark": f"predict, {what}, {name}{masks}",
            "ours": round(float(np.median(ours)), 4),
            "other": round(float(np.median(other)), 4),
            "ratio": round(float(np.median(ratios)), 3),
            "unit": unit,
            "compared": f"{compared} ({setting}){spread}",
        }
        append(given.results, line)


if __name__ == "__main__":
    main()
