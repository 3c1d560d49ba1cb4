"""Parts: the result for one photo. A label map, how sure it is, and what the parts are called.

>>> parts = model.predict("robin.jpg")
>>> parts.plot().save("robin_parts.png")
>>> parts.crop("head").save("head.png")
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from meronym.annotations import Item, write
from meronym.annotations.colours import MAX_PARTS, palette
from meronym.annotations.overlay import draw_overlay
from meronym.annotations.png import save_index_png
from meronym.annotations.summary import Row, summarise
from meronym.images import name_of

__all__ = ["Parts", "default_names", "palette"]


def default_names(parts: int) -> tuple[str, ...]:
    """("part 1", ..., "part K"): what parts are called until somebody names them."""
    return tuple(f"part {k}" for k in range(1, parts + 1))


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one photo.

    Attributes:
        labels: (H, W) uint8; 0 is the background and k is part k, 1 to K.
        names: K names, that of part k at k - 1.
        confidence: (H, W) float32 in [0, 1], or None where the method gives none.
        colours: (K, 3) uint8; `palette(K)` unless given.
        id: what the photo is called, for example its path below the collection's folder.
        image: the photo, upright, of the label map's size; needed by `plot` and `crop` only.

    Raises:
        ValueError: on creation, where these do not fit each other.
    """

    labels: np.ndarray
    names: tuple[str, ...]
    confidence: np.ndarray | None = None
    colours: np.ndarray = None  # type: ignore[assignment]  # filled in below
    id: str | None = None
    image: Image.Image | None = None

    def __post_init__(self) -> None:
        names = tuple(self.names)
        if len(names) > MAX_PARTS:
            raise ValueError(f"{len(names)} part names: a label map has room for {MAX_PARTS} parts")
        given = palette(len(names)) if self.colours is None else self.colours
        colours = np.asarray(given, dtype=np.uint8).reshape(-1, 3)
        if len(colours) != len(names):
            raise ValueError(f"{len(colours)} colours for {len(names)} parts: give one RGB colour for each part")
        _check_labels(self.labels, len(names))
        shape = self.labels.shape
        if self.confidence is not None and self.confidence.shape != shape:
            raise ValueError(f"confidence is {self.confidence.shape} and labels are {shape}: give one per pixel")
        if self.image is not None and self.image.size != shape[::-1]:
            photo, map_ = "x".join(map(str, self.image.size)), f"{shape[1]}x{shape[0]}"
            raise ValueError(
                f"the photo is {photo} and the label map {map_} pixels; open the photo with "
                "meronym.images.open_photo, which turns it upright, and label it at its own size"
            )
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "colours", colours)

    def __repr__(self) -> str:
        height, width = self.labels.shape
        there = ", ".join(repr(self.names[k - 1]) for k in self.present())
        return f"Parts({self.id or 'photo'}, {width}x{height}, {len(self.names)} parts; here: {there or 'none'})"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.labels.shape[1], self.labels.shape[0]

    # -- what is here --------------------------------------------------------------------------------------

    def present(self) -> list[int]:
        """The parts that have at least one pixel, in order."""
        return [int(k) for k in np.flatnonzero(np.bincount(self.labels.ravel(), minlength=1)) if k > 0]

    def index(self, part: int | str) -> int:
        """The number of a part given by its number or its name.

        Raises:
            ValueError: there is no such part; the message names the nearest.
        """
        if isinstance(part, str):
            if part in self.names:
                return self.names.index(part) + 1
            near = get_close_matches(part, self.names, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"the names are {list(self.names)}"
            raise ValueError(f"no part is called {part!r}; {hint}")
        if not 1 <= part <= len(self.names):
            nearest = min(max(part, 1), len(self.names))
            raise ValueError(f"no part {part}: parts are 1 to {len(self.names)}, the nearest {nearest}")
        return int(part)

    def mask(self, part: int | str) -> np.ndarray:
        """(H, W) bool: where a part is. All False where it is absent."""
        return self.labels == self.index(part)

    def table(self) -> list[Row]:
        """One row for each part, absent ones too: area, share of the photo, centre, box, mean confidence."""
        return summarise(self.labels, self.names, self.confidence)

    # -- to look at ----------------------------------------------------------------------------------------

    def plot(self, alpha: float = 0.55, edges: bool = True, names: bool = False) -> Image.Image:
        """The photo with its parts tinted and outlined; on a plain ground if the photo was not kept.

        Args:
            alpha: how much of a part is its colour, from 0 to 1.
            edges: draw the borders between parts.
            names: write each part's name on it.
        """
        photo = Image.new("RGB", self.size, (245, 245, 245)) if self.image is None else self.image.convert("RGB")
        written = self.names if names else None
        return draw_overlay(photo, self.labels, self.colours, alpha=alpha, edges=edges, names=written)

    def crop(self, part: int | str, pad: int = 0) -> Image.Image:
        """One part cut out of the photo: RGBA, transparent around the part, as small as the part allows.

        Args:
            part: its number or its name.
            pad: pixels to keep around the part's box, as far as the photo goes.

        Raises:
            ValueError: no such part, the part is absent here, or the photo was not kept.
        """
        k = self.index(part)
        if self.image is None:
            raise ValueError(f"{self.id or 'this result'} was kept without its photo, which crop() cuts from")
        mask = self.labels == k
        box = Image.fromarray(mask).getbbox()
        if box is None:
            here = [self.names[p - 1] for p in self.present()]
            what, where = f"part {k} ({self.names[k - 1]!r})", self.id or "this photo"
            raise ValueError(f"{what} is not in {where}; here: {here}")
        x0, y0, x1, y1 = box
        box = (max(0, x0 - pad), max(0, y0 - pad), min(self.size[0], x1 + pad), min(self.size[1], y1 + pad))
        cut = self.image.convert("RGB").crop(box)
        cut.putalpha(Image.fromarray(mask[box[1] : box[3], box[0] : box[2]].astype(np.uint8) * 255))
        return cut

    # -- to change: always a new Parts ---------------------------------------------------------------------

    def rename(self, names: Mapping[int | str, str]) -> "Parts":
        """The same parts under new names: `parts.rename({2: "head"})`. Unnamed parts keep theirs."""
        new = list(self.names)
        for part, name in names.items():
            new[self.index(part) - 1] = name
        return replace(self, names=tuple(new))

    def relabel(
        self,
        mapping: Mapping[Any, int] | Sequence[int],
        names: Sequence[str],
        colours: np.ndarray | None = None,
    ) -> "Parts":
        """Parts numbered anew: every pixel of part k becomes part `mapping[k]`.

        Args:
            mapping: from old part (number or name) to new number, where 0 is the background and an old part
                left out becomes background; or K numbers, that for part k at k - 1.
            names: the new names, as many as there are new parts.
            colours: (new K, 3); `palette(new K)` if not given.

        Raises:
            ValueError: a part that is not there, or a new number without a name.
        """
        table = np.zeros(256, dtype=np.uint8)
        if not isinstance(mapping, Mapping):
            if len(mapping) != len(self.names):
                raise ValueError(f"{len(mapping)} new numbers for {len(self.names)} parts: give one for each")
            mapping = dict(enumerate(mapping, start=1))
        for old, new in mapping.items():
            if not 0 <= new <= len(names):
                raise ValueError(f"part {old!r} -> {new}: new parts are 0 (background) to {len(names)}")
            table[self.index(old)] = new
        return replace(self, labels=table[self.labels], names=tuple(names), colours=colours)

    def merge(self, groups: Iterable[Iterable[int | str]], names: Sequence[str] | None = None) -> "Parts":
        """Parts joined: each group becomes one part, in the place and colour of its first-numbered member.

        Args:
            groups: parts by number or name, `[["left wing", "right wing"], [5, 6]]`; no part twice.
            names: one name for each group; by default that of its first-numbered member.

        Raises:
            ValueError: an empty group, a part in two groups, or not one name for each group.
        """
        members = [sorted({self.index(part) for part in group}) for group in groups]
        _check_groups(members, names)
        joined = {group[0]: group for group in members}
        called = dict(zip(joined, names, strict=True)) if names is not None else {}
        absorbed = {part for group in members for part in group[1:]}
        kept = [part for part in range(1, len(self.names) + 1) if part not in absorbed]
        mapping = {old: new for new, part in enumerate(kept, start=1) for old in joined.get(part, [part])}
        new_names = [called.get(part, self.names[part - 1]) for part in kept]
        return self.relabel(mapping, new_names, self.colours[np.array(kept, dtype=int) - 1])

    # -- to take away --------------------------------------------------------------------------------------

    def item(self) -> Item:
        """These parts as an item for `meronym.annotations.write`; the photo's name is `id`, or "photo"."""
        height, width = self.labels.shape
        return Item(name_of(self.id) if self.id else "photo", (height, width), self.labels, self.confidence, self.image)

    def to(self, format: str, path: str | os.PathLike[str], **options: Any) -> Path:
        """Writes these parts in a format of `meronym.annotations.FORMATS`; returns the path.

        For many photos give the items of all to `meronym.annotations.write`, which makes one file of them.
        """
        return write(format, [self.item()], path, self.names, colours=self.colours, **options)

    def to_coco(self, path: str | os.PathLike[str], polygons: bool = False) -> Path:
        """Writes a COCO JSON, of run-length masks or of polygons; returns its path."""
        return self.to("coco", path, polygons=polygons)

    def to_yolo(self, folder: str | os.PathLike[str]) -> Path:
        """Writes a YOLO-seg folder; returns its path."""
        return self.to("yolo", folder)

    def to_cvat(self, path: str | os.PathLike[str]) -> Path:
        """Writes a zip for CVAT's import; returns its path."""
        return self.to("cvat", path)

    def to_label_studio(self, path: str | os.PathLike[str]) -> Path:
        """Writes Label Studio tasks with brush pre-annotations; returns their path."""
        return self.to("label_studio", path)

    def to_parquet(self, path: str | os.PathLike[str]) -> Path:
        """Writes `table()` as Parquet; returns its path."""
        return self.to("parquet", path)

    def to_png(self, path: str | os.PathLike[str]) -> Path:
        """Writes the label map as an index PNG: the same as `save`."""
        return self.save(path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the label map as an index PNG in the parts' colours, background black and transparent.

        The part names and the photo's name travel inside the file. Returns the path.

        Raises:
            ValueError: the path does not end in .png.
        """
        return save_index_png(path, self.labels, self.names, self.colours, name_of(self.id) if self.id else "")


def branch_names(levels: dict[int, tuple[int, ...]], parts: int) -> tuple[str, ...]:
    """Names for the parts of a level of a tree that tell where they hang: "part 2.1" is the first piece of "part 2".

    levels: K to the part, 0 to K - 1, of each finest part; nested. A part that is not divided keeps its name.
    """
    names = {frozenset(range(len(levels[parts]))): "part"}
    for k in sorted(k for k in levels if k <= parts):
        pieces = [frozenset(i for i, part in enumerate(levels[k]) if part == p) for p in range(k)]
        families = {piece: next(whole for whole in names if piece <= whole) for piece in pieces}
        born = {whole: [p for p in pieces if families[p] == whole] for whole in names}
        names = {
            p: names[w] if len(born[w]) == 1 else f"{names[w]}{'.' if k > min(levels) else ' '}{born[w].index(p) + 1}"
            for p, w in families.items()
        }
    return tuple(names.values())


def _check_labels(labels: np.ndarray, parts: int) -> None:
    if labels.ndim != 2 or labels.dtype != np.uint8:
        raise ValueError(f"labels are {labels.dtype} of shape {labels.shape}: give uint8 of shape (height, width)")
    highest = int(labels.max(initial=0))
    if highest > parts:
        raise ValueError(f"labels hold part {highest}, but there are names for {parts} parts")


def _check_groups(members: list[list[int]], names: Sequence[str] | None) -> None:
    if any(not group for group in members):
        raise ValueError("merge: an empty group; name at least one part in each")
    flat = [part for group in members for part in group]
    twice = sorted({part for part in flat if flat.count(part) > 1})
    if twice:
        raise ValueError(f"merge: part {twice[0]} is in two groups; a part goes into one")
    if names is not None and len(names) != len(members):
        raise ValueError(f"merge: {len(names)} names for {len(members)} groups; give one for each")
