"""Photos with part labels as index PNGs: `images/` and `labels/` side by side, a map for each photo.

So are kept, or easily put, Clothing Co-Parsing (Yang, Luo, Lin, 2014), CarParts, the Weizmann horses
(Borenstein, Ullman, 2002; masks only) and one's own annotations. What is read:

- `images/` and `labels/` in the folder itself, or in `train/` and `test/` (also `trainingset/`, `testset/`);
- `labels.txt`, one `index name` a line, 0 being the background. Without it, maps that hold one label only are
  foreground masks, others have parts called "part 1", "part 2", ...;
- `groups.txt`, if asked for, one `index name group_index group_name` a line: merges labels into groups.

Label 255, where no part has it, is "ignore" and counts as background.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from meronym.collections.base import (
    Collection,
    CollectionError,
    Record,
    Sample,
    box_of,
    counted,
    files_key,
    not_empty,
    read_index,
    same_size,
)
from meronym.collections.folder import check_headers
from meronym.images import BadPhoto, list_photos, open_labels, open_photo

SPLITS = {"train": "train", "trainingset": "train", "test": "test", "testset": "test"}
UNKNOWN = 255


class LabelMaps(Collection):
    """Photos with a label map each.

    Where no split is given, every `test_every`-th photo is for testing (0: all photos are in both splits).

    Args:
        source: the folder.
        groups: merge the labels as `groups.txt` says (True), or as another such file says (its path).
        test_every: see above.

    Raises:
        CollectionError: no photo has a map, or the text files do not fit.
    """

    def __init__(self, source: str | Path, *, groups: bool | str | Path = False, test_every: int = 5) -> None:
        root = Path(source)
        records, skipped, splits = [], [], _pairs(root)
        for split, photos_at, labels_at in splits:
            kept, left_out = _records(photos_at, labels_at, split, root)
            records, skipped = records + kept, skipped + left_out
        if not records:
            raise CollectionError(f"{root}: no photo in images/ has a map of the same name in labels/ (PNG)")
        if splits[0][0] is None and test_every:
            records = _held_out(records, test_every)
        name = root.resolve().name + ("+groups" if groups else "")
        super().__init__(name, records, origin=f"in {root.name or root}/", skipped=skipped)
        names = _named(root) or _found_labels(records)
        self.lookup, self.part_names = _grouped(root, groups, names) if groups else _in_order(names)

    @staticmethod
    def found_at(path: Path) -> bool:
        """Folders called images and labels side by side, the latter with PNGs in it."""
        return any(next(labels_at.rglob("*.png"), None) for _, _, labels_at in _pairs(path))

    def read(self, record: Record) -> Sample:
        image = open_photo(record.photo)
        raw = same_size(open_labels(record.annotation), image, record.annotation)
        labels = self.lookup[raw]
        if (labels == UNKNOWN).any():
            strange = ", ".join(str(label) for label in np.unique(raw[labels == UNKNOWN]))
            raise BadPhoto(record.annotation, f"label {strange} has no name; add it to labels.txt")
        mask = not_empty(labels > 0, record.photo, f"its label map {record.annotation.name}")
        return Sample(record.id, image, mask, box_of(mask), None, labels if self.part_names else None)

    def key(self, record: Record) -> str:
        return files_key(record, np.packbits(self.lookup > 0).tobytes().hex())


def _pairs(root: Path) -> list[tuple[str | None, Path, Path]]:
    """(split or None, folder of photos, folder of label maps) of each pair of folders that is there."""
    places = [(None, root), *((split, root / name) for name, split in SPLITS.items())]
    pairs = [(split, place / "images", place / "labels") for split, place in places]
    return [pair for pair in pairs if pair[1].is_dir() and pair[2].is_dir()]


def _records(
    photos_at: Path, labels_at: Path, split: str | None, root: Path
) -> tuple[list[Record], list[tuple[str, str]]]:
    """The photos of one pair of folders that can be used, and (path, reason) of the others."""
    records, skipped = [], []
    photos = list_photos(photos_at)
    for path, header in zip(photos, check_headers(photos), strict=True):
        labels = (labels_at / path.relative_to(photos_at)).with_suffix(".png")
        if isinstance(header, BadPhoto):
            skipped.append((str(path), header.reason))
        elif not labels.is_file():
            skipped.append((str(path), "no label map"))
        else:
            records.append(Record(path.relative_to(root).as_posix(), path, labels, split=split))
    return records, skipped


def _held_out(records: list[Record], test_every: int) -> list[Record]:
    return [
        Record(old.id, old.photo, old.mask, split="test" if i % test_every == test_every - 1 else "train")
        for i, old in enumerate(records)
    ]


def _named(root: Path) -> dict[int, str]:
    """Label -> name as `labels.txt` says, without the background; empty if there is no such file."""
    path = root / "labels.txt"
    if not path.is_file():
        return {}
    names = {}
    for line in read_index(path):
        if len(line) < 2 or not _is_label(line[0]):
            raise CollectionError(f"{path}: {' '.join(line)!r}, where `index name` is expected (0 to 255)")
        names[int(line[0])] = " ".join(line[1:])
    names.pop(0, None)
    return names


def _found_labels(records: Iterable[Record]) -> dict[int, str]:
    """Label -> made-up name for all labels in the maps; the single label of mere masks has none ("")."""
    seen: set[int] = set()
    for record in records:
        try:
            seen.update(np.unique(open_labels(record.annotation)).tolist())
        except BadPhoto:
            continue  # it says so when it is read
    masks = len(seen - {0}) <= 1
    return {label: "" if masks else f"part {label}" for label in sorted(seen - {0}) if masks or label != 255}


def _in_order(names: dict[int, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The lookup from raw labels to 1, 2, ... in the order of the labels, and the names."""
    lookup = _empty_lookup()
    lookup[sorted(names)] = np.arange(1, len(names) + 1)
    return lookup, tuple(names[label] for label in sorted(names) if names[label])


def _grouped(root: Path, groups: bool | str | Path, names: dict[int, str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The lookup from raw labels to groups, and the groups' names."""
    path = root / "groups.txt" if groups is True else Path(str(groups))
    if not path.is_file():
        raise CollectionError(f"{path}: no such file of groups; a line is `index name group_index group_name`")
    lookup, found = _empty_lookup(), {}
    for line in read_index(path):
        if line[0].startswith("#"):
            continue
        if len(line) != 4 or not (_is_label(line[0]) and _is_label(line[2])):
            raise CollectionError(f"{path}: {' '.join(line)!r}; expected is `index name group_index group_name`")
        lookup[int(line[0])] = int(line[2])
        found[int(line[2])] = line[3]
    if ungrouped := [name or str(label) for label, name in names.items() if lookup[label] == UNKNOWN]:
        raise CollectionError(f"{path}: {counted(len(ungrouped), 'label')} in no group: {', '.join(ungrouped)}")
    found.pop(0, None)
    if sorted(found) != list(range(1, len(found) + 1)):
        raise CollectionError(f"{path}: groups {sorted(found)}; they are to be numbered 1, 2, 3, ... without a gap")
    return lookup, tuple(found[group] for group in sorted(found))


def _is_label(text: str) -> bool:
    return text.isdecimal() and int(text) < 256


def _empty_lookup() -> np.ndarray:
    lookup = np.full(256, UNKNOWN, np.uint8)
    lookup[[0, 255]] = 0
    return lookup
