"""A plain folder of photos, nested as you like.

Masks are optional. They are looked for, in this order: where `masks=` says, in `PHOTOS/masks/`, in `masks/`
next to the photo folder (each mask at the same relative path as its photo, any suffix), and in the photo's
own alpha channel. A folder that holds `images/` (or `photos/`) and `masks/` side by side is taken as such a
pair.
"""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Self

from meronym.collections.base import (
    SMALLEST_SIDE,
    Collection,
    CollectionError,
    CollectionNotFound,
    Record,
    Sample,
    counted,
    files_key,
    listed,
    read_mask,
)
from meronym.files import similar
from meronym.images import PHOTO_SUFFIXES, BadPhoto, Header, list_photos, open_alpha, open_photo, peek


class Folder(Collection):
    """The photos below a folder. "train" and "test" are both the whole folder.

    Args:
        source: the folder.
        masks: a folder of masks, where they are not at their usual place; False to use none at all.

    Raises:
        CollectionError: no such folder, a file, or no photo in it.
    """

    def __init__(self, source: str | Path, *, masks: str | Path | bool | None = None) -> None:
        root = _existing_folder(Path(source))
        photos_at = _photo_root(root)
        inner = photos_at / "masks"
        files = [path for path in list_photos(photos_at) if inner not in path.parents]
        by_stem, notes = ({}, []) if masks is False else _find_masks(root, photos_at, files, masks)
        records, skipped = _records(photos_at, files, by_stem, alpha=masks is not False)
        if not records:
            raise CollectionError(_nothing_in(root, skipped))
        name = root.resolve().name or "photos"
        super().__init__(name, records, origin=f"in {root.name or root}/", skipped=skipped, notes=notes)

    @staticmethod
    def found_at(path: Path) -> bool:
        """Any folder will do."""
        return path.is_dir()

    def read(self, record: Record) -> Sample:
        image = open_photo(record.photo)
        return Sample(record.id, image, mask=read_mask(record, image))

    def key(self, record: Record) -> str:
        return files_key(record)

    def without_masks(self) -> Self:
        """As for any collection; a mask that cannot be read costs no photo then."""
        blind = super().without_masks()
        blind.records = [replace(record, full=None) for record in blind.records]
        return blind


def _existing_folder(root: Path) -> Path:
    if not root.exists():
        raise CollectionNotFound(f"{root}: no such folder{similar(root)}")
    if not root.is_dir():
        raise CollectionError(f"{root}: a file; give the folder that holds the photos ({root.parent}/)")
    return root


def _photo_root(root: Path) -> Path:
    """ROOT/images or ROOT/photos if ROOT/masks lies beside it and holds its masks, not those of ROOT; else ROOT."""
    masks = root / "masks"
    for name in ("images", "photos"):
        if masks.is_dir() and (root / name).is_dir() and not (masks / name).is_dir():
            stems = {_stem(path, masks) for path in list_photos(masks)}
            if any(_stem(path, root / name) in stems for path in list_photos(root / name)):
                return root / name
    return root


def _find_masks(
    root: Path, photos_at: Path, files: list[Path], given: str | Path | bool | None
) -> tuple[dict[Path, Path], list[str]]:
    """Relative stem -> mask file, and a note where a folder of masks fits no photo."""
    stems = {_stem(path, photos_at) for path in files}
    if given is not None and not isinstance(given, bool):
        folder = _existing_folder(Path(given))
        masks = {_stem(path, folder): path for path in list_photos(folder)}
        if not stems & masks.keys():
            raise CollectionError(
                f"{folder}: none of {counted(len(masks), 'mask')} has the name of a photo in {photos_at}; "
                "the mask of a/b.jpg is a/b.png"
            )
        return masks, []
    notes = []
    for folder in (photos_at / "masks", photos_at.absolute().parent / "masks"):
        if folder.is_dir() and folder.resolve() != photos_at.resolve():
            masks = {_stem(path, folder): path for path in list_photos(folder)}
            if stems & masks.keys():
                return masks, []
            if folder.parent in (photos_at, root.absolute()):
                notes.append("masks/ is not used: none in it has a photo's name (that of a/b.jpg is a/b.png)")
    return {}, notes


def _stem(path: Path, root: Path) -> Path:
    return path.relative_to(root).with_suffix("")


def _records(
    root: Path, files: list[Path], masks: dict[Path, Path], alpha: bool
) -> tuple[list[Record], list[tuple[str, str]]]:
    """A record for each photo whose header is sound; (path, reason) for each other."""
    records, skipped = [], []
    headers = dict(zip(files, check_headers(files), strict=True))
    clear = [path for path, header in headers.items() if isinstance(header, Header) and header.alpha]
    with ThreadPoolExecutor(8) as pool:
        cut_out = dict(zip(clear, pool.map(_cut_out, clear), strict=True)) if alpha else {}
    for path, header in headers.items():
        if isinstance(header, BadPhoto):
            skipped.append((str(path), header.reason))
            continue
        mask = masks.get(_stem(path, root)) or (path if cut_out.get(path) else None)
        records.append(Record(path.relative_to(root).as_posix(), path, mask))
    return records, skipped


def _cut_out(path: Path) -> bool:
    """Whether a photo's alpha channel leaves anything out: that of a screenshot says nothing of an object."""
    try:
        return open_alpha(path) is not None
    except BadPhoto:  # said when it is read
        return False


def check_headers(files: Iterable[Path]) -> list[Header | BadPhoto]:
    """The header of each photo, or why it cannot be used (also: too small to have parts)."""

    def check(path: Path) -> Header | BadPhoto:
        try:
            header = peek(path)
        except BadPhoto as error:
            return error
        if min(header.size) < SMALLEST_SIDE:
            width, height = header.size
            return BadPhoto(path, f"{width}x{height} pixels, too small to have parts")
        return header

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(check, files))


def _nothing_in(root: Path, skipped: list[tuple[str, str]]) -> str:
    if skipped:
        return f"{root}: no usable photo, {counted(len(skipped), 'file')} skipped: {listed(skipped)}"
    inside = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
    seen = ", ".join(inside[:3]) + (f" and {len(inside) - 3} more" if len(inside) > 3 else "")
    kinds = " ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
    held = f"it holds {seen}" if seen else "it is empty"
    return f"{root}: no photo in it or below ({held}); read are {kinds}"
