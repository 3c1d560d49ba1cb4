"""Agreement of clusterings, and the measure that decides between it and contrast."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from meronym.collections import open_collection
from meronym.methods import METHODS, consensus
from meronym.methods.consensus import Consensus, agreed, individuality, part_effect, sizes, substantial
from meronym.methods.contrastive import Contrastive
from meronym.methods.kmeans import SmallClusters, refined, sample_points, starts
from meronym.metrics import ari
from meronym.training.run import Run


def blobs(centres: torch.Tensor, each: int, spread: float) -> torch.Tensor:
    noise = torch.randn(len(centres) * each, centres.shape[1], generator=torch.Generator().manual_seed(1))
    return centres.repeat_interleave(each, 0) + spread * noise


def test_clusters_of_unequal_size_and_spread_are_kept_whole():
    centres = torch.eye(4, 6) * 8
    points = torch.cat([blobs(centres[:1], 3000, 1.5), blobs(centres[1:], 150, 0.3)])
    true = torch.cat([torch.zeros(3000), torch.arange(1, 4).repeat_interleave(150)]).long()
    for seed in range(3):
        found, _ = agreed(points, 4, seed)
        label = torch.cdist(points, found).argmin(1)
        assert ari(torch.bincount(4 * label + true, minlength=16).view(4, 4)) > 0.97


def test_a_crumb_is_no_group_but_joins_the_one_it_is_closest_to():
    together = np.full((7, 7), 0.1)
    for some, close in (([0, 1], 0.9), ([2, 3], 0.8), ([4, 5], 0.7)):
        together[np.ix_(some, some)] = close
    together[6, 2:4] = together[2:4, 6] = 0.3
    np.fill_diagonal(together, 1)

    def found(weight: np.ndarray, groups: int) -> set[frozenset]:
        label = substantial(together, weight, groups)
        assert sorted(set(label)) == list(range(groups))
        return {frozenset(np.flatnonzero(label == k).tolist()) for k in range(groups)}

    pairs = {frozenset(pair) for pair in ((0, 1), (2, 3), (4, 5))}
    assert found(np.ones(7), 4) == pairs | {frozenset([6])}
    weight = np.array([9.0, 9, 9, 9, 9, 9, 0.1])
    assert found(weight, 3) == pairs - {frozenset([2, 3])} | {frozenset([2, 3, 6])}
    assert found(weight, 4) == {frozenset(each) for each in ([0, 1], [2, 3, 6], [4], [5])}
    light = np.array([9.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    assert len(found(light, 3)) == 3  # where no cut gives three of some weight


def test_many_parts_are_voted_on_by_coarser_kmeans_too():
    assert sizes(8) == [8] and sizes(16) == [16, 12, 8] and sizes(9) == [9, 7, 4]


def test_of_many_kmeans_the_tightest_come_first():
    points = blobs(torch.eye(12, 14) * 4, 80, 0.7)
    small = SmallClusters(points, seed=0, most=40)
    assert len(small) == 40 and small.size.sum() == len(points) and len(small.of_point) == len(points)
    tight = [float(each.inertia_) for each in small.kmeans(12, 20, np.random.RandomState(0))]
    assert tight == sorted(tight) and tight[-1] > 1.1 * tight[0]
    true = torch.arange(12).repeat_interleave(80)
    found = starts(SmallClusters(points, seed=0), 12)
    assert [spread for _, spread in found] == sorted({spread for _, spread in found})  # the tightest first, none twice
    for centres, spread in (found[0], refined(points, found[0][0])):
        label = torch.cdist(points, centres).argmin(1)
        assert ari(torch.bincount(12 * label + true, minlength=144).view(12, 12)) > 0.99
        assert spread == pytest.approx(14 * 0.7**2, rel=0.1)
    with pytest.raises(ValueError, match="--parts 41: the photos show too little"):
        small.kmeans(41, 1, np.random.RandomState(0))


def test_few_points_have_a_kmeans_too():
    points = blobs(torch.eye(6, 8) * 9, 5, 0.2)
    ((centres, _),) = starts(SmallClusters(points, seed=0), 6)
    true = torch.arange(6).repeat_interleave(5)
    label = torch.cdist(points, centres).argmin(1)
    assert ari(torch.bincount(6 * label + true, minlength=36).view(6, 6)) == 1
    with pytest.raises(ValueError, match="--parts 4: the photos hold fewer different patches"):
        starts(SmallClusters(torch.eye(3).repeat(200, 1), seed=0), 4)


@pytest.mark.parametrize(("part", "individual"), [(3.0, 0.1), (1.4, 1.0), (0.3, 3.0)])
def test_part_effect_is_the_share_of_the_variance_between_parts(part, individual):
    random = torch.Generator().manual_seed(0)
    parts, photos = torch.randn(8, 20, generator=random) * part, torch.randn(200, 20, generator=random) * individual
    own = torch.randn(200, 8, 20, generator=random) * 0.01
    points = (parts + photos[:, None] + own).flatten(0, 1).repeat_interleave(4, 0)
    found = part_effect(points, torch.arange(200).repeat_interleave(32))
    if part > individual:  # k-means finds the true parts, and the truth is known
        assert found == pytest.approx(part**2 / (part**2 + individual**2), abs=0.05)
    assert (found > Consensus(backbone="dinov2_vits14").individual) == (part >= individual)


def test_part_effect_is_the_same_for_few_and_many_cells_of_a_photo():
    random = torch.Generator().manual_seed(0)
    parts, photos = torch.randn(8, 20, generator=random) * 3, torch.randn(400, 20, generator=random)
    cells = parts[:, None] + photos[:, None, None] + torch.randn(400, 8, 32, 20, generator=random) * 3
    effects = [
        part_effect(cells[:, :, :n].flatten(0, 2), torch.arange(400).repeat_interleave(8 * n)) for n in (2, 4, 32)
    ]
    assert effects == pytest.approx([0.9] * 3, abs=0.03)


def test_of_many_photos_some_are_looked_at_closely(monkeypatch):
    method = METHODS["consensus"](backbone="efficientnet_lite0", size=128).resolved(3)
    _, features = method.prepare(open_collection("toy:12", seed=0).split("train"), 3)
    one, photos = sample_points(features, 0.0, 0, most=len(features))
    monkeypatch.setattr(consensus, "SOME_PHOTOS", 4)
    some = features.select(range(0, len(features), -(-len(features) // 4)))
    few, of = sample_points(features, 0.0, 0, most=len(features) // 3)
    assert len(few) <= len(features) // 3 and len(of.unique()) == len(few)
    expected = part_effect(*sample_points(some, 0.0, 0, consensus.MOST_POINTS))
    assert individuality(features, 0.0, 0, one, photos) == expected != part_effect(one, photos)


def test_individuals_that_differ_more_than_parts_are_trained_by_contrast(tmp_path):
    toy = open_collection("toy:6", seed=0).split("train")
    small = {"backbone": "efficientnet_lite0", "size": 128}
    always = METHODS["consensus"](**small, individual=1.0)
    model = always.fit(toy, 3, Run(tmp_path / "run", {}))
    assert model.about["method"] == "consensus" and "L_c" in model.about and (tmp_path / "run/metrics.csv").exists()
    never = METHODS["consensus"](**small, individual=0.0).fit(toy, 3, Run(tmp_path / "other", {}))
    assert "L_c" not in never.about and never.segmenter.centre == 0
    assert never.about["eta_squared"] == model.about["eta_squared"]


@pytest.mark.parametrize("few", [1, 3])
def test_a_tree_by_contrast_on_a_transformer(few, tmp_path, monkeypatch):
    for constant, value in {"FEW": few, "FINEST": 6, "COARSE": 2, "is_transformer": bool, "POINTS": 2**12}.items():
        monkeypatch.setattr(f"meronym.methods.contrastive.{constant}", value)
    monkeypatch.setattr(Contrastive, "resolved", lambda self, parts: replace(self, lambda_c=1.0, centre=0.0, steps=5))
    toy = open_collection("toy:6", seed=0).split("train")
    method = Consensus(backbone="efficientnet_lite0", size=128, individual=1.0, tree=True)
    model = method.fit(toy, 4, Run(tmp_path / "run", {}))
    assert {path.parent.name for path in tmp_path.rglob("last.ckpt")} == {"run", "with-2"}  # all of the same six
    fine, coarse = (each.predict(toy[0].image, mask=toy[0].mask).labels for each in (model, model.at(2)))
    assert set(model.about["levels"]) == {"4", "2"} and (coarse > 0).sum() == toy[0].mask.sum()
    assert all(len(np.unique(coarse[fine == part])) == 1 for part in np.unique(fine))
    again = method.fit(toy, 4, Run(tmp_path / "run", {}))
    assert again.fingerprint == model.fingerprint
