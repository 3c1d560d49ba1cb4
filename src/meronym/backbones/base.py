"""The interface of a backbone: photos in, dense features out; frozen, always in evaluation mode."""

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from meronym.backbones.attention import FewHeads
from meronym.backbones.precision import autocast, resolve_precision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """A frozen pretrained network that turns photos into dense features.

    `name`, `layers` and `size` (the input side it is meant for, pixels) say what it is; `licence` and
    `source` where its weights come from; `dim` is the number of feature channels D, `stride` the pixels
    between two cells of the coarsest requested layer. `multiple` is the number the sides of an input must be
    divisible by.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        extractor: nn.Module,
        *,
        layers: Sequence[str],
        size: int,
        licence: str = "unknown",
        source: str = "unknown",
        norm: tuple[Sequence[float], Sequence[float]] = (IMAGENET_MEAN, IMAGENET_STD),
        precision: str = "auto",
    ) -> None:
        super().__init__()
        resolve_precision(precision, torch.device("cpu"))
        self.name, self.layers, self.licence, self.source = name, tuple(layers), licence, source
        self.precision = precision
        self.multiple = int(getattr(extractor, "multiple", 1))
        self.size = self._checked_size(size)
        self.extractor = extractor.requires_grad_(False).to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(norm[0]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(norm[1]).view(3, 1, 1), persistent=False)
        self.eval()
        self.dim, self.stride = self._measure()

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in evaluation mode whatever is asked: its statistics are frozen too."""
        return super().train(False)

    @torch.no_grad()
    def maps(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        """Each requested layer at its own resolution, raw, float32; `images` are RGB in [0, 1]."""
        self._check(images)
        device = self.mean.device
        images = images.to(device, torch.float32)
        inputs = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with autocast(resolve_precision(self.precision, device), device), FewHeads():
            found = self.extractor(inputs)
        return [layer.float() for layer in found]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
        """The layers of `maps` brought to the coarsest grid, each given the same weight, concatenated to |x|
        = 1."""
        return fuse(self.maps(images))

    @cached_property
    def weights_hash(self) -> str:
        """12 hex digits of a hash over every tensor of the network; the same on every machine."""
        return tensor_hash(self.extractor)

    @property
    def fingerprint(self) -> str:
        """Short name of exactly these features: changes with weights, layers, input side and precision."""
        precision = resolve_precision(self.precision, self.mean.device)
        parts = [self.weights_hash, *self.layers, str(self.size), precision]
        parts += [f"{v:.6f}" for v in (*self.mean.flatten().tolist(), *self.std.flatten().tolist())]
        short = hashlib.blake2b("|".join(parts).encode(), digest_size=6).hexdigest()
        return f"{self.name.replace(':', '-').replace('/', '-')}-{short}"

    def _check(self, images: Tensor) -> None:
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"{self.name}: images must be float (B, 3, H, W) in [0, 1], not {images.dtype} {tuple(images.shape)}"
            )
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            near = tuple(max(1, round(side / self.multiple)) * self.multiple for side in (height, width))
            raise ValueError(
                f"{self.name}: images of {height} x {width} pixels; both sides must be multiples of "
                f"{self.multiple}, nearest {near[0]} x {near[1]}"
            )

    def _checked_size(self, size: int) -> int:
        if size < 1 or size % self.multiple:
            near = max(1, round(size / self.multiple)) * self.multiple
            raise ValueError(
                f"{self.name}: size {size} is not a multiple of its patch of {self.multiple} pixels; nearest {near}"
            )
        return int(size)

    def _measure(self) -> tuple[int, int]:
        """D and the stride, from the network itself on a small black square."""
        side = math.lcm(64, self.multiple) if self.multiple < 64 else self.multiple
        side = getattr(self.extractor, "fixed_size", None) or side
        found = self.maps(torch.zeros(1, 3, side, side, device=self.mean.device))
        return sum(layer.shape[1] for layer in found), round(side / min(layer.shape[-1] for layer in found))

    def __repr__(self) -> str:
        shape = f"dim={self.dim}, stride={self.stride}, size={self.size}"
        return f"Backbone({self.name}, layers={self.layers}, {shape})"


def fuse(maps: Sequence[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B D h w"]:
    """Layers of one network as one map: brought to the coarsest grid (bilinear, antialiased), each
    L2-normalised over channels and divided by sqrt(number of layers), then concatenated, so that every cell
    has norm 1.

    Normalising comes after resizing: the mean of unit vectors is shorter than 1. A cell that is zero in a
    layer (dead ReLUs) stays zero there.
    """
    grid = min((layer.shape[-2:] for layer in maps), key=lambda hw: hw[0] * hw[1])
    resized = [
        layer if layer.shape[-2:] == grid else F.interpolate(layer, grid, mode="bilinear", antialias=True)
        for layer in maps
    ]
    return torch.cat([F.normalize(layer, dim=1) / math.sqrt(len(maps)) for layer in resized], dim=1)


def to_images(photos: Sequence[Image.Image]) -> Float[Tensor, "B 3 H W"]:
    """Photos of one size as RGB float32 in [0, 1]."""
    sizes = {photo.size for photo in photos}
    if len(sizes) != 1:
        raise ValueError(f"photos of one batch must have one size, not {sorted(sizes)}")
    stack = np.stack([np.asarray(photo.convert("RGB")) for photo in photos])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255)


def features(backbone: Backbone, photos: Sequence[Image.Image]) -> Float[Tensor, "B D h w"]:
    """`backbone(photos)` for photos of one size that need not be tensors yet."""
    return backbone(to_images(photos))


def tensor_hash(module: nn.Module) -> str:
    """12 hex digits over names, shapes and float32 values of parameters and buffers, batch counters left
    out."""
    digest = hashlib.blake2b(digest_size=6)
    for key, value in sorted(module.state_dict().items()):
        if key.endswith("num_batches_tracked"):
            continue
        digest.update(f"{key}{tuple(value.shape)}".encode())
        digest.update(value.detach().float().cpu().contiguous().numpy())
    return digest.hexdigest()
