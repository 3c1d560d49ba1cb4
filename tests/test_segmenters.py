"""The networks: shapes, starts, what a frozen one keeps to itself, and how they are made again."""

import numpy as np
import pytest
import torch
from scipy.optimize import nnls

from meronym.backbones import load_backbone
from meronym.segmenters import DeepLab, FactorHead, HeadSegmenter, LinearHead, build


@pytest.fixture(scope="module")
def backbone():
    return load_backbone("efficientnet_lite0", size=64)


@pytest.fixture
def head(backbone) -> HeadSegmenter:
    torch.manual_seed(0)
    made = HeadSegmenter(backbone, 5, centre=0.5).eval()
    made.head.start_from(torch.randn(5, backbone.dim), 1.0)
    return made


def test_a_head_starts_at_its_centres():
    points, centres = torch.randn(2, 7, 4, 4), torch.randn(3, 7)
    head = LinearHead(7, 3)
    head.start_from(centres, 0.3)
    squares = (points[:, None] - centres[None, :, :, None, None]).square().sum(2)
    torch.testing.assert_close(head(points).softmax(1), (-0.3 * squares).softmax(1))


def test_a_head_looks_at_squares_and_trains_alone(head):
    assert head.window((10, 20, 40, 30)) == (10, 10, 40, 40) and head.frame((0, 0, 9, 3)) == (64, 64)
    assert {name for name, p in head.named_parameters() if p.requires_grad} == {"head.weight", "head.bias"}
    assert {name for name in head.own_state() if name[:6] != "object"} == {"head.weight", "head.bias"}
    images = torch.rand(2, 3, 64, 64)
    logits, inside = head.segment(images)
    assert logits.shape == (2, 5, *head.backbone(images).shape[2:]) and inside is None
    head.finds = True
    inside, features = head.segment(images)[1], head.backbone(images)
    assert inside.shape == (2, 8, 8) and logits.shape[2:] == (4, 4)  # quarters of cells
    quarters = head.object(features).sigmoid()
    assert quarters.shape[1] == 4 and torch.equal(inside[:, :2, :2].flatten(1), quarters[:, :, 0, 0])
    torch.testing.assert_close(head.find(features), quarters.mean(1))


@pytest.mark.parametrize("outputs", [1, 4])
def test_lines_that_told_the_object_of_older_models_are_a_network_that_is_the_same(head, outputs):
    draw = torch.Generator().manual_seed(0)
    lines = torch.randn(outputs, head.backbone.dim, generator=draw), torch.randn(outputs, generator=draw)
    old = {"head.weight": torch.rand(5, head.backbone.dim), "head.bias": torch.rand(5)}
    old |= {"object.weight": lines[0][:, :, None, None], "object.bias": lines[1]}
    head.finds = True
    again = build(head.config(), old)
    features = head.backbone(torch.rand(2, 3, 64, 64))
    sure = torch.nn.functional.conv2d(features, old["object.weight"], lines[1]).sigmoid().expand(-1, 4, -1, -1)
    expected = sure if outputs == 4 else sure[:, :1].expand(-1, 4, -1, -1)
    torch.testing.assert_close(again.object(features).sigmoid(), expected, atol=1e-5, rtol=1e-4)
    assert torch.equal(again.head.weight, old["head.weight"]) and again.finds


def test_the_mean_that_is_taken_off_is_that_of_the_object(head):
    images, foreground = torch.rand(1, 3, 64, 64), torch.zeros(1, 64, 64)
    foreground[:, 16:40, 16:40] = 1
    features = head.backbone(images)
    weight = torch.nn.functional.interpolate(foreground[:, None], features.shape[2:], mode="area")
    mean = (features * weight).sum((2, 3), keepdim=True) / weight.sum()
    torch.testing.assert_close(head(images, foreground), head.head(features - 0.5 * mean))
    torch.testing.assert_close(head(images), head.head(features - 0.5 * features.mean((2, 3), keepdim=True)))


def test_a_head_is_built_again_and_other_weights_are_refused(head):
    head.finds, head.zoom = True, False
    again = build(head.config(), head.own_state())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(images), head(images)) and (again.finds, again.zoom) == (True, False)
    with pytest.raises(ValueError, match="trained on other efficientnet_lite0 weights .*set MERONYM_WEIGHTS"):
        build(head.config() | {"weights": "000000000000"}, head.own_state())
    with pytest.raises(ValueError, match="'heat'.*is 'head', 'factors', 'deeplab' or 'student'"):
        build(head.config() | {"kind": "heat"}, {})


@pytest.mark.parametrize("parts", [2, 8])
def test_factors_are_mixed_by_non_negative_least_squares(parts):
    g = torch.Generator().manual_seed(0)
    head, cells = FactorHead(40, parts).double(), torch.randn(2, 40, 3, 5, generator=g, dtype=torch.float64)
    head.factors.copy_(torch.rand(parts, 40, generator=g) ** 3)
    codes = head.encode(cells).permute(0, 2, 3, 1).reshape(-1, parts)
    basis = head.factors.T.numpy()
    expected = np.stack([nnls(basis, cell.relu().numpy())[0] for cell in cells.permute(0, 2, 3, 1).reshape(-1, 40)])
    np.testing.assert_allclose(codes, expected, atol=1e-3 * expected.max())
    shares = head(cells).softmax(1).permute(0, 2, 3, 1).reshape(-1, parts)
    wanted = (expected / expected.sum(1, keepdims=True) + head.FLOOR) / (1 + parts * head.FLOOR)
    np.testing.assert_allclose(shares, wanted, atol=2e-3)
    nothing = head(torch.zeros(1, 40, 2, 2, dtype=torch.float64)).softmax(1)
    assert nothing.allclose(torch.tensor(1 / parts).double())


def test_factors_are_built_again(backbone):
    made = HeadSegmenter(backbone, 3).eval()
    made.head = FactorHead(backbone.dim, 3)
    torch.nn.init.uniform_(made.head.factors)
    again = build(made.config(), made.own_state())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(images), made(images)) and isinstance(again.head, FactorHead)


@pytest.fixture(scope="module")
def deeplab() -> DeepLab:
    torch.manual_seed(0)
    return DeepLab(4, size=64).eval()


@pytest.mark.parametrize(
    ("window", "frame"),
    [((0, 0, 100, 100), (64, 64)), ((0, 0, 200, 100), (128, 64)), ((5, 5, 6, 6), (64, 64))]
    + [((0, 0, 10, 4000), (64, 256)), ((0, 0, 100, 111), (64, 64)), ((0, 0, 0.4, 0.2), (32, 16))],
)
def test_deeplab_keeps_proportions_within_bounds(deeplab, window, frame):
    assert deeplab.window(window) == window and deeplab.frame(window) == frame


def test_deeplab_has_a_cell_every_eight_pixels_and_no_background(deeplab):
    for side in (64, 96):
        logits, inside = deeplab.segment(torch.rand(1, 3, side, 64))
        assert logits.shape == (1, 4, side // 8 + 1, 9) and inside is None and deeplab.corners
    frozen = [m for m in deeplab.trunk.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert frozen and not any(p.requires_grad for m in frozen for p in m.parameters())


def test_deeplab_is_built_again(deeplab):
    again = build(deeplab.config(), deeplab.own_state())
    images = torch.rand(1, 3, 64, 64)
    assert torch.equal(again(images), deeplab(images)) and again.config() == deeplab.config()
