"""Whole folders of photos to annotations: once each, gone on with, under the run's names, never over another's work."""

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meronym import annotations, commands, prediction
from meronym.collections import open_collection
from meronym.edits import Edits
from meronym.model import PartModel
from meronym.prediction import FolderTaken, Predictions
from pictures import picture
from stripes import Stripes

EDITED = Edits(names={2: "head"}, colours={1: "#1796ff"}, groups=((2, 3),))


@pytest.fixture
def photos(tmp_path: Path, hostile: Path) -> Path:
    """Ten small photos, in folders, one turned by EXIF and one cut off."""
    folder = tmp_path / "birds"
    (folder / "a").mkdir(parents=True)
    for i in range(8):
        picture(40 + i, 30, seed=i).save(folder / f"{i}.png")
    picture(40, 30).save(folder / "a/1.jpg")
    picture(40, 30).save(folder / "0.jpg")
    for name in ("good/turned.jpg", "bad/truncated.jpg"):
        (folder / Path(name).name).write_bytes((hostile / name).read_bytes())
    return folder


def begin(photos: Path, out: Path, edited: Edits = EDITED, model: PartModel | None = None, **more) -> Predictions:
    return Predictions(out, model or PartModel(Stripes(4)), open_collection(photos), edited, str(photos), **more)


def test_every_photo_once_at_its_own_size_under_the_edits(photos, tmp_path):
    begun = begin(photos, tmp_path / "out")
    begun.label(batch=3)
    found = {item.name: item for item in annotations.read("png", begun.write("png")).items}
    assert set(found) == set(open_collection(photos).ids) - {"truncated.jpg"}
    assert [(name, reason.split()[0]) for name, reason in begun.skipped] == [("truncated.jpg", "truncated")]
    assert (tmp_path / "out/skipped.txt").read_text().startswith("truncated.jpg: truncated")
    model = PartModel(Stripes(4))
    for name, item in found.items():
        expected = EDITED.apply(model.predict(photos / name))
        assert np.array_equal(item.labels, expected.labels) and item.labels.max() == 3
    assert found["turned.jpg"].size == (32, 48)
    with Image.open(tmp_path / "out/labels/0.png.png") as image:
        assert image.getpalette()[3:6] == [0x17, 0x96, 0xFF]
        assert json.loads(image.info["Meronym parts"]) == ["part 1", "head", "part 4"]


def test_a_map_of_another_photo_is_not_taken_for_ones_own(photos, tmp_path):
    begin(photos, tmp_path / "out").label()
    (photos / "0.jpg").unlink()  # so 0.png would have its place
    before = (tmp_path / "out/labels/0.png").read_bytes()
    with pytest.raises(FolderTaken, match=r"labels/0.png is of 0.jpg, and 0.png belongs there now"):
        begin(photos, tmp_path / "out").label()
    assert (tmp_path / "out/labels/0.png").read_bytes() == before
    (tmp_path / "out/labels/0.png").unlink()
    begin(photos, tmp_path / "out").label()
    with Image.open(tmp_path / "out/labels/0.png") as image:
        assert json.loads(image.info["Meronym photo"]) == "0.png"


def test_a_photo_that_has_another_size_now_needs_another_map(photos, tmp_path):
    begin(photos, tmp_path / "out").label()
    picture(30, 40).save(photos / "3.png")
    with pytest.raises(FolderTaken, match=r"labels/3.png is of another size than .*3.png, which was changed since"):
        begin(photos, tmp_path / "out").label()
    (tmp_path / "out/labels/3.png").unlink()
    begin(photos, tmp_path / "out").label()
    with Image.open(tmp_path / "out/labels/3.png") as labels:
        assert labels.size == (30, 40)


def test_photos_that_are_newer_than_their_maps_are_named(photos, tmp_path, capsys):
    begin(photos, tmp_path / "out").label()
    begin(photos, tmp_path / "out").label()
    assert "newer" not in capsys.readouterr().err
    picture(43, 30, seed=9).save(photos / "3.png")
    os.utime(photos / "3.png", (time.time() + 9,) * 2)
    begin(photos, tmp_path / "out").label()
    assert "newer than their label maps: 3.png; where a photo was replaced" in capsys.readouterr().err


def test_a_bad_mask_is_not_taken_for_a_bad_photo(photos, tmp_path):
    (photos / "masks").mkdir()
    (photos / "masks/3.png").touch()
    begun = begin(photos, tmp_path / "out")
    begun.label()
    assert ("3.png", f"{photos / 'masks/3.png'}: empty file") in begun.skipped


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_a_name_of_any_bytes_is_listed_and_hidden_files_are_no_folder_of_something_else(photos, tmp_path):
    os.rename(photos / "truncated.jpg", os.fsencode(photos) + b"/m\xf6we.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.DS_Store").touch()
    begin(photos, tmp_path / "out").label()
    assert (tmp_path / "out/skipped.txt").read_bytes().startswith(b"m\xf6we.jpg: truncated")


def test_every_format_is_made_from_the_label_maps(photos, tmp_path, monkeypatch):
    ids = [photo for photo in open_collection(photos).ids if photo != "truncated.jpg"]
    direct = {photo: EDITED.apply(PartModel(Stripes(4)).predict(photos / photo)) for photo in ids}
    begin(photos, tmp_path / "out").label()
    monkeypatch.setattr(PartModel, "segment", None)  # no photo is looked at again
    (photos / "truncated.jpg").unlink()
    begun = begin(photos, tmp_path / "out")
    begun.label()
    assert not begun.skipped and not (tmp_path / "out/skipped.txt").exists()
    for format in ("coco", "label_studio", "cvat"):
        found = list(annotations.read(format, begun.write(format)).items)
        assert [item.name for item in found] == ids
        assert all(np.array_equal(item.labels, direct[item.name].labels) for item in found)
    rows = list(annotations.read_parquet(begun.write("parquet")))
    for row in rows:
        sure = direct[row["photo"]].table()[row["part"] - 1]["confidence"]
        assert row["confidence"] == pytest.approx(sure, abs=1e-5)
    with Image.open(begun.write("overlay") / "3.png") as drawn:
        expected = direct["3.png"].plot()
        assert np.array_equal(np.asarray(drawn), np.asarray(expected))


_segment = PartModel.segment


def test_what_was_interrupted_goes_on(photos, tmp_path, monkeypatch):
    seen = []

    def segment(self, views):
        seen.extend(views)
        if len(seen) > 6:
            raise KeyboardInterrupt
        return _segment(self, views)

    monkeypatch.setattr(PartModel, "segment", segment)
    with pytest.raises(KeyboardInterrupt):
        begin(photos, tmp_path / "out").label(batch=3)
    labels = tmp_path / "out/labels"
    there = {path: path.stat().st_mtime_ns for path in labels.rglob("*.png")}
    assert 1 <= len(there) <= 6
    damaged = next(iter(there))
    damaged.write_bytes(damaged.read_bytes()[:-20])  # as a power cut may leave it
    seen.clear()
    monkeypatch.setattr(PartModel, "segment", lambda self, views: (seen.extend(views), _segment(self, views))[1])
    begin(photos, tmp_path / "out").label(batch=3)
    after = {path: path.stat().st_mtime_ns for path in labels.rglob("*.png")}
    assert len(after) == 11 and len(seen) == 11 - len(there) + 1
    assert all(after[path] == when for path, when in there.items() if path != damaged)


def test_what_a_person_changed_in_a_folder_is_not_written_over(photos, tmp_path):
    (photos / "0.png").unlink()  # YOLO cannot tell it from 0.jpg
    begun = begin(photos, tmp_path / "out")
    begun.label()
    place = begun.write("yolo")
    (place / "images").mkdir()
    picture(9, 9).save(place / "images/1.png")
    (place / "labels.cache").touch()
    assert begin(photos, tmp_path / "out").write("yolo") == place  # what Ultralytics needs and makes
    for file in (place / "data.yaml", place / "labels/1.txt", begun.write("label_studio").with_suffix(".config.xml")):
        time.sleep(0.01)
        file.write_text("mine")
        format = "yolo" if place in file.parents else "label_studio"
        with pytest.raises(FolderTaken, match="was changed since"):
            begin(photos, tmp_path / "out").write(format)
        assert file.read_text() == "mine"


def test_what_is_changed_after_an_export_was_interrupted_is_not_written_over(photos, tmp_path, monkeypatch):
    begun = begin(photos, tmp_path / "out")
    begun.label()
    file = begun.write("coco")

    def stop(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prediction, "read_index", stop)
        begin(photos, tmp_path / "out").write("coco")
    assert begin(photos, tmp_path / "out").write("coco") == file  # whole, and ours
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prediction, "read_index", stop)
        begin(photos, tmp_path / "out").write("coco")
    time.sleep(0.01)
    file.write_text("mine")
    with pytest.raises(FolderTaken, match="was changed since"):
        begin(photos, tmp_path / "out").write("coco")
    assert file.read_text() == "mine"


def test_names_as_long_as_names_can_be(photos, tmp_path):
    name = "é" * 125 + ".png"
    picture(40, 30).save(photos / name)
    begin(photos, tmp_path / "out").label()
    assert (tmp_path / "out/labels" / name).exists()


def test_a_label_map_that_a_person_mended_is_kept_and_exported(photos, tmp_path):
    begin(photos, tmp_path / "out").label()
    mended = np.full((30, 43), 3, np.uint8)
    Image.fromarray(mended).save(tmp_path / "out/labels/3.png")
    EDITED.apply(PartModel(Stripes(4)).predict(picture(44, 30))).save(tmp_path / "out/labels/4.png")  # of no name
    begun = begin(photos, tmp_path / "out")
    begun.label()
    (item,) = [item for item in annotations.read("coco", begun.write("coco")).items if item.name == "3.png"]
    assert np.array_equal(item.labels, mended)


def test_nothing_of_others_is_overwritten(photos, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(FolderTaken, match=r"out is not empty and holds no predictions .* another folder with --out"):
        begin(photos, out)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    out = tmp_path / "new"
    begin(photos, out).label()
    for changed, said in (
        (lambda: begin(photos, out, Edits()), "with other edits"),
        (lambda: begin(photos / "a", out), "with photos of .*birds"),
        (lambda: begin(photos, out, Edits(), PartModel(Stripes(5))), "with another model and other edits"),
    ):
        with pytest.raises(FolderTaken, match=said):
            changed()
    begun = begin(photos, out)
    written = begun.write("coco")
    begin(photos, out).write("coco")  # its own is made anew
    written.write_text("mended by hand")
    with pytest.raises(FolderTaken, match=r"coco.json was not made by this command, or was changed since"):
        begin(photos, out).write("coco")
    (out / "yolo").mkdir()
    with pytest.raises(FolderTaken, match="yolo was not made by this command"):
        begin(photos, out).write("yolo")
    assert written.read_text() == "mended by hand"


def test_photos_left_out(photos, tmp_path):
    begun = begin(photos, tmp_path / "out", left_out=frozenset(["3.png"]))
    begun.label()
    assert not (tmp_path / "out/labels/3.png").exists()
    assert "3.png" not in {item.name for item in annotations.read("coco", begun.write("coco")).items}


def test_formats_are_checked_before_the_work(monkeypatch):
    names = ("part 1", "part 2")
    assert prediction.checked_formats("coco, yolo,coco", Edits(), names) == ["coco", "yolo"]
    with pytest.raises(ValueError, match="no annotation format 'cooc'; did you mean 'coco'"):
        prediction.checked_formats("png,cooc", Edits(), names)
    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(annotations.MissingExtra, match="pycocotools"):
        prediction.checked_formats("coco", Edits(), names)


def test_a_real_run_from_the_command(photos, tmp_path, capsys):
    for path in photos.glob("*.png"):  # with an object to learn from
        image = picture(*Image.open(path).size)
        image.putalpha(Image.fromarray(np.pad(np.full((26, image.width - 4), 255, np.uint8), 2)))
        image.save(path)
    run = tmp_path / "run"
    commands.train(
        photos,
        3,
        backbone="efficientnet_lite0",
        run=run,
        settings={"size": 64},
        report=False,
    )
    Edits(names={2: "head"}, groups=((1, 3),), wrong=frozenset(["4.png"])).save(run)
    capsys.readouterr()
    for _ in range(2):
        made = commands.predict(run, photos, out=tmp_path / "out", format="png,coco")
        said = capsys.readouterr().err
        assert "left out 1 photos" in said and "skipped 1 photos, listed in" in said
        found = annotations.read("coco", made["coco"])
        assert found.names == ("part 1", "head") and len(list(found.items)) == 10
        assert made["png"] == tmp_path / "out/labels" and len(list(made["png"].rglob("*.png"))) == 10
    apart = commands.predict(run, photos / "a", out=tmp_path / "apart", format="parquet")
    assert [row["name"] for row in annotations.read_parquet(apart["parquet"])] == ["part 1", "head"]
