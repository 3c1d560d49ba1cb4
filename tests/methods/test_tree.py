"""A tree of parts: exactly nested, as near to each level's own training as that allows, and a run for each level."""

import functools
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from meronym.collections import Sample, open_collection
from meronym.edits import load as load_edits
from meronym.heads import LinearHead, TreeHead, as_configured, summed
from meronym.methods import Consensus, Contrastive, consensus
from meronym.methods.consensus import grow
from meronym.methods.tree import halves, in_order, joined, merged, of_finest, wholes
from meronym.model import PartModel
from meronym.parts import branch_names
from meronym.report.tree import family_colours
from meronym.training.run import Run
from pictures import picture

TOY = open_collection("toy:8", seed=0).split("train")
SMALL = {"backbone": "efficientnet_lite0", "size": 128}
LEVELS = {2: [0, 0, 0, 1], 3: [0, 0, 1, 2], 4: [0, 1, 2, 3]}


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["agreement", "contrast"])
def model(request, tmp_path_factory) -> PartModel:
    run = Run(tmp_path_factory.mktemp("run"), {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consensus, "Contrastive", functools.partial(Contrastive, steps=80))
        return Consensus(**SMALL, individual=request.param, tree=True).fit(TOY, 8, run)


def test_halves():
    assert halves(16) == [8, 4, 2] and halves(12) == [6, 3] and halves(3) == [] and halves(2) == []


def test_every_level_is_trained_with_what_is_known_of_the_objects(tmp_path):
    segmenter, features = Consensus(**SMALL).resolved(8).prepare(TOY, 8)
    levels = []
    grow(segmenter, features, Run(tmp_path, {}), 0, lambda level, folder: levels.append(level))
    assert [level.parts for level in levels] == [4, 2]
    assert all(level.finds and level.object is segmenter.object for level in levels)


def test_labels_of_a_level_are_a_function_of_the_finest(model, tmp_path):
    levels = {k: model.at(k) for k in (2, 4, 8)}
    samples = [TOY[0], Sample("blind", TOY[1].image), Sample("small", picture(31, 17))]
    for sample in samples:
        found = {k: m.predict(sample.image, mask=sample.mask).labels for k, m in levels.items()}
        for fine, coarse in ((8, 4), (4, 2), (8, 2)):
            pairs = np.unique(np.stack([found[fine].ravel(), found[coarse].ravel()]), axis=1)
            assert len(pairs[0]) == len(np.unique(found[fine])), f"{coarse} parts are no merge of {fine}"
        np.testing.assert_array_equal(found[8], model.predict(sample.image, mask=sample.mask).labels)
    loaded = PartModel.load(levels[4].save(tmp_path / "four"))
    assert loaded.parts == 4 == len(loaded.names) and loaded.fingerprint == levels[4].fingerprint
    assert loaded.fingerprint != model.fingerprint and loaded.at(8).fingerprint == model.fingerprint
    np.testing.assert_array_equal(loaded.predict(TOY[0].image).labels, levels[4].predict(TOY[0].image).labels)
    with pytest.raises(ValueError, match=r"at\(5\): the levels of this model are 2, 4, 8"):
        model.at(5)


def test_every_level_has_all_its_parts_and_keeps_their_shares(model):
    view = model.view(TOY[0])
    logits, _ = model.segment([view])[0]
    for k in (2, 4, 8):
        level = model.at(k)
        assert level.parts == k == len(set(level.names)) and set(level.merge or range(8)) == set(range(k))
        shares = level.shares(logits)
        torch.testing.assert_close(shares.sum(0), torch.ones_like(shares[0]))
        assert torch.equal(level.shares(logits[None])[0], shares)
    first = torch.tensor(model.at(2).merge) == 0
    half = torch.stack([model.shares(logits)[chosen].sum(0) for chosen in (first, ~first)])
    torch.testing.assert_close(model.at(2).shares(logits), half)


def test_joining_is_the_best_that_leaves_no_part_empty():
    random = np.random.default_rng(0)
    for a, b in ((3, 2), (5, 3), (4, 4), (6, 2)):
        for _ in range(10):
            table = random.integers(0, 9, (a, b))
            found = joined(table)
            every = [m for m in itertools.product(range(b), repeat=a) if len(set(m)) == b]
            most = max(sum(table[i, k] for i, k in enumerate(m)) for m in every)
            assert set(found) == set(range(b)) and table[np.arange(a), found].sum() == most


def test_a_hierarchy_is_found_again_whatever_its_order():
    g = torch.Generator().manual_seed(0)
    finest = torch.randint(0, 32, (2000,), generator=g)
    orders = {k: torch.randperm(k, generator=g) for k in (32, 16, 8, 4, 2)}
    trained = {k: order[finest // (32 // k)] for k, order in orders.items()}
    order, levels = in_order(of_finest(32, wholes(trained)))
    assert levels == {k: [part // (32 // k) for part in range(32)] for k in orders}
    assert sorted(order) == list(range(32))
    assert in_order(of_finest(3, wholes({3: finest % 3})))[1] == {3: [0, 1, 2]}


def test_up_to_eight_parts_coarser_levels_are_merges_beyond_finer_ones_are_pieces():
    shifted = {k: torch.arange(160) // (160 // k) for k in (16, 8, 4)}
    shifted[8] = (torch.arange(160) + 3).clamp(max=159) // 20
    shifted[4] = (torch.arange(160) + 15).clamp(max=159) // 40
    found = wholes(shifted)
    assert found == {16: [k // 2 for k in range(16)], 8: [0, 1, 1, 2, 2, 3, 3, 3]}


def test_merges_are_those_on_which_both_levels_agree_most():
    random = np.random.default_rng(0)
    for a, b, c in ((4, 3, 2), (5, 4, 2), (6, 3, 2)):
        first, second = random.integers(0, 9, (a, b)), random.integers(0, 9, (a, c))
        upper, lower = merged([first, second])
        assert set(upper) == set(range(b)) and set(lower) == set(range(c))

        def agreeing(up, low, first=first, second=second):
            return sum(first[i, k] + second[i, low[k]] for i, k in enumerate(up))

        ways = (w for w in itertools.product(range(b), repeat=a) if len(set(w)) == b)
        lows = [w for w in itertools.product(range(c), repeat=b) if len(set(w)) == c]
        assert agreeing(upper, lower) == max(agreeing(up, low) for up in ways for low in lows)
        alone = [first[np.arange(a), way].sum() for way in (merged([first])[0], joined(first))]
        assert alone[0] == alone[1]
    assert merged([]) == []


def test_a_piece_has_its_share_of_its_whole():
    torch.manual_seed(0)
    linear = [LinearHead(5, k) for k in (2, 4, 7)]
    for head in linear:
        nn.init.normal_(head.weight)
    head = TreeHead(TreeHead(linear[0], linear[1], [1, 0, 1, 1]), linear[2], [3, 0, 1, 2, 2, 1, 0])
    features = torch.randn(2, 5, 3, 4)
    found, middle = head(features).softmax(1), head.wholes(features).softmax(1)
    torch.testing.assert_close(summed(found.log(), head.of).exp(), middle)
    torch.testing.assert_close(summed(middle.log(), [1, 0, 1, 1]).exp(), linear[0](features).softmax(1))
    siblings = found[:, [3, 4]] / found[:, [3, 4]].sum(1, keepdim=True)
    torch.testing.assert_close(siblings, linear[2](features)[:, [3, 4]].softmax(1))
    again = as_configured(5, 7, head.config())
    again.load_state_dict(head.state_dict())
    head.put_in_order([6, 5, 4, 3, 2, 1, 0])
    torch.testing.assert_close(head(features), again(features).flip(1))


def test_names_and_colours_tell_families():
    levels = {k: tuple(merge) for k, merge in LEVELS.items()}
    assert branch_names(levels, 2) == ("part 1", "part 2")
    assert branch_names(levels, 3) == ("part 1.1", "part 1.2", "part 2")
    assert branch_names(levels, 4) == ("part 1.1.1", "part 1.1.2", "part 1.2", "part 2")
    two, three, four = (family_colours(LEVELS, k) for k in (2, 3, 4))
    np.testing.assert_array_equal(two[1], four[3])
    np.testing.assert_array_equal(three[1], four[2])
    assert len(np.unique(four, axis=0)) == 4


def test_the_command_makes_a_run_for_each_level(meronym, tmp_path):
    how = ["--backbone", "efficientnet_lite0", "--no-report", "--set", "size=128", "individual=0"]
    train = ("train", "toy:8", "--parts", "tree", "--run", "run", *how)
    code, said = meronym(*train)
    assert code == 0, said
    assert (tmp_path / "run/tree.jpg").exists() and len(load_edits("run").colours) == 16
    for k in (2, 4, 8):
        assert PartModel.load(f"run/at-{k}").parts == k and len(load_edits(f"run/at-{k}").colours) == k
    code, said = meronym("evaluate", "run/at-4")
    assert code == 0, said
    line = Path("results/toy.jsonl").read_text()
    assert '"method": "consensus+size=128+individual=0.0+tree"' in line and '"parts": 4' in line
    assert "--run run --seed 0 --parts 16" in line and "meronym evaluate run/at-4" in line
    code, said = meronym("predict", "run/at-2", "toy:2", "--out", "out", "--format", "coco")
    assert code == 0, said
    code, said = meronym(*train)
    assert code == 0 and "is finished" in "\n".join(said)
