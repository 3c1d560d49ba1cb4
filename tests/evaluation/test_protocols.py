"""The paper's protocols on photos whose parts are known in advance, against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from torch.nn import functional as F

from meronym.backbones import load_backbone
from meronym.collections import open_collection
from meronym.collections.base import Collection, Record, Sample
from meronym.evaluation.keypoints import at_points, evaluate_keypoints, located, on_object, visible
from meronym.evaluation.pixels import evaluate_pixels
from meronym.images import BadPhoto
from meronym.model import PartModel, photo_window
from meronym.segmenters import HeadSegmenter
from pictures import picture
from stripes import Stripes

PARTS, KINDS, SIZE = 3, 5, (60, 40)


class Known(Collection):
    """Photos with random keypoints, some hidden, some off the mask, some outside the box; the fourth is broken."""

    def __init__(self, photos: int = 8, kinds: int = KINDS) -> None:
        super().__init__("known", [Record(str(i), row=i) for i in range(photos)], origin="made", all_masked=True)
        self.keypoint_names = tuple("abcdefgh"[:kinds])

    @staticmethod
    def found_at(path):
        return False

    def key(self, record):
        return f"known {record.id}"

    def read(self, record):
        if record.row == 3:
            raise BadPhoto("3.jpg", "truncated")
        rng = np.random.default_rng(record.row)
        points = np.float32(rng.uniform((0, 0, 0), (*SIZE, 1.6), (len(self.keypoint_names), 3)).round(1))
        points[:, 2] = points[:, 2] > 0.5 if record.row != 2 else 0
        mask = np.zeros(SIZE[::-1], bool)
        mask[5:35, 10:50] = True
        return Sample(record.id, picture(*SIZE), mask, (10.0, 5.0, 50.0, 35.0), points)


def known_points() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x, y, kind and whether it is on the mask, of every visible keypoint, by hand."""
    rows = []
    for i in set(range(8)) - {3}:
        for kind, (x, y, seen) in enumerate(Known()[i].keypoints):
            if seen:
                rows.append((x, y, kind, 10 <= int(x) < 50 and 5 <= int(y) < 35))
    return tuple(np.array(rows).T)


def scores(true, found) -> tuple[float, float]:
    return 100 * normalized_mutual_info_score(true, found), 100 * adjusted_rand_score(true, found)


def test_box_protocol():
    x, _, kind, on = known_points()
    stripe = np.clip((x - 10) / 40 * PARTS, 0, PARTS - 1e-6).astype(int)
    found = evaluate_keypoints(PartModel(Stripes(PARTS)), Known(), "box").scores
    assert (found["fg_nmi"], found["fg_ari"]) == pytest.approx(scores(kind, stripe))
    assert found["fg_ari_asreleased"] == pytest.approx(scores(kind, np.where(on, stripe + 1, 0))[1])


def test_whole_protocol():
    x, _, kind, on = known_points()
    stripe = (x / 60 * PARTS).astype(int)
    found = evaluate_keypoints(PartModel(Stripes(PARTS)), Known(), "whole").scores
    assert (found["nmi"], found["ari"]) == pytest.approx(scores(kind, np.where(on, stripe + 1, 0)))


def test_without_masks_the_model_says_what_is_background():
    x, _, kind, _ = known_points()
    model = PartModel(Stripes(PARTS))
    model.segmenter.finds = True
    found = evaluate_keypoints(model, Known().without_masks(), "whole").scores
    label = np.where(x >= SIZE[0] / 2, 1 + np.floor(x / SIZE[0] * PARTS), 0)
    assert (found["nmi"], found["ari"]) == pytest.approx(scores(kind, label))


def test_what_cannot_be_scored():
    model = PartModel(Stripes(PARTS))
    with pytest.raises(ValueError, match="protocol 'boxes': one of box, whole"):
        evaluate_keypoints(model, Known(), "boxes")
    with pytest.raises(ValueError, match="known has no keypoints to score against"):
        evaluate_keypoints(model, Known(kinds=0), "box")
    with pytest.raises(ValueError, match="known has no part labels to score against"):
        evaluate_pixels(model, Known(), "box")


@pytest.mark.parametrize("protocol", ["box", "whole"])
def test_pixels(protocol):
    toy = open_collection("toy:3", seed=0).split("train")
    model = PartModel(Stripes(PARTS))
    found, true = [], []
    for sample in toy:
        box = None if protocol == "box" else photo_window(sample)
        predicted = model.predict(sample.image, box=box or sample.box).labels
        predicted = predicted * sample.mask if protocol == "whole" else predicted
        keep = sample.part_labels > 0 if protocol == "box" else np.full(sample.mask.shape, True)
        found.append(predicted[keep]), true.append(sample.part_labels[keep])
    expected = scores(np.concatenate(true), np.concatenate(found))
    got = evaluate_pixels(model, toy, protocol).scores
    assert tuple(got.values())[:2] == pytest.approx(expected) and 0 < tuple(got.values())[2] < 100
    assert list(got) == (["fg_nmi", "fg_ari", "fg_miou"] if protocol == "box" else ["nmi", "ari", "miou"])


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("frame", [(64, 64), (48, 80)])
def test_at_points_is_the_naive_way(corners, frame):
    """Enlarge the logits to the network's input, look up the nearest pixel."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.standard_normal((6, 9, 7), dtype=np.float32))
    window = (-5.0, 3.0, 91.0, 75.5)
    points = rng.uniform(-20, 110, (500, 2))
    whole = F.interpolate(logits[None], frame[::-1], mode="bilinear", align_corners=corners)[0].argmax(0)
    x = np.floor((points[:, 0] + 5) * frame[0] / 96).clip(0, frame[0] - 1).astype(int)
    y = np.floor((points[:, 1] - 3) * frame[1] / 72.5).clip(0, frame[1] - 1).astype(int)
    assert (at_points(logits, window, frame, points, corners) == whole[y, x]).float().mean() > 0.995


def test_visible_and_on_object():
    sample = Known()[0]
    points, kinds = visible(sample)
    assert kinds.tolist() == np.flatnonzero(sample.keypoints[:, 2]).tolist() and len(points) == len(kinds)
    edge = np.array([[10, 5], [9.99, 5], [49.99, 34.99], [50, 34], [-3, 20], [99, 99]])
    assert on_object(sample, edge).tolist() == [True, False, True, False, False, False]
    assert on_object(Sample("a", sample.image), edge).all()


@pytest.mark.parametrize("whole", [False, True])
def test_cached_features_give_the_logits_of_the_network(whole):
    toy = open_collection("toy:3", seed=0).split("train")
    torch.manual_seed(0)
    model = PartModel(HeadSegmenter(load_backbone("efficientnet_lite0", size=128), PARTS, centre=0.5))
    torch.nn.init.normal_(model.segmenter.head.weight)
    for (sample, window, logits, _), expected in zip(located(model, toy, whole), toy, strict=True):
        assert sample.id == expected.id
        view = model.view(expected if whole else Sample("a", expected.image), window)
        direct = model.segment([view])[0][0]
        assert window == (photo_window(sample) if whole else model.segmenter.window(sample.box))
        assert (direct - logits).abs().max() < 0.02 * direct.abs().max()


@pytest.mark.parametrize(("protocol", "rows"), [("box", PARTS), ("whole", PARTS + 1)])
def test_counts_say_what_lies_on_which_part(protocol, rows):
    scored = evaluate_keypoints(PartModel(Stripes(PARTS)), Known(), protocol)
    kind = known_points()[2]
    assert scored.counts.shape == (rows, len(scored.kinds))
    assert scored.counts.sum(0).tolist() == np.bincount(kind.astype(int), minlength=len(scored.kinds)).tolist()
