"""The stages of an EfficientNet or MobileNet of timm, down to its first at stride 32, for training without a GPU.

What lies before stride 8 stays frozen: edges and colours need no training, and half of the work of a step is there.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from meronym.backbones.precision import autocast, resolve_precision


class Stages(nn.Module):
    """RGB in [0, 1] to features at stride 8, 16 and 32. dims: their channels. precision: of what stays frozen.

    Raises ValueError for a network of another family.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any, norm: Any) -> None:
        super().__init__()
        if not (hasattr(network, "conv_stem") and hasattr(network, "bn1") and hasattr(network, "blocks")):
            raise ValueError("no EfficientNet or MobileNet: choose efficientnet_lite0, or timm:<name> of that family")
        found = getattr(network.feature_info, "info", network.feature_info)
        last = {info["reduction"]: info for info in found}
        ends = [int(last[stride]["module"].split(".")[1]) + 1 for stride in (4, 8, 16)]
        self.stem = nn.Sequential(network.conv_stem, network.bn1, *network.blocks[: ends[0]]).requires_grad_(False)
        self.fine = nn.Sequential(*network.blocks[ends[0] : ends[1]])
        self.deep = nn.Sequential(*network.blocks[ends[1] : ends[2]])
        self.top = network.blocks[ends[2]]
        with torch.no_grad():
            seen = self.top.eval()(torch.zeros(1, last[16]["num_chs"], 2, 2))
        self.dims = last[8]["num_chs"], last[16]["num_chs"], seen.shape[1]
        self.precision = "auto"
        self.register_buffer("mean", torch.tensor(norm[0]).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(norm[1]).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "Stages":
        """The stem stays in evaluation mode: its statistics are frozen too."""
        super().train(mode)
        self.stem.eval()
        return self

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B _ _ _"], ...]:
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.no_grad(), autocast(resolve_precision(self.precision, x.device), x.device):
            x = self.stem(x)
        fine = self.fine(x if torch.is_autocast_enabled(x.device.type) else x.float())
        deep = self.deep(fine)
        return fine, deep, self.top(deep)
