"""A network that any test can foresee: upright stripes."""

import torch

from meronym.segmenters import Segmenter


class Stripes(Segmenter):
    """Cuts every window into K upright stripes of equal width; if asked, finds that the right half is the object."""

    def __init__(self, parts: int, corners: bool = False, cells: int = 60) -> None:
        super().__init__()
        self.parts, self.size, self.corners, self.cells = parts, 60, corners, cells
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def window(self, box):
        return box

    def frame(self, window):
        return self.size, self.size

    def forward(self, images, foreground=None):
        stripe = torch.arange(self.cells) * self.parts // self.cells
        logits = 50.0 * (stripe == torch.arange(self.parts)[:, None])
        return logits[None, :, None].expand(len(images), -1, self.cells, -1)

    def segment(self, images, foreground=None):
        right = (torch.arange(self.cells) >= self.cells / 2).float().expand(len(images), self.cells, -1)
        return self(images), right if self.finds else None

    def config(self):
        return {"parts": self.parts}

    def own_state(self):
        return {"weight": self.weight.detach()}
