"""Collections with part labels: label maps, PASCAL-Part, DeepFashion."""

import json

import numpy as np
import pytest
from PIL import Image

from makers import make_deepfashion, make_label_maps, make_pascal_part
from meronym.collections import CollectionError, open_collection
from meronym.images import BadPhoto
from pictures import disc


@pytest.fixture
def maps(tmp_path):
    return make_label_maps(tmp_path / "maps")


def test_labels_are_counted_in_their_order(maps):
    collection = open_collection(maps)
    assert collection.part_names == ("upper half", "lower")
    expected = np.where(np.arange(32)[:, None] < 16, 1, 2) * disc()
    np.testing.assert_array_equal(collection[0].part_labels, expected)
    assert collection[0].box == (16.0, 8.0, 33.0, 25.0)
    assert collection.split("test").ids == ["images/4.jpg"]
    everything = open_collection(maps, test_every=0)
    assert everything.split("train").ids == everything.split("test").ids == collection.ids


def test_groups_merge_labels(maps):
    (maps / "groups.txt").write_text("# merged\n0 background 0 background\n3 upper 1 all\n7 lower 1 all\n")
    plain, merged = open_collection(maps), open_collection(maps, groups=True)
    assert merged.part_names == ("all",) and merged.name == "maps+groups"
    np.testing.assert_array_equal(merged[0].part_labels, disc())
    assert merged.fingerprint(0) == plain.fingerprint(0)  # the same foreground, so the same features
    (maps / "groups.txt").write_text("3 upper 0 background\n7 lower 1 lower\n")
    assert open_collection(maps, groups=True).fingerprint(0) != plain.fingerprint(0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3 upper 1 all\n", "1 label in no group: lower"),
        ("3 upper 1 a\n7 lower 3 b\n", r"groups \[1, 3\].*without a gap"),
        ("3 upper\n", "expected is `index name group_index group_name`"),
        (None, "no such file of groups"),
    ],
)
def test_groups_that_do_not_fit(maps, text, message):
    if text:
        (maps / "groups.txt").write_text(text)
    with pytest.raises(CollectionError, match=message):
        open_collection(maps, groups=True)


def test_maps_without_names(maps):
    (maps / "labels.txt").unlink()
    collection = open_collection(maps)
    assert collection.part_names == ("part 3", "part 7")
    assert set(np.unique(collection[0].part_labels)) == {0, 1, 2}
    for i in range(5):
        Image.fromarray(disc().astype(np.uint8)).save(maps / f"labels/{i}.png")
    masks = open_collection(maps)
    assert masks.part_names == () and masks[0].part_labels is None
    np.testing.assert_array_equal(masks[0].mask, disc())


def test_label_maps_that_do_not_fit(maps):
    strange = disc().astype(np.uint8) * 9
    strange[0, 0] = 255  # "ignore": background
    Image.fromarray(strange).save(maps / "labels/0.png")
    Image.fromarray(strange[:20]).save(maps / "labels/1.png")
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(maps / "labels/2.png")
    (maps / "labels/3.png").unlink()
    collection = open_collection(maps)
    assert collection.ids == [f"images/{i}.jpg" for i in (0, 1, 2, 4)]
    assert "skipped 1: 3.jpg (no label map)" in collection.summary()
    for index, message in enumerate(("label 9 has no name", "48x20 pixels, its photo 48x32", "marks nothing")):
        with pytest.raises(BadPhoto, match=message):
            collection[index]
    (maps / "labels.txt").write_text("background\n")
    with pytest.raises(CollectionError, match="where `index name` is expected"):
        open_collection(maps)


def test_boxes_of_another_tool_are_not_label_maps(maps):
    for path in (maps / "labels").iterdir():
        path.with_suffix(".txt").write_text("0 0.5 0.5 0.2 0.2")
        path.unlink()
    assert type(open_collection(maps)).__name__ == "Folder"


@pytest.mark.parametrize(
    ("name", "options", "train", "test", "parts"),
    [
        ("CCP", {}, 804, 200, 58),
        ("CCP", {"groups": True}, 804, 200, 13),
        ("CarParts", {}, 400, 100, 18),
        ("WeizmannHorse", {}, 278, 49, 0),
    ],
)
def test_real_label_maps(shared, name, options, train, test, parts):
    collection = open_collection(shared / "data" / name, **options)
    assert (len(collection.split("train")), len(collection.split("test"))) == (train, test)
    assert len(collection.part_names) == parts and not collection.skipped
    for sample in collection.select([0, 100, len(collection) - 1]):
        assert 0.01 < sample.mask.mean() < 0.9
        assert (sample.part_labels is None) == (parts == 0)


def test_pascal_part_is_one_sample_an_object(tmp_path):
    root = make_pascal_part(tmp_path / "pascal")
    collection = open_collection(root, category="sheep")
    assert collection.name == "pascal-sheep"
    assert collection.split("train").ids == ["2008_000000/0", "2008_000001/0"]
    assert collection.split("test").ids == ["2008_000002/0", "2008_000003/0"]
    assert collection.part_names == ("head", "torso")
    left = np.arange(48) < 24
    np.testing.assert_array_equal(collection[0].part_labels, disc(radius=14) * np.where(left, 1, 2))
    dogs = open_collection(root, category="dog", smallest_train=0, smallest_test=0)
    assert len(dogs) == 4 and dogs[0].mask.sum() == disc(radius=3).sum()
    assert dogs.fingerprint(0) != collection.fingerprint(0)
    strict = open_collection(root, category="sheep", smallest_test=0.9)
    assert len(strict) == 2 and "2 objects too small" in strict.summary()


def test_pascal_part_says_what_it_has(tmp_path):
    root = make_pascal_part(tmp_path / "pascal")
    with pytest.raises(CollectionError, match=r"say which category=...; there are sheep \(4\), dog \(4\)"):
        open_collection(root)
    with pytest.raises(CollectionError, match="category 'cow': not in .*known are dog, sheep"):
        open_collection(root, category="cow")
    with pytest.raises(CollectionError, match="4 objects found, all too small"):
        open_collection(root, category="dog")
    (root / "VOCdevkit_2010/Annotations_Part/2008_000001.mat").write_bytes(b"no matlab")
    (root / "VOCdevkit_2010/VOC2010/JPEGImages/2008_000002.jpg").unlink()
    rest = open_collection(root, category="sheep")
    assert len(rest) == 2
    assert [reason.split(" (")[0] for _, reason in rest.skipped] == [
        "not a PASCAL-Part annotation",
        "no such file",
    ]


def test_real_pascal_part(shared):
    people = open_collection(shared / "data/PascalPartDemo", category="person")
    assert len(people) == 11
    for sample in people:
        x0, y0, x1, y1 = (int(value) for value in sample.box)
        assert sample.mask[y0:y1, x0:x1].sum() > 0.95 * sample.mask.sum()
    plane = open_collection(shared / "data/PascalPartDemo", category="plane")
    assert plane.part_names == ("body", "engine", "lwing", "rwing", "stern", "tail", "wheel")
    assert set(np.unique(plane[0].part_labels)) == set(range(8))


def test_deepfashion(tmp_path):
    root = make_deepfashion(tmp_path / "DeepFashion/In-shop Clothes Retrieval Benchmark")
    collection = open_collection(tmp_path / "DeepFashion")
    assert len(collection.split("train")) == 1 and len(collection.split("test")) == 2
    assert len(collection.part_names) == 15
    labels = collection[0].part_labels
    assert collection.part_names[labels[16, 22] - 1] == "hair"
    assert collection.part_names[labels[10, 24] - 1] == "dress"
    assert (labels > 0).sum() == disc().sum()
    anno = root / "Anno/segmentation"
    photo = anno / collection.ids[2]
    photo.unlink()
    shorter = open_collection(root)
    assert len(shorter) == 2 and "its photo is missing" in shorter.summary()
    (anno / "DeepFashion_segmentation_query.json").write_text(json.dumps({"pictures": []}))
    with pytest.raises(CollectionError, match="not a list of photos"):
        open_collection(root)
    (anno / "DeepFashion_segmentation_query.json").unlink()
    with pytest.raises(CollectionError, match="no such list; train, query and gallery"):
        open_collection(root)
