"""Parquet: one row for each part of each photo, in numbers; absent parts too, with area 0."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from meronym.annotations.base import Item, need, whole_file
from meronym.annotations.summary import summarise

_PHOTOS_AT_A_TIME = 256


def write_parquet(items: Iterable[Item], out: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """Writes the table, a few hundred photos in a row group; returns its path.

    Columns: photo, width, height, part (1 to K), name, area (pixels), share (of the photo), centre_x,
    centre_y, x0, y0, x1, y1 (pixels from the top left corner), confidence (mean). Null where the part is
    absent.
    """
    arrow, parquet = need("pyarrow"), need("pyarrow.parquet")
    whole, real, text = arrow.int32(), arrow.float64(), arrow.string()
    kinds = {
        "photo": text,
        "width": whole,
        "height": whole,
        "part": whole,
        "name": text,
        "area": arrow.int64(),
    }
    kinds |= {"share": real, "centre_x": real, "centre_y": real}
    kinds |= {"x0": whole, "y0": whole, "x1": whole, "y1": whole, "confidence": real}
    schema = arrow.schema(kinds)
    with whole_file(out, "wb") as file, parquet.ParquetWriter(file, schema) as writer:
        rows: list[dict[str, Any]] = []
        for item in items:
            rows += part_rows(item, names)
            if len(rows) >= _PHOTOS_AT_A_TIME * max(1, len(names)):
                writer.write_table(arrow.Table.from_pylist(rows, schema))
                rows = []
        if rows:
            writer.write_table(arrow.Table.from_pylist(rows, schema))
    return Path(out)


def part_rows(item: Item, names: Sequence[str]) -> list[dict[str, Any]]:
    """The flat rows of one photo, one for each part."""
    height, width = item.size
    photo = _utf8(item.name)
    flat = []
    for row in summarise(item.labels, names, item.confidence):
        centre, box = row["centre"] or (None, None), row["box"] or (None,) * 4
        flat.append(
            {
                "photo": photo,
                "width": width,
                "height": height,
                "part": row["part"],
                "name": _utf8(row["name"]),
            }
            | {"area": row["area"], "share": row["share"], "confidence": row["confidence"]}
            | dict(zip(("centre_x", "centre_y", "x0", "y0", "x1", "y1"), (*centre, *box), strict=True))
        )
    return flat


def _utf8(text: str) -> str:
    """File names that are not UTF-8 reach Python with lone surrogates, which Parquet cannot hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def read_parquet(path: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The rows of a table, read group by group. The numbers only: masks are not in this format.

    Raises:
        FileNotFoundError: no such file.
    """
    parquet = need("pyarrow.parquet")
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    with parquet.ParquetFile(path) as table:
        for batch in table.iter_batches():
            yield from batch.to_pylist()
