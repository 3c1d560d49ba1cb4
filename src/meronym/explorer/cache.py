"""What was computed of each photo, in one SQLite file that never grows beyond a limit.

It holds nothing that cannot be computed again: a damaged file is replaced, and one that cannot be written to gives way
to memory.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 512 * 2**20
MOST_BYTES_IN_MEMORY = 64 * 2**20

_TABLES = """
CREATE TABLE IF NOT EXISTS figures (photo INTEGER PRIMARY KEY, stamp TEXT NOT NULL, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS pictures (
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, photo INTEGER NOT NULL, stamp TEXT NOT NULL, data BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS by_photo ON pictures (photo, kind);
"""


class Cache:
    """Figures, small and kept for good; pictures, of which the oldest go when there are too many.

    A stamp says which state of a photo an entry was made from; an entry with another stamp is not found.
    """

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._lock = threading.Lock()
        self.most_bytes = most_bytes
        self._db = self._open(path)
        self._bytes = self._db.execute("SELECT coalesce(sum(length(data)), 0) FROM pictures").fetchone()[0]

    def _open(self, path: Path) -> sqlite3.Connection:
        for attempt in range(2):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                return _connect(str(path))
            except sqlite3.DatabaseError as error:
                if attempt or isinstance(error, sqlite3.OperationalError):
                    break
                for leftover in path.parent.glob(f"{path.name}*"):
                    leftover.unlink(missing_ok=True)
            except OSError:
                break
        self.most_bytes = min(self.most_bytes, MOST_BYTES_IN_MEMORY)
        return _connect(":memory:")

    def figures(self) -> Iterator[tuple[int, str, bytes]]:
        """(photo, stamp, data) of all."""
        with self._lock:
            rows = self._db.execute("SELECT photo, stamp, data FROM figures").fetchall()
        yield from rows

    def put_figures(self, photo: int, stamp: str, data: bytes) -> None:
        """Keep the figures of a photo."""
        with self._lock, self._db:
            self._db.execute("INSERT OR REPLACE INTO figures VALUES (?, ?, ?)", (photo, stamp, data))

    def get(self, kind: str, photo: int, stamp: str) -> bytes | None:
        """A picture of a photo, or None."""
        query = "SELECT data FROM pictures WHERE photo = ? AND kind = ? AND stamp = ?"
        with self._lock:
            row = self._db.execute(query, (photo, kind, stamp)).fetchone()
        return None if row is None else row[0]

    def put(self, kind: str, photo: int, stamp: str, data: bytes) -> None:
        """Keep a picture, in place of an earlier one of its kind."""
        with self._lock, self._db:
            before = self._db.execute(
                "SELECT length(data) FROM pictures WHERE photo = ? AND kind = ?", (photo, kind)
            ).fetchone()
            self._db.execute(
                "INSERT OR REPLACE INTO pictures (kind, photo, stamp, data) VALUES (?, ?, ?, ?)",
                (kind, photo, stamp, data),
            )
            self._bytes += len(data) - (before[0] if before else 0)
            while self._bytes > self.most_bytes and self._drop_oldest():
                pass

    def _drop_oldest(self) -> bool:
        rows = self._db.execute("SELECT number, length(data) FROM pictures ORDER BY number LIMIT 64").fetchall()
        if len(rows) < 2:
            return False
        rows = rows[: max(1, len(rows) // 2)]
        self._db.execute("DELETE FROM pictures WHERE number <= ?", (rows[-1][0],))
        self._bytes -= sum(size for _, size in rows)
        return True

    def close(self) -> None:
        """Nothing can be asked or kept afterwards."""
        with self._lock:
            self._db.close()


def remove_others(path: Path) -> None:
    """Remove the caches of earlier models from the folder of this one."""
    for old in path.parent.glob("cache-*.sqlite*"):
        if not old.name.startswith(path.name):
            try:
                os.unlink(old)
            except OSError:
                continue


def _connect(place: str) -> sqlite3.Connection:
    db = sqlite3.connect(place, check_same_thread=False, timeout=20)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.executescript(_TABLES)
        db.execute("SELECT count(*) FROM figures").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db
