"""The paper's tables and figures, one row after the other; what stands in the results is not computed again."""

import re
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from meronym import commands
from meronym.backbones import WeightsNotFound
from meronym.collections import COLLECTIONS, CollectionError, open_collection
from meronym.evaluation.results import SCORES, measured, paper_table, read
from meronym.files import nearest
from meronym.model import best_device
from meronym.progress import say
from meronym.recipes import DATA, TABLES, Data, Row
from meronym.report.figures import FIGURES
from meronym.training.loop import Interrupted


class Missing(Exception):
    """What a row needs and is not here, and how to get it."""


def reproduce(
    table: str | None = None,
    *,
    root: str | Path | None = None,
    row: Sequence[str] = (),
    seeds: Sequence[int] = (),
    runs: str | Path = "runs",
    results: str | Path = "results",
    out: str | Path = "figures",
) -> dict[str, str]:
    """Measure a table of the paper, row by row, or draw a figure; the same call goes on where it stopped.

    A row is trained and scored, and each score is a line in results/; what stands there is not computed again. A row
    whose data, weights or GPU are missing says so, and the others go on. Returns what became of each row: "stands",
    "measured", "missing: ..." or "failed: ...".

    Args:
        table: table1 to table5, best, or a figure; without it, all there is is listed.
        root: the folder that holds the data sets (CUB_200_2011/, DeepFashion/, PASCAL-Part/, CCP/, CarParts/), or one
            of them; without it, the rows and what stands of them are listed.
        row: these rows only; one that needs a GPU is run without one only when it is named here.
        seeds: these and not each row's own.
        runs: where the runs are kept.
        results: where the lines are.
        out: where a figure is drawn.
    """
    root, runs, results = Path(root) if root else None, Path(runs), Path(results)
    if table is None:
        print(*(f"{name:<8} {known.title}" for name, known in TABLES.items()), *FIGURES, sep="\n")
        return {}
    if table not in (known := (*TABLES, *FIGURES)):
        raise ValueError(f"{table}: one of {', '.join(known)}{nearest(table, known)}")
    if root and not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder; --root is the one that holds the data sets")
    if table in FIGURES:
        if not root:
            raise ValueError(f"--root is missing: the folder of the data sets that {table} is drawn from")
        say(f"{table} is in {FIGURES[table](root, runs, Path(out))}")
        return {}
    todo = _chosen(table, row)
    say(TABLES[table].title)
    for name in dict.fromkeys(each.name for _, each in todo):
        say("  " + _summary([(data, each) for data, each in todo if each.name == name], seeds, _lines(results)))
    outcomes = {}
    for number, (data, each) in enumerate(todo if root else (), 1):
        begin, name = time.monotonic(), f"{each.name} on {data}"
        say(f"[{number}/{len(todo)}] {name}")
        outcomes[name] = _outcome(data, each, Path(root or ""), each.name in row, seeds, runs, results)
        say(f"[{number}/{len(todo)}] {name}: {outcomes[name]} ({time.monotonic() - begin:.0f} s)")
    print("\n".join(paper_table(TABLES[table], _lines(results))))
    return outcomes


def _chosen(table: str, names: Sequence[str]) -> list[tuple[str, Row]]:
    """(data, row) of the rows that are named, or of all."""
    panels = TABLES[table].panels
    known = {(data, row.name): row for panel in panels for data in panel.data for row in panel.rows}
    valid = dict.fromkeys(name for _, name in known)
    for name in names:
        if name not in valid:
            raise ValueError(f"--row {name}: {table} has {', '.join(valid)}{nearest(name, valid)}")
    return [(data, row) for (data, name), row in known.items() if not names or name in names]


def _lines(results: Path) -> list[dict[str, Any]]:
    return read(results) if results.is_dir() else []


def _left(row: Row, seeds: Sequence[int], lines: list[dict[str, Any]], collection: str) -> list[tuple[int, str]]:
    """(seed, protocol) of the evaluations of a row that no line of the collection (a regular expression) holds."""
    stands = {(line["seed"], line["protocol"]) for line in measured(row, lines, collection)}
    own = row.seeds if row.network == "none" else seeds or row.seeds
    return [(seed, protocol) for seed in own for protocol in row.protocols if (seed, protocol) not in stands]


def _summary(same: list[tuple[str, Row]], seeds: Sequence[int], lines: list[dict[str, Any]]) -> str:
    """How much of a row stands, on all of its data."""
    row = same[0][1]
    left = sum(len(_left(row, seeds, lines, DATA[data].collection)) for data, _ in same)
    whole = len(same) * len(_left(row, seeds, [], ""))
    return f"{row.name:<23} {whole - left} of {whole} evaluations stand" + f"; {row.hardware}" * (left > 0)


def _outcome(data: str, row: Row, root: Path, asked: bool, seeds: Sequence[int], runs: Path, results: Path) -> str:
    """What became of a row; nothing but an interruption keeps the next one from its turn."""
    try:
        return _measure(DATA[data], row, root, asked, seeds, runs, results)
    except (Missing, WeightsNotFound) as error:
        return f"missing: {error}"
    except Interrupted:
        raise
    except Exception as error:
        if not isinstance(error, ValueError | OSError):
            say(traceback.format_exc())
        return f"failed: {error}"


def _measure(data: Data, row: Row, root: Path, asked: bool, seeds: Sequence[int], runs: Path, results: Path) -> str:
    """Train and score whatever of a row is left."""
    place = _place(data, root)
    try:
        collection = open_collection(place, data.kind).name
    except CollectionError as error:
        raise Missing(str(error)) from error
    left = _left(row, seeds, _lines(results), re.escape(collection))
    if left and row.gpu and not asked and best_device().type == "cpu":
        raise Missing(f"it needs a GPU ({row.hardware}); --row {row.name} runs it without one")
    for seed in dict.fromkeys(seed for seed, _ in left):
        if row.network == "none":
            published = row.method.endswith("+published")
            commands.baselines(place, published=published, kind=data.kind, results=results)
            continue
        name = f"{row.label}-{row.backbone or 'own'}-k{row.parts}-s{seed}"
        folder = runs / collection / (name + f"-masks-{row.masks}" * (row.masks != "given"))
        given: dict[str, Any] = {"method": row.method, "backbone": row.backbone, "settings": row.settings}
        commands.train(place, row.parts, run=folder, seed=seed, kind=data.kind, report=False, **given)
        for protocol in [protocol for own, protocol in left if own == seed]:
            scores = commands.evaluate(folder, place, protocol=protocol, kind=data.kind, results=results)
            shown = ", ".join(f"{SCORES[name]} {value:.1f}" for name, value in scores.items())
            say(f"{row.name}, seed {seed}, {protocol}: {shown}")
    return "measured" if left else "stands"


def _place(data: Data, root: Path) -> Path:
    """Where the data set is: in a folder of its name below the root, or the root itself."""
    kind = data.kind.partition(":")[0]
    if (root / data.folder).is_dir():
        return root / data.folder
    if root.resolve().name == data.folder or (kind != "label_maps" and COLLECTIONS[kind].found_at(root)):
        return root
    raise Missing(f"{root} holds no {data.folder}/: get {data.get}")
