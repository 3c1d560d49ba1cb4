"""Overlays of the same few photos as training goes on: <run>/samples/step-000100.jpg, ..."""

import numpy as np

from meronym.collections import Collection, Sample
from meronym.features import known_features
from meronym.images import BadPhoto
from meronym.model import PartModel
from meronym.segmenters import Segmenter
from meronym.training.run import Run


class Samples:
    """A few photos, spread over the collection, drawn with the parts of the moment every now and then.

    steps: of the training; four sheets are drawn, or one every thousand steps.
    """

    def __init__(self, segmenter: Segmenter, collection: Collection, steps: int, photos: int = 6) -> None:
        self.segmenter, self.steps = segmenter, steps
        self.every = max(1, min(1000, steps // 4))
        self.samples: list[Sample] = []
        self.known = known_features(collection, segmenter)
        for place in np.linspace(0, len(collection) - 1, min(photos, len(collection))).astype(int):
            try:
                self.samples.append(collection[int(place)])
            except BadPhoto:
                continue  # counted where photos are counted

    def draw(self, step: int, run: Run) -> None:
        """Call after each step; does nothing between sheets. Leaves the network in the mode it was in."""
        from meronym.report import overlay_sheet  # a convenience that reaches down the house

        if not self.samples or ((step + 1) % self.every and step != self.steps - 1):
            return
        mode = self.segmenter.training
        sheet = overlay_sheet(list(PartModel(self.segmenter).stream(self.samples, known=self.known)), columns=6)
        self.segmenter.train(mode)
        (run.folder / "samples").mkdir(exist_ok=True)
        sheet.save(run.folder / "samples" / f"step-{step + 1:06d}.jpg", quality=88)
