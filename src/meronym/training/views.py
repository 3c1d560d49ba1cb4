"""What a network trained end to end sees of a photo: a jittered crop, two colour views and a geometric warp.

Everything is drawn from (seed, step, place in the batch), see `sampling`. Colours by kornia. Values of
protocols: crop of the box with 5 % padding and 5 % jitter a side, squared, flipped at random; colour jitter
(.3, .3, .2, .2) with probability .8, grey with .2; rotation within 60 degrees, scale 1/2 to 1/0.7, shift .1.
"""

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from PIL import ImageOps
from torch import Tensor
from torch.nn import functional as F

from meronym.collections import Sample
from meronym.images import Window, square_window
from meronym.model import look, object_box, to_tensor
from meronym.training.loop import Batch
from meronym.training.sampling import derive, generator


def views(sample: Sample, size: int, *address: int | str) -> Batch:
    """One training example of side `size`.

    Returns {"clean", "first", "second": (3, H, W) RGB in [0, 1], second being warped; "foreground": (H, W) in
    0..1; "warp": (2, 3) for `warp`}. A photo without a mask is all foreground.
    """
    g = generator(*address, "geometry")
    view = look(sample, _jittered(object_box(sample), g), (size, size))
    foreground = np.ones((size, size), np.float32) if view.foreground is None else view.foreground
    photo = view.photo
    if torch.rand((), generator=g) < 0.5:
        photo, foreground = ImageOps.mirror(photo), foreground[:, ::-1].copy()
    clean, theta = to_tensor(photo), random_affine(g)
    second = recolour(clean, derive(*address, "second"))
    return {
        "clean": clean,
        "foreground": torch.from_numpy(foreground),
        "first": recolour(clean, derive(*address, "first")),
        "second": warp(second[None], theta[None])[0],
        "warp": theta,
    }


def _jittered(box: Window, g: torch.Generator, pad: float = 0.05, jitter: float = 0.05) -> Window:
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    left, top, right, bottom = (pad + jitter * (2 * torch.rand(4, generator=g) - 1)).tolist()
    return square_window((x0 - left * width, y0 - top * height, x1 + right * width, y1 + bottom * height))


@cache
def _colours() -> torch.nn.Module:
    import kornia  # most training does without

    return torch.nn.Sequential(
        kornia.augmentation.ColorJitter(0.3, 0.3, 0.2, 0.2, p=0.8), kornia.augmentation.RandomGrayscale(p=0.2)
    )


def recolour(image: Float[Tensor, "3 H W"], seed: int) -> Float[Tensor, "3 H W"]:
    """A photometric view; a function of the photo and the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _colours()(image[None])[0].clamp(0, 1)


def random_affine(g: torch.Generator) -> Float[Tensor, "2 3"]:
    """A similarity from target to source in normalised coordinates: rotation, scale, shift."""
    angle, scale, dx, dy = torch.rand(4, generator=g).tolist()
    angle = math.radians(120 * angle - 60)
    scale = 1 / 2.0 + scale * (1 / 0.7 - 1 / 2.0)
    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[cos, -sin, 0.2 * dx - 0.1], [sin, cos, 0.2 * dy - 0.1]])


def warp(x: Float[Tensor, "B C H W"], theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B C H W"]:
    """The same T on photo, mask and logits, whatever their resolution: bilinear, zero outside the photo."""
    grid = F.affine_grid(theta.to(x), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
