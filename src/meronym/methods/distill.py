"""A small network that learns to say what a model says: the parts without the large backbone.

Distillation on soft labels (Hinton, Vinyals & Dean, 2015, arXiv:1503.02531), cell by cell: the teacher labels each
photo once, on the window that it looks at (`soft_labels`; seconds where its features are cached), and the student sees
jittered, flipped and recoloured windows of the photo, a quarter of them wider, up to the whole photo, since it also has
to find the object. No annotation is used but the boxes or masks that tell the teacher where to look.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from meronym.backbones import FeatureCache, load_stages
from meronym.collections import Collection, Sample
from meronym.features import extract
from meronym.images import BadPhoto, Window, crop_photo
from meronym.methods.base import Method, check_parts, measured
from meronym.model import PartModel, best_device, object_box, photo_window, to_tensor
from meronym.progress import progress
from meronym.segmenters import HeadSegmenter, Segmenter, Student
from meronym.training.loop import Batch, Gather, Training, make_fabric, optimise
from meronym.training.run import Run
from meronym.training.samples import Samples
from meronym.training.sampling import derive, generator, photos_of_step, share
from meronym.training.views import recolour

LEAST = 0.2
"""The weight of the parts' labels where the teacher sees no object."""


@dataclass(frozen=True, kw_only=True)
class Distill(Method):
    """teacher: the run whose model is learned from. backbone: efficientnet_lite0, or timm:<name> of that family.

    size: side of the student's input, pixels. steps, batch, learning_rate: of Adam, on a cosine after a short rise;
    the backbone's rate is a quarter of it. workers: processes that prepare views.
    """

    name: ClassVar[str] = "distill"
    teacher: str = ""
    backbone: str = "efficientnet_lite0"
    size: int = 256
    steps: int = 600
    batch: int = 16
    learning_rate: float = 4e-3
    workers: int = 1

    def fit(self, collection: Collection, parts: int, run: Run, seed: int = 0) -> PartModel:
        check_parts(parts, len(collection))
        if self.size != (fitting := max(8 * round(self.size / 8), 8)):
            raise ValueError(f"setting size={self.size}: a multiple of 8 is needed, such as {fitting}")
        if not self.teacher:
            raise ValueError("method distill: say which run to learn from, `meronym distill RUN`")
        teacher = PartModel.load(self.teacher)
        if teacher.parts != parts:
            raise ValueError(f"--parts {parts}: {self.teacher} has {teacher.parts} parts, and so has its student")
        about = self.settings() | {"seed": seed}
        with measured(about, run):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                stages = load_stages(self.backbone)
                student = Student(self.backbone, stages, parts, self.size, teacher.segmenter.zoom)
            student.finds = teacher.segmenter.finds
            labels = soft_labels(teacher, collection)
            training = Imitation(self, student, teacher.segmenter, labels, collection, seed)
            training.samples = Samples(student, collection, self.steps)
            optimise(training, run, make_fabric(one=True))
        return PartModel(student.cpu(), teacher.names, about | training.last | {"skipped": labels.skipped})


class SoftLabels(NamedTuple):
    """What a teacher says of those photos of a collection that can be used.

    rows: their indices in it. boxes: where it found the object of a photo that comes with neither box nor mask.
    maps: float16 (K + 1, h, w) each, on the teacher's grid: shares of the parts, and how much is object.
    skipped: (id, reason) of the other photos.
    """

    rows: list[int]
    boxes: list[Window | None]
    maps: list[Tensor]
    skipped: list[tuple[str, str]]


def soft_labels(teacher: PartModel, collection: Collection) -> SoftLabels:
    """The teacher's labels of all photos: from cached features where it needs nothing else to know where to look."""
    segmenter = teacher.segmenter
    if not isinstance(segmenter, HeadSegmenter) or (segmenter.zoom and collection.unmarked):
        return _labels_one_by_one(teacher, collection)
    features = extract(collection, segmenter, FeatureCache(), whole=not segmenter.zoom)
    maps: list[Tensor] = []
    for _, found, _ in features.batches():
        with torch.inference_mode():
            found = found.to(best_device())
            maps += _joined(teacher.shares(segmenter.cut(found)), segmenter.find(found))
    return SoftLabels(features.rows, [None] * len(maps), maps, features.skipped)


def _labels_one_by_one(teacher: PartModel, collection: Collection, batch: int = 8) -> SoftLabels:
    labels = SoftLabels([], [], [], [])

    def samples() -> Iterator[Sample]:
        for row in range(len(collection)):
            try:
                sample = collection[row]
            except BadPhoto as error:
                labels.skipped.append((collection.ids[row], error.reason))
                continue
            labels.rows.append(row)
            yield sample

    with progress("the teacher's labels", len(collection)) as advance:
        for group in teacher.located(samples(), batch):
            labels.boxes.extend(None if sample.mask is not None else sample.box for sample in group)
            views = [teacher.view(sample, looked_at(teacher.segmenter, sample)) for sample in group]
            for logits, objects in teacher.segment([replace(view, foreground=None) for view in views]):
                labels.maps.extend(_joined(teacher.shares(logits)[None], None if objects is None else objects[None]))
            advance(len(labels.maps))
    if not labels.rows:
        raise ValueError(f"no photo of {collection.name} could be used: {labels.skipped[0][1]}")
    return labels


def _joined(shares: Float[Tensor, "B K h w"], objects: Float[Tensor, "B i j"] | None) -> list[Tensor]:
    where = torch.ones_like(shares[:, :1])
    where = where if objects is None else F.interpolate(objects[:, None], where.shape[2:], mode="area")
    return list(torch.cat([shares, where], 1).half().cpu())


def looked_at(segmenter: Segmenter, sample: Sample) -> Window:
    """The window of a photo that a segmenter is trained on."""
    return segmenter.window(object_box(sample)) if segmenter.zoom else photo_window(sample)


class Imitation(Training):
    """How far the student's parts are from the teacher's, where there is an object, and its map of the object."""

    def __init__(
        self,
        method: Distill,
        student: Student,
        teacher: Segmenter,
        labels: SoftLabels,
        collection: Collection,
        seed: int,
    ) -> None:
        self.method, self.student, self.teacher, self.labels = method, student, teacher, labels
        self.collection, self.seed = collection, seed
        self.steps, self.workers = method.steps, method.workers
        self.network = student.network
        slow = [p for p in student.network.stages.parameters() if p.requires_grad]
        known = set(student.network.stages.parameters())
        fast = [p for p in student.network.parameters() if p not in known]
        groups = [{"params": slow, "lr": method.learning_rate / 4}, {"params": fast}]
        self.optimizer = torch.optim.Adam(groups, lr=method.learning_rate)

    def rate(self, step: int) -> float:
        rise = max(self.steps // 20, 1)
        return min((step + 1) / rise, 0.5 + 0.5 * math.cos(math.pi * max(step - rise, 0) / max(self.steps - rise, 1)))

    def batch(self, step: int, rank: int, world: int) -> Batch:
        photos = photos_of_step(self.seed, step, self.method.batch, len(self.labels.rows), world)
        pairs = [self._example(i, self.seed, step, i) for i in share(photos, rank, world)]
        images, targets = zip(*pairs, strict=True)
        return {"images": torch.stack(images), "targets": torch.stack(targets)}

    def _example(self, position: int, *address: int) -> tuple[Float[Tensor, "3 H W"], Float[Tensor, "C h w"]]:
        """A view of a photo, and the teacher's labels of it (0 where the teacher did not look)."""
        sample, labels = self.collection[self.labels.rows[position]], self.labels
        base = looked_at(self.teacher, replace(sample, box=labels.boxes[position] or sample.box))
        g = generator(*address, "geometry")
        window = jittered(base, photo_window(sample), g, self.student.zoom)
        image = to_tensor(crop_photo(sample.image, window, self.student.frame(window)))
        target = relocated(labels.maps[position].float(), base, window, self.student.size // 8, self.teacher.corners)
        if torch.rand((), generator=g) < 0.5:
            image, target = image.flip(2), target.flip(2)
        return recolour(image, derive(*address, "colours")), target

    def loss(self, network: nn.Module, batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        maps, targets = network(batch["images"]), batch["targets"]
        terms = {"L_parts": imitation(maps[:, :-1], targets[:, :-1], targets[:, -1])}
        if self.student.finds:
            terms["L_object"] = F.binary_cross_entropy_with_logits(maps[:, -1], targets[:, -1])
        return torch.stack(list(terms.values())).sum(), terms


def imitation(
    logits: Float[Tensor, "B K h w"], shares: Float[Tensor, "B K h w"], objects: Float[Tensor, "B h w"]
) -> Float[Tensor, ""]:
    """KL(teacher || student) of the parts, averaged over cells by how much of them is object (and a little more)."""
    apart = F.kl_div(logits.log_softmax(1), shares, reduction="none").sum(1)
    weight = LEAST + objects
    return (weight * apart).sum() / weight.sum()


def jittered(base: Window, photo: Window, g: torch.Generator, zoom: bool) -> Window:
    """A window of 3/4 to 5/4 of the base's sides, moved by up to a tenth of them; one in four instead lies between the
    base and the whole photo, for a student that has to find the object first (`zoom`)."""
    wide, much, tall, broad, right, down = torch.rand(6, generator=g).tolist()
    if zoom and wide < 0.25:
        x0, y0, x1, y1 = (b + much * (p - b) for b, p in zip(base, photo, strict=True))
        return x0, y0, x1, y1
    x0, y0, x1, y1 = base
    scale = 0.8 + 0.4 * much
    width, height = ((0.94 + 0.12 * r) * scale * side for r, side in ((broad, x1 - x0), (tall, y1 - y0)))
    x, y = (x0 + x1) / 2 + (0.2 * right - 0.1) * (x1 - x0), (y0 + y1) / 2 + (0.2 * down - 0.1) * (y1 - y0)
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def relocated(
    maps: Float[Tensor, "C h w"], base: Window, window: Window, side: int, corners: bool = False
) -> Float[Tensor, "C side side"]:
    """Maps over one window of a photo, read off on the grid of another; 0 outside."""
    (a0, b0, a1, b1), (x0, y0, x1, y1) = base, window
    theta = torch.tensor(
        [
            [(x1 - x0) / (a1 - a0), 0, (x0 + x1 - a0 - a1) / (a1 - a0)],
            [0, (y1 - y0) / (b1 - b0), (y0 + y1 - b0 - b1) / (b1 - b0)],
        ]
    )
    grid = F.affine_grid(theta[None], [1, len(maps), side, side], align_corners=False)
    return F.grid_sample(maps[None], grid, align_corners=corners)[0]
