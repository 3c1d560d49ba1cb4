"""`meronym distill`: a small network that runs anywhere, from a run's model."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from meronym.commands import train
from meronym.edits import FILE, load
from meronym.model import PartModel, run_folder
from meronym.training.run import Run, photos_of


def distill(
    teacher: str | Path,
    photos: str | Path | None = None,
    *,
    network: str = "efficientnet_lite0",
    run: str | Path | None = None,
    seed: int = 0,
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    report: bool = True,
) -> PartModel:
    """Train a small network to find the parts that a run's model finds; no labels are needed, and minutes on two cores.

    The new run is one like any other, and starts with the names, colours and merged parts of the first. The same
    command goes on where it stopped.

    Args:
        teacher: the run to learn from, or "hf:user/name".
        photos: to learn on; by default those that the run was trained on; they need no annotation.
        network: efficientnet_lite0, or timm:<name> for another EfficientNet or MobileNet.
        run: the new run folder; by default the first one's name with "-student".
        seed: of all random choices.
        kind: of collection, where it cannot be told from its files.
        settings: other settings, by name: size, steps, batch, learning_rate, workers.
        report: draw report.html when done.
    """
    home = run_folder(teacher)
    before = {} if photos else Run.read(home)
    seen, kind = photos or photos_of(before), kind or before.get("kind")
    name = Path(run) if run else Path("runs") / f"{home.name}-student"
    given = {**(settings or {}), "teacher": str(teacher)}
    parts = PartModel.load(home).parts
    model = train(
        seen, parts, method="distill", backbone=network, run=name, seed=seed, kind=kind, settings=given, report=report
    )
    if (home / FILE).exists() and not (name / FILE).exists():
        replace(load(home), wrong=frozenset()).save(name)
    return model
