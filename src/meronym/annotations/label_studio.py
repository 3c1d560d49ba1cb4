"""Label Studio: tasks with brush pre-annotations, ready for its "Import" dialog.

Beside the tasks lies the labelling interface they fit (`<name>.config.xml`), to paste into the project's
settings. Source: Label Studio's documentation, "Import pre-annotated data" and "BrushLabels". The brush
format is the rle-pack of thi.ng/umbrella over the RGBA bytes of a mask: 32 bits number of words, 5 bits
word size - 1, four times 4 bits length size - 1, then blocks of 1 bit (1 = one word repeated, 0 = words in
a row), 2 bits which length size, the block's length - 1, and its word or words.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import quoteattr

import numpy as np

from meronym.annotations.base import (
    Annotations,
    BadAnnotations,
    Item,
    distinct,
    read_json,
    whole_file,
)
from meronym.annotations.colours import hex_colour, palette
from meronym.annotations.cvat import xml_text
from meronym.annotations.summary import mean_confidence

LOCAL_FILES = "/data/local-files/?d="
"""Where Label Studio serves the files of a local storage."""

_SIZES = np.array([3, 4, 8, 16])


def write_label_studio(
    items: Iterable[Item],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
    prefix: str = LOCAL_FILES,
) -> Path:
    """Writes the tasks, one item in memory at a time, and the interface beside them; returns the tasks' path.

    Args:
        items: photos with their label maps.
        out: the JSON file.
        names: the K part names.
        colours: (K, 3) uint8 RGB; `palette(K)` if not given.
        prefix: what stands before a photo's (percent-encoded) name in its URL.

    Raises:
        ValueError: two parts of one name.
    """
    names = distinct([xml_text(name) for name in names])
    out = Path(out)
    with whole_file(out) as file:
        file.write("[")
        for number, item in enumerate(items):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(_task(item, names, prefix)))
        file.write("\n]\n")
    with whole_file(out.with_suffix(".config.xml")) as file:
        file.write(label_config(names, palette(len(names)) if colours is None else colours))
    return out


def label_config(names: Sequence[str], colours: np.ndarray) -> str:
    """The labelling interface: one brush for each part, in its colour."""
    rows = [
        f'    <Label value={quoteattr(name)} background="{hex_colour(colour)}"/>'
        for name, colour in zip(names, colours, strict=True)
    ]
    inner = "\n".join(rows)
    image = '  <Image name="image" value="$image" zoom="true"/>'
    brushes = f'  <BrushLabels name="tag" toName="image">\n{inner}\n  </BrushLabels>'
    return f"<View>\n{image}\n{brushes}\n</View>\n"


def _task(item: Item, names: Sequence[str], prefix: str) -> dict[str, Any]:
    height, width = item.size
    results = []
    sure = None if item.confidence is None else mean_confidence(item.labels, item.confidence, len(names))
    for part in np.unique(item.labels[item.labels > 0]).tolist():
        mask = item.labels == part
        result = {
            "id": f"part{part}",
            "type": "brushlabels",
            "from_name": "tag",
            "to_name": "image",
            "original_width": width,
            "original_height": height,
            "image_rotation": 0,
            "value": {"format": "rle", "rle": encode_brush(mask), "brushlabels": [names[part - 1]]},
        }
        results.append(result if sure is None else {**result, "score": round(sure[part - 1], 6)})
    prediction: dict[str, Any] = {"model_version": "meronym", "result": results}
    if item.confidence is not None and results:
        prediction["score"] = round(float(item.confidence[item.labels > 0].mean(dtype=np.float64)), 6)
    url = prefix + quote(item.name, errors="surrogateescape")
    data = {"image": url, "photo": item.name, "width": width, "height": height, "parts": list(names)}
    return {"data": data, "predictions": [prediction]}


def encode_brush(mask: np.ndarray) -> list[int]:
    """A mask (H, W) bool as Label Studio's brush bytes: RGBA 255 inside, 0 outside."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.concatenate([[0], changes])
    lengths = np.diff(np.append(starts, flat.size)) * 4
    longest = 1 << int(_SIZES[-1])
    pieces = -(-lengths // longest)
    words = np.repeat(flat[starts] * 255, pieces)
    length = np.full(len(words), longest)
    length[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * longest
    which = np.searchsorted(1 << _SIZES, length)
    size = _SIZES[which]
    code = (((4 + which) << size | (length - 1)) << 8) | words
    bits = size + 11
    place = bits[:, None] - 1 - np.arange(27)
    body = ((code[:, None] >> np.maximum(place, 0)) & 1)[place >= 0]
    head = f"{flat.size * 4:032b}{7:05b}" + "".join(f"{n - 1:04b}" for n in _SIZES)
    return np.packbits(np.concatenate([np.array(list(head), dtype=np.uint8), body.astype(np.uint8)])).tolist()


def decode_brush(data: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of brush bytes: where the brush is more opaque than not.

    Raises:
        ValueError: the bytes are not a brush of this size.
    """
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def take(count: int) -> int:
        nonlocal at
        at += count
        if at > len(bits):
            raise ValueError("the brush ends too early")
        return int(bits[at - count : at], 2)

    total, word = take(32), take(5) + 1
    if total != size[0] * size[1] * 4:
        raise ValueError(f"a brush of {total} bytes on a photo of {size[1]}x{size[0]} pixels, RGBA")
    sizes = [take(4) + 1 for _ in range(4)]
    values = np.zeros(total, dtype=np.uint32)
    done = 0
    while done < total:
        repeated, length = take(1), take(sizes[take(2)]) + 1
        count = 1 if repeated else length
        values[done : done + length] = [take(word) for _ in range(count)]
        done += length
    return values.reshape(*size, 4)[:, :, 3] > 127


def read_label_studio(path: str | os.PathLike[str]) -> Annotations:
    """Reads brush labels from tasks or from a JSON export: what a person annotated, else what was predicted.

    Part names are those the tasks list, and after them others in the order in which they are first met.

    Raises:
        FileNotFoundError: no such file.
        BadAnnotations: not a list of Label Studio tasks.
    """
    tasks = read_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise BadAnnotations(path, "not a list of Label Studio tasks; choose its export format JSON")
    listed = [name for task in tasks for name in task["data"].get("parts", [])]
    met = [name for task in tasks for brush in _brushes(task) for name in brush["value"]["brushlabels"]]
    names = tuple(dict.fromkeys(listed + met))
    return Annotations(names, _items(path, tasks, names))


def _brushes(task: dict[str, Any]) -> list[dict[str, Any]]:
    done = [a for a in task.get("annotations", []) if not a.get("was_cancelled")]
    results = (done or task.get("predictions", []))[-1:]
    return [
        r
        for work in results
        for r in work["result"]
        if r.get("type") == "brushlabels" and r["value"].get("rle") and r["value"].get("brushlabels")
    ]


def _items(path: str | os.PathLike[str], tasks: list[dict[str, Any]], names: Sequence[str]) -> Iterator[Item]:
    for task in tasks:
        data, brushes = task["data"], _brushes(task)
        photo = data.get("photo") or unquote(str(data.get("image", "")).removeprefix(LOCAL_FILES))
        if brushes:
            size = (int(brushes[0]["original_height"]), int(brushes[0]["original_width"]))
        elif "height" in data and "width" in data:
            size = (int(data["height"]), int(data["width"]))
        else:
            raise BadAnnotations(path, f"{photo}: no brush, and no size in its data; nothing says how large it is")
        labels = np.zeros(size, dtype=np.uint8)
        for brush in brushes:
            try:
                mask = decode_brush(brush["value"]["rle"], size)
            except ValueError as error:
                raise BadAnnotations(path, f"{photo}: {error}") from error
            labels[mask] = names.index(brush["value"]["brushlabels"][0]) + 1
        yield Item(photo, size, labels)
