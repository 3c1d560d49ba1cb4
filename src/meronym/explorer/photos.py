"""The photos of a collection for the page: small ones, their label maps, close-ups, each made when it is asked for."""

import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from meronym.collections import Collection, Sample
from meronym.collections.base import Record
from meronym.edits import Edits, Shown, hex_of
from meronym.explorer.cache import Cache
from meronym.explorer.figures import Figures, keep
from meronym.explorer.look import SHARE, SURE, Look, look_at
from meronym.explorer.pictures import SIDE, TILE, jpeg, pack, unpack
from meronym.explorer.predictor import NOW, SOON, Predictor
from meronym.explorer.tally import scattered
from meronym.images import BadPhoto, open_photo
from meronym.parts import Parts
from meronym.report.pictures import close_up
from meronym.report.survey import shrunk

READERS = 4
"""Photos decoded at a time, whatever is asked for: a large one takes a hundred megabytes."""
DRAWN = Path()
"""What a record has for a photo that lies in no file."""
WHOLE = 2
"""Photos predicted together at their own size."""


class Read(NamedTuple):
    """A photo as the model sees it here: brought down to `SIDE`. size and keypoints are those of the photo itself."""

    sample: Sample
    size: tuple[int, int]
    keypoints: np.ndarray | None


class Photos:
    """Pictures and predictions by a photo's number in the collection. All methods may be called from any thread."""

    def __init__(self, collection: Collection, predictor: Predictor, cache: Cache) -> None:
        self.collection, self.predictor, self.cache = collection, predictor, cache
        self.figures = Figures(len(collection), predictor.model.parts, len(collection.keypoint_names))
        self.broken: dict[int, str] = {}
        self._turns = threading.Semaphore(READERS)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="photos")
        self.figures.read(cache, [self.stamp(photo) for photo in range(len(collection))])

    def __len__(self) -> int:
        return len(self.collection)

    def stamp(self, photo: int) -> str:
        """Which state of its files a photo is in: another one after a change."""
        return _stamp(self.collection.records[photo])

    def tile(self, photo: int) -> bytes:
        """A photo for the gallery, JPEG. Raises `BadPhoto`."""
        return self._kept("tile", photo, lambda: jpeg(self._image(photo, TILE), TILE, 82))

    def view(self, photo: int) -> bytes:
        """A photo to look at closely, JPEG. Raises `BadPhoto`."""
        return jpeg(self._image(photo, SIDE), SIDE, 88)

    def close(self, photo: int, part: Shown, edits: Edits) -> bytes:
        """A close-up of a part, JPEG. Raises `BadPhoto`, which says so where the photo does not have the part."""
        kind = f"close {'+'.join(map(str, part.members))} {hex_of(part)}"
        return self._kept(kind, photo, lambda: self._close(photo, part, edits))

    def look(self, photo: int, urgency: int = NOW) -> Look:
        """What the model makes of one photo. Raises `BadPhoto`."""
        _, look = next(self.looks([photo], urgency))
        if isinstance(look, BadPhoto):
            raise look
        return look

    def looks(self, numbers: Sequence[int], urgency: int) -> Iterator[tuple[int, Look | BadPhoto]]:
        """What the model makes of several photos: those that are known first, the others as they are computed."""
        missing = []
        for photo in numbers:
            look = self._known(photo)
            if look is None:
                missing.append(photo)
            else:
                yield photo, look
        while missing:
            size = self.predictor.batch
            group, missing = missing[:size], missing[size:]
            good: list[tuple[int, Read]] = []
            for photo, read in zip(group, self._pool.map(self._small, group), strict=True):
                if isinstance(read, BadPhoto):
                    yield photo, read
                else:
                    good.append((photo, read))
            answers = self.predictor.ask([read.sample for _, read in good], urgency) if good else []
            yield from [
                (photo, self._keep(photo, read, look_at(parts, read.size, read.keypoints)))
                for (photo, read), parts in zip(good, answers, strict=True)
            ]  # all are kept before the first is given: the page may lose interest in the others

    def whole(self, numbers: Sequence[int], with_photo: bool) -> Iterator[tuple[int, Parts | BadPhoto]]:
        """The parts of photos at their own size, in order, without edits; what is known exactly is not computed again.

        with_photo: keep the photos in the result.
        """
        for start in range(0, len(numbers), WHOLE):
            group = numbers[start : start + WHOLE]
            looks = [None if with_photo else self._known(photo) for photo in group]
            known = {photo: look for photo, look in zip(group, looks, strict=True) if look and look.exact}
            unknown = [photo for photo in group if photo not in known]
            read = dict(zip(unknown, self._pool.map(self._sample, unknown), strict=True))
            samples = [sample for sample in read.values() if isinstance(sample, Sample)]
            answers = iter(self.predictor.ask(samples, SOON) if samples else [])
            for photo in group:
                if photo in known:
                    yield photo, self._parts(photo, known[photo])
                elif isinstance(found := read[photo], BadPhoto):
                    yield photo, found
                else:
                    parts = next(answers)
                    yield photo, parts if with_photo else replace(parts, image=None)

    def aspect(self) -> float:
        """Width over height of the usual photo, from a few spread over the collection."""
        found = []
        for photo in scattered(len(self))[:5].tolist():
            try:
                image = self._image(photo, 64)
            except BadPhoto:
                continue
            found.append(image.width / image.height)
        return float(np.median(found)) if found else 1.0

    def close_pool(self) -> None:
        """No photo is read afterwards."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _kept(self, kind: str, photo: int, make: Callable[[], bytes]) -> bytes:
        stamp = self.stamp(photo)
        data = self.cache.get(kind, photo, stamp)
        if data is None:
            data = make()
            self._put(kind, photo, stamp, data)
        return data

    def _put(self, kind: str, photo: int, stamp: str, data: bytes) -> None:
        try:
            self.cache.put(kind, photo, stamp, data)
        except sqlite3.Error:
            return  # a full disk: to be computed again

    def _known(self, photo: int) -> Look | None:
        figures = self.figures.get(photo)
        data = None if figures is None else self.cache.get("labels", photo, self.stamp(photo))
        if figures is None or data is None:
            return None
        try:
            return replace(figures, labels=unpack(data))
        except (ValueError, zlib.error):
            return None

    def _keep(self, photo: int, read: Read, look: Look) -> Look:
        stamp = self.stamp(photo)
        if look.labels is not None:
            self._put("labels", photo, stamp, pack(look.labels))
        if self.cache.get("tile", photo, stamp) is None:
            self._put("tile", photo, stamp, jpeg(read.sample.image, TILE, 82))
        keep(self.cache, photo, stamp, look)
        self.figures.put(photo, look)
        return look

    def _sample(self, photo: int) -> Sample | BadPhoto:
        """A photo with all that is known of it; or why it cannot be used, which is noted."""
        with self._turns:
            try:
                return self.collection[photo]
            except BadPhoto as error:
                self.broken[photo] = error.reason
                return error

    def _small(self, photo: int) -> Read | BadPhoto:
        sample = self._sample(photo)
        if isinstance(sample, BadPhoto):
            return sample
        return Read(shrunk(sample, SIDE), sample.image.size, sample.keypoints)

    def _image(self, photo: int, side: int) -> Image.Image:
        """The photo alone, no smaller than `side` where it is larger."""
        path = self.collection.records[photo].photo
        with self._turns:
            return self.collection[photo].image if path == DRAWN else open_photo(path, least=side)

    def _parts(self, photo: int, look: Look) -> Parts:
        """A look as a result: the confidence of every pixel is the mean over its part."""
        assert look.labels is not None
        sure = np.zeros(256, dtype=np.float32)
        there = look.figures[:, SHARE] > 0
        sure[1 : 1 + len(there)] = np.where(there, look.figures[:, SURE], 0)
        confidence = None if np.isnan(sure).any() else sure[look.labels]
        model = self.predictor.model
        return Parts(look.labels, model.names, confidence=confidence, id=self.collection.ids[photo])

    def _close(self, photo: int, part: Shown, edits: Edits) -> bytes:
        look = self.look(photo)
        image = self._image(photo, SIDE).resize(look.labels.shape[::-1], Image.Resampling.BICUBIC)  # type: ignore[union-attr]
        parts = edits.apply(replace(self._parts(photo, look), image=image))
        number = parts.index(part.name)
        if not (parts.labels == number).any():
            raise BadPhoto(self.collection.ids[photo], f"{part.name} is not in it")
        return jpeg(close_up(parts, number), SIDE, 86)


def _stamp(record: Record) -> str:
    files = dict.fromkeys(path for path in (record.photo, record.mask) if path not in (DRAWN, None))
    try:
        states = [os.stat(path) for path in files]
    except OSError:
        return "gone"
    return "-".join(f"{state.st_mtime_ns:x}.{state.st_size:x}" for state in states) or record.id
