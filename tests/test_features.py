"""Features of a collection: computed once, foreground beside them, what cannot be used counted and named."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from meronym.backbones import Backbone, FeatureCache, load_backbone
from meronym.collections import open_collection
from meronym.features import extract, known_features
from meronym.images import crop_mask, crop_photo
from meronym.model import PartModel, object_box, to_tensor
from meronym.segmenters import HeadSegmenter
from pictures import disc, picture


@pytest.fixture(scope="module")
def segmenter():
    return HeadSegmenter(load_backbone("efficientnet_lite0", size=128), 3)


@pytest.fixture
def toy():
    return open_collection("toy:5", seed=1).split("train")


def test_features_are_those_of_the_object_window(toy, segmenter, tmp_path):
    found = extract(toy, segmenter, FeatureCache(tmp_path))
    assert found.rows == list(range(5)) and found.skipped == [] and found.masked and len(found) == 5
    sample = toy[3]
    window = segmenter.window(object_box(sample))
    expected = segmenter.backbone(to_tensor(crop_photo(sample.image, window, (128, 128)))[None])[0]
    (features,), (foreground,) = found.batch([3])
    torch.testing.assert_close(features, expected, atol=1e-3, rtol=1e-2)
    grid = features.shape[1:]
    np.testing.assert_allclose(foreground, crop_mask(sample.mask, window, (grid[1], grid[0])), atol=3e-3)
    for position, maps in enumerate(found.maps()):
        np.testing.assert_array_equal(maps, found.batch([position])[0][0])


def test_batches_are_all_in_order(toy, segmenter, tmp_path):
    found = extract(toy, segmenter, FeatureCache(tmp_path))
    batches = list(found.batches(2))
    assert [list(positions) for positions, _, _ in batches] == [[0, 1], [2, 3], [4]]
    assert torch.equal(torch.cat([maps for _, maps, _ in batches]), found.batch(range(5))[0])


def test_what_is_there_is_not_computed_again(toy, segmenter, tmp_path, monkeypatch):
    first = extract(toy, segmenter, FeatureCache(tmp_path))
    whole = extract(toy, segmenter, FeatureCache(tmp_path), whole=True)
    assert not set(first.paths) & set(whole.paths)

    def refuse(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(Backbone, "forward", refuse)
    monkeypatch.setattr("meronym.features.crop_mask", refuse)
    again = extract(toy, segmenter, FeatureCache(tmp_path))
    assert again.paths == first.paths and np.array_equal(again.foreground, first.foreground)
    with pytest.raises(AssertionError, match="computed again"):
        extract(open_collection("toy:6", seed=1).split("train"), segmenter, FeatureCache(tmp_path))


def test_parts_are_found_without_the_network_where_features_are_known(toy, segmenter, tmp_path, monkeypatch):
    monkeypatch.setenv("MERONYM_CACHE", str(tmp_path))
    torch.nn.init.normal_(segmenter.head.weight, generator=torch.Generator().manual_seed(0))
    model, samples = PartModel(segmenter), list(toy)
    extract(toy[:3], segmenter, FeatureCache())
    before = list(model.stream(samples))
    known = known_features(toy, segmenter)
    assert [known(sample) is None for sample in samples] == [False] * 3 + [True] * 2
    assert known(replace(samples[0], id="another")) is None
    seen = []
    forward = Backbone.forward
    monkeypatch.setattr(Backbone, "forward", lambda self, images: seen.append(len(images)) or forward(self, images))
    after = list(model.stream(samples, known=known))
    assert sum(seen) == 2
    for a, b in zip(before, after, strict=True):
        assert len(np.unique(a.labels)) > 1 and (a.labels == b.labels).mean() > 0.99


def test_nothing_is_known_of_windows_that_training_did_not_see(segmenter, tmp_path, monkeypatch):
    monkeypatch.setenv("MERONYM_CACHE", str(tmp_path / "cache"))
    root = folder(tmp_path / "birds", 2)
    (root / "masks/0.png").unlink()
    mixed = open_collection(root)
    extract(mixed, segmenter, FeatureCache())
    known = known_features(mixed, segmenter)
    assert [known(sample) is None for sample in mixed] == [True, False]


def test_foreground_is_the_same_before_and_after_caching(toy, segmenter, tmp_path):
    a, b = (extract(toy, segmenter, FeatureCache(tmp_path)).foreground for _ in range(2))
    assert np.array_equal(a, b)


def test_another_mask_is_another_view(segmenter, tmp_path):
    root = folder(tmp_path / "birds", 2)
    before = extract(open_collection(root), segmenter, FeatureCache(tmp_path / "cache"))
    Image.fromarray(disc(48, 32, 5)).save(root / "masks/0.png")
    after = extract(open_collection(root), segmenter, FeatureCache(tmp_path / "cache"))
    assert before.paths[1] == after.paths[1] and before.paths[0] != after.paths[0]


def folder(root, photos: int):
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(photos):
        picture(seed=i).save(root / "images" / f"{i}.png")
        Image.fromarray(disc()).save(root / "masks" / f"{i}.png")
    return root


def test_skipped_photos_are_counted_and_named(segmenter, tmp_path, capsys):
    root = folder(tmp_path / "birds", 5)
    (root / "images/1.png").write_bytes((root / "images/1.png").read_bytes()[:-200])
    Image.new("1", (48, 32)).save(root / "masks/3.png")
    found = extract(open_collection(root), segmenter, FeatureCache(tmp_path / "cache"))
    assert found.rows == [0, 2, 4] and len(found.foreground) == len(found.paths) == 3
    assert [name for name, _ in found.skipped] == ["1.png", "3.png"]
    assert "truncated" in found.skipped[0][1] and "marks nothing" in found.skipped[1][1]
    assert "skipped 2 of 5 photos: " in capsys.readouterr().err


def test_a_small_object_is_skipped_where_it_must_be_seen(segmenter, tmp_path):
    root = folder(tmp_path / "birds", 3)
    dot = np.zeros((32, 48), bool)
    dot[10, 10] = True
    Image.fromarray(dot).save(root / "masks/0.png")
    birds, cache = open_collection(root), FeatureCache(tmp_path / "cache")
    assert extract(birds, segmenter, cache, whole=True, least=1).rows == [1, 2]
    assert extract(birds, segmenter, cache, whole=True, least=0).rows == [0, 1, 2]


def test_photos_without_masks_are_all_foreground(segmenter, tmp_path):
    for i in range(2):
        picture(seed=i).save(tmp_path / f"{i}.png")
    found = extract(open_collection(tmp_path), segmenter, FeatureCache(tmp_path / "cache"))
    assert not found.masked and found.foreground.min() == 255


def test_no_usable_photo_is_one_clear_line(segmenter, tmp_path):
    root = folder(tmp_path / "birds", 1)
    Image.new("1", (48, 32)).save(root / "masks/0.png")
    with pytest.raises(ValueError, match="no photo of birds could be used: .*marks nothing") as caught:
        extract(open_collection(root), segmenter, FeatureCache(tmp_path / "cache"))
    assert "\n" not in str(caught.value)


def test_touched_cells_count_whole(toy, segmenter, tmp_path):
    found = extract(toy, segmenter, FeatureCache(tmp_path))
    touched = found.touched(0.25)
    np.testing.assert_array_equal(touched.foreground == 255, found.foreground / 255 > 0.25)
    assert set(np.unique(touched.foreground)) == {0, 255} and touched.rows == found.rows
    np.testing.assert_array_equal(touched.touched(0.1).foreground, touched.foreground)
