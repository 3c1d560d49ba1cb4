"""A mask for each photo of a collection, as a folder that `meronym train` takes as the photos' `masks/`.

out/masks.json    what the folder holds: which photos, how they were found
out/a/b.png       the mask of a/b.jpg, 255 = object, at the photo's own size and upright; written whole or not at all
out/skipped.txt   the photos that have no mask, and why
"""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image

from meronym.ahead import ahead
from meronym.annotations.base import whole_file
from meronym.annotations.png import is_whole
from meronym.backbones import Backbone, FeatureCache, default_backbone, load_backbone
from meronym.collections import Collection, Sample, open_again
from meronym.edges import FINE, follow_edges
from meronym.evaluation.results import append
from meronym.features import Views
from meronym.files import holds_anything, nearest, write_atomically
from meronym.images import BadPhoto, crop_photo, open_mask
from meronym.masks import FINDERS, Finder, pieces
from meronym.methods.base import measured
from meronym.methods.frozen import LEAST_CELLS, MOST_PHOTOS
from meronym.model import best_device, photo_window
from meronym.prediction import FolderTaken
from meronym.progress import progress, say
from meronym.segmenters import HeadSegmenter

RECORD = "masks.json"
AT_ONCE = 8


def find_masks(
    photos: str | Path,
    *,
    out: str | Path,
    method: str = "features",
    backbone: str | None = None,
    split: str | None = None,
    kind: str | None = None,
    results: str | Path = "results",
) -> Path:
    """Find the object in every photo, and write its mask; masks and boxes that the photos come with are not used.

    The same command goes on where it stopped. Where the photos have masks, the mean IoU with them goes to results/.

    Args:
        photos: a folder of photos, or a data set in its official layout.
        out: the folder to write to: a new one, or one that the same command has begun.
        method: features (learned from these photos), tokencut (each photo for itself), u2net (a trained network).
        backbone: whose features are used; DINOv2 ViT-S/14 where its weights can be had.
        split: which photos, train or test; by default all.
        kind: of collection, where it cannot be told from its files.
        results: where the line of scores is written.
    """
    if method not in FINDERS:
        raise ValueError(f"--method {method}: one of {', '.join(FINDERS)}{nearest(method, FINDERS)}")
    collection = open_again(photos, kind)
    collection = collection.split(split) if split else collection
    say(collection.summary())
    finder = FINDERS[method]()
    network = load_backbone(backbone or default_backbone()).to(best_device()) if finder.on_features else None
    made = {"photos": str(Path(photos).resolve()) if Path(photos).exists() else str(photos), "method": method}
    made |= {"split": split, "backbone": f"{network.name} {network.weights_hash}" if network else finder.network}
    folder = Masks(Path(out), collection, finder, network, made)
    cost: dict[str, Any] = {}
    with measured(cost):
        written = folder.write()
    say(f"the masks are in {folder.folder}")
    if written and (given := folder.given()):
        line = {"collection": collection.name, "split": split or "all", "protocol": "masks", "method": method}
        line |= {"backbone": network.name if network else finder.network, "parts": 1, "seed": 0, "masks": "none"} | cost
        words = ["meronym", "masks", photos, "--out", out, "--method", method]
        words += [*(["--split", split] if split else []), *(["--kind", kind] if kind else [])]
        words += ["--backbone", backbone] if backbone else []
        iou = round(100 * folder.iou(given), 3)
        append(results, line | {"iou": iou, "command": shlex.join(map(str, words))})
        say(f"IoU with the masks that the photos come with: {iou:.1f}")
    return folder.folder


@dataclass
class Masks:
    """A folder of masks. The same photos and method go on where it stopped.

    network: whose features the finder sees, if it sees features. made: what the folder's record says.
    """

    folder: Path
    collection: Collection
    finder: Finder
    network: Backbone | None
    made: dict[str, Any]
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._check()
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / RECORD, json.dumps(self.made, indent=2) + "\n")
        self.blind = self.collection.without_masks()
        self.places: dict[int, Path] = {}
        taken: dict[Path, str] = {}
        self.skipped += self.collection.skipped
        for i, id_ in enumerate(self.collection.ids):
            place = self.folder / PurePosixPath(id_).with_suffix(".png")
            if place in taken:
                self.skipped.append((id_, f"its mask would have the name of that of {taken[place]}"))
            else:
                taken[place], self.places[i] = id_, place

    def write(self) -> int:
        """A mask for each photo that has none; returns for how many. Memory does not grow with their number."""
        missing = [i for i, place in self.places.items() if not is_whole(place)]
        done, written, several = len(self.places) - len(missing), 0, 0
        if done and missing:
            say(f"{done:,} of {len(self.places):,} photos have their mask already")
        if missing and self.finder.learns:
            self._learn()
        with progress("masks", len(self.places)) as advance:
            advance(done)
            for start in range(0, len(missing), AT_ONCE):
                some = missing[start : start + AT_ONCE]
                for place, mask in self._found(some):
                    written, several = written + 1, several + (len(pieces(mask)) > 1)
                    with whole_file(place, "wb") as file:
                        Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
                done += len(some)
                advance(done)
        if several:
            say(f"{several:,} photos show several objects, or one in several pieces; all are in the mask")
        listing = self.folder / "skipped.txt"
        if self.skipped:
            write_atomically(listing, "".join(f"{photo}: {reason}\n" for photo, reason in self.skipped))
            say(f"{len(self.skipped):,} photos have no mask, listed in {listing}")
        else:
            listing.unlink(missing_ok=True)
        return written

    def given(self) -> list[int]:
        """Photos that come with a mask, other than those written here."""
        records, home = self.collection.records, self.folder.resolve()
        made = [r.mask is not None and home in r.mask.resolve().parents for r in records]
        return [i for i, r in enumerate(records) if (r.mask or self.collection.all_masked) and not made[i]]

    def iou(self, given: Sequence[int]) -> float:
        """Mean intersection over union with the given masks; 0 for a photo in which nothing was found."""
        scores = []
        with progress("comparing", len(given)) as advance:
            for i, read in ahead(self.collection.__getitem__, given, 4, 8):
                advance(len(scores))
                try:
                    true = read.result().mask
                except BadPhoto:
                    continue
                place = self.places.get(i)
                found = open_mask(place) if place and is_whole(place) else np.zeros_like(true)
                scores.append((found & true).sum() / max((found | true).sum(), 1))
        return float(np.mean(scores))

    def _found(self, some: Sequence[int]) -> Iterator[tuple[Path, np.ndarray]]:
        """Place and mask, bool (H, W), of each of these photos in which there is an object."""
        paths = self._features(some) if self.network else dict.fromkeys(some)
        for (i, path), read in ahead(lambda item: self.blind[item[0]], paths.items(), 4, AT_ONCE):
            try:
                sample = read.result()
            except BadPhoto as error:
                self.skipped.append((self.collection.ids[i], error.reason))
                continue
            share = self.finder.find(sample.image if path is None else np.load(path))
            mask = object_mask(share, sample, self.finder.divided)
            if mask.any() and (share > 0.5).sum() >= LEAST_CELLS * self.finder.divided**2:
                yield self.places[i], mask
            else:
                self.skipped.append((sample.id, "no object found in it"))

    def _learn(self) -> None:
        """From evenly spaced photos, as many as are needed."""
        order, known = list(self.places), list(self.skipped)
        some = order[:: -(-len(order) // MOST_PHOTOS)]
        seen = self._features(some, "features to learn from")
        self.skipped = known  # those that cannot be read are met again
        if not seen:
            raise ValueError(f"no photo of {self.collection.name} could be used")
        views, grid = self._views, np.load(next(iter(seen.values())), mmap_mode="r").shape[1:]
        guides = (views.guide(i, path.stem, grid) for i, path in seen.items())
        self.finder.learn(lambda: (np.load(path, mmap_mode="r") for path in seen.values()), guides)

    def _features(self, some: Sequence[int], title: str | None = None) -> dict[int, Path]:
        """Cached files of the features of those of these photos that can be read. title: of a line of progress."""
        bad: dict[int, str] = {}
        paths = self._views.features(some, bad, title)
        self.skipped += [(self.collection.ids[i], reason) for i, reason in bad.items()]
        return paths

    @cached_property
    def _views(self) -> Views:
        assert self.network is not None, "a finder on features has a backbone"
        return Views(self.blind, HeadSegmenter(self.network, 2, zoom=False), FeatureCache(), whole=True)

    def _check(self) -> None:
        """Refuse a folder that holds anything but masks of the same photos, found the same way."""
        if not holds_anything(self.folder):
            return
        try:
            before = json.loads((self.folder / RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FolderTaken(
                f"{self.folder} is not empty and was not made by this command: choose another folder with --out"
            ) from error
        other = [f"{key} {before.get(key)}" for key, value in self.made.items() if before.get(key) != value]
        if other:
            raise FolderTaken(f"{self.folder} holds other masks ({', '.join(other)}): choose another folder with --out")


def object_mask(share: Float[np.ndarray, "i j"], sample: Sample, divided: int = 1) -> Bool[np.ndarray, "H W"]:
    """The object at the photo's own size, ending where the photo's colours change; crumbs beside it are left out.

    share: how surely each place of a grid over the whole photo is object. divided: a cell is so many by so many places.
    """
    height, width = share.shape[0] // divided, share.shape[1] // divided
    window, size = photo_window(sample), (FINE * width, FINE * height)
    inside, view = torch.from_numpy(share).float(), crop_photo(sample.image, window, size)
    labels, _ = follow_edges(torch.ones(1, height, width), window, sample.image, view, inside=inside)
    return np.logical_or.reduce([*pieces(labels == 1), np.zeros(labels.shape, bool)])
