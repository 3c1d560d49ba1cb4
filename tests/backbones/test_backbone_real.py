"""Trained networks on real photos: the weights mean what they should, and bfloat16 changes little."""

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from meronym.backbones import Backbone, load_backbone, resnet, to_images, weights

INDIGO_BUNTING = 14  # among the 1000 classes of ImageNet


def birds(shared: Path, side: int, count: int = 3) -> torch.Tensor:
    """The central squares of indigo bunting photos."""
    folder = shared / "data" / "CUB_200_2011" / "images" / "014.Indigo_Bunting"
    photos = []
    for path in sorted(folder.iterdir())[:count]:
        photo = Image.open(path).convert("RGB")
        width, height = photo.size
        half = min(photo.size) // 2
        box = (width // 2 - half, height // 2 - half, width // 2 + half, height // 2 + half)
        photos.append(photo.crop(box).resize((side, side), Image.Resampling.BICUBIC))
    return to_images(photos)


def trained(shared: Path, name: str, **options: object) -> Backbone:
    try:
        return load_backbone(name, weights=shared / "weights", **options)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def test_resnet50_caffe_names_the_bird(shared: Path) -> None:
    backbone = trained(shared, "resnet50_caffe", layers="layer4", precision="fp32")
    state = weights.read_state(Path(backbone.source))
    pooled = backbone.maps(birds(shared, 224))[0].mean((2, 3))
    chances = (pooled @ state["fc.weight"].T + state["fc.bias"]).softmax(1)[:, INDIGO_BUNTING]
    assert chances.min() > 0.9
    wrong = resnet.resnet50()
    weights.load_checked(wrong, state, backbone.source)
    inputs = (birds(shared, 224) - backbone.mean) / backbone.std
    with torch.no_grad():
        elsewhere = wrong.eval()(inputs).softmax(1)[:, INDIGO_BUNTING]
    assert elsewhere.mean() < chances.mean(), "the stride's place makes no difference"


@pytest.mark.parametrize(("name", "side"), [("dinov2_vits14", 224), ("vgg19", 128), ("resnet50_caffe", 128)])
def test_bfloat16_agrees_with_float32(shared: Path, name: str, side: int) -> None:
    photos = birds(shared, side)
    exact, rounded = trained(shared, name, precision="fp32")(photos), trained(shared, name, precision="bf16")
    quick = rounded(photos)
    assert (exact * quick).sum(1).mean() > 0.999
    assert not torch.equal(exact, quick)
    assert quick.dtype == torch.float32
    alone = (quick[1:2] * rounded(photos[1:2])).sum(1)  # a batch of another size is rounded otherwise
    assert alone.mean() > 0.999 and alone.min() > 0.99


def test_dinov2_tells_the_bird_from_its_background(shared: Path) -> None:
    """Centre and corner patches of different photos: like goes with like."""
    maps = trained(shared, "dinov2_vits14")(birds(shared, 224, 4))
    centre = F.normalize(maps[:, :, 6:10, 6:10].mean((2, 3)), dim=1)
    corner = F.normalize(maps[:, :, :2, :2].mean((2, 3)), dim=1)
    same = (centre @ centre.T)[~torch.eye(4, dtype=torch.bool)].mean()
    assert same > (centre @ corner.T).mean() + 0.1


def test_the_file_in_the_folder_is_the_one_that_was_loaded(shared: Path) -> None:
    backbone = trained(shared, "vgg19")
    stored = weights.read_state(Path(backbone.source))
    assert torch.equal(backbone.extractor.graph.features.get_submodule("34").weight, stored["conv5_4.weight"])
    assert json.loads(json.dumps([backbone.name, backbone.dim, backbone.stride])) == ["vgg19", 1024, 16]
