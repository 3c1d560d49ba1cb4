"""Photos of one category, and whatever annotation exists: one small adapter a data set.

`open_collection` finds out what is at a path; `COLLECTIONS` is the list of what it knows.
"""

import inspect
import json
from pathlib import Path
from typing import Any

from meronym.collections.base import Collection, CollectionError, CollectionNotFound, Sample
from meronym.collections.cub import Cub
from meronym.collections.deepfashion import DeepFashion
from meronym.collections.folder import Folder
from meronym.collections.label_maps import LabelMaps
from meronym.collections.pascal_part import PascalPart
from meronym.collections.toy import Toy
from meronym.files import nearest

COLLECTIONS: dict[str, type[Collection]] = {
    "toy": Toy,
    "cub": Cub,
    "deepfashion": DeepFashion,
    "pascal_part": PascalPart,
    "label_maps": LabelMaps,
    "folder": Folder,  # takes any folder: last
}

__all__ = [
    "COLLECTIONS",
    "Collection",
    "CollectionError",
    "CollectionNotFound",
    "Sample",
    "drawn",
    "open_again",
    "open_collection",
    "spelled",
]


def open_collection(source: str | Path, kind: str | None = None, **options: Any) -> Collection:
    """Open a collection of photos.

    Args:
        source: a folder; or "toy", "toy:500" for drawn creatures with exact parts (a folder of that name is
            "./toy").
        kind: a name in `COLLECTIONS`; found out from what lies at `source` by default. Options can stand behind it,
            as in "pascal_part:category=sheep" or "label_maps:groups=true:test_every=4".
        options: what that kind takes (`classes="001"` for cub, `masks="..."` for folder, `seed=0` for toy,
            ...).

    Raises:
        CollectionError: nothing there, an unknown kind or option, or a layout that does not fit.
    """
    path = _place(source)
    if kind is None:
        kind = next((name for name, known in COLLECTIONS.items() if known.found_at(path)), "folder")
    kind, *words = kind.split(":")
    if kind not in COLLECTIONS:
        known = ", ".join(COLLECTIONS)
        raise CollectionError(f"kind {kind!r}: known are {known}{nearest(kind, COLLECTIONS)}")
    adapter: Any = COLLECTIONS[kind]
    options = dict(map(_option, words)) | options
    valid = list(inspect.signature(adapter).parameters)[1:]
    for option in options:
        if option not in valid:
            takes = f"takes {', '.join(valid)}" if valid else "takes no option"
            raise CollectionError(f"option {option!r}: {kind} {takes}{nearest(option, valid)}")
    return adapter(path, **options)


def _place(source: str | Path) -> Path:
    """The path of a collection; that of "./toy" is absolute, as "toy" is no folder."""
    path = Path(source)
    return path.absolute() if Toy.found_at(path) and str(path) != str(source) else path


def drawn(source: str | Path) -> bool:
    """Whether it names no folder but drawn creatures."""
    return Toy.found_at(_place(source))


def spelled(source: str | Path) -> str:
    """A collection's place as the user gave it, without needless dots and slashes: what opens the same one again."""
    path = Path(source)
    return f"./{path}" if _place(source) != path else str(path)


def _option(word: str) -> tuple[str, Any]:
    """ "groups=true" to ("groups", True); what is no JSON is a string."""
    name, sign, value = word.partition("=")
    if not sign:
        raise CollectionError(f"option {word!r}: write name=value")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def open_again(source: str | Path, kind: str | None = None) -> Collection:
    """The collection that a run was or will be trained on: as `open_collection`, and creatures are drawn the same."""
    creatures = (kind or "toy").split(":")[0] == "toy" and drawn(source)
    return open_collection(source, kind, **({"seed": 0} if creatures else {}))
