"""Part maps enlarged along the edges of the photo, at its full resolution.

The fast guided filter (He, Sun & Tang, 2013, IEEE TPAMI 35:6; He & Sun, 2015, arXiv 1505.00996) with the colours as
guide: around each place a part's map is an affine function of the photo's colours, fitted on a small copy of the photo
and applied to every pixel of the photo itself. So a part ends where the colours change, and still lies where the
network put it.
"""

from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from meronym.images import Window

EPSILON = 1e-4
"""How much the colours of an edge must vary, as a variance of RGB in [0, 1]."""
REACH = 1.25
"""How far an edge is looked for, in cells of the network's grid."""
FINE = 4
"""Pixels of the small copy to a cell."""
SHARPNESS = 2.0
"""Maps are raised to this power first: averages over windows flatten them."""


def follow_edges(
    maps: Float[Tensor, "C h w"], window: Window, image: Image.Image, view: Image.Image, corners: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Which map is highest at each pixel of a photo, and its share there: uint8 and float32 (H, W).

    maps: shares that sum to 1, on the network's grid over `window` (x0, y0, x1, y1 in the photo). view: the window as
    the network saw it. Outside the window both are 0. Memory grows with a band of the photo, not with the photo.
    """
    labels, confidence = np.zeros(image.size[::-1], np.uint8), np.zeros(image.size[::-1], np.float32)
    planes = colour_model(maps, view, corners).flatten(0, 1)
    for place, values in enlarged(planes, window, image.size, max(1, 2**18 // image.width)):
        rows, columns = place
        photo = np.asarray(image.crop((columns.start, rows.start, columns.stop, rows.stop)), dtype=np.float32) / 255
        a, b = values.unflatten(0, (-1, 4)).split([3, 1], 1)
        shares = torch.einsum("cihw,hwi->chw", a, torch.from_numpy(photo)).add_(b[:, 0]).clamp_(0, 1)
        best, label = shares.max(0)
        labels[place], confidence[place] = label.numpy(), (best / shares.sum(0).clamp(min=1e-6)).numpy()
    return labels, confidence


def colour_model(maps: Float[Tensor, "C h w"], view: Image.Image, corners: bool = False) -> Float[Tensor, "C 4 H W"]:
    """The affine functions of red, green, blue (and 1) that give the maps, each averaged over all windows it is in."""
    size = FINE * maps.shape[1], FINE * maps.shape[2]
    small = np.asarray(view.resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float32) / 255
    guide = torch.from_numpy(small).permute(2, 0, 1)
    logs = F.interpolate(maps.clamp(min=1e-4).log()[None], size, mode="bilinear", align_corners=corners)[0]
    target = (SHARPNESS * logs).softmax(0)
    mean, expected = _mean(guide), _mean(target)
    spread = _mean((guide[:, None] * guide).flatten(0, 1)).unflatten(0, (3, 3)) - mean[:, None] * mean
    spread = spread.permute(2, 3, 0, 1) + EPSILON * torch.eye(3)
    together = _mean((target[:, None] * guide).flatten(0, 1)).unflatten(0, (-1, 3)) - expected[:, None] * mean
    slope = torch.linalg.solve(spread, together.permute(2, 3, 1, 0)).permute(3, 2, 0, 1)
    offset = expected - (slope * mean).sum(1)
    return _mean(torch.cat([slope, offset[:, None]], 1).flatten(0, 1)).unflatten(0, (-1, 4))


def outlined(inside: Float[Tensor, "h w"], view: Image.Image) -> Bool[np.ndarray, "H W"]:
    """Where the object is (`inside`: how surely each cell of the network's grid is), FINE pixels to a cell."""
    height, width = FINE * inside.shape[0], FINE * inside.shape[1]
    colours = np.asarray(view.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
    a, b = colour_model(torch.stack([1 - inside, inside]), view).split([3, 1], 1)
    shares = torch.einsum("cihw,hwi->chw", a, torch.from_numpy(colours)) + b[:, 0]
    return (shares[1] > shares[0]).numpy()


def enlarged(
    planes: Float[Tensor, "P h w"], window: Window, size: tuple[int, int], band: int, corners: bool = False
) -> Iterator[tuple[tuple[slice, slice], Float[Tensor, "P H W"]]]:
    """Planes over a window of a photo of this size (w, h), enlarged bilinearly, `band` rows of the photo at a time.

    Yields (rows, columns) of the photo and the planes there; nothing for a window beside the photo.
    """
    width, height = size
    x0, y0, x1, y1 = (round(v) for v in window)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    if right <= left or bottom <= top:
        return
    up_y = _enlarging(y1 - y0, planes.shape[1], corners)[top - y0 : bottom - y0]
    wide = planes @ _enlarging(x1 - x0, planes.shape[2], corners)[left - x0 : right - x0].T
    for start in range(0, bottom - top, band):
        rows = slice(top + start, min(top + start + band, bottom))
        yield (rows, slice(left, right)), up_y[start : start + band] @ wide


def _enlarging(n_out: int, n_in: int, corners: bool) -> Float[Tensor, "n_out n_in"]:
    """Linear interpolation along one axis as a matrix."""
    return F.interpolate(torch.eye(n_in)[None], size=n_out, mode="linear", align_corners=corners)[0].T


def _mean(planes: Float[Tensor, "P H W"]) -> Float[Tensor, "P H W"]:
    """Over the window around each pixel, or what of it is inside."""
    reach = round(REACH * FINE)
    along = partial(F.avg_pool2d, stride=1, count_include_pad=False)  # one axis after the other is five times faster
    return along(along(planes, (2 * reach + 1, 1), padding=(reach, 0)), (1, 2 * reach + 1), padding=(0, reach))
