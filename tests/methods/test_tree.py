"""A tree of parts: exactly nested, as near to each level's own training as that allows, and a run for each level."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from meronym.collections import Sample, open_collection
from meronym.edits import load as load_edits
from meronym.methods import Consensus
from meronym.methods.consensus import grow
from meronym.methods.tree import halves, in_order, joined, nested
from meronym.model import PartModel, branch_names
from meronym.report.tree import family_colours
from meronym.training.run import Run
from pictures import picture

TOY = open_collection("toy:8", seed=0).split("train")
SMALL = {"backbone": "efficientnet_lite0", "size": 128}
LEVELS = {2: [0, 0, 0, 1], 3: [0, 0, 1, 2], 4: [0, 1, 2, 3]}


@pytest.fixture(scope="module", params=[0.0, 1.0], ids=["agreement", "contrast"])
def model(request, tmp_path_factory) -> PartModel:
    run = Run(tmp_path_factory.mktemp("run"), {})
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
    finest = torch.randint(0, 8, (500,), generator=g)
    shuffled = torch.randperm(8, generator=g)
    trained = {4: torch.tensor([2, 0, 1, 3])[finest // 2], 2: finest // 4}
    order, levels = in_order(nested(8, shuffled[finest], trained))
    assert levels == {2: [0] * 4 + [1] * 4, 4: [0, 0, 1, 1, 2, 2, 3, 3], 8: list(range(8))}
    assert sorted(order) == list(range(8))
    halves_of = [int(shuffled.tolist().index(leaf)) // 4 for leaf in order]
    assert halves_of in ([0] * 4 + [1] * 4, [1] * 4 + [0] * 4)


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
