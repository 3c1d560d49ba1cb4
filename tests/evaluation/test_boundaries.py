"""Borders against borders, by hand; and that edges of the photo help where there are some."""

import numpy as np
import pytest

from meronym.collections import open_collection
from meronym.evaluation.boundaries import borders, boundary_f, evaluate_boundaries
from meronym.model import PartModel
from stripes import Stripes


def halves(at: int) -> np.ndarray:
    labels = np.zeros((10, 40), int)
    labels[:, at:] = 1
    return labels


def test_borders_are_where_labels_change():
    labels = np.array([[0, 0, 1], [0, 2, 1]])
    assert borders(labels).tolist() == [[False, True, False], [True, True, False]]


@pytest.mark.parametrize(("shift", "score"), [(0, 1), (2, 1), (3, 0), (-2, 1)])
def test_two_pixels_are_near_enough(shift, score):
    assert boundary_f(halves(20 + shift), halves(20), 2) == score


def test_precision_and_recall_both_count():
    both = halves(10)
    both[:, 30:] = 2
    assert boundary_f(both, halves(10), 2) == pytest.approx(2 / 3) == boundary_f(halves(10), both, 2)
    assert boundary_f(np.zeros((10, 40), int), halves(10), 2) == 0
    assert np.isnan(boundary_f(halves(10), np.zeros((10, 40), int), 2))


def test_a_model_is_scored_with_and_without_edges():
    toy = open_collection("toy:4", seed=0)
    model = PartModel(Stripes(3))
    plain = evaluate_boundaries(model, toy)
    assert plain["boundary_f"] == plain["boundary_f_bilinear"] > 0
    model.segmenter.sharp = True
    sharp = evaluate_boundaries(model, toy)
    assert sharp["boundary_f_bilinear"] == plain["boundary_f_bilinear"] and model.segmenter.sharp
    assert sharp["boundary_f"] != sharp["boundary_f_bilinear"]
