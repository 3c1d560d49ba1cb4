"""The number of parts on which two halves agree, on points whose number of groups is known."""

import pytest
import torch

from meronym import commands
from meronym.collections import open_collection
from meronym.evaluation.how_many import COUNTS, how_many, most_stable, stability
from meronym.methods import METHODS
from meronym.model import PartModel


@pytest.mark.parametrize("true", [5, 8])
def test_the_true_number_is_the_most_stable(true):
    random = torch.Generator().manual_seed(0)
    centres = torch.randn(true, 12, generator=random) * 4
    points = centres.repeat(60, 1).repeat_interleave(6, 0)
    points = points + torch.randn(points.shape, generator=random)
    curve = stability(points, torch.arange(60).repeat_interleave(true * 6), seed=0)
    assert tuple(curve) == COUNTS and curve[true] > 0.98
    assert most_stable(curve) == true


def test_nearly_as_stable_and_finer_is_better_but_two_never_counts():
    assert most_stable({2: 1.0, 4: 0.8, 6: 0.79, 8: 0.7}) == 6


def test_too_few_photos_or_a_method_that_cannot_tell(tmp_path):
    toy = open_collection("toy:6", seed=0)[:6]
    with pytest.raises(ValueError, match="6 usable photos are too few to see how many parts there are: give --parts"):
        how_many(METHODS["kmeans"](backbone="efficientnet_lite0"), toy)
    with pytest.raises(ValueError, match="--parts is missing: contrastive_deeplab cannot tell"):
        commands.train("toy:12", method="contrastive_deeplab", run=tmp_path / "run")


def test_photos_that_cannot_be_used_do_not_count(tmp_path):
    for i, sample in enumerate(open_collection("toy:7", seed=0)[:7]):
        sample.image.save(tmp_path / f"{i}.jpg")
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "0.jpg").read_bytes()[:2000])
    photos = open_collection(tmp_path)
    assert len(photos) == 8
    with pytest.raises(ValueError, match="7 usable photos are too few"):
        how_many(METHODS["kmeans"](backbone="efficientnet_lite0", size=128), photos)


def test_train_takes_it_and_says_so(tmp_path, capsys):
    small = {"backbone": "efficientnet_lite0", "settings": {"size": 128}, "run": tmp_path / "run"}
    model = commands.train("toy:12", **small)
    said = capsys.readouterr().err
    assert f"agree best on {model.parts} parts" in said and said.count("<- taken") == 1
    kept = PartModel.load(tmp_path / "run").about["stability"]
    assert model.parts == most_stable({int(k): value for k, value in kept.items()})
    assert "number of parts</text>" in (tmp_path / "run/report.html").read_text()
    assert commands.train("toy:12", **small).parts == model.parts
    assert "agree best" not in capsys.readouterr().err
