"""Features of photos on disk: computed once, read ever after.

One float16 `.npy` file a photo, `<cache>/<backbone fingerprint>/<2 hex>/<key>.npy`, written beside its place
and then renamed, so that a run cut off at any moment leaves whole files only. A file that is damaged anyway
is computed anew.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from meronym.ahead import ahead
from meronym.backbones.base import Backbone, features
from meronym.images import BadPhoto

_SAFE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Job:
    """One photo to compute features of: `key` names its content and crop, `load` gives the crop."""

    key: str
    load: Callable[[], Image.Image]


class FeatureCache:
    """Arrays on disk by key. `folder` is by default MERONYM_CACHE, else ~/.cache/meronym."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder or os.environ.get("MERONYM_CACHE") or "~/.cache/meronym").expanduser()

    def room(self, name: str) -> "FeatureCache":
        """The part of this cache under `name`, such as a backbone's fingerprint."""
        return FeatureCache(self.folder / name)

    def path(self, key: str) -> Path:
        """Where the array of `key` is or would be; a key that is no safe file name is replaced by its
        hash."""
        digest = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder / digest[:2] / f"{key if _SAFE.fullmatch(key) else digest}.npy"

    def has(self, key: str) -> bool:
        """Whether a whole array is there, read from its header and the length of its file."""
        try:
            np.load(self.path(key), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError):
            return False
        return True

    def get(self, key: str) -> np.ndarray | None:
        """The array, None when it is absent or damaged."""
        try:
            return np.load(self.path(key), allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError):
            return None

    def put(self, key: str, array: np.ndarray) -> Path:
        """Write the array as float16, whole or not at all; returns its path."""
        path = self.path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, beside = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, np.asarray(array, dtype=np.float16), allow_pickle=False)
            os.replace(beside, path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        return path

    def size(self) -> int:
        """Bytes of all files in this cache."""
        return sum(path.stat().st_size for path in self.folder.rglob("*.npy"))


def cached_features(
    backbone: Backbone,
    jobs: Sequence[Job],
    cache: FeatureCache,
    *,
    batch_size: int = 8,
    workers: int = 4,
    progress: Callable[[int, int], None] | None = None,
    skipped: dict[int, str] | None = None,
) -> list[Path | None]:
    """Paths of the (D, h, w) float16 features of each job, computing those that are not in the cache.

    Photos are read ahead in `workers` threads while the network runs; at most a few batches are in memory. A
    photo that cannot be read gives None and its reason under its index in `skipped`. `progress(done, total)`
    is called as photos are done. Jobs of the same key are computed once.
    """
    room = cache.room(backbone.fingerprint)
    bad: dict[int, str] = {}
    missing: dict[str, list[int]] = {}
    for index, job in enumerate(jobs):
        if job.key in missing or not room.has(job.key):
            missing.setdefault(job.key, []).append(index)
    done = len(jobs) - sum(map(len, missing.values()))
    _tell(progress, done, len(jobs))
    for batch in _batches([(rows, jobs[rows[0]]) for rows in missing.values()], batch_size, workers, bad):
        photos = [photo for _, _, photo in batch]
        photos += photos[-1:] * (batch_size - len(photos))  # in bf16 a photo's last bit depends on the batch's size
        maps = features(backbone, photos)[: len(batch)].cpu().numpy()
        for (_, job, _), array in zip(batch, maps, strict=True):
            room.put(job.key, array)
        done += sum(len(rows) for rows, _, _ in batch)
        _tell(progress, min(done + len(bad), len(jobs)), len(jobs))
    if bad:
        _tell(progress, len(jobs), len(jobs))
    if skipped is not None:
        skipped.update(bad)
    return [None if index in bad else room.path(job.key) for index, job in enumerate(jobs)]


def _tell(progress: Callable[[int, int], None] | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


Loaded = tuple[list[int], Job, Image.Image]


def _batches(
    work: Sequence[tuple[list[int], Job]], batch_size: int, workers: int, skipped: dict[int, str]
) -> Iterator[list[Loaded]]:
    """Loaded photos in batches of one size; unreadable ones go to `skipped`."""
    batch: list[Loaded] = []
    for (rows, job), future in ahead(lambda item: item[1].load(), work, workers, 2 * batch_size + workers):
        try:
            photo = future.result()
        except (BadPhoto, OSError) as error:
            skipped.update(dict.fromkeys(rows, str(error)))
            continue
        if batch and (len(batch) == batch_size or batch[0][2].size != photo.size):
            yield batch
            batch = []
        batch.append((rows, job, photo))
    if batch:
        yield batch
