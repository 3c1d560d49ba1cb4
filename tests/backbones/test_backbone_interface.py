"""What every backbone must do, on untrained networks."""

import pytest
import torch
from PIL import Image

from meronym.backbones import BACKBONES, Backbone, features, fuse, load_backbone, to_images

NAMES = ("dinov2_vits14", "dinov2_vits14_reg", "efficientnet_lite0", "vgg16", "vgg19", "vgg16_deepcluster")
NAMES += ("resnet50", "resnet50_caffe", "resnet50_swav", "timm:resnet18", "timm:vit_tiny_patch16_224")


@pytest.fixture(scope="module", params=NAMES)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return load_backbone(request.param, weights="random", precision="fp32")


def test_maps_and_features_agree_with_what_is_promised(backbone: Backbone, photos: torch.Tensor) -> None:
    maps, fused = backbone.maps(photos), backbone(photos)
    side = 112 // backbone.stride
    assert len(maps) == len(backbone.layers)
    assert fused.shape == (3, backbone.dim, side, side)
    assert sum(layer.shape[1] for layer in maps) == backbone.dim
    assert fused.dtype == torch.float32 and torch.isfinite(fused).all()
    assert backbone.size % backbone.multiple == 0
    assert fused.norm(dim=1).max() <= 1 + 1e-5
    assert fused.std(dim=(2, 3)).max() > 0, "the features do not depend on the place"


def test_features_do_not_depend_on_the_rest_of_the_batch(backbone: Backbone, photos: torch.Tensor) -> None:
    torch.testing.assert_close(backbone(photos)[1:2], backbone(photos[1:2]), rtol=1e-4, atol=1e-5)


def test_it_is_frozen_and_stays_in_evaluation_mode(backbone: Backbone, photos: torch.Tensor) -> None:
    before = backbone(photos)
    backbone.train()
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not backbone(photos).requires_grad
    assert torch.equal(before, backbone(photos))


def test_untrained_weights_are_the_same_every_time() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    first = load_backbone("vgg16", weights="random").weights_hash
    assert torch.equal(before, torch.random.get_rng_state())
    assert load_backbone("vgg16", weights="random").weights_hash == first


def test_fingerprint_follows_weights_layers_size_and_precision() -> None:
    def made(**options: object) -> Backbone:
        return load_backbone("timm:resnet18", weights="random", **options)

    base = made(precision="fp32")
    changed = made(precision="fp32")
    with torch.no_grad():
        changed.extractor.network.conv1.weight[0, 0, 0, 0] += 1e-3
    prints = [base, changed, made(layers="layer2"), made(size=256), made(precision="bf16")]
    assert len({backbone.fingerprint for backbone in prints}) == len(prints)
    assert made(precision="fp32").fingerprint == base.fingerprint
    assert base.fingerprint.startswith("timm-resnet18-") and "/" not in base.fingerprint


def test_layers_come_in_the_order_asked_for(photos: torch.Tensor) -> None:
    forward = load_backbone("timm:resnet18", weights="random", layers=("layer1", "layer3"))
    backward = load_backbone("timm:resnet18", weights="random", layers=("layer3", "layer1"))
    assert [layer.shape[1:] for layer in forward.maps(photos)] == [(64, 28, 28), (256, 7, 7)]
    assert torch.equal(forward.maps(photos)[0], backward.maps(photos)[1])
    assert forward(photos).shape == (3, 320, 7, 7)


def test_fuse_gives_each_layer_the_same_share_and_unit_norm() -> None:
    fine, coarse = torch.randn(2, 5, 8, 8) * 100, torch.randn(2, 3, 4, 4)
    fused = fuse([fine, coarse])
    assert fused.shape == (2, 8, 4, 4)
    torch.testing.assert_close(fused[:, :5].norm(dim=1), torch.full((2, 4, 4), 0.5**0.5))
    torch.testing.assert_close(fused.norm(dim=1), torch.ones(2, 4, 4))
    torch.testing.assert_close(fused[:, 5:], coarse / coarse.norm(dim=1, keepdim=True) / 2**0.5)


def test_fuse_leaves_a_dead_cell_at_zero() -> None:
    assert torch.equal(fuse([torch.zeros(1, 4, 2, 2)]), torch.zeros(1, 4, 2, 2))


def test_features_of_photos_equal_features_of_their_tensor() -> None:
    backbone = load_backbone("timm:resnet18", weights="random")
    photos = [Image.new("RGB", (64, 32), (255, 0, 51)), Image.new("RGB", (64, 32))]
    tensor = to_images(photos)
    assert tensor.shape == (2, 3, 32, 64) and tensor[0, :, 0, 0].tolist() == pytest.approx([1, 0, 0.2])
    assert torch.equal(features(backbone, photos), backbone(tensor))
    with pytest.raises(ValueError, match="one size"):
        to_images([photos[0], Image.new("RGB", (10, 10))])


def test_rectangular_inputs_keep_their_orientation() -> None:
    backbone = load_backbone("dinov2_vits14", weights="random")
    assert backbone(torch.rand(1, 3, 28, 56)).shape == (1, 384, 2, 4)


def test_inputs_that_do_not_fit_are_refused() -> None:
    backbone = load_backbone("dinov2_vits14", weights="random")
    with pytest.raises(ValueError, match="100 x 112 .* multiples of 14, nearest 98 x 112"):
        backbone(torch.rand(1, 3, 100, 112))
    for wrong in (torch.rand(3, 112, 112), torch.zeros(1, 3, 112, 112, dtype=torch.uint8)):
        with pytest.raises((ValueError, TypeError), match="float|Float"):
            backbone(wrong)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "vgg_19"}, "unknown backbone 'vgg_19'; nearest: vgg19; valid: .*timm:<name>"),
        ({"name": "timm:vit_smal"}, "timm has no network 'vit_smal'; near it: vit_small"),
        (
            {"name": "vgg16", "layers": ("relu5_4",)},
            "vgg16: layer 'relu5_4' does not exist; layers: relu1_1.*relu5_3",
        ),
        (
            {"name": "dinov2_vits14", "layers": "block13"},
            "'block13' does not exist; layers: block1.*block12, norm",
        ),
        ({"name": "dinov2_vits14", "size": 256}, "size 256 is not a multiple .* 14 .*nearest 252"),
        ({"name": "resnet50", "precision": "fp16"}, "precision 'fp16' is not one of auto, bf16, fp32"),
    ],
)
def test_a_wrong_choice_is_told_with_the_valid_ones(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_backbone(weights="random", **options)


def test_the_registry_says_licence_and_hub_of_each() -> None:
    assert all(entry.licence and (entry.hub or name == "resnet50_caffe") for name, entry in BACKBONES.items())
    hubs = [entry.hub for entry in BACKBONES.values()]
    assert len(set(hubs)) == len(hubs)
