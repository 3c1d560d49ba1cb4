"""CUB-200-2011: birds with a box, 15 keypoints and a species each; masks where `segmentations/` is there.

Source: Wah, Branson, Welinder, Perona, Belongie, "The Caltech-UCSD Birds-200-2011 Dataset", 2011, in its
    official layout. Index files that hold only some of the photos are fine. The official segmentations come
    as an archive of their own: they are found inside the data set's folder or next to it.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from meronym.collections.base import (
    Collection,
    CollectionError,
    Record,
    Sample,
    files_key,
    read_index,
    read_mask,
)
from meronym.images import open_photo

INDEX_FILES = ("images.txt", "train_test_split.txt", "image_class_labels.txt", "bounding_boxes.txt")


class Cub(Collection):
    """CUB-200-2011, or a part of it.

    Args:
        source: the folder `CUB_200_2011`, or the one that holds it.
        classes: numbers of the species to take ("001", "001,002,003", or a list of numbers); all of them by
            default.

    Raises:
        CollectionError: an index file is missing, or a class is not there.
    """

    def __init__(self, source: str | Path, *, classes: str | int | Iterable[int | str] | None = None) -> None:
        root = _root(Path(source))
        for name in (*INDEX_FILES, "parts/part_locs.txt", "parts/parts.txt", "classes.txt"):
            if not (root / name).is_file():
                raise CollectionError(f"{root}: {name} is missing from CUB-200-2011's official layout")
        chosen = _class_numbers(classes)
        records, skipped, present = _records(root, chosen)
        if chosen and (absent := sorted(chosen - present)):
            raise CollectionError(
                f"classes {', '.join(f'{c:03d}' for c in absent)}: not in {root} "
                f"(it has {min(present):03d} to {max(present):03d})"
            )
        if not records:
            raise CollectionError(f"{root}: none of the {len(skipped):,} photos in images.txt is there")
        name = "cub-" + "+".join(f"{c:03d}" for c in sorted(chosen)) if chosen else _name(len(present))
        super().__init__(name, records, origin=f"in {root.name}/", skipped=skipped)
        self.keypoint_names = tuple(" ".join(line[1:]) for line in read_index(root / "parts/parts.txt"))
        self.category_names = tuple(line[1] for line in read_index(root / "classes.txt"))
        self.keypoints = _keypoints(root, [record.row for record in records], len(self.keypoint_names))

    @staticmethod
    def found_at(path: Path) -> bool:
        """A folder with CUB's own index files, or one that holds such a folder."""
        return any((root / "images.txt").is_file() and (root / "parts").is_dir() for root in _roots(path))

    def read(self, record: Record) -> Sample:
        image = open_photo(record.photo)
        return Sample(
            record.id,
            image,
            mask=read_mask(record, image),
            box=record.box,
            keypoints=self.keypoints[record.row].copy(),
            category=record.category,
        )

    def key(self, record: Record) -> str:
        return files_key(record)


def _roots(path: Path) -> tuple[Path, Path]:
    return path, path / "CUB_200_2011"


def _root(path: Path) -> Path:
    return next((root for root in _roots(path) if (root / "images.txt").is_file()), path)


def _name(classes: int) -> str:
    return "cub" if classes == 200 else f"cub{classes}"


def _class_numbers(classes: str | int | Iterable[int | str] | None) -> set[int]:
    if classes is None:
        return set()
    if isinstance(classes, int):
        classes = [classes]
    try:
        return {int(item) for item in (classes.split(",") if isinstance(classes, str) else classes)}
    except ValueError:
        raise CollectionError(f"classes {classes!r}: numbers are expected, as in 001,002,003") from None


def _records(root: Path, chosen: set[int]) -> tuple[list[Record], list[tuple[str, str]], set[int]]:
    """Records (row = official image id), what was skipped, and the numbers of all classes present."""
    photos, splits, classes, boxes = ({line[0]: line[1:] for line in read_index(root / name)} for name in INDEX_FILES)
    masks_at = next((at for at in (root, root.parent) if (at / "segmentations").is_dir()), None)
    records, skipped, present = [], [], set()
    for image_id, (name, *_) in photos.items():
        try:
            number, is_train = int(classes[image_id][0]), splits[image_id][0] == "1"
            x, y, width, height = map(float, boxes[image_id])
        except (KeyError, ValueError, IndexError):
            raise CollectionError(f"{root}: photo {image_id} has no class, split or box") from None
        present.add(number)
        if chosen and number not in chosen:
            continue
        photo = root / "images" / name
        if not photo.is_file():
            skipped.append((str(photo), "no such file"))
            continue
        mask = masks_at / "segmentations" / Path(name).with_suffix(".png") if masks_at else None
        records.append(
            Record(
                name,
                photo,
                mask if mask and mask.is_file() else None,
                (x, y, x + width, y + height),
                number - 1,
                "train" if is_train else "test",
                int(image_id),
            )
        )
    return records, skipped, present


def _keypoints(root: Path, image_ids: list[int], parts: int) -> dict[int, np.ndarray]:
    """Image id -> float32 (parts, 3): x, y, visible."""
    table = {image_id: np.zeros((parts, 3), np.float32) for image_id in image_ids}
    for line in read_index(root / "parts/part_locs.txt"):
        if int(line[0]) in table:
            table[int(line[0])][int(line[1]) - 1] = [float(value) for value in line[2:5]]
    return table
