"""The drawn creatures: the same for the same seed, varied, and exact."""

import numpy as np
import pytest

from meronym.collections import CollectionError, open_collection


def test_seed_and_index_decide_everything():
    first, again = open_collection("toy:3", seed=5), open_collection("toy:3", seed=5)
    other = open_collection("toy:3", seed=6)
    for i in (0, 2):
        np.testing.assert_array_equal(np.asarray(first[i].image), np.asarray(again[i].image))
        np.testing.assert_array_equal(first[i].part_labels, again[i].part_labels)
        assert first.fingerprint(i) == again.fingerprint(i) != other.fingerprint(i)
        assert (np.asarray(first[i].image) != np.asarray(other[i].image)).mean() > 0.5


def test_without_a_seed_it_is_never_the_same_twice_but_can_be_had_again():
    first, second = open_collection("toy"), open_collection("toy")
    assert first.seed != second.seed
    again = open_collection("toy", seed=first.seed)
    np.testing.assert_array_equal(np.asarray(first[7].image), np.asarray(again[7].image))
    assert str(first.seed) in first.summary()


@pytest.mark.parametrize(("source", "train", "test"), [("toy", 200, 40), ("toy:10", 10, 20), ("toy:500", 500, 100)])
def test_sizes(source, train, test):
    collection = open_collection(source, seed=0)
    assert (len(collection.split("train")), len(collection.split("test"))) == (train, test)


def test_a_larger_toy_begins_with_the_smaller_one():
    small, large = open_collection("toy:10", seed=1), open_collection("toy:20", seed=1)
    for split in ("train", "test"):
        assert small.split(split).fingerprint(4) == large.split(split).fingerprint(4)


@pytest.mark.parametrize("source", ["toy:", "toy:0", "toy:-3", "toy:many"])
def test_a_wrong_number_is_an_error(source):
    with pytest.raises(CollectionError, match="toy:200 for 200 creatures"):
        open_collection(source)


def test_every_creature_has_its_parts_where_the_keypoints_say():
    collection = open_collection("toy:40", seed=2)
    seen = np.zeros(6)
    for sample in collection[:40]:
        sizes = np.bincount(sample.part_labels.ravel(), minlength=7)[1:]
        assert (sizes >= 12).all(), sample.id  # each part can be seen
        assert 0.04 < sample.mask.mean() < 0.6
        x0, y0, x1, y1 = (int(value) for value in sample.box)
        assert sample.mask[y0:y1, x0:x1].sum() == sample.mask.sum()
        for part, (x, y, visible) in enumerate(sample.keypoints, start=1):
            inside = 0 <= x < 256 and 0 <= y < 256
            assert visible == (inside and sample.part_labels[int(y), int(x)] == part)
            seen[part - 1] += visible
    assert (seen >= 30).all()  # grass hides some


def test_poses_and_looks_vary():
    samples = list(open_collection("toy:40", seed=4)[:40])
    keypoints = np.stack([sample.keypoints[:, :2] for sample in samples])
    left = keypoints[:, 2, 0] < keypoints[:, 5, 0]  # the beak is left of the tail
    assert 8 < left.sum() < 32
    heights = np.array([(sample.box[3] - sample.box[1]) for sample in samples])
    assert heights.max() > 1.5 * heights.min()
    colours = np.stack([np.asarray(sample.image)[sample.part_labels == 1].mean(axis=0) for sample in samples])
    assert (colours.std(axis=0) > 25).all()


def test_colour_alone_does_not_tell_the_object():
    """The best single threshold on any channel separates creature and background only in part."""
    for sample in open_collection("toy:6", seed=8)[:6]:
        values, mask = np.asarray(sample.image).reshape(-1, 3), sample.mask.ravel()
        best = 0.0
        for channel in range(3):
            for level in range(16, 256, 16):
                below = values[:, channel] < level
                for guess in (below, ~below):
                    best = max(best, (guess & mask).sum() / (guess | mask).sum())
        assert best < 0.9
