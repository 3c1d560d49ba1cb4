"""How long `meronym train PHOTOS --parts 8` takes, and how much memory, by the number of photos.

    python benchmarks/training.py CUB [--counts 1500 400 100] [--results results]

CUB is CUB-200-2011 in its official layout. The whole command is timed, from its start to the report, in a process of
its own: with an empty cache of features ("ours") and with a full one ("other"), once with masks and boxes and once with
nothing but photos. Of the training photos so many are taken, evenly spaced.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from meronym.collections import Collection, open_collection
from meronym.evaluation.results import append
from meronym.model import PartModel

PARTS = 8


def layout(source: Path, photos: Collection, count: int, folder: Path) -> int:
    """The same data set with only so many of these photos in its index; how many there are."""
    root = source if (source / "images.txt").is_file() else source / "CUB_200_2011"
    chosen = {str(photos.records[i * len(photos) // count].row) for i in range(min(count, len(photos)))}
    folder.mkdir()
    for path in root.resolve().iterdir():
        if path.name != "images.txt":
            (folder / path.name).symlink_to(path)
    lines = (root / "images.txt").read_text().splitlines(keepends=True)
    (folder / "images.txt").write_text("".join(line for line in lines if line.split()[0] in chosen))
    return len(chosen)


def trained(photos: Path, run: Path, cache: Path, bare: bool) -> tuple[float, int]:
    """Seconds and peak megabytes of one training."""
    words = [Path(sys.executable).with_name("meronym"), "train", photos, "--parts", PARTS, "--run", run]
    words += ["--set", "masks=none"] * bare
    begin = time.perf_counter()
    subprocess.run([str(word) for word in words], check=True, env=os.environ | {"MERONYM_CACHE": str(cache)})
    return time.perf_counter() - begin, round(PartModel.load(run).about["peak_mb"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cub", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[1500, 400, 100])
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    everything = open_collection(given.cub).split("train")
    for wanted in given.counts:
        for bare in (False, True):
            with tempfile.TemporaryDirectory() as temporary:
                folder = Path(temporary)
                count = layout(given.cub, everything, wanted, folder / "photos")
                empty, peak = trained(folder / "photos", folder / "empty", folder / "cache", bare)
                full, peak_full = trained(folder / "photos", folder / "full", folder / "cache", bare)
            what = f"train, {count} photos{', nothing else' * bare}"
            cores = len(os.sched_getaffinity(0))
            print(f"{what}: {empty:.0f} s, with its features cached {full:.0f} s; {peak} and {peak_full} MB")
            line = {
                "benchmark": what,
                "ours": round(empty, 1),
                "other": round(full, 1),
                "ratio": round(full / empty, 3),
                "unit": "s",
                "compared": f"an empty cache, a full one ({everything.name}, K = {PARTS}, {cores} cores); "
                f"peak {peak} and {peak_full} MB",
            }
            append(given.results, line)


if __name__ == "__main__":
    main()
