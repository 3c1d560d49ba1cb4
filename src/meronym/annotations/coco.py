"""COCO object detection JSON: one file for all photos, parts as categories 1 to K in their order.

`coco` writes run-length masks (read back identical), `coco_polygons` writes polygons along the pixel
borders (read back identical by pycocotools; a hole is a cut in its polygon). A part that is absent has no
annotation. The mean confidence, where it is known, is an annotation's `score`.
"""

import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meronym.annotations.base import (
    Annotations,
    BadAnnotations,
    Item,
    need,
    read_json,
    whole_file,
)
from meronym.annotations.colours import MAX_PARTS
from meronym.annotations.outlines import outlines
from meronym.annotations.summary import summarise


def write_coco(
    items: Iterable[Item], out: str | os.PathLike[str], names: Sequence[str], *, polygons: bool = False
) -> Path:
    """Writes one JSON for all items, one item in memory at a time; returns its path.

    Args:
        items: photos with their label maps.
        out: the JSON file.
        names: the K part names, the categories.
        polygons: polygons instead of run-length masks.
    """
    masks = need("pycocotools.mask")
    header = {
        "info": {"description": "Object parts found by Meronym"},
        "licenses": [],
        "categories": [{"id": k, "name": n, "supercategory": "part"} for k, n in enumerate(names, start=1)],
    }
    with whole_file(out) as file, tempfile.TemporaryFile("w+", encoding="utf-8") as annotations:
        file.write(json.dumps(header)[:-1] + ',\n"images": [')
        count = 0
        for number, item in enumerate(items, start=1):
            height, width = item.size
            image = {"id": number, "file_name": item.name, "width": width, "height": height}
            file.write((",\n" if number > 1 else "\n") + json.dumps(image))
            for annotation in _annotations(item, names, None if polygons else masks):
                count += 1
                entry = {"id": count, "image_id": number, **annotation}
                annotations.write((",\n" if count > 1 else "\n") + json.dumps(entry))
        file.write('\n],\n"annotations": [')
        annotations.seek(0)
        shutil.copyfileobj(annotations, file)
        file.write("\n]}\n")
    return Path(out)


def write_coco_polygons(items: Iterable[Item], out: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """`write_coco` with polygons instead of run-length masks."""
    return write_coco(items, out, names, polygons=True)


def _annotations(item: Item, names: Sequence[str], masks: Any) -> Iterator[dict[str, Any]]:
    """The annotation of each part that is there, without its ids; polygons if `masks` is None."""
    for row in summarise(item.labels, names, item.confidence):
        if row["box"] is None:
            continue
        mask = item.labels == row["part"]
        if masks is None:
            segmentation: Any = [polygon.ravel().tolist() for polygon in outlines(mask)]
        else:
            run_lengths = masks.encode(np.asfortranarray(mask, dtype=np.uint8))
            segmentation = {"size": list(item.size), "counts": run_lengths["counts"].decode("ascii")}
        x0, y0, x1, y1 = row["box"]
        annotation = {
            "category_id": row["part"],
            "segmentation": segmentation,
            "area": row["area"],
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "iscrowd": 0,
        }
        score = row["confidence"]
        yield annotation if score is None else {**annotation, "score": round(score, 6)}


def read_coco(path: str | os.PathLike[str]) -> Annotations:
    """Reads a COCO JSON of polygons, run-length masks or both, by Meronym or anybody else.

    Categories become parts 1 to K in the file's order; where annotations overlap, the later one is on top.

    Raises:
        FileNotFoundError: no such file.
        BadAnnotations: not JSON, not COCO, or more categories than a label map has room for.
    """
    content = read_json(path)
    missing = {"images", "annotations", "categories"} - (content.keys() if isinstance(content, dict) else set())
    if missing:
        raise BadAnnotations(path, f"not a COCO file: it has no {', '.join(sorted(missing))}")
    if len(content["categories"]) > MAX_PARTS:
        raise BadAnnotations(path, f"{len(content['categories'])} categories; there is room for {MAX_PARTS}")
    part_of = {category["id"]: k for k, category in enumerate(content["categories"], start=1)}
    names = tuple(str(category["name"]) for category in content["categories"])
    by_image = defaultdict(list)
    for annotation in content["annotations"]:
        by_image[annotation.get("image_id")].append(annotation)
    return Annotations(names, _items(path, content["images"], by_image, part_of))


def _items(
    path: str | os.PathLike[str], images: list[dict], by_image: dict[int, list[dict]], part_of: dict[int, int]
) -> Iterator[Item]:
    for image in images:
        try:
            size = (image["height"], image["width"])
            labels = np.zeros(size, dtype=np.uint8)
            for annotation in by_image.get(image["id"], []):
                labels[_mask(annotation["segmentation"], size)] = part_of[annotation["category_id"]]
            yield Item(image["file_name"], size, labels)
        except KeyError as error:
            raise BadAnnotations(path, f"image {image.get('id')}: no such entry or category: {error}") from error


def _mask(segmentation: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W) bool from polygons, or from run lengths in either of COCO's two spellings."""
    masks = need("pycocotools.mask")
    if isinstance(segmentation, list) and not segmentation:
        return np.zeros(size, dtype=bool)
    if isinstance(segmentation, list):
        segmentation = masks.merge(masks.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        segmentation = masks.frPyObjects(segmentation, *size)
    return masks.decode(segmentation) > 0
