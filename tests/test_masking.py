"""Whole folders of photos to masks: once each, gone on with, read by `train`, never over another's work."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from meronym.collections import open_collection
from meronym.images import open_mask, open_photo
from meronym.masking import find_masks
from meronym.masks import FINDERS, Finder
from meronym.prediction import FolderTaken


class Bright(Finder):
    """Sees a photo; the object is what is bright."""

    on_features, network = False, "eyes"

    def find(self, seen):
        return np.asarray(seen.convert("L").resize((32, 32), Image.Resampling.BOX), dtype=np.float32) / 255


@pytest.fixture
def eyes(monkeypatch):
    monkeypatch.setitem(FINDERS, "u2net", Bright)
    return "u2net"


@pytest.fixture
def photos(tmp_path):
    """White squares on black, in folders; one turned by EXIF, one cut off, one dark, two of one stem, one with two."""
    folder = tmp_path / "things"
    (folder / "a").mkdir(parents=True)
    for i in range(3):
        square(i).save(folder / f"a/{i}.png")
    square(3).save(folder / "a/0.webp", lossless=True)
    square(4).save(
        folder / "turned.jpg",
        exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0",
        quality=95,
    )
    Image.new("RGB", (64, 48)).save(folder / "dark.png")
    (folder / "cut.png").write_bytes((folder / "a/1.png").read_bytes()[:-40])
    two = np.asarray(square(0)).copy()
    two[34:46, 2:14] = 255
    Image.fromarray(two).save(folder / "two.png")
    return folder


def square(i: int) -> Image.Image:
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[10 : 30 + i, 20:45] = 255
    return Image.fromarray(pixels)


def test_every_photo_gets_a_mask_that_train_finds(photos, eyes, tmp_path, capsys):
    out = find_masks(photos, out=photos / "masks", method=eyes, results=tmp_path / "results")
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert written == {"a/0.png", "a/1.png", "a/2.png", "turned.png", "two.png"}
    skipped = dict(line.split(": ", 1) for line in (out / "skipped.txt").read_text().splitlines())
    assert skipped["dark.png"] == "no object found in it" and "truncated" in skipped["cut.png"]
    assert len(skipped) == 3 and "name of that of a/0." in (skipped.get("a/0.webp") or skipped["a/0.png"])
    assert "1 photos show several objects" in capsys.readouterr().err
    again = open_collection(photos)
    assert {r.photo.name for r in again.records if r.mask} >= {"1.png", "2.png", "turned.jpg", "two.png"}
    for name, photo in (("a/1", "a/1.png"), ("turned", "turned.jpg"), ("two", "two.png")):
        mask, bright = open_mask(out / f"{name}.png"), np.asarray(open_photo(photos / photo).convert("L")) > 127
        assert mask.shape == bright.shape and (mask == bright).mean() > 0.99
    assert not (tmp_path / "results").exists()  # they are not compared with themselves


def test_scattered_doubt_is_no_object(photos, eyes, tmp_path, monkeypatch):
    speckled = np.where(np.indices((32, 32)).sum(0) % 8, 0.0, 0.55).astype(np.float32)
    monkeypatch.setattr(Bright, "find", lambda self, seen: speckled)
    out = find_masks(photos, out=tmp_path / "out", method=eyes)
    assert not list(out.rglob("*.png"))  # an empty mask would be one of a photo that shows the object
    assert "a/1.png: no object found in it" in (out / "skipped.txt").read_text().splitlines()


def test_a_finder_that_learns_forgets_no_reason(photos, tmp_path):
    out = find_masks(photos, out=tmp_path / "out", backbone="efficientnet_lite0")
    assert "its mask would have the name of that of a/0." in (out / "skipped.txt").read_text()


def test_it_goes_on_where_it_stopped_and_keeps_what_is_there(photos, eyes, tmp_path, monkeypatch):
    out = find_masks(photos, out=tmp_path / "out", method=eyes)
    mended = np.zeros((48, 64), np.uint8)
    Image.fromarray(mended).save(out / "a/1.png")
    (out / "a/2.png").unlink()
    found = []
    monkeypatch.setattr(Bright, "find", lambda self, seen, find=Bright.find: found.append(1) or find(self, seen))
    find_masks(photos, out=out, method=eyes)
    assert len(found) == 2  # what was missing, and the dark one again
    assert not open_mask(out / "a/1.png").any() and open_mask(out / "a/2.png").any()


def test_a_folder_of_something_else_is_refused(photos, eyes, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    square(0).save(own / "mine.png")
    with pytest.raises(FolderTaken, match="own is not empty and was not made by this command"):
        find_masks(photos, out=own, method=eyes)
    assert [path.name for path in own.iterdir()] == ["mine.png"]
    out = find_masks(photos, out=tmp_path / "out", method=eyes)
    with pytest.raises(FolderTaken, match=r"out holds other masks \(.*method u2net"):
        find_masks(photos, out=out, method="tokencut", backbone="efficientnet_lite0")
    assert json.loads((out / "masks.json").read_text())["backbone"] == "eyes"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_name_of_any_bytes_is_listed_and_hidden_files_are_no_folder_of_something_else(photos, eyes, tmp_path):
    os.rename(photos / "dark.png", os.fsencode(photos) + b"/m\xf6we.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.DS_Store").touch()
    out = find_masks(photos, out=tmp_path / "out", method=eyes)
    assert b"m\xf6we.png: no object found in it\n" in (out / "skipped.txt").read_bytes()


def test_masks_that_the_photos_have_are_compared_with(photos, eyes, tmp_path):
    made = find_masks(photos, out=tmp_path / "made", method=eyes)
    shutil.copytree(made, photos / "masks")
    half = np.asarray(Image.open(photos / "masks/a/1.png")).copy()
    half[:, 32:] = 0
    Image.fromarray(half).save(photos / "masks/a/1.png")
    find_masks(photos, out=tmp_path / "out", method=eyes, results=tmp_path / "results")
    (line,) = map(json.loads, (tmp_path / "results/things.jsonl").read_text().splitlines())
    assert (line["protocol"], line["method"], line["backbone"], line["masks"]) == ("masks", "u2net", "eyes", "none")
    assert 74 < line["iou"] <= 75  # of six, one is half and one has the name of another
    find_masks(photos, out=tmp_path / "out", method=eyes, results=tmp_path / "results")
    assert len((tmp_path / "results/things.jsonl").read_text().splitlines()) == 1  # nothing was done, nothing is noted


@pytest.mark.parametrize("method", ["features", "tokencut"])
def test_drawn_creatures(method, tmp_path):
    out = tmp_path / "out"
    find_masks("toy:8", out=out, method=method, backbone="efficientnet_lite0", split="test", results=tmp_path)
    toy = open_collection("toy:8", seed=0).split("test")
    first = {path: path.read_bytes() for path in out.rglob("*.png")}
    assert 0 < len(first) <= len(toy)
    (line,) = map(json.loads, (tmp_path / "toy.jsonl").read_text().splitlines())
    assert 0 <= line["iou"] <= 100 and line["train_seconds"] > 0
    find_masks("toy:8", out=out, method=method, backbone="efficientnet_lite0", split="test", results=tmp_path)
    assert first == {path: path.read_bytes() for path in out.rglob("*.png")}


def test_unknown_method_and_missing_weights(photos, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="--method tokencat: one of features, tokencut, u2net; did you mean tokencut"):
        find_masks(photos, out=tmp_path / "out", method="tokencat")
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="u2net: no weights; put u2net.onnx or u2netp.onnx .* in "):
        find_masks(photos, out=tmp_path / "out", method="u2net")
    assert not (tmp_path / "out").exists()
