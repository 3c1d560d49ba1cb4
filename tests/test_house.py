"""The house rules of design.md: short files and functions, and a room imports only rooms above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import meronym

ROOT = Path(meronym.__file__).parent
ROOMS = ["files", "progress", "ahead", "images", "edges", "annotations", "parts", "collections", "backbones", "masks"]
ROOMS += ["heads", "segmenters", "model", "features", "objectives", "training", "methods", "metrics", "recipes"]
ROOMS += ["evaluation", "edits", "prediction", "cluster", "masking", "export", "report", "explorer", "commands"]
ROOMS += ["student", "reproduction", "cli"]
FILES = sorted(ROOT.rglob("*.py"))
UPWARDS = {("meronym.training.samples", "report"), ("meronym.model", "export")}
"""Imports that reach down the house, each inside a function: (module, room)."""


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def rooms_imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "meronym":
            yield from [node.module.split(".")[1]] if "." in node.module else [alias.name for alias in node.names]
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("meronym."))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_house_rules(path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= 400
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} is too long"
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len([a for a in taken if a.arg not in ("self", "cls")]) <= 10, f"{node.name} takes too much"
    room = name_of(path).split(".")[1] if name_of(path) != "meronym" else "cli"
    for other in rooms_imported(tree):
        known = other in ROOMS and ROOMS.index(other) <= ROOMS.index(room)
        assert known or (name_of(path), other) in UPWARDS, f"{room} imports {other}, which is below it"
