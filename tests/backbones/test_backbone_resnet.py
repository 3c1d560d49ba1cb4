"""Where ResNet-50 has its strides, and what the segmenter's trunk does with them."""

import pytest
import torch

from meronym.backbones import WeightsError, resnet


def halving(network: torch.nn.Module) -> list[tuple[int, int]]:
    """Strides of the 1x1 and the 3x3 convolution of the first block of each of the last three layers."""
    blocks = [getattr(network, layer)[0] for layer in ("layer2", "layer3", "layer4")]
    return [(block.conv1.stride[0], block.conv2.stride[0]) for block in blocks]


def test_the_caffe_stride_is_in_the_first_convolution() -> None:
    assert halving(resnet.resnet50()) == [(1, 2)] * 3
    assert halving(resnet.resnet50_caffe()) == [(2, 1)] * 3


@pytest.mark.parametrize(
    ("caffe", "output_stride", "cells"), [(True, 8, 33), (False, 8, 32), (True, 32, 9), (False, 16, 16)]
)
def test_trunk_grid(caffe: bool, output_stride: int, cells: int) -> None:
    trunk = resnet.resnet50_trunk(caffe, output_stride)
    assert trunk(torch.rand(1, 3, 256, 256)).shape == (1, 2048, cells, cells)
    assert all(parameter.requires_grad for parameter in trunk.parameters())


@pytest.mark.parametrize("caffe", [True, False])
def test_dilation_computes_the_same_at_more_places(caffe: bool) -> None:
    """At output stride 8 every fourth cell in each direction is the cell of the undilated network."""
    coarse, fine = resnet.resnet50_trunk(caffe, 32).eval(), resnet.resnet50_trunk(caffe, 8).eval()
    fine.load_state_dict(coarse.state_dict())
    for trunk in (coarse, fine):
        trunk.maxpool.ceil_mode = False
    photos = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(fine(photos)[..., ::4, ::4], coarse(photos), rtol=1e-3, atol=1e-4)


def test_dilations_are_two_and_four() -> None:
    trunk = resnet.resnet50_trunk(True)
    assert {block.conv2.dilation for block in trunk.layer3} == {(2, 2)}
    assert {block.conv2.dilation for block in trunk.layer4} == {(4, 4)}


def test_trunk_takes_a_whole_checkpoint_and_refuses_another_network() -> None:
    network, trunk = resnet.resnet50(), resnet.resnet50_trunk(True)
    resnet.load_weights(trunk, network.state_dict())
    assert torch.equal(trunk.layer1[0].conv1.weight, network.layer1[0].conv1.weight)
    with pytest.raises(WeightsError, match="mine.pth does not fit"):
        resnet.load_weights(trunk, {"conv1.weight": torch.zeros(1)}, "mine.pth")


def test_output_stride_is_checked() -> None:
    with pytest.raises(ValueError, match="output_stride 4 is not one of 8, 16, 32"):
        resnet.resnet50_trunk(True, 4)
