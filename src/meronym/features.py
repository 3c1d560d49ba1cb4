"""The features of a whole collection under a frozen backbone: computed once, kept on disk, read batch by batch."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from meronym.backbones import FeatureCache, Job, cached_features
from meronym.collections import Collection, Sample
from meronym.edges import FINE
from meronym.images import BadPhoto, Window, averaged, crop_mask
from meronym.masks import Layers
from meronym.model import Known, look, object_box, photo_window
from meronym.progress import progress, say
from meronym.segmenters import HeadSegmenter, Segmenter

CELLS_AT_A_TIME = 128


@dataclass(frozen=True)
class FeatureSet:
    """Cached features of those photos of a collection that could be used.

    rows: their indices in the collection. paths: one file of (D, h, w) float16 each.
    foreground: (N, h, w) uint8, the share of each cell that the object covers, 255 = all; all 255 for a photo
    without a mask. skipped: (id, reason) of the others. quarters: (N, 2h, 2w), the same of each quarter of a cell, as
    the masks have it. lines: gives weights (4, D) and biases (4,) of what looks like object, once that can be told.
    """

    rows: list[int]
    paths: list[Path]
    foreground: np.ndarray
    skipped: list[tuple[str, str]]
    quarters: np.ndarray
    lines: Callable[[], Layers] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def masked(self) -> bool:
        """Whether anything but the objects is to be seen: some photo came with a mask."""
        return bool((self.foreground < 128).any())

    def maps(self) -> Iterator[np.ndarray]:
        """Each photo's features (D, h, w), one after the other."""
        return map(self.map, range(len(self)))

    def map(self, index: int) -> np.ndarray:
        """The features (D, h, w) at one position."""
        return np.load(self.paths[index], mmap_mode="r")

    def shares(self) -> list[np.ndarray]:
        """What `quarters` holds, 0 to 1."""
        return [each / np.float32(255) for each in self.quarters]

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Features (B, D, h, w) and foreground (B, h, w) in 0..1, both float32, of these positions."""
        features = np.stack([np.load(self.paths[i]) for i in indices])
        return torch.from_numpy(features).float(), torch.from_numpy(self.foreground[list(indices)]).float() / 255

    def cells(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """As `batch`, but only the cells that the object covers, in a row: (B, D, 1, n) and (B, 1, n), 0 beyond them.

        n: how many cells the largest of these objects has, rounded up: of many sizes in turn memory is left in pieces.
        For what does not look at where a cell lies.
        """
        chosen = self.foreground[list(indices)].reshape(len(indices), -1)
        inside = chosen > 0
        n = CELLS_AT_A_TIME * max(1, -(-int(inside.sum(1).max()) // CELLS_AT_A_TIME))
        maps = [np.load(self.paths[i]) for i in indices]
        features = np.zeros((len(maps), len(maps[0]), n), maps[0].dtype)
        foreground = np.zeros((len(maps), n), np.float32)
        for row, (values, share, here) in enumerate(zip(maps, chosen, inside, strict=True)):
            cells = np.flatnonzero(here)
            values.reshape(len(values), -1).take(cells, axis=1, out=features[row, :, : len(cells)], mode="clip")
            foreground[row, : len(cells)] = share[cells] / np.float32(255)
        return torch.from_numpy(features).float()[:, :, None], torch.from_numpy(foreground)[:, None]

    def touched(self, share: float) -> "FeatureSet":
        """The same, but each cell counts whole where the object covers more than this share of it, else not at all."""
        return replace(self, foreground=np.where(self.foreground > 255 * share, 255, 0).astype(np.uint8))

    def select(self, positions: Iterable[int]) -> "FeatureSet":
        """The photos at these positions only; what was skipped stays listed."""
        kept = [int(i) for i in positions]
        rows, paths = [self.rows[i] for i in kept], [self.paths[i] for i in kept]
        foreground, quarters = self.foreground[kept], self.quarters[kept]
        return replace(self, rows=rows, paths=paths, foreground=foreground, quarters=quarters)

    def spread(self, most: int) -> "FeatureSet":
        """At most so many of the photos, evenly spread."""
        return self.select(range(0, len(self), max(1, -(-len(self) // most))))

    def batches(self, size: int = 32, cells: bool = False) -> Iterator[tuple[range, Tensor, Tensor]]:
        """All of them in order. cells: only those of the object."""
        for start in range(0, len(self), size):
            positions = range(start, min(start + size, len(self)))
            yield positions, *(self.cells(positions) if cells else self.batch(positions))


def extract(
    collection: Collection, segmenter: HeadSegmenter, cache: FeatureCache, whole: bool = False, least: int = 4
) -> FeatureSet:
    """Features and foreground of every photo of a collection, computing what the cache lacks.

    whole: look at whole photos instead of the windows around their objects.
    least: a photo whose object covers fewer cells of the feature grid is skipped, with the others that cannot be used.
    """
    views, skipped = Views(collection, segmenter, cache, whole), dict[int, str]()
    rows, kept, cells, quarters = [], [], [], []
    for i, path in views.features(range(len(collection)), skipped, f"{segmenter.backbone.name} features").items():
        try:
            grid = np.load(path, mmap_mode="r").shape[1:]
            of_photo = views.quarters(i, path.stem, grid)
        except BadPhoto as error:
            skipped[i] = str(error)
            continue
        of_cells = averaged(of_photo, grid)
        if (of_cells > 0.5).sum() < least:
            skipped[i] = f"{collection.ids[i]}: its object is too small, or its mask nearly empty"
            continue
        rows.append(i)
        kept.append(path)
        cells.append(np.rint(255 * of_cells).astype(np.uint8))
        quarters.append(np.rint(255 * of_photo).astype(np.uint8))
    reasons = [(collection.ids[i], reason) for i, reason in sorted(skipped.items())]
    if reasons:
        say(
            f"skipped {len(reasons)} of {len(collection)} photos: {reasons[0][1]}"
            + (" ..." if len(reasons) > 1 else "")
        )
    if not rows:
        raise ValueError(f"no photo of {collection.name} could be used" + (f": {reasons[0][1]}" if reasons else ""))
    return FeatureSet(rows, kept, np.stack(cells), reasons, np.stack(quarters))


def known_features(collection: Collection, segmenter: Segmenter) -> Known | None:
    """What the cache holds of a collection's photos under a frozen backbone; None for any other network."""
    if not isinstance(segmenter, HeadSegmenter):
        return None
    views = Views(collection, segmenter, FeatureCache(), whole=not segmenter.zoom)
    room, place = views.cache.room(segmenter.backbone.fingerprint), {id: i for i, id in enumerate(collection.ids)}

    def known(sample: Sample) -> np.ndarray | None:
        index = place.get(sample.id)
        if index is None or (segmenter.zoom and not collection.marked(index)):
            return None  # unmarked, it is looked at where its object is found, which training did not
        try:
            return room.get(views.key(index))
        except BadPhoto:
            return None

    return known


class Views:
    """Crops of a collection's photos, and their foreground, which is cached beside the features."""

    def __init__(self, collection: Collection, segmenter: HeadSegmenter, cache: FeatureCache, whole: bool) -> None:
        self.collection, self.segmenter, self.whole = collection, segmenter, whole
        self.cache = cache

    def features(self, indices: Iterable[int], skipped: dict[int, str], title: str | None = None) -> dict[int, Path]:
        """The file of each of these photos' features; what the cache lacks is computed.

        What cannot be read is skipped: its reason is put into `skipped`. title: of a line of progress.
        """
        jobs: dict[int, Job] = {}
        for i in indices:
            try:
                jobs[i] = Job(self.key(i), lambda i=i: self.photo(i))
            except BadPhoto as error:
                skipped[i] = str(error)
        rows, every, bad = list(jobs), list(jobs.values()), dict[int, str]()
        with progress(title, len(jobs)) if title else nullcontext() as advance:
            tell = (lambda done, _: advance(done)) if advance else None
            paths = cached_features(self.segmenter.backbone, every, self.cache, progress=tell, skipped=bad)
        skipped |= {rows[j]: reason for j, reason in bad.items()}
        return {i: path for i, path in zip(rows, paths, strict=True) if path is not None}

    def key(self, index: int) -> str:
        """A name for a photo's view: by content, box, kind of window and size. Raises `BadPhoto`."""
        fingerprint, box = self.collection.fingerprint(index), self.collection.records[index].box
        text = f"{fingerprint} {box} {'photo' if self.whole else 'object'}_window {self.segmenter.size}"
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def window(self, sample: Sample) -> Window:
        return photo_window(sample) if self.whole else self.segmenter.window(object_box(sample))

    def photo(self, index: int) -> Image.Image:
        sample = self.collection[index]
        window = self.window(sample)
        return look(sample, window, self.segmenter.frame(window)).photo

    def guide(self, index: int, key: str, grid: tuple[int, ...]) -> Image.Image:
        """What the network saw, small: FINE pixels to a cell of its grid, cached."""
        width, height = FINE * grid[1], FINE * grid[0]
        guides, name = self.cache.room("guide"), f"{key}-{width}x{height}"
        found = guides.get(name)
        if found is None:
            small = self.photo(index).resize((width, height), Image.Resampling.BOX)
            guides.put(name, np.asarray(small))
            return small
        return Image.fromarray(found.astype(np.uint8))

    def quarters(self, index: int, key: str, grid: tuple[int, ...]) -> np.ndarray:
        """What the object covers of each quarter of a cell of the feature grid (h, w): float32 (2h, 2w), 1 = all."""
        grid = 2 * grid[0], 2 * grid[1]
        if self.collection.records[index].full is not None:  # its mask is hidden, and is not to be found in the cache
            return np.ones(grid, np.float32)
        foregrounds, name = self.cache.room("foreground"), f"{key}-{grid[0]}x{grid[1]}"
        found = foregrounds.get(name)
        if found is None:
            sample = self.collection[index]
            if sample.mask is None:
                found = np.ones(grid, np.float32)
            else:
                found = crop_mask(sample.mask, self.window(sample), (grid[1], grid[0]))
            found = found.astype(np.float16)  # as the cache keeps it: the same with and without
            foregrounds.put(name, found)
        return found.astype(np.float32)
