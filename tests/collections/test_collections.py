"""What every collection does: the same contract for each adapter; and how one is opened."""

import pickle

import numpy as np
import pytest

from makers import MAKERS, make_cub
from meronym.collections import COLLECTIONS, CollectionError, open_collection
from meronym.collections.base import Record
from meronym.collections.folder import Folder


@pytest.fixture(params=["toy", *MAKERS])
def collection(request, tmp_path):
    """One small collection of each kind, its kind found out by `open_collection`."""
    if request.param == "toy":
        return open_collection("toy:5", seed=3)
    make, options = MAKERS[request.param]
    opened = open_collection(make(tmp_path / "things"), **options)
    assert type(opened) is COLLECTIONS[request.param]
    return opened


def test_every_kind_is_under_contract():
    assert set(COLLECTIONS) == {"toy", *MAKERS}


def test_samples_agree_with_themselves(collection):
    assert len(collection) == len(collection.ids) == len(set(collection.ids)) > 0
    for number, sample in enumerate(collection):
        assert sample.id == collection.ids[number]
        shape = (sample.image.height, sample.image.width)
        assert sample.image.mode == "RGB"
        assert sample.mask.shape == shape and sample.mask.dtype == bool and sample.mask.any()
        if sample.part_labels is not None:
            assert sample.part_labels.shape == shape and sample.part_labels.dtype == np.uint8
            assert sample.part_labels.max() <= len(collection.part_names)
            np.testing.assert_array_equal(sample.part_labels > 0, sample.mask)
        if sample.keypoints is not None:
            assert sample.keypoints.shape == (len(collection.keypoint_names), 3)
            assert sample.keypoints.dtype == np.float32
            assert set(sample.keypoints[:, 2]) <= {0, 1}
        if sample.box is not None:
            x0, y0, x1, y1 = sample.box
            assert 0 <= x0 < x1 <= shape[1] and 0 <= y0 < y1 <= shape[0]
        if sample.category is not None:
            assert 0 <= sample.category < len(collection.category_names)


def test_splits_part_the_collection_or_are_all_of_it(collection):
    train, test = collection.split("train"), collection.split("test")
    assert collection.splits == ("train", "test") and len(train) and len(test)
    if set(train.ids) & set(test.ids):
        assert train.ids == test.ids == collection.ids
    else:
        assert set(train.ids) | set(test.ids) == set(collection.ids)
    with pytest.raises(ValueError, match="split 'val': .* has train and test"):
        collection.split("val")


def test_selection_keeps_order_and_content(collection):
    chosen = collection.select([2, 0])
    assert chosen.ids == [collection.ids[2], collection.ids[0]]
    assert chosen.fingerprint(1) == collection.fingerprint(0)
    np.testing.assert_array_equal(np.asarray(chosen[0].image), np.asarray(collection[2].image))
    assert collection[1:3].ids == collection.ids[1:3]
    assert chosen[-1].id == chosen.ids[-1]
    with pytest.raises(IndexError):
        chosen[2]


def test_masks_and_boxes_can_be_hidden(collection):
    blind = pickle.loads(pickle.dumps(collection.without_masks().without_masks().select([1, 0])))
    assert blind.ids == collection.ids[1::-1] and len(collection.without_masks().split("test"))
    assert all(s.mask is None and s.box is None for s in blind) and "none with a mask" in blind.summary()
    assert not blind.all_masked and all(r.mask is None and r.box is None for r in blind.records)
    np.testing.assert_array_equal(np.asarray(blind[1].image), np.asarray(collection[0].image))
    assert (blind[0].keypoints is None) == (collection[1].keypoints is None)
    assert (blind[0].part_labels is None) == (collection[1].part_labels is None)
    path = collection.records[1].photo
    if path.is_file():  # with a folder's photo that never had a mask it shares its features
        assert blind.fingerprint(0) == Folder(path.parent, masks=False).key(Record("", path))
    assert collection[0].mask is not None


def test_it_is_light_and_survives_a_worker(collection):
    frozen = pickle.dumps(collection)
    assert len(frozen) < 20_000
    again = pickle.loads(frozen)
    assert again.ids == collection.ids and again.name == collection.name
    assert again.fingerprint(1) == collection.fingerprint(1)
    np.testing.assert_array_equal(again[1].mask, collection[1].mask)


def test_fingerprints_differ_between_samples_and_not_between_calls(collection):
    prints = [collection.fingerprint(i) for i in range(len(collection))]
    assert len(set(prints)) == len(prints)
    assert prints == [collection.fingerprint(i) for i in range(len(collection))]


def test_a_fingerprint_follows_photo_and_mask(collection):
    record = collection.records[0]
    if collection.name == "toy":
        pytest.skip("drawn, not read")
    before = collection.fingerprint(0)
    for path in {record.photo, record.mask}:
        content = path.read_bytes()
        path.write_bytes(content + b" ")
        assert collection.fingerprint(0) != before
        path.write_bytes(content)
    assert collection.fingerprint(0) == before


def test_the_summary_counts(collection):
    line = collection.summary()
    assert "\n" not in line
    assert line.startswith(f"found {len(collection)} ") and f"({len(collection)} with masks)" in line
    assert collection.name in repr(collection)


def test_opening_says_what_is_known():
    with pytest.raises(CollectionError, match="kind 'folders': known are toy, cub, .*did you mean folder"):
        open_collection("toy", "folders")
    with pytest.raises(CollectionError, match="option 'sed': toy takes seed; did you mean seed"):
        open_collection("toy", sed=1)


def test_the_kind_can_be_given(tmp_path):
    root = make_cub(tmp_path / "birds")
    assert open_collection(root).name == "cub2"
    as_folder = open_collection(root, "folder")
    assert as_folder.name == "birds"
    assert "images/001.Bird_1/Bird_1_0.png" in as_folder.ids
