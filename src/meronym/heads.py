"""What makes parts of features: linear classifiers, several that agree, a tree of such, or a mixture of factors."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class LinearHead(nn.Module):
    """K linear classifiers on a feature map: where training starts, the distances to K centres.

    merge: the part, 0 to K - 1, of each of more than K classifiers. A part's share is then the sum of theirs.
    """

    def __init__(self, dim: int, parts: int, merge: Sequence[int] = ()) -> None:
        super().__init__()
        self.merge = list(merge)
        self.weight = nn.Parameter(torch.zeros(len(self.merge) or parts, dim))
        self.bias = nn.Parameter(torch.zeros(len(self.merge) or parts))

    def forward(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B K h w"]:
        logits = F.conv2d(features, self.weight[:, :, None, None], self.bias)
        return summed(logits, self.merge) if self.merge else logits

    def config(self) -> dict[str, Any]:
        return {"merge": self.merge} if self.merge else {}

    @torch.no_grad()
    def put_in_order(self, order: list[int]) -> None:
        """Part order[i] becomes part i."""
        if self.merge:
            self.merge = [order.index(part) for part in self.merge]
            return
        for values in self.parameters():
            values.copy_(values[order].clone())

    @torch.no_grad()
    def start_from(self, centres: Float[Tensor, "K D"], sharpness: float | Float[Tensor, " K"]) -> None:
        """The softmax of -sharpness ||x - c_k||^2."""
        sharp = torch.as_tensor(sharpness).expand(len(centres))
        self.weight.copy_(2 * sharp[:, None] * centres)
        self.bias.copy_(-sharp * centres.square().sum(1))


class AgreedHead(nn.Module):
    """Several trainings of the same K parts: a share is the geometric mean of theirs (a product of experts)."""

    def __init__(self, heads: Sequence[LinearHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B K h w"]:
        return torch.stack([head(features).log_softmax(1) for head in self.heads]).mean(0)

    def config(self) -> dict[str, Any]:
        return {"heads": [head.config() for head in self._linear()]}

    def put_in_order(self, order: list[int]) -> None:
        """Part order[i] becomes part i."""
        for head in self._linear():
            head.put_in_order(order)

    def _linear(self) -> list[LinearHead]:
        return [head for head in self.heads if isinstance(head, LinearHead)]


class TreeHead(nn.Module):
    """Parts that are pieces of larger parts: a piece's share is that of its whole times its share among its siblings.

    wholes, pieces: what knows the larger and the smaller parts. of: which whole each piece belongs to.
    """

    def __init__(self, wholes: "LinearHead | AgreedHead | TreeHead", pieces: LinearHead, of: Sequence[int]) -> None:
        super().__init__()
        self.wholes, self.pieces, self.of = wholes, pieces, list(of)

    def forward(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B K h w"]:
        logits = self.pieces(features)
        return logits + (self.wholes(features).log_softmax(1) - summed(logits, self.of))[:, self.of]

    def config(self) -> dict[str, Any]:
        return {"of": self.of, "wholes": self.wholes.config(), "pieces": self.pieces.config()}

    def put_in_order(self, order: list[int]) -> None:
        """Part order[i] becomes part i."""
        self.pieces.put_in_order(order)
        self.of = [self.of[part] for part in order]


def summed(logits: Float[Tensor, "B N h w"], of: Sequence[int]) -> Float[Tensor, "B K h w"]:
    """Logits of parts each of which is all those of the N that belong to it. of: the part, 0 to K - 1, of each."""
    groups = [[i for i, part in enumerate(of) if part == k] for k in range(max(of) + 1)]
    return torch.stack([logits[:, group].logsumexp(1) for group in groups], 1)


def as_configured(dim: int, parts: int, config: dict[str, Any]) -> LinearHead | AgreedHead | TreeHead:
    """An untrained head as `config` of one has it."""
    if "heads" in config:
        return AgreedHead([LinearHead(dim, parts, each.get("merge", ())) for each in config["heads"]])
    if "of" not in config:
        return LinearHead(dim, parts, config.get("merge", ()))
    wholes = as_configured(dim, max(config["of"]) + 1, config["wholes"])
    return TreeHead(wholes, LinearHead(dim, parts, config["pieces"].get("merge", ())), config["of"])


class FactorHead(nn.Module):
    """Each cell as a non-negative mixture of K fixed factors: argmin_{c >= 0} ||relu(x) - sum_k c_k w_k||^2.

    Solved by SWEEPS rounds of coordinate descent from 0. The logits are log(c_k / sum_j c_j + FLOOR), so that their
    softmax is each factor's share.
    """

    SWEEPS = 30
    FLOOR = 0.01
    factors: Tensor

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.register_buffer("factors", torch.zeros(parts, dim))

    def forward(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B K h w"]:
        codes = self.encode(features)
        return torch.log(codes / codes.sum(1, keepdim=True).clamp(min=1e-6) + self.FLOOR)

    def encode(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B K h w"]:
        """The coefficients c of every cell."""
        gram = self.factors @ self.factors.T
        scale = gram.diagonal().clamp(min=1e-12)[:, None]
        alone = F.conv2d(features.relu(), (self.factors / scale)[:, :, None, None]).split(1, 1)
        others = (gram / scale * (1 - torch.eye(len(gram), device=gram.device)))[:, None, :, None, None]
        codes = [torch.zeros_like(code) for code in alone]
        for _ in range(self.SWEEPS):
            for k, code in enumerate(alone):  # no tensor is changed in place: an exporter would trace that at length
                codes[k] = (code - F.conv2d(torch.cat(codes, 1), others[k])).relu()
        return torch.cat(codes, 1)


Head = LinearHead | AgreedHead | TreeHead | FactorHead


def of_points(head: Head, points: Float[Tensor, "N D"]) -> Float[Tensor, "K N"]:
    """A head's logits of cells that are in no photo's grid."""
    return head(points.T[None, :, :, None])[0, :, :, 0]
