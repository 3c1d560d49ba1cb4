"""The paper's own configuration: DeepLab-v2 on ResNet-50 trained end to end with all four objectives.

*Unsupervised Part Discovery from Contrastive Reconstruction*, NeurIPS 2021, Eq. 1 to 5; phi is VGG-19, the defaults
are the published ones for CUB-200-2011 and DeepFashion. The paper's forms are the defaults; `published_code=True`
takes the forms of the released code where they differ: negatives also from the anchor's own photo, one-way KL
on a held target. (The paper writes the similarity of Eq. 3 as a dot product; with VGG's unnormalised descriptors of
length 30 and more that saturates at once, so unit vectors, as in the released code, are the default: `cosine`.)
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from meronym.backbones import Backbone, load_backbone, load_trunk
from meronym.collections import Collection
from meronym.collections.base import counted
from meronym.images import BadPhoto
from meronym.methods.base import Method, check_parts, measured
from meronym.model import PartModel
from meronym.objectives import (
    contrastive,
    descriptor_distance,
    draw_partners,
    equivariance,
    part_consistency,
    pool,
    view_partners,
    visual_consistency,
)
from meronym.progress import say
from meronym.segmenters import DeepLab
from meronym.training.loop import Batch, Gather, Training, make_fabric, optimise
from meronym.training.run import Run
from meronym.training.samples import Samples
from meronym.training.sampling import generator, photos_of_step, share
from meronym.training.views import views, warp


@dataclass(frozen=True, kw_only=True)
class ContrastiveDeepLab(Method):
    """trunk: the ResNet-50 that f starts from. phi, layers, layer_weights: the perceptual network; layers None: relu3_2
    and its last. Table 3 without labels is trunk="resnet50_swav", phi="vgg16_deepcluster".

    layer_energies: mean ||F_u||^2 on the objects that each layer is scaled to before its weight; None: left as it is.
    The published weights are for torchvision's networks (measured on its VGG-16: relu3_2 3660, relu5_3 1460); the
    original release's activations are 80 times larger in relu3_2 and 9 times in relu5_4.
    lambda_*: published weights; lambda_f is for the sum over a batch of six, so 5 there is 30 a photo.
    across: "contrastive" (Eq. 3), "l2" (Table 2) or "views" (Table 2: the partner is another view of the same photo).
    schedule_steps: where the polynomial decay of the learning rate ends; steps: where training ends.
    """

    name: ClassVar[str] = "contrastive_deeplab"
    trunk: str = "resnet50_caffe"
    phi: str = "vgg19"
    layers: tuple[str, ...] | None = None
    layer_weights: tuple[float, ...] = (0.33, 1.0)
    layer_energies: tuple[float, ...] | None = (3660.0, 1460.0)
    size: int = 256
    lambda_f: float = 30.0
    lambda_c: float = 2.3e3
    lambda_v: float = 30.0
    lambda_e: float = 5.7e3
    temperature: float = 0.19
    cosine: bool = True
    across: Literal["contrastive", "l2", "views"] = "contrastive"
    published_code: bool = False
    steps: int = 100_000
    schedule_steps: int = 100_000
    batch: int = 6
    learning_rate: float = 1e-5
    clip: float = 5.0
    workers: int = 2

    def resolved(self, parts: int) -> Self:
        if self.layers is not None:
            return self
        return replace(self, layers=("relu3_2", "relu5_4" if self.phi == "vgg19" else "relu5_3"))

    def fit(self, collection: Collection, parts: int, run: Run, seed: int = 0) -> PartModel:
        check_parts(parts, len(collection))
        method = self.resolved(parts)
        fabric = make_fabric(mixed=True)
        trunk = load_trunk(self.trunk)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            segmenter = DeepLab(parts, self.size, self.trunk.endswith("caffe"), trunk)
        about = method.settings() | {"seed": seed}
        with measured(about, run):
            phi = load_backbone(method.phi, layers=method.layers).to(fabric.device)
            training = DeepLabTraining(method, segmenter, phi, collection, seed)
            training.scales = method.layer_scales(training)
            training.samples = Samples(segmenter, collection, method.steps)
            skipped = optimise(training, run, fabric)
        if skipped:
            say(f"skipped {counted(len(skipped), 'photo')}: {skipped[0][1]}" + " ..." * (len(skipped) > 1))
        return PartModel(segmenter.cpu(), about=about | training.last | {"skipped": skipped})

    def layer_scales(self, training: "DeepLabTraining", steps: int = 5) -> list[float]:
        """Factors that bring phi's layers to `layer_energies` and `layer_weights`, from the first few batches."""
        if self.layer_energies is None:
            return list(self.layer_weights)
        seen = [training.batch(step, 0, 1) for step in range(steps)]
        clean, foreground = (torch.cat([batch[key] for batch in seen]) for key in ("clean", "foreground"))
        scales = []
        for found, energy, weight in zip(
            training.phi.maps(clean), self.layer_energies, self.layer_weights, strict=True
        ):
            inside = F.interpolate(foreground[:, None], found.shape[2:], mode="area")[:, 0].to(found)
            mean = float((found.square().sum(1) * inside).sum() / inside.sum())
            scales.append(weight * (energy / mean) ** 0.5)
        return scales


class DeepLabTraining(Training):
    """All four objectives on jittered crops."""

    def __init__(
        self, method: ContrastiveDeepLab, network: DeepLab, phi: Backbone, collection: Collection, seed: int
    ) -> None:
        self.method, self.network, self.phi, self.collection, self.seed = (
            method,
            network,
            phi,
            collection,
            seed,
        )
        self.scales, self.parts = list(method.layer_weights), network.parts
        self.steps, self.clip, self.workers = method.steps, method.clip, method.workers
        slow = [p for p in network.trunk.parameters() if p.requires_grad]
        fast = list(network.classifiers.parameters())
        groups = [{"params": slow}, {"params": fast, "lr": 10 * method.learning_rate}]
        self.optimizer = torch.optim.SGD(groups, lr=method.learning_rate, momentum=0.9, weight_decay=5e-4)

    def rate(self, step: int) -> float:
        return (1 - min(step / self.method.schedule_steps, 1)) ** 0.9

    def batch(self, step: int, rank: int, world: int) -> Batch:
        photos = photos_of_step(self.seed, step, self.method.batch, len(self.collection), world)
        skipped: list[tuple[str, str]] = []
        mine = [self._example(i, (self.seed, step, i), skipped) for i in share(photos, rank, world)]
        partners = draw_partners(len(photos), self.parts, generator(self.seed, "partners", step))
        stacked = {key: torch.stack([example[key] for example in mine]) for key in mine[0]}
        return stacked | {"partners": partners, "skipped": skipped}

    def _example(self, index: int, address: tuple[int, ...], skipped: list[tuple[str, str]]) -> Batch:
        """A photo's views; the next usable photo stands in for one that is broken."""
        for offset in range(len(self.collection)):
            place = (index + offset) % len(self.collection)
            try:
                return views(self.collection[place], self.method.size, *address)
            except BadPhoto as error:
                skipped.append((self.collection.ids[place], str(error)))
        raise ValueError(f"no photo of {self.collection.name} could be used: {skipped[0][1]}")

    def loss(self, network: nn.Module, batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        import kornia  # a frozen head does without

        method, foreground = self.method, batch["foreground"]
        size = foreground.shape[1:]
        logits = _enlarge(network(batch["first"]).float(), size)
        masks = logits.softmax(1) * foreground[:, None]
        pooled = pool(masks, self._features(batch["clean"]))
        terms = {"L_f": part_consistency(pooled).mean()}
        terms["L_v"] = visual_consistency(masks, kornia.color.rgb_to_lab(batch["clean"])).mean()
        moved = _enlarge(network(batch["second"]).float(), size)
        valid = warp(foreground[:, None], batch["warp"])[:, 0]
        terms["L_e"] = equivariance(warp(logits, batch["warp"]), moved, valid, one_way=method.published_code).mean()
        terms["L_c"] = self._across(gather(pooled.z), batch, moved, valid, gather)
        total = sum(getattr(method, f"lambda_{name[-1]}") * value for name, value in terms.items())
        return total, terms  # type: ignore[return-value]

    def _features(self, images: Float[Tensor, "B 3 H W"]) -> list[Tensor]:
        return [scale * found for scale, found in zip(self.scales, self.phi.maps(images), strict=True)]

    def _across(self, z: Tensor, batch: Batch, moved: Tensor, valid: Tensor, gather: Gather) -> Tensor:
        method, partners = self.method, batch["partners"]
        if method.across == "l2":
            return descriptor_distance(z, partners)
        if method.across == "views":
            seen = self._features(warp(batch["clean"], batch["warp"]))
            other = gather(pool(moved.softmax(1) * valid[:, None], seen).z)
            z, partners = torch.cat([z, other]), view_partners(*z.shape[:2]).to(z.device)
        return contrastive(z, partners, method.temperature, method.cosine, method.published_code)


def _enlarge(logits: Float[Tensor, "B K h w"], size: tuple[int, ...]) -> Float[Tensor, "B K H W"]:
    """To the photo's grid. Corners align: with its odd grid the network's cells sit at pixels 0, 8, 16, ..."""
    return F.interpolate(logits, size, mode="bilinear", align_corners=True)
