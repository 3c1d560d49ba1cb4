"""Parts on which many clusterings agree: what `train` does when it is told nothing but the number of parts.

One k-means of the object's cells depends on its start, and near the best the features hardly tell one from another.
Here the cells are first cut into small clusters, these are clustered into K groups STARTS times, and the tightest tenth
of these k-means votes: two small clusters are as close as the share of them that keep both together (evidence
accumulation: Fred & Jain, 2005, IEEE TPAMI 27:6). Average linkage of that closeness into K groups of some size each,
and each cell goes to the nearest of their means. No term asks that a photo show every part. Of more than SURE parts
k-means divides some at random; there k-means into three quarters and half of K vote as well on what belongs together.

That suits things whose parts differ more than their individuals do: cars, clothes. Where it is the other way round
(birds of many species), clusters of features are species' heads and species' wings, and the paper's contrast is what
makes them one head: there the parts are trained by `contrastive`. Which of the two it is, the features tell: eta
squared, the share of the variance of the photos' part descriptors (the mean feature of each k-means part in each
photo) that the part explains, without what they vary by because few cells of each photo are looked at. From
`individual` downwards the individuals count for more.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.cluster import KMeans as Lloyd
from torch import Tensor

from meronym.collections import Collection
from meronym.features import FeatureSet
from meronym.heads import FactorHead, LinearHead, TreeHead, of_points
from meronym.methods.contrastive import Contrastive
from meronym.methods.frozen import FrozenMethod
from meronym.methods.kmeans import SmallClusters, cluster, different, linkage, sample_points
from meronym.methods.tree import SURE, halves, in_order, of_finest, wholes
from meronym.progress import say
from meronym.segmenters import HeadSegmenter
from meronym.training.run import Run, level_folder

STARTS, VOTES = 200, 10
"""How many k-means of each size are run; one in so many, the tightest, has a vote."""
COARSER = 0.75, 0.5
"""Sizes of the coarser k-means that vote too, in units of K, where there are more than SURE parts."""
LEAST = 0.2
"""Of an even share of the cells: the least that a part has."""
MOST_POINTS, SOME_POINTS = 2**15, 2**13
"""Of cells: what is clustered, and what parts are found from to see whether individuals differ more than these."""
SOME_PHOTOS = 2**11
"""In how many photos that is looked at."""


@dataclass(frozen=True, kw_only=True)
class Consensus(FrozenMethod):
    """See `FrozenMethod` for the backbone's settings; here nothing of the photo's mean is taken off (`centre` 0).

    individual: below this eta squared the paper's terms are trained instead; 0 never, 1 always.
    tree: also half as many parts, a quarter, ... as long as two are left, each one or more of the finest; see `tree`.
    """

    name: ClassVar[str] = "consensus"
    usual_centre = 0.0
    individual: float = 0.52
    tree: bool = False

    def teach(
        self, segmenter: HeadSegmenter, features: FeatureSet, collection: Collection, run: Run, seed: int
    ) -> dict[str, Any]:
        points, photos = sample_points(features, segmenter.centre, seed, MOST_POINTS)
        effect = round(individuality(features, segmenter.centre, seed, points, photos), 4)
        contrast = self.by_contrast(effect)
        if contrast:
            say(f"individuals differ more than parts do (eta squared {effect:.2f}): using contrast")

        def train(level: HeadSegmenter, folder: Run) -> dict[str, Any]:
            if contrast:
                method = self.contrast(level.parts)
                same = method.trained(level.parts) == method.trained(segmenter.parts)
                return method.teach(level, features, collection, run if same else folder, seed)
            centres, spread = agreed(points, level.parts, seed)
            assert isinstance(level.head, LinearHead)
            level.head.start_from(centres, sharpness=5 / spread)
            return {"total": spread}

        found = {"eta_squared": effect, **train(segmenter, run), "centre": segmenter.centre}
        return found | ({"levels": grow(segmenter, features, run, seed, train)} if self.tree else {})

    def by_contrast(self, effect: float) -> bool:
        """Whether individuals differ more than parts do, by this eta squared."""
        return effect < self.individual or self.individual >= 1

    def contrast(self, parts: int) -> Contrastive:
        """What is trained where individuals differ more than parts do."""
        centre = self.centre or None  # 0, what is usual here, is not what is usual there
        return Contrastive(backbone=self.backbone, layers=self.layers, size=self.size, centre=centre).resolved(parts)


def grow(
    segmenter: HeadSegmenter,
    features: FeatureSet,
    run: Run,
    seed: int,
    train: Callable[[HeadSegmenter, Run], object],
) -> dict[str, list[int]]:
    """The levels of a tree whose finest parts a segmenter knows: K to the part, 0 to K - 1, of each finest part.

    Every coarser level is trained in a folder of its own in the run's. The segmenter's parts are put in the tree's
    order.
    """
    levels = {segmenter.parts: segmenter}
    for parts in halves(segmenter.parts):
        say(f"the level of {parts} parts")
        levels[parts] = segmenter.with_parts(parts)
        train(levels[parts], Run(level_folder(run.folder, parts), run.settings | {"level": parts}))
    heads = {parts: level.head for parts, level in levels.items()}
    points, _ = sample_points(features, segmenter.centre, seed, MOST_POINTS)
    with torch.no_grad():
        of = wholes({parts: of_points(head, points).argmax(0) for parts, head in heads.items()})
        head = heads[max(parts for parts in heads if parts <= SURE)]
        for parts in sorted(parts for parts in heads if parts > SURE):
            finer = heads[parts]
            pieces = finer.pieces if isinstance(finer, TreeHead) else finer
            assert isinstance(pieces, LinearHead) and not isinstance(head, FactorHead)
            head = TreeHead(head, pieces, of[parts])
        order, merges = in_order(of_finest(segmenter.parts, of))
        assert not isinstance(head, FactorHead)
        head.put_in_order(order)
    segmenter.head = head
    return {str(parts): merge for parts, merge in merges.items()}


def individuality(
    features: FeatureSet, centre: float, seed: int, points: Float[Tensor, "N D"], photos: Int[Tensor, " N"]
) -> float:
    """`part_effect` of these points, or, of so many photos that each gives but few, of points of some of them."""
    if len(features) > SOME_PHOTOS:
        some = features.spread(SOME_PHOTOS)
        points, photos = sample_points(some, centre, seed, MOST_POINTS)
    return part_effect(points, photos)


def part_effect(points: Float[Tensor, "N D"], photos: Int[Tensor, " N"], parts: int = 8) -> float:
    """Eta squared of part descriptors: how much of their variance over photos and parts is that between parts.

    A part counts in a photo with at least a quarter of its even share of the cells. points: one row a cell;
    photos: which photo it is from. A descriptor is the mean of the few cells that were sampled; what it varies by for
    that reason is taken off, so that photos of one kind give the same whether there are a hundred or thousands.
    """
    some = points[:: max(1, len(points) // SOME_POINTS)]
    parts = min(parts, different(some.numpy()))
    centres, _ = cluster(some, parts, seed=0)
    label = torch.cdist(points, centres).argmin(1)
    place = photos * parts + label
    count = torch.bincount(place, minlength=(int(photos.max()) + 1) * parts).float()
    z = torch.zeros(len(count), points.shape[1]).index_add_(0, place, points) / count.clamp(min=1)[:, None]
    scatter = torch.zeros(len(count)).index_add_(0, place, (points - z[place]).square().sum(1)).view(-1, parts).sum(0)
    count, z = count.view(-1, parts), z.view(-1, parts, points.shape[1])
    present = (count > 0) & (count / count.sum(1, keepdim=True).clamp(min=1) >= 0.25 / parts)
    weight = count * present
    of_part = (z * weight[..., None]).sum(0) / weight.sum(0)[:, None].clamp(min=1)
    mean = (z * weight[..., None]).sum((0, 1)) / weight.sum()
    between = (weight.sum(0) * (of_part - mean).square().sum(1)).sum()
    chance = (present.sum(0) * scatter / (count - 1).clamp(min=0).sum(0).clamp(min=1)).sum()
    total = (weight * (z - mean).square().sum(2)).sum() - chance
    return float(between / torch.maximum(total, between).clamp(min=1e-12))


def agreed(points: Float[Tensor, "N D"], parts: int, seed: int) -> tuple[Float[Tensor, "K D"], float]:
    """Centres of the K groups of cells on which the tightest k-means agree, and the mean squared distance to them.

    Raises ValueError where there are fewer different points than parts.
    """
    return groups(SmallClusters(points, seed), parts)


def groups(small: SmallClusters, parts: int, starts: int = STARTS) -> tuple[Float[Tensor, "K D"], float]:
    """What `agreed` gives, for points that are in small clusters already. starts: how many k-means of each size."""
    random = np.random.RandomState(small.seed)
    together = np.mean([_votes(small.kmeans(size, starts, random)) for size in sizes(parts)], axis=0)
    group = torch.from_numpy(substantial(together, small.size, parts))[small.of_point]
    centres = torch.stack([small.points[group == k].mean(0) for k in range(parts)])
    return centres, max(float((small.points - centres[group]).square().sum(1).mean()), 1e-6)


def sizes(parts: int) -> list[int]:
    """Into how many clusters the k-means divide that vote on so many parts: K, and of many parts fewer too."""
    return [parts, *(round(parts * share) for share in COARSER if parts > SURE)]


def _votes(found: list[Lloyd]) -> Float[np.ndarray, "M M"]:
    """The share of the tightest of these k-means that keep two small clusters together."""
    labels = [np.asarray(each.labels_) for each in found[: len(found) // VOTES]]
    return np.mean([label[:, None] == label for label in labels], axis=0)


def substantial(
    together: Float[np.ndarray, "M M"], weight: Float[np.ndarray, " M"], groups: int
) -> Int[np.ndarray, " M"]:
    """Average linkage of M things into groups of some weight each: what a tree sets apart first is often a crumb.

    together: how close two things are. The tree is cut into more branches, until so many weigh LEAST of an even share
    or more; the others join that branch which they are closest to. Where no cut gives that, it is the plain one.
    """
    tree = linkage(1 - together)
    for branch in tree.T[len(weight) - groups :: -1]:
        heaviest = np.bincount(branch, weight).argsort(kind="stable")[::-1][:groups]
        if weight[branch == heaviest[-1]].sum() >= LEAST * weight.sum() / groups:
            break
    else:
        branch, heaviest = tree[:, len(weight) - groups], np.arange(groups)
    share = np.eye(branch.max() + 1)[branch] * weight[:, None]
    share /= share.sum(0)
    joins = (share.T @ together @ share[:, heaviest]).argmax(1)
    joins[heaviest] = np.arange(groups)
    return joins[branch]
