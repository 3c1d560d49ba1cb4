"""Results that a machine can read: one flat line an evaluation, and the page that is made of them."""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from meronym.files import write_atomically
from meronym.recipes import DATA, TABLES, Row, Table

IDENTITY = ("collection", "split", "protocol", "method", "backbone", "parts", "masks")
SCORES = {
    "fg_nmi": "FG-NMI",
    "fg_ari": "FG-ARI",
    "fg_ari_asreleased": "FG-ARI as first released",
    "nmi": "NMI",
    "ari": "ARI",
    "fg_miou": "mean IoU, matched",
    "miou": "mean IoU, matched",
    "iou": "IoU of masks",
    "boundary_f": "boundary F",
    "boundary_f_bilinear": "boundary F, bilinear",
    "kpr": "KPR, all",
    "kpr_001": "KPR 001",
    "kpr_002": "KPR 002",
    "kpr_003": "KPR 003",
}


def append(folder: str | Path, line: Mapping[str, Any]) -> Path:
    """Add one evaluation to <folder>/<collection>.jsonl, or a benchmark to benchmarks.jsonl, with version and date."""
    path = Path(folder) / f"{line.get('collection', 'benchmarks')}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    full = {**line, "version": version("meronym"), "date": date.today().isoformat()}
    with path.open("a") as file:
        file.write(json.dumps(full) + "\n")
    return path


def read(folder: str | Path) -> list[dict[str, Any]]:
    """All evaluations in a folder, the latest of each (row, seed) only, in the order first seen."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(f"{folder}: no such folder; `meronym evaluate` writes results/")
    latest: dict[tuple, dict[str, Any]] = {}
    for path in sorted(Path(folder).glob("*.jsonl")):
        if path.stem == "benchmarks":
            continue
        for number, text in enumerate(path.read_text().splitlines(), 1):
            try:
                line = json.loads(text)
                latest[(*(line[key] for key in IDENTITY), line["seed"])] = line
            except (json.JSONDecodeError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not a line of results ({error})") from error
    return list(latest.values())


def measured(row: Row, lines: list[dict[str, Any]], collection: str) -> list[dict[str, Any]]:
    """The lines of a row on the test split of a collection, a regular expression."""
    identity = {"split": "test", "method": row.label, "backbone": row.network, "parts": row.parts, "masks": row.masks}
    ours = [line for line in lines if all(line[key] == value for key, value in identity.items())]
    return [line for line in ours if re.fullmatch(collection, line["collection"])]


def page(folder: str | Path) -> str:
    """docs/results.md as text: the paper's tables beside ours, then a table for each collection and protocol.

    Mean ± standard deviation over seeds.
    """
    lines = read(folder)
    tables: dict[tuple, dict[tuple, list[dict]]] = defaultdict(lambda: defaultdict(list))
    for line in lines:
        tables[(line["collection"], line["split"], line["protocol"])][
            (line["parts"], line["backbone"], line["method"], line["masks"])
        ].append(line)
    text = [
        "# Results",
        "",
        "Made by `meronym results` from `results/*.jsonl`, where each line holds its command, seed, version and date; "
        "never edited by hand. Scores ×100, mean ± standard deviation over seeds.",
        "",
        "In the tables of the paper its own figures are in italics, each above the rows that are ours: "
        "[`meronym reproduce`](reproduce.md) measures them. A dash: not measured.",
    ]
    for table in TABLES.values():
        text += ["", f"## {table.title}", *paper_table(table, lines)]
    for (collection, split, protocol), rows in sorted(tables.items()):
        text += ["", f"## {collection}, {split} split, protocol `{protocol}`", "", *_table(rows)]
    benchmarks = Path(folder) / "benchmarks.jsonl"
    if benchmarks.exists():
        text += ["", "## Benchmarks", "", *_benchmarks(benchmarks)]
    return "\n".join(text) + "\n"


def paper_table(table: Table, lines: list[dict[str, Any]]) -> list[str]:
    """Each panel as text: the paper's figures, below each of its rows ours, and at the end those that it has not."""
    text = []
    for panel in table.panels:
        several = len(panel.data) > 1
        head = [f"{SCORES[score]}, {data}" if several else SCORES[score] for score, data in panel.columns]
        head = ["row", *head, "measured on", "network, K", "why they may differ"]
        text += ["", f"### {panel.title}", *(["", panel.note] if panel.note else []), ""]
        text += [_cells(head), "|" + "---|" * len(head)]
        for name in (*panel.paper, None):
            if name is not None:
                figures = ["–" if value is None else f"*{value}*" for value in panel.paper[name]]
                text.append(_cells([f"*{name}*", *figures, "", "", ""]))
            for row in (row for row in panel.rows if row.beside == name):
                found = {data: measured(row, lines, DATA[data].collection) for data in panel.data}
                scores = [
                    _spread([line[score] for line in found[data] if score in line]) or "–"
                    for score, data in panel.columns
                ]
                text.append(_cells([f"`{row.name}`", *scores, _where(found), f"{row.network}, {row.parts}", row.why]))
    return text


def _where(found: Mapping[str, list[dict[str, Any]]]) -> str:
    """Collections and seeds of lines; by protocol where these were scored with different seeds."""
    lines = [line for own in found.values() for line in own]
    seeds: dict[str, list[str]] = defaultdict(list)
    for protocol in sorted({line["protocol"] for line in lines}):
        own = sorted({line["seed"] for line in lines if line["protocol"] == protocol})
        seeds[", ".join(map(str, own))].append(protocol)
    shown = [f"{own} ({', '.join(names)})" if len(seeds) > 1 else own for own, names in seeds.items()]
    return "; ".join([", ".join(sorted({line["collection"] for line in lines})), *shown]) or "–"


def _cells(values: list[str]) -> str:
    return "| " + " | ".join(values) + " |"


def _table(rows: Mapping[tuple, list[dict]]) -> list[str]:
    shown = [key for key in SCORES if any(key in line for lines in rows.values() for line in lines)]
    head = ["K", "backbone", "method", "masks", *(SCORES[key] for key in shown), "seeds", "training, s"]
    text = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for (parts, backbone, method, masks), lines in sorted(rows.items(), key=lambda row: tuple(map(_natural, row[0]))):
        cells = [str(parts), backbone, method, masks]
        cells += [_spread([line[key] for line in lines if key in line]) for key in shown]
        cells += [", ".join(str(seed) for seed in sorted(line["seed"] for line in lines))]
        cells += [_spread([line["train_seconds"] for line in lines], 0)]
        text.append("| " + " | ".join(cells) + " |")
    return text


def _natural(value: Any) -> tuple[int, str]:
    return (value, "") if isinstance(value, int) else (0, str(value))


def _spread(values: list[float], digits: int = 1) -> str:
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.{digits}f}"


def _benchmarks(path: Path) -> list[str]:
    latest = {(line := json.loads(text))["benchmark"]: line for text in path.read_text().splitlines()}
    text = ["| benchmark | ours | other | ratio | compared |", "|---|---|---|---|---|"]
    for name, line in latest.items():
        ours, other = (f"{line[key]:.4g} {line['unit']}" for key in ("ours", "other"))
        text.append(f"| {name} | {ours} | {other} | {line['ratio']:.3g} | {line['compared']} |")
    return text


def write_page(folder: str | Path = "results", out: str | Path = "docs/results.md") -> Path:
    """Write docs/results.md."""
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, page(folder))
    return out
