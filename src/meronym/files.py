"""Files that are whole after a power cut: the old or the new one, never half of it. And names that are nearly right."""

import hashlib
import os
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write text in one piece: no reader, and no power cut, ever sees half of it. Names of any bytes may be in it."""
    temporary = beside(path)
    temporary.write_text(text, encoding="utf-8", errors="surrogateescape")
    replace_durably(temporary, path)


def beside(path: Path) -> Path:
    """A hidden name in the same folder for what is not finished, of each process its own.

    It is short: the file's own name may be as long as names can be.
    """
    digest = hashlib.blake2b(path.name.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()
    return path.with_name(f".{digest}.{os.getpid()}.part")


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename a finished file into place, once its content is on the disk and not only on its way there."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def holds_anything(path: Path) -> bool:
    """Whether something is there: a file, or a folder with more in it than hidden files."""
    return path.exists() and not (path.is_dir() and all(inner.name.startswith(".") for inner in path.iterdir()))


def similar(folder: Path) -> str:
    """What to add to "no such folder": a question for the one beside it whose name is nearly right."""
    if not folder.parent.is_dir():
        return f"; {folder.parent}/ does not exist either"
    near = get_close_matches(folder.name, [path.name for path in folder.parent.iterdir() if path.is_dir()], 1)
    return f", did you mean {folder.parent / near[0]}?" if near else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """What to add to "no such name": a question for the known one that is nearly right."""
    near = get_close_matches(word, list(known), 1)
    return f"; did you mean {near[0]}?" if near else ""
