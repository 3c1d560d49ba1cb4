"""What a tree of parts leaves behind in its run: a run for each level, colours that tell families, and a picture."""

import colorsys
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from meronym.annotations.colours import hex_colour
from meronym.collections import Collection, Sample
from meronym.edits import FILE, Edits
from meronym.images import BadPhoto
from meronym.model import PartModel, object_box
from meronym.report.pictures import around_object
from meronym.report.sheet import overlay_sheet
from meronym.report.survey import shrunk
from meronym.training.run import Run, level_folder

Levels = Mapping[int, Sequence[int]]
"""K to the part, 0 to K - 1, of each finest part; the parts of every level lie side by side."""


def save_levels(model: PartModel, run: Run, collection: Collection, photos: int = 6) -> None:
    """Beside a model that was trained as a tree: <run>/at-K for every coarser level, and <run>/tree.jpg.

    All levels get colours of the same families, as edits, which a person may change. Does nothing for other models.
    """
    levels = {int(k): merge for k, merge in model.about.get("levels", {}).items()}
    for parts in levels:
        folder = run.folder
        if parts < model.parts:
            folder = level_folder(run.folder, parts)
            model.at(parts).save(Run(folder, run.settings | {"level": parts}).model)
        if not (folder / FILE).exists():
            colours = family_colours(levels, parts)
            Edits(colours={k: hex_colour(colour) for k, colour in enumerate(colours, start=1)}).save(folder)
    if levels:
        samples = []
        for place in np.linspace(0, len(collection) - 1, min(photos, len(collection))).astype(int):
            try:
                samples.append(shrunk(collection[int(place)]))
            except BadPhoto:
                continue  # counted where photos are counted
        tree_sheet(model, levels, samples).save(run.folder / "tree.jpg", quality=88)


def tree_sheet(model: PartModel, levels: Levels, samples: Sequence[Sample]) -> Image.Image:
    """A row a photo, a column a level, coarsest first."""
    shown = []
    for sample, finest in zip(samples, model.stream(samples), strict=True):
        near = around_object(finest, object_box(sample))
        for parts in sorted(levels):
            names = [str(k + 1) for k in range(parts)]
            shown.append(near.relabel([k + 1 for k in levels[parts]], names, family_colours(levels, parts)))
    return overlay_sheet(shown, columns=len(levels), width=1600)


def family_colours(levels: Levels, parts: int) -> np.ndarray:
    """Colours (K, 3), uint8, for a level of a tree: a part's pieces have hues around its own, one lighter, one darker.

    A part that is not divided keeps its colour.
    """
    finest = len(levels[parts])
    light = {range(finest): 0.52}
    for depth, k in enumerate(k for k in sorted(levels) if k <= parts):
        pieces = [range(levels[k].index(p), finest - levels[k][::-1].index(p)) for p in range(k)]
        step = (0.0, 0.12, 0.09, 0.06)[min(depth, 3)]
        wholes = [next(whole for whole in light if piece[0] in whole) for piece in pieces]
        light = {
            piece: light[whole] if piece == whole else light[whole] + (step if n % 2 else -step)
            for n, (piece, whole) in enumerate(zip(pieces, wholes, strict=True))
        }
    rgb = [colorsys.hls_to_rgb((piece[0] + piece[-1] + 1) / 2 / finest, x, 0.85) for piece, x in light.items()]
    return np.rint(255 * np.array(rgb)).astype(np.uint8)
