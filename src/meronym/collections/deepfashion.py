"""DeepFashion In-shop: people in clothes, with the labels of the fashion parsing subset.

Source: Liu, Luo, Qiu, Wang, Tang, "DeepFashion: Powering Robust Clothes Recognition and Retrieval with Rich
Annotations", CVPR 2016: the "In-shop Clothes Retrieval Benchmark", high resolution, in its official layout.
`Anno/segmentation/DeepFashion_segmentation_{train,query,gallery}.json` name the photos; query and gallery
together are the test split. A photo `NAME.jpg` has its labels in `NAME_segment.png`, a colour a label; both
lie below `Anno/segmentation/` or `Img/`.

The sixteen colours and fourteen of the names are in the order of the paper's evaluation, which leaves the
last colour without a name.
"""

import json
from pathlib import Path

import numpy as np

from meronym.collections.base import (
    Collection,
    CollectionError,
    Record,
    Sample,
    box_of,
    files_key,
    not_empty,
    same_size,
)
from meronym.images import open_photo

COLOURS: dict[str, tuple[int, int, int]] = {
    "background": (0, 0, 0),
    "eyeglass": (0, 100, 0),
    "face": (16, 78, 139),
    "accessories": (50, 205, 50),
    "leggings": (70, 130, 180),
    "headwear": (127, 255, 212),
    "skin": (144, 238, 144),
    "pants": (211, 211, 211),
    "outer": (220, 220, 220),
    "footwear": (245, 222, 179),
    "skirt": (250, 235, 215),
    "hair": (255, 0, 0),
    "bag": (255, 140, 0),
    "dress": (255, 250, 205),
    "top": (255, 250, 250),
    "unnamed": (255, 255, 0),
}
LISTS = {"train": "train", "query": "test", "gallery": "test"}


class DeepFashion(Collection):
    """The photos of the parsing subset, each with 15 part labels.

    Args:
        source: the benchmark's folder, the one with `Anno/` and `Img/`; or a folder that holds it under its
            official name.

    Raises:
        CollectionError: a list is missing or damaged, or no photo is there.
    """

    def __init__(self, source: str | Path) -> None:
        root = _root(Path(source))
        records, skipped = [], []
        for name, split in LISTS.items():
            for file_name in _file_names(_list_at(root, name)):
                photo = _find(root, file_name)
                labels = _find(root, file_name.removesuffix(".jpg") + "_segment.png")
                if photo is None or labels is None:
                    missing = "photo" if photo is None else "label map"
                    skipped.append((file_name, f"its {missing} is missing"))
                    continue
                records.append(Record(file_name, photo, labels, split=split))
        if not records:
            raise CollectionError(f"{root}: none of the photos listed is below Anno/segmentation/ or Img/")
        super().__init__("deepfashion", records, origin=f"in {root.name or root}/", skipped=skipped)
        self.part_names = tuple(COLOURS)[1:]

    @staticmethod
    def found_at(path: Path) -> bool:
        """The lists of the parsing subset."""
        return any(_list_at(root, "train").is_file() for root in _roots(path))

    def read(self, record: Record) -> Sample:
        image = open_photo(record.photo)
        labels = same_size(_labels(np.asarray(open_photo(record.annotation))), image, record.annotation)
        mask = not_empty(labels > 0, record.photo, f"its label map {record.annotation.name}")
        return Sample(record.id, image, mask, box_of(mask), None, labels)

    def key(self, record: Record) -> str:
        return files_key(record)


def _roots(path: Path) -> tuple[Path, ...]:
    benchmark = "In-shop Clothes Retrieval Benchmark"
    return path, path / benchmark, path / "DeepFashion" / benchmark, path / "In-shop"


def _root(path: Path) -> Path:
    return next((root for root in _roots(path) if _list_at(root, "train").is_file()), path)


def _list_at(root: Path, name: str) -> Path:
    return root / "Anno" / "segmentation" / f"DeepFashion_segmentation_{name}.json"


def _file_names(path: Path) -> list[str]:
    try:
        return [entry["file_name"] for entry in json.loads(path.read_text(encoding="utf-8"))["images"]]
    except FileNotFoundError:
        raise CollectionError(f"{path}: no such list; train, query and gallery are needed") from None
    except (ValueError, KeyError, TypeError) as error:
        raise CollectionError(f"{path}: not a list of photos ({type(error).__name__}: {error})") from error


def _find(root: Path, file_name: str) -> Path | None:
    places = (root / "Anno" / "segmentation", root / "Img", root)
    return next((place / file_name for place in places if (place / file_name).is_file()), None)


def _labels(colours: np.ndarray) -> np.ndarray:
    """A picture of labels, uint8 (H, W, 3), to indices (H, W), the nearest of the 16 colours."""
    packed = colours.astype(np.int64) @ (65536, 256, 1)
    found, inverse = np.unique(packed, return_inverse=True)
    rgb = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    distance = ((rgb[:, None] - np.array(list(COLOURS.values()))) ** 2).sum(axis=2)
    return distance.argmin(axis=1).astype(np.uint8)[inverse].reshape(packed.shape)
