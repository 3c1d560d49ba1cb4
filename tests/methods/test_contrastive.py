"""The forms of the term across photos (Table 2): what each compares with what."""

import json

import numpy as np
import pytest
import torch

from meronym.features import FeatureSet
from meronym.heads import AgreedHead, LinearHead, as_configured
from meronym.methods.contrastive import OUTCOME, Contrastive, HeadTraining, as_seen, merged
from meronym.methods.kmeans import SmallClusters, refined, sample_points, starts
from meronym.objectives import contrastive, descriptor_distance, draw_partners, pool, view_partners
from meronym.training.sampling import generator
from meronym.training.turned import Turned


@pytest.mark.parametrize("across", ["contrastive", "l2", "views"])
def test_across(across, tmp_path):
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{i}.npy" for i in range(8)]
    for path in paths:
        np.save(path, rng.standard_normal((12, 6, 6), dtype=np.float32))
    plain, other = (
        FeatureSet([0, 1, 2, 3], half, np.full((4, 6, 6), 255, np.uint8), [], np.full((4, 12, 12), 255, np.uint8))
        for half in (paths[:4], paths[4:])
    )
    head = LinearHead(12, 3)
    head.start_from(torch.from_numpy(rng.standard_normal((3, 12), dtype=np.float32)), 0.1)
    method = Contrastive(backbone="efficientnet_lite0", batch=4, centre=0.0, across=across).resolved(3)
    turned = Turned(plain, other, torch.eye(2, 3).repeat(4, 1, 1)) if across == "views" else None
    training = HeadTraining(method, head, plain, 0, turned)
    batch = training.batch(5, 0, 1)
    both, inside = (batch["features"], batch.get("turned", batch["features"])), batch["foreground"][:, None]
    z, moved = (pool(head(x).softmax(1) * inside, [x]).z for x in both)
    partners = draw_partners(4, 3, generator(0, "partners", 5))
    expected = {
        "contrastive": contrastive(z, partners, 0.19, cosine=True),
        "l2": descriptor_distance(z, partners),
        "views": contrastive(torch.cat([z, moved]), view_partners(4, 3), 0.19, cosine=True),
    }
    total, terms = training.loss(head, batch, lambda x: x)
    torch.testing.assert_close(terms["L_c"], expected.pop(across))
    assert all((terms["L_c"] - value).abs() > 1e-3 for value in expected.values())
    torch.testing.assert_close(total, terms["L_f"] + method.lambda_c * terms["L_c"])

    outcome = training.outcome()  # on the same batches whatever the seed of the training
    assert outcome == HeadTraining(method, head, plain, 7, turned).outcome()
    assert outcome["total"] == pytest.approx(outcome["L_f"] + method.lambda_c * outcome["L_c"], rel=1e-5)
    other_head = LinearHead(12, 3)
    other_head.start_from(torch.from_numpy(rng.standard_normal((3, 12), dtype=np.float32)), 0.1)
    both_heads = LinearHead(12, 6)  # one pass tells the losses of both
    both_heads.load_state_dict({n: torch.cat([v, other_head.state_dict()[n]]) for n, v in head.state_dict().items()})
    together = training.losses(both_heads, OUTCOME)
    for each, alone in zip(together, (outcome, *training.losses(other_head, OUTCOME)), strict=True):
        assert each == pytest.approx(alone, rel=1e-4)
    assert together[0]["total"] != pytest.approx(together[1]["total"], rel=1e-2)
    head.weight.data *= 0
    assert training.outcome() != outcome


def test_training_begins_from_the_kmeans_that_the_objective_likes_best(tmp_path):
    rng = np.random.default_rng(0)
    centres = np.eye(6, 12, dtype=np.float32) * 3
    for i in range(8):
        cells = centres[rng.permutation(36) % 6] + rng.standard_normal((36, 12), dtype=np.float32)
        np.save(tmp_path / f"{i}.npy", cells.T.reshape(12, 6, 6))
    paths, whole = [tmp_path / f"{i}.npy" for i in range(8)], np.full((8, 6, 6), 255, np.uint8)
    features = FeatureSet(list(range(8)), paths, whole, [], whole.repeat(2, 1).repeat(2, 2))
    method = Contrastive(backbone="efficientnet_lite0", batch=4, centre=0.0).resolved(4)
    training = HeadTraining(method, LinearHead(12, 4), features, 0)
    points, _ = sample_points(features, 0.0, 0)
    small = SmallClusters(points, 0)
    training.begin(small)
    begun, others = training.outcome()["total"], []
    for found, spread in (refined(points, found) for found, _ in starts(small, 4)):
        training.network.start_from(found, method.sharpness / spread)
        others.append(training.outcome()["total"])
    assert begun <= np.quantile(others, 0.2) and begun < max(others) - 1e-3


@pytest.mark.parametrize(("given", "kept"), [(True, [0, 255, 255, 0]), (False, [255, 255, 255, 255])])
def test_few_parts_are_learned_on_what_looks_like_object(given, kept, tmp_path):
    lines = [(np.eye(1, 6, dtype=np.float32).repeat(4, 0), np.zeros(4, np.float32))]
    cells = np.zeros((6, 1, 4), np.float16)
    cells[0] = -4, -2, 1, 1  # sure by 0.02, 0.12, 0.73, 0.73
    np.save(tmp_path / "0.npy", cells)
    foreground = np.array([[[255, 255, 255, 0]]], np.uint8)
    before = FeatureSet([0], [tmp_path / "0.npy"], foreground, [], foreground.repeat(2, 1).repeat(2, 2), lambda: lines)
    assert as_seen(before, given).foreground.ravel().tolist() == kept
    assert before.foreground.ravel().tolist() == [255, 255, 255, 0]


def test_merged_parts_have_the_shares_of_what_they_were_merged_from():
    rng = np.random.default_rng(0)
    centres = np.eye(3, 12, dtype=np.float32).repeat([2, 1, 3], 0) * 9 + rng.standard_normal((6, 12), dtype=np.float32)
    points = torch.from_numpy(centres.repeat(50, 0) + rng.standard_normal((300, 12), dtype=np.float32) / 9)
    fine = LinearHead(12, 6)
    fine.start_from(torch.from_numpy(centres), 0.05)
    head = merged(fine, 3, points, torch.ones(6))
    first, _, second, *third = head.merge
    assert head.merge[0] == head.merge[1] and len(set(third)) == 1 and len({first, second, *third}) == 3
    maps = points[:288:8].T.reshape(1, 12, 6, 6)
    shares, found = fine(maps).softmax(1), head(maps).softmax(1)
    for part in range(3):
        own = [i for i in range(6) if head.merge[i] == part]
        torch.testing.assert_close(found[:, part], shares[:, own].sum(1))
    unsure = torch.tensor([0.9, 0.9, 0.2, 0.9, 0.9, 0.9])  # the one that stands alone: it is left out
    rest = merged(fine, 3, points, unsure)
    assert len(rest.weight) == len(rest.merge) == 5 and set(rest.merge) == {0, 1, 2} and rest.merge[0] == rest.merge[1]
    torch.testing.assert_close(rest.weight, fine.weight[[0, 1, 3, 4, 5]])
    assert (fine(maps).argmax(1) == 2).any() and merged(fine, 6, points, unsure).merge == list(range(6))
    like = LinearHead(12, 2)
    like.start_from(torch.from_numpy(np.stack([centres[:2].mean(0), centres[2:].mean(0)])), 0.05)
    assert merged(fine, 2, points, torch.ones(6), like).merge == [0, 0, 1, 1, 1, 1]
    head.put_in_order([2, 0, 1])
    torch.testing.assert_close(head(maps).softmax(1), found[:, [2, 0, 1]])


def test_heads_that_agree_have_the_geometric_mean_of_their_shares():
    torch.manual_seed(0)
    plain, pieces = LinearHead(12, 3), LinearHead(12, 3, [2, 0, 1, 0])
    for values in (*plain.parameters(), *pieces.parameters()):
        values.data.normal_()
    head, maps = AgreedHead([plain, pieces]), torch.randn(2, 12, 4, 5)
    shares = (plain(maps).softmax(1) * pieces(maps).softmax(1)).sqrt()
    torch.testing.assert_close(head(maps).softmax(1), shares / shares.sum(1, keepdim=True))
    again = as_configured(12, 3, json.loads(json.dumps(head.config())))
    again.load_state_dict(head.state_dict())
    torch.testing.assert_close(again(maps), head(maps))
    before = head(maps)
    head.put_in_order([1, 2, 0])
    torch.testing.assert_close(head(maps), before[:, [1, 2, 0]])


def test_how_many_parts_are_trained():
    on = {name: Contrastive(backbone=name) for name in ("dinov2_vits14", "vgg19")}
    assert [on["dinov2_vits14"].trained(k) for k in (2, 5, 6, 15, 16, 24)] == [16, 16, 16, 16, 16, 24]
    assert [on["vgg19"].trained(k) for k in (2, 8, 24)] == [2, 8, 24]
    four, eight, sixteen = (on["dinov2_vits14"].resolved(k) for k in (4, 8, 16))
    assert four.weighed(4, 4) == four and eight.lambda_c == 1
    assert four.weighed(4, 16).lambda_c == pytest.approx(sixteen.lambda_c, rel=1e-3)
    assert eight.weighed(8, 4).lambda_c == pytest.approx(four.lambda_c, rel=1e-3)
