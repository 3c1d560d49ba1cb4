"""Other things than birds, the same defaults: CCP (people and clothes) and CarParts, K = 8 and 16.

    python recipes/categories.py --root FOLDER-OF-BOTH [--only CCP ...] [--seeds 0 1 2]

The default method beside k-means on the same features as they are and the paper's terms: trained on training photos,
scored on all labelled pixels of the test photos. What is finished is not done again.
"""

import argparse
from pathlib import Path

from meronym import commands
from meronym.evaluation.results import read

COLLECTIONS = ("CCP", "CarParts")
ROWS = {"default": ("consensus", {}), "kmeans": ("kmeans", {"centre": 0.0}), "paper": ("contrastive", {})}


def run(row: str, collection: Path, parts: int, seed: int, runs: Path, results: Path) -> None:
    """Train and evaluate one row with one seed, whatever of it is missing."""
    method, settings = ROWS[row]
    folder = runs / f"{collection.name}-{row}-k{parts}-s{seed}"
    given = {"method": method, "backbone": "dinov2_vits14", "seed": seed, "settings": settings, "kind": "label_maps"}
    commands.train(collection, parts, run=folder, report=False, **given)
    if not any(str(folder) in line["command"] for line in read(results)):
        scores = commands.evaluate(folder, collection, kind="label_maps", results=results)
        print(collection.name, row, parts, seed, scores, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="holds the folders CCP and CarParts")
    parser.add_argument("--only", nargs="+", choices=COLLECTIONS, default=COLLECTIONS)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--parts", nargs="+", type=int, default=[8, 16])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=Path("runs/categories"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    for seed in given.seeds:
        for name in given.only:
            for parts in given.parts:
                for row in given.rows:
                    run(row, given.root / name, parts, seed, given.runs, given.results)


if __name__ == "__main__":
    main()
