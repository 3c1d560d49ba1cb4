"""CUB-50: k-means and the paper's method on the same frozen features, and the paper's own configuration.

    python recipes/cub50.py --root CUB_200_2011 [--only contrastive_dinov2_k4 ...] [--seeds 0 1 2]

Each function is one row of a table: its command, the hardware it is meant for, and the figures expected (FG-NMI,
FG-ARI, mean over three seeds; they are measured ones, see docs/results.md). A run that is finished is not run again,
and an evaluation whose line stands in results/ is not repeated, so an interrupted table goes on.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meronym import commands
from meronym.evaluation.keypoints import PROTOCOLS
from meronym.evaluation.results import read


@dataclass(frozen=True)
class Row:
    """One row: what to train, on what, and what should come out."""

    method: str
    parts: int
    backbone: str | None
    expected: tuple[float, float] | None
    hardware: str = "2 CPU cores, 2 minutes a seed with the features cached"
    settings: dict[str, Any] = field(default_factory=dict)


def kmeans_vgg19_k4() -> Row:
    return Row("kmeans", 4, "vgg19", (29.4, 12.0))


def kmeans_vgg19_k8() -> Row:
    return Row("kmeans", 8, "vgg19", (36.0, 16.5))


def kmeans_vgg19_k16() -> Row:
    return Row("kmeans", 16, "vgg19", (39.7, 22.9))


def kmeans_dinov2_k4() -> Row:
    return Row("kmeans", 4, "dinov2_vits14", (56.9, 24.2))


def kmeans_dinov2_k8() -> Row:
    return Row("kmeans", 8, "dinov2_vits14", (66.7, 38.1))


def kmeans_dinov2_k16() -> Row:
    return Row("kmeans", 16, "dinov2_vits14", (76.4, 62.8))


def contrastive_vgg19_k4() -> Row:
    return Row("contrastive", 4, "vgg19", (41.2, 18.0))


def contrastive_vgg19_k8() -> Row:
    return Row("contrastive", 8, "vgg19", (47.7, 26.1))


def contrastive_vgg19_k16() -> Row:
    return Row("contrastive", 16, "vgg19", (52.2, 35.9))


def contrastive_dinov2_k4() -> Row:
    return Row("contrastive", 4, "dinov2_vits14", (58.1, 30.3))


def contrastive_dinov2_k8() -> Row:
    return Row("contrastive", 8, "dinov2_vits14", (71.6, 47.4))


def contrastive_dinov2_k16() -> Row:
    return Row("contrastive", 16, "dinov2_vits14", (80.1, 69.7))


def default_k4() -> Row:
    return Row("consensus", 4, "dinov2_vits14", None)


def default_k8() -> Row:
    return Row("consensus", 8, "dinov2_vits14", None)


def default_k16() -> Row:
    return Row("consensus", 16, "dinov2_vits14", None)


def paper() -> Row:
    """The paper's own configuration at full length; the anchor is its figure on all of CUB."""
    return Row("contrastive_deeplab", 4, None, (46.0, 21.0), "one GPU, hours")


def paper_300_steps() -> Row:
    """The first 300 of its 100,000 steps."""
    settings = {"steps": 300, "workers": 1}
    return Row("contrastive_deeplab", 4, None, None, "2 CPU cores, an hour", settings)


FROZEN: tuple[Callable[[], Row], ...] = (
    kmeans_dinov2_k4,
    contrastive_dinov2_k4,
    kmeans_dinov2_k8,
    contrastive_dinov2_k8,
    kmeans_dinov2_k16,
    contrastive_dinov2_k16,
    kmeans_vgg19_k4,
    contrastive_vgg19_k4,
    kmeans_vgg19_k8,
    contrastive_vgg19_k8,
    kmeans_vgg19_k16,
    contrastive_vgg19_k16,
    default_k4,
    default_k8,
    default_k16,
)
RECIPES: dict[str, Callable[[], Row]] = {make.__name__: make for make in (*FROZEN, paper, paper_300_steps)}


def run(name: str, root: Path, seed: int, runs: Path, results: Path, protocols: Sequence[str]) -> None:
    """Train and evaluate one row with one seed, whatever of it is missing."""
    row, folder = RECIPES[name](), runs / f"{name}-s{seed}"
    commands.train(
        root,
        row.parts,
        method=row.method,
        backbone=row.backbone,
        run=folder,
        seed=seed,
        settings=row.settings,
        report=False,
    )
    for protocol in protocols:
        if not any(str(folder) in line["command"] and line["protocol"] == protocol for line in read(results)):
            scores = commands.evaluate(folder, root, protocol=protocol, results=results)
            print(name, "seed", seed, protocol, scores, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="CUB-200-2011 in its official layout")
    parser.add_argument("--only", nargs="+", choices=RECIPES, default=[make.__name__ for make in FROZEN])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=PROTOCOLS)
    parser.add_argument("--runs", type=Path, default=Path("runs/cub50"))
    parser.add_argument("--results", type=Path, default=Path("results"))
    given = parser.parse_args()
    for name in given.only:
        for seed in given.seeds:
            run(name, given.root, seed, given.runs, given.results, given.protocols)


if __name__ == "__main__":
    main()
