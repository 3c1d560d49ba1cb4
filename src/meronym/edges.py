"""Part maps enlarged along the edges of the photo, at its full resolution.

The fast guided filter (He, Sun & Tang, 2013, IEEE TPAMI 35:6; He & Sun, 2015, arXiv 1505.00996) with the colours as
guide: around each place a part's map is an affine function of the photo's colours, fitted on a small copy of the photo
and applied to every pixel of the photo itself. So a part ends where the colours change, and still lies where the
network put it.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from meronym.images import Window

EPSILON = 1e-4
"""How much the colours of an edge must vary, as a variance of RGB in [0, 1]."""
REACH = 1.5
"""How far an edge is looked for, in cells of the network's grid."""
FINE = 4
"""Pixels of the small copy to a cell."""
SHARPNESS = 2.0
"""Maps are raised to this power first: averages over windows flatten them."""
BAND = 2**18
"""Values of maps at pixels that are worked on at a time: what fits in a processor's own memory."""
COLUMNS = 2**12
"""Of a photo, at a time."""


def follow_edges(
    maps: Float[Tensor, "C h w"],
    window: Window,
    image: Image.Image,
    view: Image.Image,
    corners: bool = False,
    within: Window | None = None,
    inside: Float[Tensor, "i j"] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Which part is at each pixel of a photo (k + 1, 0 for none), and its share there: uint8 and float32 (H, W).

    maps: shares of the parts that sum to 1, on the network's grid over `window` (x0, y0, x1, y1 in the photo).
    view: the window as the network saw it. within: whole pixels; outside it and outside the window both are 0.
    inside: how surely each place of a grid, finer or not, is object; where that ends less than a half, there is no
    part, however the parts share the rest. Memory grows with a band of the photo, not with the photo.
    """
    labels, confidence = np.zeros(image.size[::-1], np.uint8), np.zeros(image.size[::-1], np.float32)
    planes = colour_model(maps, view, corners, inside).flatten(1, 2)
    found = int(inside is not None)
    for place, values in enlarged(planes, window, image.size, within=within):
        rows, columns = place
        photo = np.asarray(image.crop((columns.start, rows.start, columns.stop, rows.stop)), dtype=np.float32) / 255
        red, green, blue = torch.from_numpy(photo).permute(2, 0, 1)[:, :, None].contiguous()
        a, b, c, shares = values.unflatten(1, (4, -1)).unbind(1)
        shares = shares.addcmul_(a, red).addcmul_(b, green).addcmul_(c, blue).clamp_(0, 1)
        best, label = highest(shares[:, found:])
        label += 1
        if inside is not None:
            outside = 2 * shares[:, 0] > shares.sum(1)
            best, label = torch.where(outside, shares[:, 0], best), label.masked_fill_(outside, 0)
        labels[place], confidence[place] = label.numpy(), (best / shares.sum(1).clamp(min=1e-6)).numpy()
    return labels, confidence


def colour_model(
    maps: Float[Tensor, "C h w"], view: Image.Image, corners: bool = False, inside: Float[Tensor, "i j"] | None = None
) -> Float[Tensor, "H 4 C W"]:
    """The affine functions of red, green, blue (and 1) that give the maps, each averaged over all windows it is in.

    inside: where the maps are shares of; then there is one more, the first, of what is outside.
    """
    size = FINE * maps.shape[1], FINE * maps.shape[2]
    small = np.asarray(view.resize((size[1], size[0]), Image.Resampling.BOX), dtype=np.float32) / 255
    guide = torch.from_numpy(small).transpose(1, 2).contiguous()
    target = _sharpened(maps, size, corners)
    if inside is not None:
        outer, inner = _sharpened(torch.stack([1 - inside, inside]), size, corners)
        target = torch.cat([outer[None], inner * target])
    target = target.transpose(0, 1)
    mean, expected = _mean(guide), _mean(target)
    spread = _mean(guide[:, None] * guide[:, :, None]) - mean[:, None] * mean[:, :, None]
    spread = spread.permute(0, 3, 1, 2) + EPSILON * torch.eye(3)
    together = _mean(guide[:, :, None] * target[:, None]) - mean[:, :, None] * expected[:, None]
    slope = torch.linalg.solve(spread, together.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    offset = expected - (slope * mean[:, :, None]).sum(1)
    return _mean(torch.cat([slope, offset[:, None]], 1))


def _sharpened(maps: Float[Tensor, "C h w"], size: tuple[int, int], corners: bool) -> Float[Tensor, "C H W"]:
    """Shares enlarged and raised to SHARPNESS."""
    logs = F.interpolate(maps.clamp(min=1e-4).log()[None], size, mode="bilinear", align_corners=corners)[0]
    return (SHARPNESS * logs).softmax(0)


def outlined(inside: Float[Tensor, "i j"], view: Image.Image, grid: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    """Where the object is (`inside`: how surely each cell or quarter of one is), FINE pixels to a cell of `grid`."""
    height, width = FINE * grid[0], FINE * grid[1]
    colours = np.asarray(view.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255
    a, b = colour_model(torch.ones(1, *grid), view, inside=inside).split([3, 1], 1)
    shares = torch.einsum("hicw,hwi->hcw", a, torch.from_numpy(colours)) + b[:, 0]
    return (shares[:, 1] > shares[:, 0]).numpy()


def highest(values: Float[Tensor, "H C W"]) -> tuple[Float[Tensor, "H W"], Int[Tensor, "H W"]]:
    """The highest of at most 256 values at each place, none below 0, and which it is (the first, where they are equal).

    In the last byte of each value stands its number, so that one maximum gives both, in half the time; that cuts values
    to 2^-15 of themselves.
    """
    numbers = torch.arange(255, 255 - values.shape[1], -1, dtype=torch.int32)[:, None]
    both = values.view(torch.int32).bitwise_and(-256).bitwise_or_(numbers).amax(1)
    return both.bitwise_and(-256).view(torch.float32), 255 - both.bitwise_and(255)


def enlarged(
    planes: Float[Tensor, "h P w"],
    window: Window,
    size: tuple[int, int],
    corners: bool = False,
    within: Window | None = None,
) -> Iterator[tuple[tuple[slice, slice], Float[Tensor, "H P W"]]]:
    """Planes over a window of a photo of this size (w, h), enlarged bilinearly, a few rows of the photo at a time.

    Yields (rows, columns) of the photo and the planes there; nothing for a window beside the photo.
    within: whole pixels; only what lies inside.
    """
    x0, y0, x1, y1 = (round(v) for v in window)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    bounds = [(x0, y0, x1, y1), (0, 0, *size)] + ([] if within is None else [tuple(map(round, within))])
    (left, top), (right, bottom) = np.max(bounds, axis=0)[:2].tolist(), np.min(bounds, axis=0)[2:].tolist()
    if right <= left or bottom <= top:
        return
    up_y, up_x = (_enlarging(n, m, corners) for n, m in ((y1 - y0, planes.shape[0]), (x1 - x0, planes.shape[2])))
    for first in range(left, right, COLUMNS):
        columns = slice(first, min(first + COLUMNS, right))
        wide = planes @ up_x[columns.start - x0 : columns.stop - x0].T
        band = max(1, BAND // wide[0].numel())
        for start in range(top, bottom, band):
            rows = slice(start, min(start + band, bottom))
            up = up_y[rows.start - y0 : rows.stop - y0]
            used = up.any(0).nonzero()[[0, -1], 0]
            cells = slice(int(used[0]), int(used[1]) + 1)
            yield (rows, columns), (up[:, cells] @ wide[cells].flatten(1)).unflatten(1, wide[0].shape)


def _enlarging(n_out: int, n_in: int, corners: bool) -> Float[Tensor, "n_out n_in"]:
    """Linear interpolation along one axis as a matrix."""
    return F.interpolate(torch.eye(n_in)[None], size=n_out, mode="linear", align_corners=corners)[0].T


def _mean(planes: Float[Tensor, "H *P W"]) -> Float[Tensor, "H *P W"]:
    """Over the window around each pixel, or what of it is inside."""
    down, across = _averaging(planes.shape[0]), _averaging(planes.shape[-1])
    return (down @ (planes @ across.T).flatten(1)).view(planes.shape)


def _averaging(n: int) -> Float[Tensor, "n n"]:
    """The mean over neighbours along one axis as a matrix."""
    places = torch.arange(n)
    near = ((places[:, None] - places).abs() <= round(REACH * FINE)).float()
    return near / near.sum(1, keepdim=True)
