"""What a model does on a sample of a collection: how large each part is, in how many photos, and where.

Memory does not grow with the collection or with the size of its photos: at most `photos` of them are looked
at, each brought down to `SIDE` pixels, and kept compressed.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from PIL import Image

from meronym.annotations.summary import Row
from meronym.collections import Collection, Sample
from meronym.features import known_features
from meronym.images import BadPhoto, Window, crop_labels
from meronym.model import PartModel, object_box
from meronym.parts import Parts
from meronym.progress import progress

SIDE = 960
"""Longest side in pixels of a photo as the report sees it."""
GRID = 48
"""Cells along each side of the maps of where a part lies."""
PRESENT = 0.005
"""A part is present where it holds this share of the object's pixels."""


@dataclass(frozen=True, eq=False)
class Seen:
    """One photo and its parts, compressed: JPEG and PNG. box: around the object. rows: one a part."""

    id: str
    photo: bytes
    labels: bytes
    box: Window
    rows: list[Row]

    def parts(self, model: PartModel) -> Parts:
        """The parts again, at most SIDE pixels a side, without their confidence."""
        image, labels = (Image.open(io.BytesIO(data)) for data in (self.photo, self.labels))
        return Parts(np.asarray(labels), model.names, id=self.id, image=image.convert("RGB"))


@dataclass(eq=False)
class Survey:
    """A model on the photos of a sample.

    seen: the photos that could be used. left_out: (id, reason) of the others.
    shares: (N, K), of the object's pixels in each photo. confidence: (N, K), NaN where unknown or absent.
    where: (K, GRID, GRID), in how many photos a part covers each cell of the object's box; silhouette: the
    same for all parts together. on_objects: objects were marked, or found; else parts fill whole photos.
    """

    parts: int
    seen: list[Seen] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    on_objects: bool = False

    def __post_init__(self) -> None:
        self.shares = np.zeros((0, self.parts))
        self.confidence = np.zeros((0, self.parts))
        self.where = np.zeros((self.parts, GRID, GRID))
        self.silhouette = np.zeros((GRID, GRID))

    def __len__(self) -> int:
        return len(self.seen)

    def share(self) -> np.ndarray:
        """(K,) mean share of the object over the photos."""
        return self.shares.mean(0) if len(self) else np.zeros(self.parts)

    def present(self) -> np.ndarray:
        """(K,) in how many photos each part is."""
        return (self.shares >= PRESENT).sum(0)

    def sureness(self) -> np.ndarray:
        """(K,) mean confidence over the photos that have the part; NaN where none is known."""
        known = np.isfinite(self.confidence)
        total = np.where(known, self.confidence, 0).sum(0)
        return np.divide(total, known.sum(0), out=np.full(self.parts, np.nan), where=known.any(0))

    def best(self, part: int, count: int) -> list[Seen]:
        """The photos that show a part best: sure, in one piece, not tiny, and of about its usual size."""
        shares = self.shares[:, part - 1]
        there = np.flatnonzero(shares >= PRESENT)
        if not len(there):
            return []
        usual = np.median(shares[there])
        scores = []
        for i in there:
            row, sure = self.seen[i].rows[part - 1], self.confidence[i, part - 1]
            x0, y0, x1, y1 = row["box"] or (0, 0, 1, 1)
            solid = row["area"] / ((x1 - x0) * (y1 - y0))
            typical = np.exp(-abs(np.log(shares[i] / usual)))
            scores.append((1.0 if np.isnan(sure) else sure) * solid * typical * min(1.0, row["area"] / 300))
        order = np.argsort(-np.array(scores), kind="stable")[:count]
        return [self.seen[there[i]] for i in order]

    def add(self, sample: Sample, parts: Parts) -> None:
        """Count one photo in."""
        rows = parts.table()
        areas = np.array([row["area"] for row in rows])
        sure = [np.nan if row["confidence"] is None else row["confidence"] for row in rows]
        self.shares = np.vstack([self.shares, areas / max(1, areas.sum())])
        self.confidence = np.vstack([self.confidence, np.array(sure, dtype=float)])
        self.on_objects |= sample.mask is not None or sample.box is not None or bool((parts.labels == 0).any())
        box = _box(sample, parts)
        grid = crop_labels(parts.labels, box, (GRID, GRID))
        self.where += grid == np.arange(1, self.parts + 1)[:, None, None]
        self.silhouette += grid > 0
        photo = _packed(sample.image, "JPEG", quality=92)
        self.seen.append(Seen(sample.id, photo, _packed(Image.fromarray(parts.labels), "PNG"), box, rows))


def survey(model: PartModel, collection: Collection, photos: int, seed: int) -> Survey:
    """Look at up to `photos` photos, spread evenly over the collection; a broken one is left out."""
    result = Survey(model.parts)
    chosen = spread(len(collection), photos, seed)
    read: list[Sample] = []  # those on their way through the model
    samples = _readable(collection, chosen, read, result.left_out)
    with progress("report", len(chosen)) as advance:
        for parts in model.stream(samples, known=known_features(collection, model.segmenter)):
            result.add(read.pop(0), parts)
            advance(len(result) + len(result.left_out))
    return result


def spread(total: int, count: int, seed: int | None = None) -> list[int]:
    """`count` different numbers below `total`, evenly apart, in order; a seed moves where they start."""
    count = min(count, total)
    start = 0.5 if seed is None else np.random.default_rng(seed).random()
    return [int((i + start) * total / count) for i in range(count)]


def shrunk(sample: Sample, side: int = SIDE) -> Sample:
    """A sample with its photo, mask and box brought down to `side` pixels along the longest side."""
    width, height = sample.image.size
    scale = side / max(width, height)
    if scale >= 1:
        return Sample(sample.id, sample.image, sample.mask, sample.box)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = sample.image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)
    mask = sample.mask
    if mask is not None:
        mask = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
    factors = (size[0] / width, size[1] / height) * 2
    box = sample.box and tuple(v * f for v, f in zip(sample.box, factors, strict=True))
    return Sample(sample.id, image, mask, box)  # type: ignore[arg-type]


def _readable(
    collection: Collection, chosen: Iterable[int], read: list[Sample], left_out: list[tuple[str, str]]
) -> Iterator[Sample]:
    for index in chosen:
        try:
            sample = shrunk(collection[index])
        except BadPhoto as error:
            left_out.append((collection.ids[index], error.reason))
            continue
        read.append(sample)
        yield sample


def _box(sample: Sample, parts: Parts) -> Window:
    """The box around the object as given, else around its parts; the whole photo where that has no area."""
    if sample.mask is None and sample.box is None:
        sample = replace(sample, mask=parts.labels > 0)
    width, height = sample.image.size
    x0, y0, x1, y1 = box = object_box(sample)
    inside = min(x1, width) - max(x0, 0) >= 1 and min(y1, height) - max(y0, 0) >= 1
    return box if inside else (0.0, 0.0, float(width), float(height))


def _packed(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
