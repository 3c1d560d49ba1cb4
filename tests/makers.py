"""Writes a small collection of each kind, in the layout in which it is published."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meronym.collections.deepfashion import COLOURS
from pictures import disc, picture


def _save_mask(mask: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).convert("1").save(path)


def _save_photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(seed=seed).save(path)


def make_folder(root: Path) -> Path:
    for i in range(6):
        _save_photo(root / f"sub/b{i}.png", i)
        _save_mask(disc(), root / f"masks/sub/b{i}.png")
    return root


def make_cub(root: Path) -> Path:
    """Six birds of two species in the official layout."""
    names = [f"{c:03d}.Bird_{c}/Bird_{c}_{i}.png" for c in (1, 2) for i in range(3)]
    for number, name in enumerate(names):
        _save_photo(root / "images" / name, number)
        _save_mask(disc(), root / "segmentations" / name)
    ids = range(1, 7)
    (root / "parts").mkdir()
    lines = {
        "images.txt": [f"{i} {name}" for i, name in zip(ids, names, strict=True)],
        "train_test_split.txt": [f"{i} {i % 2}" for i in ids],
        "image_class_labels.txt": [f"{i} {1 + (i > 3)}" for i in ids],
        "bounding_boxes.txt": [f"{i} 10.0 {i}.0 20.0 12.0" for i in ids],
        "classes.txt": ["1 001.Bird_1", "2 002.Bird_2"],
        "parts/parts.txt": ["1 back", "2 left eye"],
        "parts/part_locs.txt": [f"{i} {p} {i}.5 {p}.0 {p - 1}" for i in ids for p in (1, 2)],
    }
    for name, rows in lines.items():
        (root / name).write_text("\n".join(rows) + "\n")
    return root


def make_label_maps(root: Path) -> Path:
    for i in range(5):
        _save_photo(root / f"images/{i}.jpg", i)
        (root / "labels").mkdir(exist_ok=True)
        labels = disc().astype(np.uint8) * 7
        labels[:16][labels[:16] > 0] = 3
        Image.fromarray(labels).save(root / f"labels/{i}.png")
    (root / "labels.txt").write_text("0 background\n3 upper half\n7 lower\n")
    return root


def make_deepfashion(root: Path) -> Path:
    anno = root / "Anno/segmentation"
    for number, split in enumerate(("train", "query", "gallery")):
        name = f"img_highres/WOMEN/Dresses/id_{number}/01_1_front.jpg"
        _save_photo(anno / name, number)
        colours = np.zeros((32, 48, 3), np.uint8)
        colours[disc()] = COLOURS["dress"]
        colours[14:18, 20:24] = COLOURS["hair"]
        Image.fromarray(colours).save(anno / name.replace(".jpg", "_segment.png"))
        listed = {"images": [{"file_name": name, "id": number}], "annotations": []}
        (anno / f"DeepFashion_segmentation_{split}.json").write_text(json.dumps(listed))
    return root


def make_pascal_part(root: Path) -> Path:
    """Four photos in the official layout: a sheep each, with a part hidden under another, and a small dog."""
    savemat = pytest.importorskip("scipy.io").savemat
    voc = root / "VOCdevkit_2010/VOC2010"
    annotations = root / "VOCdevkit_2010/Annotations_Part"
    annotations.mkdir(parents=True)
    (voc / "ImageSets/Main").mkdir(parents=True)
    for number in range(4):
        _save_photo(voc / f"JPEGImages/2008_{number:06d}.jpg", number)
        sheep = disc(radius=14).astype(np.uint8)
        head = sheep.copy()
        head[:, 24:] = 0
        dog = disc(radius=3).astype(np.uint8)
        objects = [
            _thing("sheep", sheep, {"head_1": head, "torso": sheep}),
            _thing("dog", dog, {"tail": dog}),
        ]
        anno = np.zeros((1, 1), [("imname", object), ("objects", object)])
        anno[0, 0] = (f"2008_{number:06d}", np.concatenate(objects, axis=1))
        savemat(annotations / f"2008_{number:06d}.mat", {"anno": anno})
    for suffix, numbers in (("train", (0, 1)), ("val", (2, 3))):
        rows = [f"2008_{number:06d} {1 if number in numbers else -1}" for number in range(4)]
        for name in ("sheep", "dog"):
            (voc / f"ImageSets/Main/{name}_{suffix}.txt").write_text("\n".join(rows))
    return root


def _thing(name: str, mask: np.ndarray, parts: dict[str, np.ndarray]) -> np.ndarray:
    pieces = np.zeros((1, len(parts)), [("part_name", object), ("mask", object)])
    for i, part in enumerate(parts.items()):
        pieces[0, i] = part
    thing = np.zeros((1, 1), [("class", object), ("class_ind", object), ("mask", object), ("parts", object)])
    thing[0, 0] = (name, 1, mask, pieces)
    return thing


MAKERS = {
    "folder": (make_folder, {}),
    "cub": (make_cub, {}),
    "label_maps": (make_label_maps, {}),
    "deepfashion": (make_deepfashion, {}),
    "pascal_part": (make_pascal_part, {"category": "sheep"}),
}
