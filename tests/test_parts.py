"""Parts: what it holds, draws, cuts out, merges and writes."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from meronym.annotations import read
from meronym.images import open_labels, open_photo
from meronym.parts import Parts, default_names, palette

NAMES = ("head", "wing", "tail", "foot")


def labels() -> np.ndarray:
    """20x30, parts 1 to 3; part 4 is absent."""
    map_ = np.zeros((20, 30), dtype=np.uint8)
    map_[2:10, 3:12] = 1
    map_[2:10, 12:25] = 2
    map_[12:19, 5:9] = 3
    return map_


@pytest.fixture
def parts() -> Parts:
    photo = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    confidence = np.linspace(0, 1, 600, dtype=np.float32).reshape(20, 30)
    return Parts(labels(), NAMES, confidence, id="robins/1.jpg", image=Image.fromarray(photo))


def test_is_frozen_and_knows_what_is_here(parts: Parts):
    with pytest.raises(dataclasses.FrozenInstanceError):
        parts.labels = labels()  # type: ignore[misc]
    assert parts.present() == [1, 2, 3]
    assert parts.size == (30, 20)
    assert "'head', 'wing', 'tail'" in repr(parts) and "foot" not in repr(parts)
    assert np.array_equal(parts.mask("wing"), labels() == 2)
    assert not parts.mask("foot").any()
    assert default_names(2) == ("part 1", "part 2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": labels().astype(np.int64)}, "int64"),
        ({"labels": labels()[None]}, r"\(1, 20, 30\)"),
        ({"names": ("head", "wing"), "colours": None}, "part 3, but there are names for 2"),
        ({"confidence": np.zeros((3, 3), np.float32)}, "one per pixel"),
        ({"colours": palette(2)}, "2 colours for 4 parts"),
        ({"image": Image.new("RGB", (20, 30))}, "the photo is 20x30 and the label map 30x20"),
        ({"names": default_names(256), "colours": None}, "room for 255"),
    ],
)
def test_refuses_what_does_not_fit(parts: Parts, change: dict, message: str):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(parts, **change)


def test_names_are_found_and_near_ones_suggested(parts: Parts):
    assert parts.index("tail") == parts.index(3) == 3
    with pytest.raises(ValueError, match="did you mean 'wing'"):
        parts.index("wings")
    with pytest.raises(ValueError, match="1 to 4, the nearest 4"):
        parts.index(9)
    with pytest.raises(ValueError, match="no part 0"):
        parts.index(0)


def test_table_measures_every_part(parts: Parts):
    head, _, tail, foot = parts.table()
    assert (head["area"], head["box"], head["centre"]) == (72, (3, 2, 12, 10), (7.5, 6.0))
    assert head["share"] == pytest.approx(72 / 600)
    assert tail["confidence"] == pytest.approx(float(parts.confidence[labels() == 3].mean()), rel=1e-6)
    assert foot["area"] == 0 and foot["centre"] is foot["box"] is foot["confidence"] is None


def test_plot_tints_parts_and_greys_the_rest(parts: Parts):
    drawn = np.asarray(parts.plot(alpha=1, edges=False))
    photo = np.asarray(parts.image)
    for part in (1, 2, 3):
        assert (drawn[labels() == part] == palette(4)[part - 1]).all()
    outside = labels() == 0
    assert np.ptp(drawn[outside], axis=1).mean() < 0.6 * np.ptp(photo[outside], axis=1).mean()
    assert drawn[outside].mean() < 0.85 * photo[outside].mean()
    untouched = np.asarray(parts.plot(alpha=0, edges=False))
    assert np.array_equal(untouched[~outside], photo[~outside])
    assert np.array_equal(np.asarray(parts.image), photo)


def test_edges_follow_the_borders_only():
    map_ = np.zeros((60, 60), dtype=np.uint8)
    map_[:, 30:] = 1
    parts = Parts(map_, ("right",), image=Image.new("RGB", (60, 60), (90, 90, 90)))
    plain = np.asarray(parts.plot(edges=False)).astype(int)
    lined = np.asarray(parts.plot()).astype(int)
    change = np.abs(lined - plain).max(axis=(0, 2))
    assert change[29] > 60 and lined[30, 29].min() > 180
    assert change[:22].max() == 0 and change[38:].max() == 0


def test_names_are_written_on_the_photo_whatever_is_in_them():
    parts = Parts(np.pad(np.ones((60, 80), np.uint8), 20), ("<b>\n鳥 \U0001f426\x00" * 9,), colours=[[9, 9, 9]])
    named, plain = np.asarray(parts.plot(names=True)), np.asarray(parts.plot())
    assert (named != plain).any() and named.shape == (100, 120, 3)
    with pytest.raises(ValueError, match="alpha=1.5"):
        parts.plot(alpha=1.5)


def test_crop_is_the_part_and_nothing_else(parts: Parts):
    cut = parts.crop("tail")
    assert cut.mode == "RGBA" and cut.size == (4, 7)
    assert np.array_equal(np.asarray(cut)[..., :3], np.asarray(parts.image)[12:19, 5:9])
    padded = np.asarray(parts.crop(3, pad=4))
    assert padded.shape == (12, 12, 4)  # the photo ends one pixel below the part
    assert np.array_equal(padded[..., 3] == 255, labels()[8:20, 1:13] == 3)
    with pytest.raises(ValueError, match=r"part 4 \('foot'\) is not in robins/1.jpg"):
        parts.crop("foot")
    with pytest.raises(ValueError, match="kept without its photo"):
        dataclasses.replace(parts, image=None).crop(1)


def test_save_keeps_labels_colours_and_names(parts: Parts, tmp_path):
    path = parts.save(tmp_path / "deep" / "map.png")
    assert np.array_equal(open_labels(path), labels())
    with Image.open(path) as image:
        assert image.mode == "P"
        shown = np.asarray(image.convert("RGBA"))
    assert (shown[labels() == 0] == (0, 0, 0, 0)).all()
    assert (shown[labels() == 2] == (*palette(4)[1], 255)).all()
    again = read("png", path)
    assert again.names == NAMES and next(again.items).name == "robins/1.jpg"
    with pytest.raises(ValueError, match="end the name in .png"):
        parts.save(tmp_path / "map.jpg")
    assert [p.name for p in path.parent.iterdir()] == ["map.png"]


def test_rename_changes_a_copy(parts: Parts):
    renamed = parts.rename({2: "left wing", "tail": "stern"})
    assert renamed.names == ("head", "left wing", "stern", "foot")
    assert parts.names == NAMES and np.array_equal(renamed.labels, parts.labels)


def test_relabel_moves_drops_and_joins(parts: Parts):
    moved = parts.relabel({"head": 2, 2: 2, 4: 1}, ("feet", "front"))
    assert np.array_equal(moved.labels, np.where(np.isin(labels(), (1, 2)), 2, 0))
    assert moved.names == ("feet", "front") and np.array_equal(moved.colours, palette(2))
    assert np.array_equal(parts.relabel([1, 1, 0, 1], ["all"]).labels, np.isin(labels(), (1, 2)))
    assert moved.image is parts.image and moved.id == parts.id
    with pytest.raises(ValueError, match=r"'head' -> 3: new parts are 0 \(background\) to 2"):
        parts.relabel({"head": 3}, ("a", "b"))
    with pytest.raises(ValueError, match="3 new numbers for 4 parts"):
        parts.relabel([1, 2, 3], NAMES)


def test_merge_joins_in_the_place_and_colour_of_the_first(parts: Parts):
    merged = parts.merge([["tail", "head"]], names=["body"])
    assert merged.names == ("body", "wing", "foot")
    assert np.array_equal(merged.labels, np.select([np.isin(labels(), (1, 3)), labels() == 2], [1, 2], 0))
    assert np.array_equal(merged.colours, palette(4)[[0, 1, 3]])
    assert parts.merge([[3, 2]]).names == ("head", "wing", "foot")
    assert parts.merge([]).names == NAMES
    for groups, message in (
        ([[]], "empty group"),
        ([[1, 2], [2, 3]], "part 2 is in two"),
        ([[1, 9]], "no part 9"),
    ):
        with pytest.raises(ValueError, match=message):
            parts.merge(groups)
    with pytest.raises(ValueError, match="1 names for 2 groups"):
        parts.merge([[1], [2]], names=["x"])


@pytest.mark.parametrize(
    ("method", "format", "out"),
    [
        ("to_png", "png", "a.png"),
        ("to_coco", "coco", "a.json"),
        ("to_yolo", "yolo", "a"),
        ("to_cvat", "cvat", "a.zip"),
        ("to_label_studio", "label_studio", "a.json"),
    ],
)
def test_every_way_out_has_the_same_labels(parts: Parts, tmp_path, method: str, format: str, out: str):
    found = read(format, getattr(parts, method)(tmp_path / out))
    assert found.names == NAMES
    (item,) = found.items
    assert item.name == "robins/1.jpg" and np.array_equal(item.labels, labels())


def test_a_photo_that_lies_on_its_side(tmp_path):
    stored = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 20, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(tmp_path / "turned.jpg", exif=exif)
    photo = open_photo(tmp_path / "turned.jpg")
    assert photo.size == (30, 20)
    parts = Parts(labels(), NAMES, image=photo, id="turned.jpg")
    assert parts.plot().size == parts.size == (30, 20)
    (item,) = read("coco", parts.to_coco(tmp_path / "a.json")).items
    assert item.size == (20, 30) and np.array_equal(item.labels, labels())


def test_a_real_photo_is_drawn_and_cut(shared):
    root = shared / "data" / "CUB_200_2011"
    file = sorted((root / "images").rglob("*.webp"))[0]
    photo = open_photo(file)
    mask = Image.open(root / "segmentations" / file.relative_to(root / "images").with_suffix(".png"))
    bird = np.asarray(mask.convert("L").resize(photo.size)) > 127
    parts = Parts(bird.astype(np.uint8), ("bird",), image=photo)
    assert parts.plot().size == photo.size
    assert parts.crop("bird").getchannel("A").histogram()[255] == parts.table()[0]["area"]
