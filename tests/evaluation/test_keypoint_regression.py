"""Keypoints from the centres of parts: the centres, photos that can be foreseen, Table 1's rows without a model."""

import numpy as np
import pytest
import torch

from meronym.collections import open_collection
from meronym.collections.base import Collection, Record, Sample
from meronym.evaluation.regression import (
    BASELINES,
    Landmarks,
    evaluate_baseline,
    evaluate_regression,
    part_centres,
    scores,
    soft_centres,
)
from meronym.images import BadPhoto
from meronym.model import PartModel
from pictures import picture
from stripes import Stripes

PARTS = 4


class Moving(Collection):
    """Photos 90x60 whose box is (10, 5, 50, 35), with a mask of a square that moves sideways; the third is broken.

    The first keypoint is the square's middle, the second is always in the same place, the third is never seen.
    """

    def __init__(self, photos: int = 12, names: tuple[str, ...] = ("middle", "fixed", "hidden")) -> None:
        records = [Record(str(i), row=i, split="test" if i % 2 else "train") for i in range(photos)]
        super().__init__("moving", records, origin="made", all_masked=True)
        self.keypoint_names = names

    @staticmethod
    def found_at(path):
        return False

    def key(self, record):
        return f"moving {record.id}"

    def read(self, record):
        if record.row == 2:
            raise BadPhoto("2.jpg", "truncated")
        x = 12 + 2 * (record.row // 2)
        mask = np.zeros((60, 90), bool)
        mask[10:20, x : x + 10] = True
        points = np.float32([[x + 5, 15, 1], [20, 30, 1], [0, 0, 0]])
        return Sample(record.id, picture(90, 60), mask, (10.0, 5.0, 50.0, 35.0), points, category=record.row % 3)


@pytest.mark.parametrize("corners", [False, True])
def test_soft_centres_equal_the_double_loop(corners):
    g = torch.Generator().manual_seed(0)
    logits, foreground = torch.randn(3, 5, 7, generator=g, dtype=torch.float64), torch.rand(5, 7, generator=g)
    masks = logits.softmax(0) * foreground
    naive = []
    for k in range(3):
        total = torch.zeros(2, dtype=torch.float64)
        for row in range(5):
            for column in range(7):
                place = (column / 6, row / 4) if corners else ((column + 0.5) / 7, (row + 0.5) / 5)
                total += masks[k, row, column] * torch.tensor(place, dtype=torch.float64)
        naive.append(total / masks[k].sum())
    torch.testing.assert_close(
        soft_centres(logits.softmax(0), foreground, corners), torch.stack(naive), atol=1e-6, rtol=0
    )


def test_a_part_that_is_nowhere_and_a_photo_without_an_object():
    logits, foreground = torch.zeros(2, 4, 4), torch.zeros(4, 4)
    logits[0] = 900
    middle = torch.full((2, 2), 0.5, dtype=torch.float64)
    torch.testing.assert_close(soft_centres(logits.softmax(0), foreground), middle)
    foreground[0, 3] = 1
    corner = torch.tensor([[0.875, 0.125]] * 2, dtype=torch.float64)
    torch.testing.assert_close(soft_centres(logits.softmax(0), foreground), corner, atol=1e-5, rtol=0)


def test_part_centres_are_those_of_the_stripes_within_the_mask():
    found = part_centres(PartModel(Stripes(PARTS)), Moving())
    assert found.places.shape == (11, 2 * PARTS) and list(found.categories) == [i % 3 for i in range(12) if i != 2]
    first = found.places[0].reshape(PARTS, 2)  # stripes of 10 pixels from x = 10; the square covers x = 12 to 22
    np.testing.assert_allclose(first[:2, 0], [(16 - 10) / 40, (21 - 10) / 40], atol=1e-6)
    np.testing.assert_allclose(first[:2, 1], (15 - 5) / 30, atol=1e-6)
    np.testing.assert_allclose(found.keypoints[0, :2], [[7 / 40, 10 / 30, 1], [10 / 40, 25 / 30, 1]], atol=1e-6)
    untold = part_centres(PartModel(Stripes(PARTS)), Moving(), masks=False).places[0].reshape(PARTS, 2)
    np.testing.assert_allclose(untold, [[(10 * k + 5) / 40, 0.5] for k in range(PARTS)], atol=1e-6)  # of whole stripes


def test_a_keypoint_that_follows_the_parts_is_found_and_the_broken_photo_is_named(capsys):
    everything = Moving(24)
    found = evaluate_regression(PartModel(Stripes(1)), everything.split("train"), everything.split("test"))
    assert found["kpr"] < 1e-3 and list(found) == ["kpr"] and "2.jpg: truncated" in capsys.readouterr().err


def test_subsets_are_fitted_on_three_classes_and_scored_on_each():
    everything = Moving(24)
    everything.category_names = ("003.c", "001.a", "002.b")
    found = part_centres(PartModel(Stripes(PARTS)), everything.split("train"))
    asked = part_centres(PartModel(Stripes(PARTS)), everything.split("test"))
    wrong = asked.categories == 0
    asked.keypoints[wrong, :2, 0] += 0.25  # class 003 is off by a quarter of the box
    errors = scores(found, asked, everything.category_names)
    assert errors["kpr_001"] < 1 and errors["kpr_002"] < 1 and 24 < errors["kpr_003"] < 26
    assert list(scores(found, asked.of([0, 1]), everything.category_names)) == ["kpr"]


def test_a_landmark_that_is_not_known_is_at_its_mean_in_the_photos_to_fit_on():
    rng, names = np.random.default_rng(0), ("001.a", "002.b", "003.c", "004.d")
    points = np.concatenate([rng.uniform(size=(40, 2, 2)), np.ones((40, 2, 1))], 2)
    points[30:] += 5  # far off, and of the fourth class
    lacking, filled = (Landmarks(points[:, 0, :2].copy(), points, np.arange(40) // 10) for _ in range(2))
    lacking.places[::3], filled.places[::3] = np.nan, np.nanmean(lacking.places[[i for i in range(30) if i % 3]], 0)
    errors, expected = scores(lacking, lacking, names), scores(filled, filled, names)
    assert errors["kpr_001"] == pytest.approx(expected["kpr_001"]) and errors["kpr"] != pytest.approx(expected["kpr"])


def test_baselines_on_photos_that_can_be_foreseen():
    everything = Moving(24)
    fit, test = everything.split("train"), everything.split("test")
    assert evaluate_baseline("single_keypoint", fit, test, keypoint="middle")["kpr"] == pytest.approx(0, abs=1e-4)
    assert evaluate_baseline("mean_keypoint", fit, test)["kpr"] == pytest.approx(0, abs=1e-4)
    assert evaluate_baseline("midpoint", fit, test)["kpr"] == pytest.approx(7.5, abs=0.1)  # as if nothing were known
    with pytest.raises(ValueError, match="keypoint 'throat': moving has middle, fixed, hidden"):
        evaluate_baseline("single_keypoint", fit, test)
    with pytest.raises(ValueError, match="none of its keypoints is visible"):
        evaluate_baseline("single_keypoint", fit, test, keypoint="hidden")
    with pytest.raises(ValueError, match="baseline 'centre': one of midpoint, mean_keypoint, single_keypoint"):
        evaluate_baseline("centre", fit, test)
    with pytest.raises(ValueError, match="moving has no keypoints to regress"):
        evaluate_baseline("midpoint", fit, Moving(names=()))


FIGURES = {
    ("midpoint", False): (26.7, 26.1, 26.5),
    ("midpoint", True): (27.4, 26.8, 27.2),
    ("mean_keypoint", False): (14.5, 15.8, 12.8),
    ("mean_keypoint", True): (20.9, 22.5, 19.9),
    ("single_keypoint", False): (12.7, 13.1, 12.5),
    ("single_keypoint", True): (16.4, 14.9, 15.3),
}


def test_the_rows_of_table_1_that_need_no_model(shared):
    birds = open_collection(shared / "data/CUB_200_2011", classes="001,002,003")
    for name in BASELINES:
        for published in (False, True):
            found = evaluate_baseline(name, birds.split("train"), birds.split("test"), published=published)
            subsets = [found[f"kpr_{subset}"] for subset in ("001", "002", "003")]
            assert subsets == pytest.approx(FIGURES[name, published], abs=0.1)
