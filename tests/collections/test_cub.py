"""CUB-200-2011: its index files, and the real birds where they are at hand."""

import numpy as np
import pytest
from PIL import Image

from makers import make_cub
from meronym.collections import CollectionError, open_collection
from meronym.images import BadPhoto
from pictures import disc


@pytest.fixture
def root(tmp_path):
    return make_cub(tmp_path / "CUB_200_2011")


def test_annotation_is_read_as_published(root):
    collection = open_collection(root)
    assert collection.name == "cub2"
    assert collection.keypoint_names == ("back", "left eye")
    assert collection.category_names == ("001.Bird_1", "002.Bird_2")
    assert collection.split("train").ids == [collection.ids[i] for i in (0, 2, 4)]
    sample = collection[4]  # image id 5
    assert sample.id == "002.Bird_2/Bird_2_1.png" and sample.category == 1
    assert sample.box == (10, 5, 30, 17)
    np.testing.assert_array_equal(sample.keypoints, np.float32([[5.5, 1, 0], [5.5, 2, 1]]))
    np.testing.assert_array_equal(sample.mask, disc())


def test_classes_can_be_chosen(root):
    only = open_collection(root, classes="002")
    assert only.name == "cub-002" and len(only) == 3
    assert {sample.category for sample in only} == {1}
    assert open_collection(root, classes="001,002").name == "cub-001+002"
    assert open_collection(root, classes=[2]).ids == open_collection(root, classes=2).ids == only.ids
    with pytest.raises(CollectionError, match="classes 007: not in .* .it has 001 to 002."):
        open_collection(root, classes="007")
    with pytest.raises(CollectionError, match="numbers are expected"):
        open_collection(root, classes="sparrow")


def test_masks_may_be_absent_or_next_to_the_folder(root):
    (root / "segmentations").rename(root.parent / "segmentations")
    assert open_collection(root)[0].mask.any()
    assert open_collection(root.parent)[0].mask.any()  # the folder that holds CUB_200_2011
    (root.parent / "segmentations").rename(root.parent / "other")
    assert open_collection(root)[0].mask is None
    assert "none with a mask" in open_collection(root).summary()


def test_masks_that_do_not_fit(root):
    masks = root / "segmentations/001.Bird_1"
    Image.new("1", (10, 10), 1).save(masks / "Bird_1_0.png")
    Image.new("1", (48, 32), 0).save(masks / "Bird_1_1.png")
    collection = open_collection(root)
    with pytest.raises(BadPhoto, match="Bird_1_0.png: 10x10 pixels, its photo 48x32; make the mask again"):
        collection[0]
    with pytest.raises(BadPhoto, match="its mask Bird_1_1.png marks nothing"):
        collection[1]
    assert collection[2].mask.any()


def test_missing_photos_are_counted_missing_files_named(root):
    (root / "images/001.Bird_1/Bird_1_0.png").unlink()
    collection = open_collection(root)
    assert len(collection) == 5
    assert "skipped 1: Bird_1_0.png (no such file)" in collection.summary()
    (root / "bounding_boxes.txt").write_text("1 0 0 1 1\n")
    with pytest.raises(CollectionError, match="photo 2 has no class, split or box"):
        open_collection(root)
    (root / "bounding_boxes.txt").unlink()
    with pytest.raises(CollectionError, match="bounding_boxes.txt is missing"):
        open_collection(root)


def test_the_real_birds(shared):
    collection = open_collection(shared / "data/CUB_200_2011")
    assert collection.name == "cub50" and len(collection) == 2889
    assert len(collection.split("train")) == 1500 and len(collection.split("test")) == 1389
    assert len(collection.keypoint_names) == 15
    assert len(open_collection(shared / "data/CUB_200_2011", classes="001,002,003").split("train")) == 90
    inside, shown = 0, 0
    for sample in collection.select(range(0, 2889, 240)):
        x, y, visible = sample.keypoints.T
        at = visible > 0
        x0, y0, x1, y1 = sample.box
        assert ((x[at] >= x0 - 5) & (x[at] <= x1 + 5) & (y[at] >= y0 - 5) & (y[at] <= y1 + 5)).all()
        inside += sample.mask[y[at].astype(int), x[at].astype(int)].sum()
        shown += at.sum()
    assert inside / shown > 0.8
