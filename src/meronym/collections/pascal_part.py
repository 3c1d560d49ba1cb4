"""PASCAL-Part: objects of PASCAL VOC 2010 with the masks of their parts.

Source: Chen, Mottaghi, Liu, Fidler, Urtasun, Yuille, "Detect What You Can", CVPR 2014, in its official form:
    a `.mat` file for each photo in `Annotations_Part/`, photos in `JPEGImages/`, lists in `ImageSets/Main/`.
    A folder of pairs `ID.jpg`, `ID.mat` will also do; it has no lists, so its objects belong to both splits.

As in the paper's protocol a sample is one object, not one photo; objects whose box covers too little of the
photo are left out; part names are cut at "_" (wheel_1 and wheel_2 are one part); parts are painted in reverse
order, so that the first wins; and the mask is the union of the parts.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from meronym.collections.base import (
    Collection,
    CollectionError,
    Record,
    Sample,
    box_of,
    counted,
    files_key,
    same_size,
)
from meronym.images import BadPhoto, Window, open_photo

ALIASES = {"bike": "bicycle", "mbike": "motorbike", "plane": "aeroplane"}
LISTS = {"train": "train", "val": "test"}


class Thing(NamedTuple):
    """One annotated object: its class, its mask uint8 (H, W), and (name, mask) of its parts."""

    category: str
    mask: np.ndarray
    parts: list[tuple[str, np.ndarray]]


class PascalPart(Collection):
    """The objects of one class. Opening reads the annotations of all photos of the class.

    Args:
        source: the folder that holds `Annotations_Part/` and `JPEGImages/` (also inside
            `VOCdevkit*/VOC2010/`), or
            one of pairs.
        category: the class, such as "sheep" (the paper's "bike", "mbike" and "plane" are understood).
        smallest_train, smallest_test: the share of the photo an object's box must exceed in each split.

    Raises:
        CollectionError: no annotation, an unknown class, or none given where there are several.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        category: str | None = None,
        smallest_train: float = 0.10,
        smallest_test: float = 0.20,
    ) -> None:
        root = Path(source)
        annotations, photos, lists = _layout(root)
        category = ALIASES.get(category, category) if category else _only_category(root, annotations)
        shares = {"train": smallest_train, "test": smallest_test, None: smallest_train}
        records, skipped, names, small = [], [], set(), 0
        for image_id, split in _listed(lists, annotations, category):
            mat, photo = annotations / f"{image_id}.mat", photos / f"{image_id}.jpg"
            try:
                things = _things_of(mat, photo, category)
            except BadPhoto as error:
                skipped.append((error.path, error.reason))
                continue
            for number, thing in things:
                box = box_of(thing.mask)
                if box is None or _share(box, thing.mask) <= shares[split]:
                    small += 1
                    continue
                names.update(name for name, _ in thing.parts)
                records.append(Record(f"{image_id}/{number}", photo, mat, box, None, split, number))
        if not records:
            raise CollectionError(_none_of(root, annotations, category, small))
        notes = [f"{counted(small, 'object')} too small"] * bool(small)
        origin = f"in {root.name or root}/"
        name = f"pascal-{category}"
        super().__init__(name, records, origin=origin, skipped=skipped, notes=notes, noun="object")
        self.part_names = tuple(sorted(names))

    @staticmethod
    def found_at(path: Path) -> bool:
        """Annotations_Part, or .mat files with photos of the same names."""
        if not path.is_dir():
            return False
        annotations, photos, _ = _layout(path)
        mat = next(annotations.glob("*.mat"), None)
        return mat is not None and (annotations != path or (photos / f"{mat.stem}.jpg").is_file())

    def read(self, record: Record) -> Sample:
        image = open_photo(record.photo)
        thing = read_annotation(record.annotation)[record.row]
        same_size(thing.mask, image, record.annotation)
        labels = np.zeros(thing.mask.shape, np.uint8)
        for name, mask in reversed(thing.parts):
            labels[mask > 0] = self.part_names.index(name) + 1
        return Sample(record.id, image, labels > 0, record.box, None, labels)

    def key(self, record: Record) -> str:
        return files_key(record, f"object {record.row}")


def read_annotation(path: Path) -> list[Thing]:
    """All objects of one `.mat` file. Raises `BadPhoto` if it is not a PASCAL-Part annotation."""
    from scipy.io import loadmat

    try:
        objects = loadmat(path)["anno"][0, 0]["objects"]
        return [
            Thing(
                str(thing["class"][0]),
                thing["mask"],
                [(str(part["part_name"][0]).split("_")[0], part["mask"]) for part in thing["parts"].flat],
            )
            for thing in objects.flat
        ]
    except FileNotFoundError as error:
        raise BadPhoto(path, "no such file") from error
    except Exception as error:  # a damaged file can fail anywhere in the reader
        raise BadPhoto(path, f"not a PASCAL-Part annotation ({type(error).__name__})") from error


def _layout(root: Path) -> tuple[Path, Path, Path | None]:
    """Where annotations, photos and lists are (the folder itself where it holds pairs)."""
    kits = [root, *(root / name for name in ("VOCdevkit_2010", "VOCdevkit"))]
    places = [*kits, *(kit / "VOC2010" for kit in kits)]

    def first(name: str) -> Path | None:
        return next((place / name for place in places if (place / name).is_dir()), None)

    return first("Annotations_Part") or root, first("JPEGImages") or root, first("ImageSets/Main")


def _listed(lists: Path | None, annotations: Path, category: str) -> Iterator[tuple[str, str | None]]:
    """(photo id, split) of the photos that may show the class, as far as there are lists to say so."""
    if lists is None:
        yield from ((path.stem, None) for path in sorted(annotations.glob("*.mat")))
        return
    for suffix, split in LISTS.items():
        path = lists / f"{category}_{suffix}.txt"
        if not path.is_file():
            known = sorted(file.name[: -len("_train.txt")] for file in lists.glob("*_train.txt"))
            raise CollectionError(f"category {category!r}: not in {lists}; known are {', '.join(known)}")
        for line in path.read_text().splitlines():
            image_id, shown = (line.split() + ["1"])[:2]
            if shown != "-1" and (annotations / f"{image_id}.mat").is_file():
                yield image_id, split


def _things_of(mat: Path, photo: Path, category: str) -> list[tuple[int, Thing]]:
    """The objects of the class that have parts, with their numbers in the file."""
    things = [
        (number, thing)
        for number, thing in enumerate(read_annotation(mat))
        if thing.category == category and thing.parts
    ]
    if things and not photo.is_file():
        raise BadPhoto(photo, "no such file")
    return things


def _share(box: Window, mask: np.ndarray) -> float:
    """How much of the photo a box covers; a side goes from first to last pixel, as in the paper's code."""
    return (box[2] - box[0] - 1) * (box[3] - box[1] - 1) / mask.size


def _counts(annotations: Path, most: int = 200) -> Counter[str]:
    """How many objects with parts of each class are in the first files."""
    counts: Counter[str] = Counter()
    for path in sorted(annotations.glob("*.mat"))[:most]:
        try:
            counts.update(thing.category for thing in read_annotation(path) if thing.parts)
        except BadPhoto:
            continue
    return counts


def _only_category(root: Path, annotations: Path) -> str:
    counts = _counts(annotations)
    if len(counts) == 1:
        return next(iter(counts))
    kinds = ", ".join(f"{name} ({count})" for name, count in counts.most_common())
    raise CollectionError(f"{root}: say which category=...; there are {kinds or 'no objects with parts'}")


def _none_of(root: Path, annotations: Path, category: str, small: int) -> str:
    if small:
        return f"{root}: {counted(small, 'object')} found, all too small; lower smallest_train, smallest_test"
    kinds = ", ".join(f"{name} ({count})" for name, count in _counts(annotations).most_common())
    return f"{root}: no {category} with parts and a photo; there are {kinds or 'none of any class'}"
