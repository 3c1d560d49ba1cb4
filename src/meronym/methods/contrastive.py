"""Contrastive reconstruction (NeurIPS 2021) with a linear head on a frozen backbone: minutes on two cores.

The paper's part consistency (Eq. 2) and contrast across photos (Eq. 3) on the features of the head's own backbone,
from a start at the centres of that k-means which they like best (`HeadTraining.begin`), the same for every seed. Visual
consistency and equivariance shape the pixels of a network that is trained end to end (`contrastive_deeplab`); on frozen
features of low resolution there is nothing for them to shape.

Differs from the paper: f is a linear head and not a DeepLab; phi is the head's backbone; the start; Adam. On
transformers the weight of the contrast falls as K grows: at the weight that suits K = 4 it starves parts at K = 16.
Cells count whole or not at all: on transformers where the object covers more than a tenth, as beaks, legs and tails are
thinner than a cell; on convolutional networks, whose cells see far beyond their edges, more than half.
On transformers up to FINEST parts begin as FINEST, trained and then merged (`merged`): a few parts that must tell
photos apart divide the body, which has most cells; sixteen have room for the head as well, and for what is no object,
which is left out then. Up to FEW are trained by themselves too, in half the steps, on the cells that look like object
(`as_seen`), and FINEST are merged to agree with these; a part is where both see it (`heads.AgreedHead`). Where masks
are given, more parts are pieces of COARSE that are found so: what few parts surely tell apart, more parts do as well
(`heads.TreeHead`).
"""

import functools
from copy import copy
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from meronym.backbones import is_transformer
from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.heads import AgreedHead, LinearHead, TreeHead, of_points
from meronym.methods.base import check_parts
from meronym.methods.frozen import TOUCHED, FrozenMethod
from meronym.methods.kmeans import SmallClusters, linked, refined, sample_points, starts
from meronym.methods.tree import joined, shared
from meronym.objectives import (
    Pooled,
    contrastive,
    descriptor_distance,
    draw_partners,
    part_consistency,
    pool,
    view_partners,
)
from meronym.progress import say
from meronym.segmenters import HeadSegmenter, remove_mean
from meronym.training.loop import Batch, Gather, Training, make_fabric, optimise
from meronym.training.run import Run
from meronym.training.samples import Samples
from meronym.training.sampling import generator, photos_of_step, share
from meronym.training.turned import Turned, turn_all
from meronym.training.views import warp

POINTS = 2**15
"""Cells of the k-means that training starts from."""
FINEST, FEW, COARSE = 16, 5, 4
"""What fewer parts are merged from; up to FEW are trained by themselves too, and more are pieces of COARSE."""
FALL = 3.3
"""The power of K by which the contrast's weight falls, on transformers."""
SURE, SOME = 0.37, 200
"""Of merging: how surely a part is object; the photos in which that is looked at."""
NOTHING, LIKELY = 0.05, 0.3
"""How surely a cell is object that is none, whatever the mask, and that is one, whatever outline was found."""
SAME = 0
"""The seed of what is the same for every seed: cells, k-means, and the photos on which heads are compared."""
OUTCOME, GLANCE, CLOSER = 25, 8, 6
"""Batches on which heads are compared; on so few many are, and so many of them are refined."""


@dataclass(frozen=True, kw_only=True)
class Contrastive(FrozenMethod):
    """See `FrozenMethod` for the backbone's settings.

    lambda_f, lambda_c: weights of Eq. 2 and 3, per photo and per part occurrence. lambda_c None: (8 / K) ** 3.3 on
    transformers (10 at K = 4, 0.1 at K = 16), 0.1 at K = 4 and 0.4 from K = 8 on convolutional networks; how that was
    found is in docs/experiments.md. Where more or fewer than K parts are trained, it falls with their number likewise.
    temperature: tau of Eq. 3. cosine, same_photo_negatives: the published code's forms of Eq. 3.
    across: "contrastive" (Eq. 3), "l2" (Table 2) or "views" (Table 2: the partner is another view of the same photo,
    here its one warp, see `training.turned`).
    sharpness: of the start's softmax, in units of the k-means spread. steps, batch, learning_rate: of Adam.
    """

    name: ClassVar[str] = "contrastive"
    lambda_f: float = 1.0
    lambda_c: float | None = None
    temperature: float = 0.19
    cosine: bool = True
    same_photo_negatives: bool = False
    across: Literal["contrastive", "l2", "views"] = "contrastive"
    sharpness: float = 5.0
    steps: int = 400
    batch: int = 16
    learning_rate: float = 2e-2

    def resolved(self, parts: int) -> Self:
        check_parts(parts)
        if self.lambda_c is not None:
            return super().resolved(parts)
        contrast = (8 / parts) ** FALL if is_transformer(self.backbone) else 0.4 * min(1, parts / 8) ** 2
        return replace(super().resolved(parts), lambda_c=round(contrast, 4))

    def trained(self, parts: int) -> int:
        """How many parts are trained in the run itself."""
        return max(parts, FINEST) if is_transformer(self.backbone) else parts

    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        assert self.centre is not None
        parts, wide = segmenter.parts, is_transformer(self.backbone)
        segmenter.centre, touched = self.centre, features.touched(TOUCHED if wide else 0.5)
        turned = turn_all(collection, segmenter, touched) if self.across == "views" else None
        points, _ = sample_points(touched, segmenter.centre, SAME, POINTS)
        small = functools.cache(lambda: SmallClusters(points, SAME))

        def learned(level: HeadSegmenter, cells: FeatureSet, run: Run, steps: int) -> HeadTraining:
            assert isinstance(level.head, LinearHead)
            method = replace(self.weighed(parts, level.parts), steps=steps)
            training = HeadTraining(method, level.head, cells, seed, turned and replace(turned, plain=cells))
            if not run.checkpoint.exists():
                training.begin(small())
            if level.parts == self.trained(parts):
                training.samples = Samples(level, collection, steps)
            optimise(training, run, make_fabric(one=True))
            return training

        training = learned(segmenter.with_parts(self.trained(parts)), touched, run, self.steps)
        outcome, head = training.outcome(), training.network.cpu()  # where points are
        segmenter.head = head
        if not wide or parts > FINEST:
            return outcome
        sure, few, given = object_certainty(head, touched, segmenter.centre), parts <= FEW, collection.masked
        if parts < FINEST:
            segmenter.head = merged(head, parts, points, sure)
        if few or given:
            level = segmenter.with_parts(parts if few else COARSE)
            say(f"{level.parts} parts by themselves" if few else f"the {level.parts} parts that these are pieces of")
            apart = Run(run.folder / f"with-{level.parts}", run.settings)
            whole = learned(level, as_seen(touched, given), apart, (self.steps + 1) // 2).network.cpu()
            wholes = AgreedHead([whole, merged(head, level.parts, points, sure, whole)])
            pieces = segmenter.head
            segmenter.head = wholes if few else TreeHead(wholes, pieces, agreeing(pieces, wholes, points))
        return outcome

    def weighed(self, parts: int, trained: int) -> Self:
        """The same with the contrast's weight for so many parts, where it is known for `parts`."""
        assert self.lambda_c is not None
        return replace(self, lambda_c=self.lambda_c * (parts / trained) ** FALL)


def likeness(features: FeatureSet, maps: Float[Tensor, "B D h w"]) -> Float[Tensor, "B h w"]:
    """How surely cells look like object: to lines, which cannot learn the branches that masks hold as well."""
    assert features.lines is not None, "a method that learns from a frozen backbone finds the objects first"
    weight, bias = map(torch.from_numpy, features.lines()[0])
    return (weight @ maps.flatten(2) + bias[:, None]).sigmoid().mean(1).unflatten(1, maps.shape[2:])


@torch.no_grad()
def as_seen(features: FeatureSet, given: bool) -> FeatureSet:
    """The same on cells that look like object, for few parts: these divide otherwise because of any that are none.

    given: by masks, that is; what they hold and what is less than NOTHING sure is left out. Without, what is more than
    LIKELY is taken in, wherever the outline that was found runs.
    """
    seen = features.foreground.copy()
    for positions, maps, _ in features.batches():
        these, sure = seen[positions.start : positions.stop], likeness(features, maps).numpy()
        if given:
            these[sure < NOTHING] = 0
        else:
            these[sure > LIKELY] = 255
    return replace(features, foreground=seen)


@torch.no_grad()
def merged(
    head: LinearHead,
    parts: int,
    points: Float[Tensor, "N D"],
    certainty: Float[Tensor, " K"],
    like: LinearHead | None = None,
) -> LinearHead:
    """The classifiers of a head as those of fewer parts.

    certainty: of each part, how surely its cells are object. Where that is below SURE, what masks hold or what was
    found is none (a branch under a bird): such a part is left out, as long as enough are left, and each of its cells
    is of the next part that is likely there. The others are merged by average linkage of how far they overlap on these
    points, which is the cosine of the shares that they have of them.
    like: another head of so many parts, so that on most of these points both agree.
    """
    shares = F.normalize(of_points(head, points).softmax(0), dim=1)
    apart = (1 - shares @ shares.T).clamp(min=0).fill_diagonal_(0)
    own = max(parts, int((certainty >= SURE).sum()))
    kept = certainty.argsort(descending=True)[:own].sort().values
    found = LinearHead(points.shape[1], parts, range(own))
    found.load_state_dict({name: values[kept] for name, values in head.state_dict().items()})
    close = apart[kept][:, kept].numpy()
    found.merge = linked(close, parts).tolist() if like is None else agreeing(found, like, points)
    return found


@torch.no_grad()
def agreeing(pieces: LinearHead, wholes: LinearHead | AgreedHead, points: Float[Tensor, "N D"]) -> list[int]:
    """Which of fewer parts each piece belongs to, so that on most of these points both heads agree."""
    piece, whole = of_points(pieces, points), of_points(wholes, points)
    return joined(shared(piece.argmax(0), len(piece), whole.argmax(0), len(whole))).tolist()


@torch.no_grad()
def object_certainty(head: LinearHead, features: FeatureSet, centre: float) -> Float[Tensor, " K"]:
    """How surely the cells of each part are object, 0 to 1, in some of the photos."""
    some = features.spread(SOME)
    (points, _), (plain, _) = (sample_points(some, share, SAME, POINTS) for share in (centre, 0.0))
    shares = of_points(head, points).softmax(0)
    return shares @ likeness(features, plain.T[None, :, :, None]).flatten() / shares.sum(1).clamp(min=1e-6)


class HeadTraining(Training):
    """Eq. 2 and 3 on cached features."""

    def __init__(
        self, method: Contrastive, head: LinearHead, features: FeatureSet, seed: int, turned: Turned | None = None
    ) -> None:
        """turned: the same photos warped, where parts are contrasted between views."""
        self.method, self.features, self.seed, self.turned = method, features, seed, turned
        self.network: LinearHead = head
        self.steps = method.steps
        self.optimizer = torch.optim.Adam(head.parameters(), lr=method.learning_rate)
        self.parts = len(head.weight)

    def batch(self, step: int, rank: int, world: int) -> Batch:
        photos = photos_of_step(self.seed, step, self.method.batch, len(self.features), world)
        mine = share(photos, rank, world)
        if self.turned:
            return self.turned.batch(mine)
        features, foreground = self.features.cells(mine)
        partners = draw_partners(len(photos), self.parts, generator(self.seed, "partners", step))
        return {"features": features, "foreground": foreground, "partners": partners}

    def begin(self, small: SmallClusters) -> None:
        """Start from that k-means which Eq. 2 and 3 like best.

        Dozens are nearly as tight as the tightest, and each leads to other parts; the objective tells them apart
        before the first step. Several are equally good, so all seeds look at the same.
        """
        few = self._liked(starts(small, self.parts), GLANCE)[:CLOSER]
        best, *_ = self._liked([refined(small.points, centres) for centres, _ in few], OUTCOME)
        self.network.start_from(best[0], self.method.sharpness / best[1])

    def _liked(self, found: list[tuple[Tensor, float]], batches: int) -> list[tuple[Tensor, float]]:
        """K-means (centres and spread), that with the least total first."""
        heads = LinearHead(len(found[0][0][0]), self.parts * len(found))
        sharpness = torch.tensor([self.method.sharpness / spread for _, spread in found])
        heads.start_from(torch.cat([centres for centres, _ in found]), sharpness.repeat_interleave(self.parts))
        totals = [losses["total"] for losses in self.losses(heads, batches)]
        return [found[i] for i in sorted(range(len(found)), key=lambda i: totals[i])]

    def outcome(self) -> dict[str, float]:
        """The total and its terms, as `losses` has them."""
        return self.losses(self.network, OUTCOME)[0]

    @torch.no_grad()
    def losses(self, heads: LinearHead, batches: int) -> list[dict[str, float]]:
        """Totals and terms on so many batches, the same for every seed, so that heads compare.

        heads: the classifiers of one head after the other.
        """
        training, device = copy(self), heads.weight.device
        training.seed = SAME
        found = [dict[str, float]() for _ in range(len(heads.weight) // self.parts)]
        for step in range(batches):
            batch = {name: values.to(device) for name, values in training.batch(step, 0, 1).items()}
            pooled = training._pooled(heads, batch)
            for i, sums in enumerate(found):
                own = slice(i * self.parts, (i + 1) * self.parts)
                views = [Pooled(view.z[:, own], view.mass[:, own], view.energy[:, own]) for view in pooled]
                total, terms = training._terms(views, batch, lambda x: x)
                for name, value in {"total": total, **terms}.items():
                    sums[name] = sums.get(name, 0.0) + float(value) / batches
        return found

    def loss(self, network: nn.Module, batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        return self._terms(self._pooled(network, batch), batch, gather)

    def _pooled(self, network: nn.Module, batch: Batch) -> list[Pooled]:
        """Of the photos, and of their other views where there are any: the parts of one head after the other."""
        assert self.method.centre is not None
        views = [(batch["features"], batch["foreground"])]
        if self.turned:
            views.append((batch["turned"], warp(batch["foreground"][:, None], batch["theta"])[:, 0]))
        found = []
        for features, inside in views:
            prepared = remove_mean(features, inside, self.method.centre)
            shares = network(prepared).unflatten(1, (-1, self.parts)).softmax(2).flatten(1, 2)
            found.append(pool(shares * inside[:, None], [prepared]))
        return found

    def _terms(self, views: list[Pooled], batch: Batch, gather: Gather) -> tuple[Tensor, dict[str, Tensor]]:
        method = self.method
        assert method.lambda_c is not None
        photos, *others = views
        within, z = part_consistency(photos).mean(), gather(photos.z)
        if others:
            z = torch.cat([z, gather(others[0].z)])
            partners = view_partners(len(z) // 2, self.parts).to(z.device)
        else:
            partners = batch["partners"]
        if method.across == "l2":
            across = descriptor_distance(z, partners)
        else:
            across = contrastive(z, partners, method.temperature, method.cosine, method.same_photo_negatives)
        total = method.lambda_f * within + method.lambda_c * across
        return total, {"L_f": within, "L_c": across}
