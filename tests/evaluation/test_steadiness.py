"""Parts that two halves of the photos agree on are steady; the others are named."""

import pytest
import torch

from meronym import commands
from meronym.evaluation.steadiness import overlap, shaky
from meronym.model import PartModel


def test_overlap_is_jaccard_after_matching():
    a = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    b = torch.tensor([2, 2, 2, 0, 1, 1, 0, 0])
    assert overlap(a, b, 3).tolist() == pytest.approx([0.75, 1.0, 2 / 3])


def test_the_shaky_are_named():
    assert shaky(("head", "wing"), (0.9, 0.41)) == (
        "shaky, for they come out otherwise in half of the photos: wing (0.41)"
    )
    assert shaky(("head", "wing"), (0.9, 0.7)) == "all 2 parts come out alike in either half of the photos"


def test_a_run_that_chose_its_parts_says_which_are_shaky_even_after_a_stop(tmp_path, monkeypatch):
    given = {"backbone": "efficientnet_lite0", "settings": {"size": 128}, "run": tmp_path / "run", "report": False}

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(commands, "steadiness", stop)
        commands.train("toy:16", **given)
    commands.train("toy:16", **given)
    model = PartModel.load(tmp_path / "run")
    assert model.about["stability"] and len(model.about["steadiness"]) == model.parts
    assert all(0 <= value <= 1 for value in model.about["steadiness"])
