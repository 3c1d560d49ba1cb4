"""The networks that cut a photo into parts: photo in, logits over K parts out.

Three kinds: a linear head on a frozen backbone, the paper's DeepLab-v2 trained end to end, and a small network that
learns from one of these. They see a window of the photo; how a window becomes a network input is theirs to say
(`frame`).
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from meronym.backbones import Backbone, Stages, load_backbone, load_stages
from meronym.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from meronym.backbones.precision import autocast, resolve_precision
from meronym.backbones.resnet import resnet50_trunk
from meronym.heads import FactorHead, Head, LinearHead, as_configured
from meronym.images import Window, square_window
from meronym.masks import WIDTH


class Segmenter(nn.Module, ABC):
    """Photo to logits over parts. parts: K. size: side (or shorter side) of the network input, pixels."""

    parts: int
    size: int
    corners: bool = False
    """Whether the corner cells of the logits lie on the corner pixels (align_corners of an interpolation)."""
    zoom: bool = True
    """Whether it looks at the window around an object, rather than at the whole photo."""
    finds: bool = False
    """Whether it can tell the object from the background."""
    sharp: bool = False
    """Whether labels follow the photo's edges between the cells of its coarse grid."""

    def window(self, box: Window) -> Window:
        """The window of the photo to look at, for an object in this box: a square around it."""
        return square_window(box)

    def frame(self, window: Window) -> tuple[int, int]:
        """(width, height) of the network input for a window of the photo: a square."""
        return self.size, self.size

    @abstractmethod
    def forward(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B K h w"]:
        """Logits on the network's own grid. images: RGB in [0, 1]. foreground: 0..1, or None if not known."""

    def segment(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B i j"] | None]:
        """Logits, and how surely each place of a grid, finer or not, belongs to the object, 0 to 1.

        The second is None where the model cannot tell.
        """
        return self(images, foreground), None

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What `build` needs to make this network again, without its weights."""

    @abstractmethod
    def own_state(self) -> dict[str, Tensor]:
        """The tensors that a saved model holds: not those of a frozen backbone, which has a home of its own."""


class HeadSegmenter(Segmenter):
    """A head on the features of a frozen backbone, and one that tells the object from the rest.

    The second makes the model independent of masks once it is trained.
    centre: which share of each photo's own mean over the object is taken off its features, 0 to 1.
    """

    sharp = True

    def __init__(self, backbone: Backbone, parts: int, centre: float = 0.0, zoom: bool = True) -> None:
        super().__init__()
        self.backbone, self.parts, self.size, self.zoom = backbone, parts, backbone.size, zoom
        self.centre = centre
        self.head: Head = LinearHead(backbone.dim, parts)
        to_hidden, to_quarters = nn.Conv2d(backbone.dim, WIDTH, 1), nn.Conv2d(WIDTH, 4, 1)  # of a cell, row by row
        self.object = nn.Sequential(to_hidden, nn.ReLU(), to_quarters).requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B K h w"]:
        return self.segment(images, foreground)[0]

    def segment(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B i j"] | None]:
        return self.of_features(self.backbone(images), foreground)

    def of_features(
        self, features: Float[Tensor, "B D h w"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B i j"] | None]:
        """What `segment` gives, from the backbone's features."""
        return self.cut(features, foreground), self.outline(features)

    def cut(
        self, features: Float[Tensor, "B D h w"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B K h w"]:
        """Logits from the backbone's features. Where the object is not given, it is found."""
        known = self.find(features) if foreground is None else foreground
        return self.head(remove_mean(features, known, self.centre))

    def find(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B h w"] | None:
        """How surely each cell belongs to the object, 0 to 1; None for a model that was never told."""
        return self.object(features).sigmoid().mean(1) if self.finds else None

    def outline(self, features: Float[Tensor, "B D h w"]) -> Float[Tensor, "B 2*h 2*w"] | None:
        """The same of each quarter of a cell."""
        return F.pixel_shuffle(self.object(features).sigmoid(), 2)[:, 0] if self.finds else None

    @torch.no_grad()
    def know_object(self, layers: list[tuple[Float[Tensor, "_ _"], Float[Tensor, " _"]]]) -> None:
        """Weights (out, in) and biases of what tells which quarters of a cell are object: a network, or lines."""
        layers = layers if len(layers) > 1 else as_network(*layers[0])
        for layer, (weight, bias) in zip(self.object[::2], layers, strict=True):
            assert isinstance(layer, nn.Conv2d) and layer.bias is not None
            layer.weight.copy_(weight[:, :, None, None])
            layer.bias.copy_(bias)
        self.finds = True

    def with_parts(self, parts: int) -> "HeadSegmenter":
        """One that is to learn so many parts, on the same backbone, and that knows the object as this one does."""
        other = HeadSegmenter(self.backbone, parts, self.centre, self.zoom)
        other.object, other.finds = self.object, self.finds
        return other

    def config(self) -> dict[str, Any]:
        backbone = self.backbone
        return {
            "kind": "factors" if isinstance(self.head, FactorHead) else "head",
            "backbone": backbone.name,
            "layers": list(backbone.layers),
            "weights": backbone.weights_hash,
            "parts": self.parts,
            "centre": self.centre,
            "size": self.size,
            "zoom": self.zoom,
            "finds": self.finds,
            **({} if isinstance(self.head, FactorHead) else self.head.config()),
        }

    def own_state(self) -> dict[str, Tensor]:
        return nn.ModuleDict({"head": self.head, "object": self.object}).state_dict()


def remove_mean(
    features: Float[Tensor, "B D h w"], foreground: Float[Tensor, "B H W"] | None, share: float
) -> Float[Tensor, "B D h w"]:
    """Take off `share` of each photo's mean feature over the foreground (over everything where it is None)."""
    if share == 0:
        return features
    return features - share * photo_mean(features, foreground)


def photo_mean(
    features: Float[Tensor, "B D h w"], foreground: Float[Tensor, "B H W"] | None
) -> Float[Tensor, "B D 1 1"]:
    """Each photo's mean feature over the foreground (over everything where it is None)."""
    if foreground is None:
        return features.mean((2, 3), keepdim=True)
    weight = F.interpolate(foreground[:, None], features.shape[2:], mode="area")
    mean = features.flatten(2) @ weight.flatten(2).mT / weight.sum((2, 3)).clamp(min=1e-6)[:, None]
    return mean[..., None]


class DeepLab(Segmenter):
    """The paper's f: DeepLab-v2 on ResNet-50 at output stride 8, four summed dilated classifiers, K outputs.

    There is no background channel: the mask of the object comes from elsewhere. The published code feeds only
    half of the last block's 2048 channels to the classifiers; here, as in DeepLab, they see all. It starts them from
    N(0, 0.01); with logits that large the symmetrised KL outweighs all else at first and is smallest for one part
    everywhere, so they start ten times smaller.
    """

    MULTIPLE = 16
    mean: Tensor
    std: Tensor
    corners = True  # 256 pixels give 33 cells, at pixels 0, 8, 16, ...

    def __init__(self, parts: int, size: int = 256, caffe: bool = True, trunk: nn.Module | None = None) -> None:
        """trunk: a ResNet-50 with weights; None makes one that awaits a state dict. caffe: stride placement."""
        super().__init__()
        self.parts, self.size, self.caffe = parts, size, caffe
        self.trunk = trunk or resnet50_trunk(caffe=caffe, output_stride=8)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)
        rates = (6, 12, 18, 24)
        self.classifiers = nn.ModuleList(nn.Conv2d(2048, parts, 3, padding=r, dilation=r) for r in rates)
        for conv in self.classifiers:
            nn.init.normal_(conv.weight, std=0.001)  # type: ignore[arg-type]
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
        for norm in self.trunk.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.requires_grad_(False)  # statistics follow the data, scale and shift stay, as published
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def window(self, box: Window) -> Window:
        return box

    def frame(self, window: Window) -> tuple[int, int]:
        x0, y0, x1, y1 = window
        scale = self.size / max(min(x1 - x0, y1 - y0), 1)
        longest = 4 * self.size  # a very long window would not fit in memory
        width, height = (round(min(side * scale, longest) / self.MULTIPLE) for side in (x1 - x0, y1 - y0))
        return max(width, 1) * self.MULTIPLE, max(height, 1) * self.MULTIPLE

    def forward(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B K h w"]:
        normalised = (images - self.mean) / self.std
        features = self.trunk(normalised.contiguous(memory_format=torch.channels_last))  # half the time on a CPU
        return torch.stack([classify(features) for classify in self.classifiers]).sum(0)

    def segment(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], None]:
        """As `forward`, in bfloat16 where the hardware computes it, as in training."""
        with autocast(resolve_precision("auto", images.device), images.device):
            return self(images).float(), None

    def config(self) -> dict[str, Any]:
        return {"kind": "deeplab", "parts": self.parts, "size": self.size, "caffe": self.caffe}

    def own_state(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.state_dict().items()}


class Decoded(nn.Module):
    """Features at stride 8, 16 and 32, and the mean of the last, made into maps at stride 8. width: of all between."""

    def __init__(self, stages: Stages, outputs: int, width: int = 96) -> None:
        super().__init__()
        self.stages = stages
        self.fine, self.deep, self.top, self.all = (nn.Conv2d(dim, width, 1) for dim in (*stages.dims, stages.dims[2]))
        around = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.rest = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            around,
            nn.Conv2d(width, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, outputs, 1),
        )

    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B _ h w"]:
        fine, deep, top = self.stages(images)
        coarse = self.top(top) + self.all(top.mean((2, 3), keepdim=True))
        coarse = self.deep(deep) + F.interpolate(coarse, deep.shape[2:], mode="bilinear")
        return self.rest(self.fine(fine) + F.interpolate(coarse, fine.shape[2:], mode="bilinear"))


class Student(Segmenter):
    """A small convolutional network: EfficientNet-Lite0 to stride 32, a light decoder at stride 8, K + 1 outputs.

    The last output says where the object is. Trained on another model's labels (`methods.distill`).
    """

    sharp = True

    def __init__(self, backbone: str, stages: Stages, parts: int, size: int = 256, zoom: bool = True) -> None:
        """backbone: the name of the network that `stages` come from."""
        super().__init__()
        self.backbone_name, self.parts, self.size, self.zoom = backbone, parts, size, zoom
        self.network = Decoded(stages, parts + 1)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> Float[Tensor, "B K h w"]:
        return self.network(images)[:, :-1]

    def segment(
        self, images: Float[Tensor, "B 3 H W"], foreground: Float[Tensor, "B H W"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B i j"] | None]:
        with autocast(resolve_precision(self.network.stages.precision, images.device), images.device):
            maps = self.network(images).float()
        return maps[:, :-1], maps[:, -1].sigmoid() if self.finds else None

    def config(self) -> dict[str, Any]:
        return {
            "kind": "student",
            "backbone": self.backbone_name,
            "parts": self.parts,
            "size": self.size,
            "zoom": self.zoom,
            "finds": self.finds,
        }

    def own_state(self) -> dict[str, Tensor]:
        return {name: tensor.detach() for name, tensor in self.state_dict().items()}


def as_network(weight: Float[Tensor, "Q D"], bias: Float[Tensor, " Q"]) -> list[tuple[Tensor, Tensor]]:
    """A network that tells the object as lines do, of which each quarter of a cell has one, or all have the same."""
    weight, bias = (values.repeat_interleave(4 // len(values), 0) for values in (weight, bias))
    hidden, offset, out = torch.zeros(WIDTH, weight.shape[1]), torch.zeros(WIDTH), torch.zeros(4, WIDTH)
    hidden[:8], offset[:8] = torch.cat([weight, -weight]), torch.cat([bias, -bias])  # x = relu(x) - relu(-x)
    out[:, :8] = torch.cat([torch.eye(4), -torch.eye(4)], 1)
    return [(hidden, offset), (out, torch.zeros(4))]


def build(config: dict[str, Any], state: dict[str, Tensor]) -> Segmenter:
    """A segmenter from its config and own state. Raises ValueError where the backbone's weights are others."""
    match config["kind"]:
        case "head" | "factors":
            backbone = load_backbone(config["backbone"], layers=tuple(config["layers"]), size=config["size"])
            if backbone.weights_hash != config["weights"]:
                raise ValueError(
                    f"the model was trained on other {config['backbone']} weights ({config['weights']}) than those in "
                    f"{backbone.source} ({backbone.weights_hash}): set MERONYM_WEIGHTS to the ones it was trained with"
                )
            segmenter: Segmenter = HeadSegmenter(backbone, config["parts"], config["centre"], config["zoom"])
            of_factors = config["kind"] == "factors"
            dim, parts = backbone.dim, config["parts"]
            segmenter.head = FactorHead(dim, parts) if of_factors else as_configured(dim, parts, config)
            if "object.weight" in state:  # of a model that was made before there was a network: lines
                segmenter.know_object([(state["object.weight"].flatten(1), state["object.bias"])])
                state = segmenter.own_state() | {name: state[name] for name in state if name.startswith("head.")}
            segmenter.finds = config["finds"]
            nn.ModuleDict({"head": segmenter.head, "object": segmenter.object}).load_state_dict(state)
        case "deeplab":
            segmenter = DeepLab(config["parts"], config["size"], config["caffe"])
            segmenter.load_state_dict(state)
        case "student":
            stages = load_stages(config["backbone"], pretrained=False)
            segmenter = Student(config["backbone"], stages, config["parts"], config["size"], config["zoom"])
            segmenter.finds = config["finds"]
            if state.keys() != segmenter.state_dict().keys():
                raise ValueError("this student is of an earlier version: make it again with `meronym distill RUN`")
            segmenter.load_state_dict(state)
        case other:
            raise ValueError(f"kind {other!r}: a model of this version is 'head', 'factors', 'deeplab' or 'student'")
    return segmenter.eval()
