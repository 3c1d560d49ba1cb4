"""Files that are whole: what a power cut leaves is the old file or the new one, never half of it."""

import os
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Write text in one piece: no reader, and no power cut, ever sees half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    replace_durably(temporary, path)


def replace_durably(temporary: Path, path: Path) -> None:
    """Rename a finished file into place, once its content is on the disk and not only on its way there."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
