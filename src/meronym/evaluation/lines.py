"""A line of results: what was trained, on what, and the command that does it again."""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meronym.collections import Collection
from meronym.methods import METHODS
from meronym.model import PartModel


def result_line(
    model: PartModel, before: Mapping[str, Any], collection: Collection, split: str, protocol: str
) -> dict[str, Any]:
    """What a line says of a run, without its scores. before: the run's settings."""
    about = model.about
    others = [setting for setting in unusual(before) if not setting.startswith(("masks=none", "workers", "teacher"))]
    return {
        "collection": collection.name,
        "split": split,
        "protocol": protocol,
        "method": "+".join([about["method"], *others]).replace("tree=true", "tree"),
        "backbone": about.get("backbone") or f"{about['trunk']} / {about['phi']}",
        "parts": model.parts,
        "seed": before["seed"],
        "masks": "given" if collection.masked else "none",
        "train_seconds": about["train_seconds"],
        "peak_mb": about["peak_mb"],
    }


def train_command(run: str | Path, before: Mapping[str, Any]) -> str:
    """The command that makes a run like this one; a level of a tree is made by its whole."""
    run = Path(run).parent if "level" in before else run
    words = ["meronym", "train", before["photos"], "--run", run, "--seed", before["seed"], "--parts", before["parts"]]
    words += ["--method", before["method"], *(["--backbone", before["backbone"]] if "backbone" in before else [])]
    words += ["--starts", before["starts"]] if before["starts"] != 1 else []
    words += ["--kind", before["kind"]] if before["kind"] else []
    others = unusual(before)
    return shlex.join(map(str, words + (["--set", *others] if others else [])))


def unusual(before: Mapping[str, Any]) -> list[str]:
    """The settings of a run that are not its method's own choice, each as name=value."""
    own = {"backbone": before["backbone"]} if "backbone" in before else {}
    usual = plain(METHODS[before["method"]](**own).resolved(before["parts"]).settings())
    others = {key: before[key] for key in usual if key in before and before[key] != usual[key]}
    return [f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in others.items()]


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """As YAML keeps it: tuples become lists."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in settings.items()}
