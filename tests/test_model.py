"""Photo in, parts out: where the network looks, what is painted, how a model is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import meronym
from meronym import edges
from meronym import model as module
from meronym.collections import Sample
from meronym.edits import Edits
from meronym.images import BadPhoto, list_photos
from meronym.model import PartModel, found_box, object_box, paint
from pictures import disc, picture
from stripes import Stripes


@pytest.fixture
def model() -> PartModel:
    return PartModel(Stripes(3))


def test_names_are_one_a_part_and_unique(model):
    assert model.names == ("part 1", "part 2", "part 3")
    for names in (("a", "b"), ("a", "b", "b")):
        with pytest.raises(ValueError, match="3 parts need as many different names, got a, b"):
            PartModel(Stripes(3), names)


def test_stripes_of_a_window(model):
    labels = model.predict(picture(60, 20)).labels
    assert [np.unique(labels[:, x]).tolist() for x in (0, 19, 20, 39, 40, 59)] == [[1], [1], [2], [2], [3], [3]]
    boxed = model.predict(picture(60, 20), box=(30, 5, 60, 15)).labels
    assert not boxed[:5].any() and not boxed[:, :30].any() and set(boxed[5:15, 30:40].ravel()) == {1}


def test_mask_bounds_the_window_and_the_parts(model):
    mask = np.zeros((20, 60), bool)
    mask[4:9, 12:42] = True
    for given in (mask, mask * np.uint8(255), mask.astype(float)):
        labels = model.predict(picture(60, 20), mask=given).labels
        assert np.array_equal(labels > 0, mask) and labels[6, [12, 21, 22, 41]].tolist() == [1, 1, 2, 3]


def test_inputs(model, tmp_path):
    array = np.asarray(picture(30, 20))
    Image.fromarray(array).save(tmp_path / "bird.png")
    found = [model.predict(photo) for photo in (array, Image.fromarray(array), tmp_path / "bird.png")]
    assert all(np.array_equal(parts.labels, found[0].labels) for parts in found)
    assert found[2].id == str(tmp_path / "bird.png") and found[2].names == model.names
    for wrong, said in ((array[..., 0], "RGB uint8"), (array / 255.0, "got float64")):
        with pytest.raises(ValueError, match=said):
            model.predict(wrong)
    with pytest.raises(BadPhoto, match="bird.png: its mask is 20x30, the photo 30x20"):
        model.predict(tmp_path / "bird.png", mask=np.ones((30, 20), bool))
    with pytest.raises(BadPhoto, match="no such file"):
        model.predict(tmp_path / "none.png")


def test_an_open_photo_is_taken_upright(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(30, 20).save(tmp_path / "turned.jpg", exif=exif)
    with Image.open(tmp_path / "turned.jpg") as photo:
        assert model.predict(photo).labels.shape == (30, 20)


def test_object_box():
    image = picture(30, 20)
    mask = np.zeros((20, 30), bool)
    assert object_box(Sample("a", image)) == object_box(Sample("a", image, mask)) == (0, 0, 30, 20)
    mask[3, 7] = True
    assert object_box(Sample("a", image, mask)) == (7, 3, 8, 4)
    assert object_box(Sample("a", image, mask, box=(1, 2, 3, 4))) == (1, 2, 3, 4)


def test_found_box_is_around_all_objects_but_not_around_crumbs():
    objects = torch.zeros(10, 20)
    assert found_box(objects, (400, 100)) == (0, 0, 400, 100)
    objects[0, 0] = objects[4:8, 10:20] = 0.9
    assert found_box(objects, (400, 100), pad=0) == (200, 40, 400, 80)
    assert found_box(objects, (400, 100), pad=0.05) == pytest.approx((190, 38, 400, 82))
    objects[1:3, 2:7] = 0.9  # a quarter of the other's size
    assert found_box(objects, (400, 100), pad=0) == (40, 10, 400, 80)


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("window", [(0, 0, 40, 30), (5.2, -3, 60, 21), (-9, -9, 80, 80), (12, 7, 12.2, 7.1)])
def test_paint_is_the_bilinear_enlargement(window, corners, monkeypatch):
    monkeypatch.setattr(edges, "BAND", 1000)  # a few rows at a time
    logits = torch.randn(4, 5, 6, generator=torch.Generator().manual_seed(0))
    x0, y0, x1, y1 = (round(v) for v in window)
    x1, y1 = max(x1, x0 + 1), max(y1, y0 + 1)
    whole = torch.nn.functional.interpolate(logits[None], (y1 - y0, x1 - x0), mode="bilinear", align_corners=corners)
    confidence, labels = whole[0].softmax(0).max(0)
    found, sure = paint(logits, window, (40, 30), corners)
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, 40), min(y1, 30)
    inside = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
    assert (found[top:bottom, left:right] == labels[inside].numpy() + 1).mean() > 0.999
    np.testing.assert_allclose(sure[top:bottom, left:right], confidence[inside], atol=1e-5)
    found[top:bottom, left:right] = 0
    assert found.dtype == np.uint8 and not found.any()


def test_paint_outside_the_photo_is_nothing():
    labels, confidence = paint(torch.zeros(2, 3, 3), (50, 0, 60, 9), (40, 30))
    assert not labels.any() and not confidence.any()


def test_a_model_that_finds_the_object_looks_at_it_closely(model):
    model.segmenter.finds = True
    labels = model.predict(picture(80, 40)).labels  # the right half is the object; looked at closely, its right half
    assert not labels[:, :58].any() and labels[20, [62, 65, 67, 79]].tolist() == [2, 2, 3, 3]
    whole = model.predict(picture(80, 40), mask=np.ones((40, 80), bool))
    assert whole.labels.all()


def test_a_model_of_whole_photos_stays_with_them(model):
    model.segmenter.zoom = False
    mask = np.zeros((20, 60), bool)
    mask[4:9, 12:42] = True
    labels = model.predict(picture(60, 20), mask=mask).labels
    assert np.array_equal(labels > 0, mask) and labels[6, [12, 19, 20, 39, 40]].tolist() == [1, 1, 2, 2, 3]
    assert np.array_equal(model.predict(picture(60, 20), box=(12, 4, 42, 9)).labels, labels)


@pytest.mark.parametrize("zoom", [True, False])
def test_a_box_without_area_is_an_error(model, zoom):
    model.segmenter.zoom = zoom
    with pytest.raises(ValueError, match="x0 < x1 and y0 < y1 are needed"):
        model.predict(picture(60, 20), box=(42, 4, 12, 9))


def test_save_replaces_whole_files(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "build", lambda config, state: Stripes(config["parts"]))
    PartModel(Stripes(3), ("a", "b", "c"), {"method": "x", "skipped": [("p", "why")]}).save(tmp_path / "run/model")
    assert sorted(path.name for path in (tmp_path / "run/model").iterdir()) == ["config.json", "model.safetensors"]
    assert json.loads((tmp_path / "run/model/config.json").read_text())["names"] == ["a", "b", "c"]
    for place in ("run", "run/model"):
        assert PartModel.load(tmp_path / place).names == ("a", "b", "c")
    with pytest.raises(FileNotFoundError, match="no model there; .meronym train. makes one"):
        PartModel.load(tmp_path)
    with pytest.raises(FileNotFoundError, match="rum: no model there, did you mean .*run[?]$"):
        PartModel.load(tmp_path / "rum")


def test_stream_is_lazy(model):
    taken = []

    def samples():
        for i in range(20):
            taken.append(i)
            yield Sample(str(i), picture(20, 10), disc(20, 10, 3))

    next(iter(model.stream(samples(), batch=4)))
    assert len(taken) <= 12  # one batch is painted while the network sees the next and a third is cropped


def test_large_photos_come_fewer_at_a_time(monkeypatch):
    monkeypatch.setattr(module, "MOST_PIXELS", 1000)
    samples = [Sample(str(i), picture(side, side)) for i, side in enumerate((20, 30, 8, 8, 8, 40))]
    groups = module._groups(samples, batch=3)
    assert [[sample.id for sample in group] for group in groups] == [["0", "1"], ["2", "3", "4"], ["5"]]


def test_a_folder_or_a_list_of_photos(model, hostile, capsys):
    found = list(model.predict_all(hostile, batch=2))
    assert [Path(parts.id).name for parts in found] == [path.name for path in list_photos(hostile / "good")]
    said = capsys.readouterr().err
    assert "skipped " in said and all(path.name in said for path in (hostile / "bad").iterdir())
    pair = model.predict_all([hostile / "good/plain.png", picture(60, 20)])
    assert [parts.size for parts in pair] == [(48, 32), (60, 20)]


def test_every_photo_has_a_name_that_annotations_take(model, tmp_path, monkeypatch):
    (tmp_path / "birds/a").mkdir(parents=True)
    picture(20, 20).save(tmp_path / "birds/a/1.png")
    monkeypatch.chdir(tmp_path / "birds")
    assert [parts.id for parts in model.predict_all(tmp_path / "birds")] == ["a/1.png"]
    assert model.predict("a/1.png").item().name == "a/1.png"
    below = "/".join(Path(tmp_path, "birds/a/1.png").parts[1:])
    for path in (tmp_path / "birds/a/1.png", "../birds/a/1.png"):
        parts = model.predict(path)
        parts.to_coco(tmp_path / "1.json")
        assert (
            parts.id == str(path) and json.loads((tmp_path / "1.json").read_text())["images"][0]["file_name"] == below
        )


def test_a_loaded_run_predicts_with_its_names_and_merged_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "build", lambda config, state: Stripes(config["parts"]))
    PartModel(Stripes(3)).save(tmp_path / "model")
    Edits(names={2: "head"}, groups=((2, 3),)).save(tmp_path)
    model, photo = meronym.load(tmp_path), picture(60, 20)
    parts = model.predict(photo)
    assert parts.names == ("part 1", "head") and set(parts.labels[:, 20:].ravel()) == {2}
    assert [one.names for one in model.predict_all([photo, photo])] == [parts.names] * 2
    assert (
        next(model.stream([Sample("x", photo)])).names == PartModel.load(tmp_path).predict(photo).names == model.names
    )
