"""Every format, read back by Meronym's reader and by the format's own."""

import gc
import json
import os
import weakref
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from meronym.annotations import FORMATS, BadAnnotations, Item, MissingExtra, find, read, read_parquet, write
from meronym.annotations.coco import read_coco
from meronym.annotations.cvat import from_run_lengths, read_cvat, run_lengths
from meronym.annotations.label_studio import decode_brush, encode_brush, read_label_studio
from meronym.annotations.yolo import yaml_text
from meronym.parts import palette

NAMES = (
    'a "quoted" <b>',
    "naïve 鳥 \U0001f426",
    "line\nbreak\ttab",
    "</name><script>alert('1')</script>&amp;",
    "%s {x}: #",
)
READABLE = [name for name, entry in FORMATS.items() if entry.read]
HOSTILE_PATHS = ["../x.jpg", "a/../../x.jpg", "/tmp/x.jpg", "", ".", "a\0b.jpg"]
HOSTILE_PATHS += ["C:/x.jpg"] if os.name == "nt" else []


def items() -> list[Item]:
    """Odd sizes; every part, none, one pixel, noise; spaces, sub folders, equal stems, odd letters."""
    rng = np.random.default_rng(0)
    every = np.kron(rng.integers(0, 6, (4, 3)), np.ones((7, 11))).astype(np.uint8)[:-1, :-2]
    pixel = np.zeros((9, 5), dtype=np.uint8)
    pixel[8, 4] = 2
    hole = np.full((31, 17), 3, dtype=np.uint8)
    hole[5:20, 4:12] = 0
    hole[9:12, 6:9] = 5
    noise = rng.integers(0, 6, (23, 19), dtype=np.uint8)
    maps = {
        "every part.jpg": every,
        "robins/1.jpg": np.zeros((6, 13), dtype=np.uint8),
        "wrens/1.jpg": pixel,
        'wrens/deep er/"é鳥" & <i>.PNG': hole,
        "noise.v2.webp": noise,
        "trainingset/images/9:41.jpg": pixel.T,
        "images/1.jpg": pixel,
        "no suffix": np.full((1, 1), 4, dtype=np.uint8),
    }
    return [Item(name, map_.shape, map_, rng.random(map_.shape, np.float32)) for name, map_ in maps.items()]


def written(format: str, folder: Path, **options) -> Path:
    return write(format, iter(items()), folder / FORMATS[format].out, NAMES, **options)


def assert_same(found: Iterator[Item]) -> None:
    expected = {item.name: item for item in items()}
    seen = []
    for item in found:
        assert np.array_equal(item.labels, expected[item.name].labels), item.name
        assert item.labels.dtype == np.uint8 and item.size == expected[item.name].size
        seen.append(item.name)
    assert sorted(seen) == sorted(expected)


@pytest.mark.parametrize("format", READABLE)
def test_what_is_written_is_read_back(format: str, tmp_path: Path):
    found = read(format, written(format, tmp_path))
    assert found.names == NAMES
    assert_same(found.items)


@pytest.mark.parametrize("format", READABLE)
def test_plain_tuples_no_parts_and_no_photos_will_do(format: str, tmp_path: Path):
    empty = np.zeros((3, 4), dtype=np.uint8)
    out = write(format, [("x.jpg", (3, 4), empty)], tmp_path / "a" / FORMATS[format].out, ())
    (item,) = read(format, out).items
    assert item.name == "x.jpg" and np.array_equal(item.labels, empty)
    out = write(format, [], tmp_path / "b" / FORMATS[format].out, ("head",))
    if FORMATS[format].out not in ("labels", "layers"):  # a folder of pictures has none to read
        assert list(read(format, out).items) == []


@pytest.mark.parametrize("format", FORMATS)
def test_one_photo_at_a_time_is_in_memory(format: str, tmp_path: Path):
    alive: list[weakref.ref] = []
    most = 0

    def stream() -> Iterator[tuple[str, tuple[int, int], np.ndarray]]:
        nonlocal most
        for k in range(12):
            labels = np.full((8, 8), k % 3, dtype=np.uint8)
            alive.append(weakref.ref(labels))
            yield f"{k}.jpg", (8, 8), labels
            del labels
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    write(format, stream(), tmp_path / FORMATS[format].out, ("head", "tail"))
    assert len(alive) == 12 and most <= 2


@pytest.mark.parametrize("format", ["coco", "coco_polygons", "cvat", "label_studio", "parquet"])
def test_a_file_appears_whole_or_not_at_all(format: str, tmp_path: Path):
    def broken() -> Iterator[Item]:
        yield items()[0]
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        write(format, broken(), tmp_path / FORMATS[format].out, NAMES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("name", HOSTILE_PATHS)
def test_nothing_is_written_outside_the_folder(format: str, name: str, tmp_path: Path):
    out = tmp_path / "in" / "here" / FORMATS[format].out
    with pytest.raises(ValueError, match="photo name"):
        write(format, [(name, (1, 1), np.ones((1, 1), np.uint8))], out, ("head",))
    inside = tmp_path / "in" / "here"
    assert all(inside in path.parents or path in (inside, inside.parent) for path in tmp_path.rglob("*"))
    assert not list(inside.rglob("*.jpg")) and not list(inside.rglob("*.json"))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (("a.jpg", (2, 2), np.zeros((2, 2), np.int32)), "a.jpg: labels are int32"),
        (("a.jpg", (0, 2), np.zeros((0, 2), np.uint8)), "a.jpg: labels are uint8 of 0x2"),
        (("a.jpg", (3, 2), np.zeros((2, 3), np.uint8)), r"a.jpg: labels are \(2, 3\), the photo \(3, 2\)"),
        (("a.jpg", (1, 1), np.full((1, 1), 2, np.uint8)), "part 2, but there are 1 part names"),
    ],
)
def test_unsound_items_are_refused_by_name(item: tuple, message: str, tmp_path: Path):
    with pytest.raises(ValueError, match=message):
        write("coco", [item], tmp_path / "a.json", ("head",))


def test_photos_and_parts_that_cannot_be_told_apart(tmp_path: Path):
    one = np.ones((1, 1), np.uint8)
    with pytest.raises(ValueError, match="a.jpg: this photo came twice"):
        write("coco", [("a.jpg", (1, 1), one), ("./a.jpg", (1, 1), one)], tmp_path / "a.json", ("head",))
    with pytest.raises(ValueError, match="a.png: YOLO names labels by the stem, as for a.jpg"):
        write("yolo", [("a.jpg", (1, 1), one), ("a.png", (1, 1), one)], tmp_path / "y", ("head",))
    for format in ("cvat", "label_studio"):
        with pytest.raises(ValueError, match=r"parts \[1, 3\] are all called 'head'"):
            write(format, [], tmp_path / "x", ("head", "tail", "head"))
    with pytest.raises(ValueError, match="the same colour"):
        write("colour", [], tmp_path / "c", ("a", "b"), colours=np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="room for 255"):
        write("coco", [], tmp_path / "a.json", ["x"] * 256)


def test_equal_stems_keep_a_file_each(tmp_path: Path):
    maps = {name: np.full((1, 1), k, np.uint8) for k, name in enumerate(("a.jpg", "a.png", "a.webp", "A.jpg"))}
    write("png", [(name, (1, 1), map_) for name, map_ in maps.items()], tmp_path, ("x", "y", "z"))
    assert {item.name: int(item.labels[0, 0]) for item in read("png", tmp_path).items} == {
        name: int(map_[0, 0]) for name, map_ in maps.items()
    }
    assert len(list(tmp_path.iterdir())) == 4


def test_formats_are_found_by_name():
    assert find("COCO-polygons") is FORMATS["coco_polygons"]
    with pytest.raises(ValueError, match="'coko'; did you mean 'coco'"):
        find("coko")
    with pytest.raises(ValueError, match="no masks to read back"):
        read("parquet", "x")


def test_a_missing_library_says_what_to_install(tmp_path: Path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pycocotools.mask", None)
    with pytest.raises(MissingExtra, match=r'pycocotools.*pip install "meronym\[annotations\]"'):
        write("coco", [], tmp_path / "a.json", ())


# -- each format's own reader ------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["coco", "coco_polygons"])
def test_pycocotools_reads_coco(format: str, tmp_path: Path, capsys):
    coco = pytest.importorskip("pycocotools.coco").COCO(str(written(format, tmp_path)))
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(NAMES)
    expected = {item.name: item for item in items()}
    assert len(coco.getImgIds()) == len(expected)
    for image in coco.loadImgs(coco.getImgIds()):
        item = expected[image["file_name"]]
        labels = np.zeros(item.size, dtype=np.uint8)
        for annotation in coco.loadAnns(coco.getAnnIds(image["id"])):
            mask = coco.annToMask(annotation) > 0
            assert annotation["area"] == mask.sum() and annotation["iscrowd"] == 0
            x, y, w, h = annotation["bbox"]
            assert mask[y : y + h, x : x + w].sum() == mask.sum() and mask[y].any() and mask[:, x + w - 1].any()
            assert annotation["score"] == pytest.approx(float(item.confidence[mask].mean()), abs=1e-5)
            labels[mask] = annotation["category_id"]
        assert np.array_equal(labels, item.labels)


def test_foreign_coco_is_read(tmp_path: Path):
    pytest.importorskip("pycocotools")
    content = {
        "images": [{"id": 9, "file_name": "x.jpg", "width": 4, "height": 3}],
        "categories": [{"id": 70, "name": "wing"}, {"id": 3, "name": "head"}],
        "annotations": [
            {"image_id": 9, "category_id": 70, "segmentation": {"size": [3, 4], "counts": [0, 6, 6]}},
            {"image_id": 9, "category_id": 3, "segmentation": [[1, 0, 3, 0, 3, 2, 1, 2]]},
            {"image_id": 9, "category_id": 3, "segmentation": []},
        ],
    }
    file = tmp_path / "a.json"
    file.write_text(json.dumps(content))
    found = read_coco(file)
    assert found.names == ("wing", "head")
    assert next(found.items).labels.tolist() == [[1, 2, 2, 0], [1, 2, 2, 0], [1, 1, 0, 0]]
    content["annotations"][0]["category_id"] = 5
    file.write_text(json.dumps(content))
    with pytest.raises(BadAnnotations, match="a.json: image 9: no such entry or category: 5"):
        list(read_coco(file).items)


def ultralytics_labels(root: Path) -> Iterator[tuple[str, np.ndarray]]:
    """A folder as Ultralytics loads it: coordinates rounded down, polygons painted with their outline."""
    cv2 = pytest.importorskip("cv2")
    yaml = pytest.importorskip("yaml")
    config = yaml.safe_load((root / "data.yaml").read_text(encoding="utf-8"))
    assert list(config["names"]) == list(range(len(NAMES)))
    sizes = {item.name: item.size for item in items()}
    for line in (root / config["train"]).read_text(encoding="utf-8").splitlines():
        name = line.removeprefix("./") if line.removeprefix("./") in sizes else line.removeprefix("./images/")
        height, width = sizes[name]
        labels = np.zeros((height, width), dtype=np.uint8)
        place = Path("/labels/".join(str(root / line).rsplit("/images/", 1)))
        stem = place.with_suffix("") if place.suffix.lower() in (".jpg", ".png", ".webp") else place
        for row in Path(f"{stem}.txt").read_text().splitlines():
            part, *shares = np.array(row.split(), dtype=np.float32)
            assert len(shares) >= 6 and min(shares) >= 0 and max(shares) <= 1
            polygon = np.array(shares).reshape(-1, 2) * np.float32([width, height])
            cv2.fillPoly(labels, [polygon.astype(np.int32)], int(part) + 1)
        yield name, labels


def test_yolo_labels_are_read_as_ultralytics_does(tmp_path: Path):
    expected = {item.name: item.labels for item in items()}
    found = dict(ultralytics_labels(written("yolo", tmp_path)))
    assert found.keys() == expected.keys()
    for name, labels in found.items():
        for part in range(1, 6):
            a, b = labels == part, expected[name] == part
            assert np.array_equal(a, b), (name, part)


def test_ultralytics_reads_yolo(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("YOLO_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("YOLO_OFFLINE", "true")
    monkeypatch.setenv("YOLO_AUTOINSTALL", "false")
    monkeypatch.setattr(Image, "open", Image.open)  # it puts its own there
    ultralytics = pytest.importorskip("ultralytics.data.utils")
    rng = np.random.default_rng(0)
    blocks = np.kron(rng.integers(0, 3, (5, 6)), np.ones((9, 8))).astype(np.uint8)[:-1]
    noise = np.where(rng.random(blocks.shape) < 0.3, blocks, 1).astype(np.uint8)
    maps = {"b c.png": blocks, "noise.png": noise, "empty.png": np.zeros_like(blocks)}
    root = write("yolo", [(k, v.shape, v) for k, v in maps.items()], tmp_path / "yolo", ("head", "tail"))
    for name, labels in maps.items():
        photo = root / "images" / name
        photo.parent.mkdir(exist_ok=True)
        Image.fromarray(labels).save(photo)
        ((file, *_),) = [ultralytics.img2label_paths([str(photo)])]
        read_ = ultralytics.verify_image_label((str(photo), file, "", False, 2, 0, 0, False))
        _, boxes, shape, segments, *_, missing, _, empty, corrupt, message = read_
        assert (missing, corrupt, message) == (0, 0, "") and shape == labels.shape
        assert empty == (name == "empty.png") and len(boxes) == len(segments)
        found = np.zeros_like(labels)
        for box, segment in zip(boxes, segments, strict=True):
            polygon = segment * np.float32([shape[1], shape[0]])
            found[ultralytics.polygon2mask(shape, [polygon]) > 0] = int(box[0]) + 1
        assert np.array_equal(found, labels), name


def test_yolo_sizes_come_from_the_photos_where_nothing_else_knows(tmp_path: Path):
    pytest.importorskip("yaml")
    labels = np.zeros((30, 20), dtype=np.uint8)
    labels[4:9, 3:7] = 2
    root = write("yolo", [("robins/a.png", (30, 20), labels)], tmp_path, ("head", "tail"))
    (root / "meronym.jsonl").unlink()
    with pytest.raises(BadAnnotations, match="how large the photos are"):
        list(read("yolo", root).items)
    exif = Image.Exif()
    exif[0x0112] = 8
    (root / "images" / "robins").mkdir(parents=True)
    Image.new("RGB", (30, 20)).save(root / "images" / "robins" / "a.png", exif=exif)
    (item,) = read("yolo", root / "data.yaml").items
    assert item.name == "robins/a.png" and np.array_equal(item.labels, labels)
    (root / "labels" / "robins" / "a.txt").write_text("0 0.1 0.2 0.3\n")
    with pytest.raises(BadAnnotations, match="line 1 is not a class"):
        list(read("yolo", root).items)
    (root / "labels" / "robins" / "a.txt").write_text("2 0 0 1 0 1 1\n")
    with pytest.raises(BadAnnotations, match="classes are 0 to 1"):
        list(read("yolo", root).items)


@pytest.mark.parametrize("text", [*NAMES, "\x00\x07\x85\u2028\ufeff", "- a: [b]", "yes", "", "\\n '", "\ud800"])
def test_yaml_text_is_yaml(text: str):
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(f"0: {yaml_text(text)}\n") == {0: text}


def test_cvat_follows_its_documented_schema(tmp_path: Path):
    with zipfile.ZipFile(written("cvat", tmp_path)) as archive:
        assert archive.testzip() is None
        root = ElementTree.fromstring(archive.read("annotations.xml"))
        labels = json.loads(archive.read("labels.json"))
    assert root.tag == "annotations" and root.findtext("version") == "1.1"
    assert [label.findtext("name") for label in root.iterfind("meta/task/labels/label")] == list(NAMES)
    assert {label.findtext("type") for label in root.iterfind("meta/task/labels/label")} == {"mask"}
    assert [(label["name"], label["type"]) for label in labels] == [(name, "mask") for name in NAMES]
    assert [int(image.attrib["id"]) for image in root.iterfind("image")] == list(range(len(items())))
    for image, item in zip(root.iterfind("image"), items(), strict=True):
        assert image.attrib["name"] == item.name
        assert (int(image.attrib["height"]), int(image.attrib["width"])) == item.size
        found = np.zeros(item.size, dtype=np.uint8)
        for mask in image:
            keys = {"label", "source", "occluded", "rle", "left", "top", "width", "height", "z_order"}
            assert mask.tag == "mask" and mask.attrib.keys() == keys and mask.attrib["source"] == "auto"
            left, top, width = (int(mask.attrib[key]) for key in ("left", "top", "width"))
            offset, value = 0, 0
            for run in map(int, mask.attrib["rle"].split(",")):
                for pixel in range(offset, offset + run) if value else ():
                    found[top + pixel // width, left + pixel % width] = NAMES.index(mask.attrib["label"]) + 1
                offset, value = offset + run, 1 - value
            assert offset == width * int(mask.attrib["height"])
        assert np.array_equal(found, item.labels)


def test_run_lengths_of_cvats_own_example():
    runs = [3, 5, 7, 7, 5, 9, 3, 11, 2, 11, 2, 12, 1, 12, 1, 26, 1, 12, 1, 12, 2, 11, 3, 9, 5, 7, 7, 5, 3]
    mask = from_run_lengths(runs, (15, 13))  # a dab of a round brush
    assert mask.sum() == sum(runs[1::2]) and mask[7].all() and not mask[0, 0]
    assert (np.abs(np.diff(mask.astype(int), axis=1)).sum(1) <= 2).all()
    assert run_lengths(mask) == runs
    assert run_lengths(np.ones((2, 2), bool)) == [0, 4]
    with pytest.raises(ValueError, match="add up to 5 pixels, the mask has 2x2"):
        from_run_lengths([2, 3], (2, 2))


def test_cvat_reader_minds_order_and_refuses_the_rest(tmp_path: Path):
    file = tmp_path / "a.xml"
    mask = '<mask label="{}" rle="0, 2" left="{}" top="0" width="2" height="1" z_order="{}"/>'
    declared = "".join(f"<label><name>{name}</name></label>" for name in "ab")
    head = f"<meta><project><labels>{declared}</labels></project></meta>"
    image = '<image id="0" name="x.jpg" width="3" height="1">{}</image>'
    shapes = mask.format("b", 1, 1) + mask.format("a", 0, 0) + '<box label="a" xtl="0"/>'
    file.write_text(f"<annotations>{head}{image.format(shapes)}</annotations>")
    found = read_cvat(file)
    assert found.names == ("a", "b") and next(found.items).labels.tolist() == [[1, 2, 2]]
    file.write_text(f"<annotations>{head}{image.format(mask.format('c', 0, 0))}</annotations>")
    with pytest.raises(BadAnnotations, match="label 'c', which is not declared"):
        list(read_cvat(file).items)
    for text, message in (
        ("<x/>", "its root is <x>"),
        ("no xml", "neither a zip nor an XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations/>', "declares XML entities"),
    ):
        file.write_text(text)
        with pytest.raises(BadAnnotations, match=message):
            read_cvat(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(BadAnnotations, match="holds no annotations.xml"):
        read_cvat(file)


def test_label_studios_own_decoder_reads_the_brush(tmp_path: Path):
    brush = pytest.importorskip("label_studio_converter.brush")
    tasks = json.loads(written("label_studio", tmp_path).read_text())
    config = ElementTree.parse(tmp_path / "label_studio.config.xml").getroot()
    tag, image = config.find("BrushLabels"), config.find("Image")
    assert [label.attrib["value"] for label in tag] == list(NAMES)
    assert tag.attrib["toName"] == image.attrib["name"] and image.attrib["value"] == "$image"
    for task, item in zip(tasks, items(), strict=True):
        (prediction,) = task["predictions"]
        found = np.zeros(item.size, dtype=np.uint8)
        for result in prediction["result"]:
            assert result["type"] == "brushlabels" and result["value"]["format"] == "rle"
            assert (result["from_name"], result["to_name"]) == (tag.attrib["name"], image.attrib["name"])
            shape = (result["original_height"], result["original_width"])
            assert shape == item.size and result["image_rotation"] == 0
            alpha = brush.decode_rle(result["value"]["rle"]).reshape(*shape, 4)[:, :, 3]
            assert set(np.unique(alpha)) <= {0, 255}
            found[alpha > 0] = NAMES.index(result["value"]["brushlabels"][0]) + 1
        assert np.array_equal(found, item.labels)
    assert len({task["data"]["image"] for task in tasks}) == len(tasks)
    assert all(task["data"]["image"].isascii() and " " not in task["data"]["image"] for task in tasks)


def test_brushes_of_any_length_go_both_ways():
    brush = pytest.importorskip("label_studio_converter.brush")
    rng = np.random.default_rng(0)
    masks = [rng.random((h, w)) < share for h, w, share in ((1, 1, 1), (7, 5, 0.5), (40, 30, 0.02), (3, 9, 0))]
    large = np.zeros((300, 401), dtype=bool)  # runs beyond 65,536 words, and of exactly that
    large[100:] = True
    exact = np.arange(128 * 256).reshape(128, 256) >= 16384
    for mask in [*masks, large, exact]:
        data = encode_brush(mask)
        assert np.array_equal(decode_brush(data, mask.shape), mask)
        assert np.array_equal(brush.decode_rle(data).reshape(*mask.shape, 4)[..., 0] == 255, mask)
        theirs = brush.encode_rle(np.repeat(mask.ravel() * 255, 4).astype(np.uint8))
        assert np.array_equal(decode_brush(theirs, mask.shape), mask)
    with pytest.raises(ValueError, match="a brush of 140 bytes on a photo of 4x5"):
        decode_brush(encode_brush(masks[1]), (5, 4))
    with pytest.raises(ValueError, match="ends too early"):
        decode_brush(encode_brush(masks[1])[:20], (7, 5))


def test_a_brush_of_words_in_a_row_is_read():
    words = [0, 0, 0, 0, 9, 9, 9, 200]  # two pixels; the second is opaque
    bits = f"{8:032b}{7:05b}" + "0010" * 4 + "0" + "00" + f"{7:03b}" + "".join(f"{w:08b}" for w in words)
    bits += "0" * (-len(bits) % 8)
    data = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(data, (1, 2)).tolist() == [[False, True]]


def test_what_a_person_corrected_in_label_studio_wins(tmp_path: Path):
    file = tmp_path / "export.json"
    person, machine = np.array([[True, False]]), np.array([[True, True]])

    def work(mask: np.ndarray, name: str) -> dict:
        value = {"format": "rle", "rle": encode_brush(mask), "brushlabels": [name]}
        result = {"type": "brushlabels", "original_width": 2, "original_height": 1, "value": value}
        return {"result": [result, {"type": "choices", "value": {"choices": ["good"]}}]}

    cancelled = {**work(machine, "wing"), "was_cancelled": True}
    data = {"image": "/data/local-files/?d=a%20b/1.jpg"}
    tasks = [
        {
            "data": data,
            "annotations": [work(person, "head"), cancelled],
            "predictions": [work(machine, "wing")],
        }
    ]
    file.write_text(json.dumps(tasks))
    found = read_label_studio(file)
    (item,) = found.items
    assert found.names == ("head",) and item.name == "a b/1.jpg" and item.labels.tolist() == [[1, 0]]
    for content, message in (("{}", "not a list"), ("[", "not a JSON"), ('[{"data": {}}]', "how large")):
        file.write_text(content)
        with pytest.raises(BadAnnotations, match=message):
            list(read_label_studio(file).items)


def test_parquet_has_a_row_for_each_part_of_each_photo(tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = written("parquet", tmp_path)
    rows = parquet.read_table(path).to_pylist()
    assert rows == list(read_parquet(path)) and len(rows) == len(items()) * len(NAMES)
    for row in rows:
        item = next(item for item in items() if item.name == row["photo"])
        mask = item.labels == row["part"]
        assert row["name"] == NAMES[row["part"] - 1] and row["area"] == mask.sum()
        assert (row["height"], row["width"]) == item.size
        if not mask.any():
            assert row["centre_x"] is row["x0"] is row["confidence"] is None
            continue
        ys, xs = np.nonzero(mask)
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == (
            xs.min(),
            ys.min(),
            xs.max() + 1,
            ys.max() + 1,
        )
        assert (row["centre_x"], row["centre_y"]) == pytest.approx((xs.mean() + 0.5, ys.mean() + 0.5))
        assert row["confidence"] == pytest.approx(float(item.confidence[mask].mean()), rel=1e-5)
        assert row["share"] == pytest.approx(mask.mean())


def test_pictures_show_the_parts(tmp_path: Path):
    item = items()[0]
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*item.size, 3), dtype=np.uint8))
    layer, overlay = (
        write(format, [item._replace(image=photo)], tmp_path / format, NAMES, **options) / "every part.png"
        for format, options in (("colour", {}), ("overlay", {"alpha": 1, "edges": False}))
    )
    shown, drawn = np.asarray(Image.open(layer)), np.asarray(Image.open(overlay))
    assert shown.shape[2] == 4 and (shown[item.labels == 0, 3] == 0).all()
    for part in range(1, 6):
        assert (shown[item.labels == part, :3] == palette(5)[part - 1]).all()
        assert (drawn[item.labels == part] == palette(5)[part - 1]).all()
    colours = palette(8)[3:]
    again = write("colour", [item], tmp_path / "other", NAMES, colours=colours)
    assert (np.asarray(Image.open(again / "every part.png"))[item.labels == 1, :3] == colours[0]).all()
    assert np.array_equal(next(read("colour", again).items).labels, item.labels)


def test_index_pngs_from_elsewhere_are_read(tmp_path: Path):
    (tmp_path / "sub").mkdir()
    Image.fromarray(np.uint8([[0, 3]])).save(tmp_path / "sub" / "x.png")
    Image.fromarray(np.uint8([[1, 0]])).convert("P").save(tmp_path / "y.png")
    found = read("png", tmp_path)
    assert found.names == ("part 1", "part 2", "part 3")
    assert {item.name: item.labels.tolist() for item in found.items} == {
        "sub/x.png": [[0, 3]],
        "y.png": [[1, 0]],
    }
    Image.new("RGB", (2, 2)).save(tmp_path / "photo.png")
    with pytest.raises(BadAnnotations, match="a RGB picture"):
        read("png", tmp_path)


@pytest.mark.parametrize("format", READABLE)
def test_nothing_there_is_one_clear_line(format: str, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        read(format, tmp_path / "missing")


def test_names_that_xml_and_utf8_cannot_hold(tmp_path: Path):
    one = np.ones((1, 1), np.uint8)
    for format in ("cvat", "label_studio"):
        out = write(format, [("a\x07\udce9.jpg", (1, 1), one)], tmp_path / FORMATS[format].out, ("be\x00ak",))
        assert read(format, out).names == ("be\ufffdak",)
    for format in ("coco", "yolo"):
        (item,) = read(format, write(format, [("é\udce9.jpg", (1, 1), one)], tmp_path / format, ("x",))).items
        assert item.name == "é\udce9.jpg"
    with pytest.raises(ValueError, match="lists photos one a line"):
        write("yolo", [("a\nb.jpg", (1, 1), one)], tmp_path / "y", ("x",))
