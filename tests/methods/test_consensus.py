"""Agreement of clusterings, and the measure that decides between it and contrast."""

import numpy as np
import pytest
import torch

from meronym.collections import open_collection
from meronym.methods import METHODS
from meronym.methods.consensus import agreed, agreement, part_effect
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


def test_agreement_is_a_share_that_says_who_belongs_together():
    micro = blobs(torch.eye(3, 5) * 9, 5, 0.2).numpy()
    share = agreement(micro, np.ones(15), 3, np.random.default_rng(0))
    assert share.shape == (15, 15) and (share == share.T).all() and (np.diag(share) == 1).all()
    same = np.kron(np.eye(3), np.ones((5, 5))).astype(bool)
    assert share[same].mean() > 0.4 and share[~same].max() < 0.2


@pytest.mark.parametrize(("part", "individual"), [(3.0, 0.1), (1.0, 1.0), (0.3, 3.0)])
def test_part_effect_is_the_share_of_the_variance_between_parts(part, individual):
    random = torch.Generator().manual_seed(0)
    parts, photos = torch.randn(8, 20, generator=random) * part, torch.randn(200, 20, generator=random) * individual
    own = torch.randn(200, 8, 20, generator=random) * 0.01
    points = (parts + photos[:, None] + own).flatten(0, 1).repeat_interleave(4, 0)
    found = part_effect(points, torch.arange(200).repeat_interleave(32))
    if part > individual:  # k-means finds the true parts, and the truth is known
        assert found == pytest.approx(part**2 / (part**2 + individual**2), abs=0.05)
    assert (found > 0.45) == (part >= individual)


def test_individuals_that_differ_more_than_parts_are_trained_by_contrast(tmp_path):
    toy = open_collection("toy:6", seed=0).split("train")
    small = {"backbone": "efficientnet_lite0", "size": 128}
    always = METHODS["consensus"](**small, individual=1.0)
    model = always.fit(toy, 3, Run(tmp_path / "run", {}))
    assert model.about["method"] == "consensus" and "L_c" in model.about and (tmp_path / "run/metrics.csv").exists()
    never = METHODS["consensus"](**small, individual=0.0).fit(toy, 3, Run(tmp_path / "other", {}))
    assert "L_c" not in never.about and never.segmenter.centre == 0
    assert never.about["eta_squared"] == model.about["eta_squared"]
