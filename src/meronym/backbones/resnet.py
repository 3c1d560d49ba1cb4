"""ResNet-50 (He et al. 2016, arXiv:1512.03385) with its stride where torchvision or where the authors put it.

A bottleneck that halves the grid has stride 2 in its 3x3 convolution in torchvision (and in SwAV), in its
first 1x1 convolution in the authors' Caffe release. Key names and shapes are the same, results are not: the
two are two backbones. The networks are torchvision's with strides and dilations moved.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models.resnet import Bottleneck

from meronym.backbones.vgg import Tapped
from meronym.backbones.weights import State, load_checked

LAYERS = ("layer1", "layer2", "layer3", "layer4")
SWAV_DROPPED = ("projection_head.", "prototypes")


def resnet50() -> models.ResNet:
    """torchvision's ResNet-50, randomly initialised."""
    return models.resnet50(weights=None)


def resnet50_caffe() -> models.ResNet:
    """ResNet-50 with stride 2 in the first 1x1 convolution of a bottleneck, randomly initialised."""
    network = models.resnet50(weights=None)
    for block in _bottlenecks(network):
        if block.conv2.stride == (2, 2):
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    return network


def resnet50_headless() -> models.ResNet:
    """torchvision's ResNet-50 without its classifier, as self-supervised checkpoints are."""
    network = resnet50()
    network.fc = nn.Identity()  # type: ignore[assignment]
    return network


def _bottlenecks(network: models.ResNet) -> list[Bottleneck]:
    return [block for layer in LAYERS for block in getattr(network, layer)]


def tap(network: models.ResNet, layers: Sequence[str]) -> nn.Module:
    """An extractor of `layers`; raises ValueError naming the valid ones."""
    unknown = [layer for layer in layers if layer not in LAYERS]
    if unknown:
        raise ValueError(f"layer {unknown[0]!r} does not exist; layers: {', '.join(LAYERS)}")
    return Tapped(network, layers)


def convert(state: State, network: models.ResNet) -> State:
    """torchvision's keys as they are; SwAV's (Caron et al. 2020, arXiv:2006.09882) without its projection
    head and
    prototypes; a classifier that this network has no place for is dropped."""
    kept = {k: v for k, v in state.items() if not k.startswith(SWAV_DROPPED)}
    if isinstance(network.fc, nn.Identity):
        kept = {k: v for k, v in kept.items() if not k.startswith("fc.")}
    return kept


class Trunk(nn.Module):
    """ResNet-50 up to layer4: (B, 3, H, W), normalised, to (B, 2048, h, w)."""

    def __init__(self, network: models.ResNet) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = (
            network.conv1,
            network.bn1,
            network.relu,
            network.maxpool,
        )
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


def resnet50_trunk(caffe: bool, output_stride: int = 8) -> Trunk:
    """A trainable ResNet-50 trunk for a segmenter, randomly initialised; fill it with `load_weights`.

    `output_stride` 32, 16 or 8: the last zero, one or two strides become dilations (2, then 4) of the 3x3
    convolutions after them, as in DeepLab-v2 (Chen et al. 2017, arXiv:1606.00915), so that the trunk computes
    what the undilated one does at more places. With `caffe` the strides sit in the 1x1 convolutions and the
    pooling rounds up: 256 pixels give 33 cells at output stride 8.
    """
    dilated = {32: (), 16: ("layer4",), 8: ("layer3", "layer4")}.get(output_stride)
    if dilated is None:
        raise ValueError(f"output_stride {output_stride} is not one of 8, 16, 32")
    network = resnet50_caffe() if caffe else resnet50()
    network.maxpool.ceil_mode = caffe
    dilation = 1
    for layer in dilated:
        for place, block in enumerate(getattr(network, layer)):
            before_stride = place == 0 and not caffe  # torchvision's first 3x3 is what was strided
            _dilate(block, dilation if before_stride else 2 * dilation)
        dilation *= 2
    return Trunk(network)


def _dilate(block: Bottleneck, dilation: int) -> None:
    """Take the stride out of a bottleneck and space its 3x3 convolution by `dilation`."""
    block.conv1.stride = block.conv2.stride = (1, 1)
    block.conv2.dilation = block.conv2.padding = (dilation, dilation)
    shortcut: Any = block.downsample
    if shortcut is not None:
        shortcut[0].stride = (1, 1)


def load_weights(module: nn.Module, state: State, source: str = "the weights") -> None:
    """Load a ResNet-50 checkpoint (torchvision's or SwAV's key names) into a trunk, all keys checked.

    The classifier, the projection head and the prototypes of the checkpoint are left out. Raises
    WeightsError.
    """
    kept = {k: v for k, v in state.items() if not k.startswith((*SWAV_DROPPED, "fc."))}
    load_checked(module, kept, source)
