"""YOLO-seg (Ultralytics): one text file a photo, one polygon a line, and a data.yaml.

    out/data.yaml           class names from 0, the photo list as training and validation set
    out/photos.txt          the photos, ./images/robins/1.jpg
    out/labels/robins/1.txt class x y x y ..., in shares of the photo's width and height
    out/meronym.jsonl       each photo's size in pixels, which the format itself does not know

Put the photos (or links to their folders) where photos.txt says: at out/images, or, where a photo's own path has
a folder images, as in a/images/1.jpg, at out/a/images, as labels are looked for in the folder labels beside the last
images of a path. Each 4-connected piece of a part is one
line. Polygons lie a tenth of a pixel inside the part, so that Ultralytics, which rounds down and paints the
outline too, gets the part back pixel for pixel, and so do readers that fill the area.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from meronym.annotations.base import Annotations, BadAnnotations, Item, need, stem, whole_file
from meronym.annotations.outlines import fill, outlines

INSET = 0.1


def write_yolo(items: Iterable[Item], out: str | os.PathLike[str], names: Sequence[str]) -> Path:
    """Writes the folder, one item in memory at a time; returns its path.

    Raises:
        ValueError: two photos that differ in nothing but their suffix, which YOLO cannot tell apart, or a line
            break in a photo's name.
    """
    out = Path(out)
    owner: dict[str, str] = {}
    with whole_file(out / "photos.txt") as photos, whole_file(out / "meronym.jsonl") as sizes:
        for item in items:
            place = photo_path(item.name)
            key = label_path(place)
            if key in owner:
                raise ValueError(f"{item.name}: YOLO names labels by the stem, as for {owner[key]}; rename one")
            if item.name.splitlines() != [item.name]:
                raise ValueError(f"{item.name!r}: YOLO lists photos one a line; rename this one")
            owner[key] = item.name
            photos.write(f"./{place}\n")
            height, width = item.size
            sizes.write(json.dumps({"photo": item.name, "height": height, "width": width}) + "\n")
            with whole_file(out / key) as file:
                file.writelines(label_lines(item.labels))
    with whole_file(out / "data.yaml") as file:
        file.write("train: photos.txt\nval: photos.txt\n")
        file.write("names:\n" if names else "names: {}\n")
        file.writelines(f"  {k}: {yaml_text(name)}\n" for k, name in enumerate(names))
    return out


def photo_path(name: str) -> str:
    """Where in the folder a photo is to be put."""
    return name if "images" in PurePosixPath(name).parts[:-1] else f"images/{name}"


def label_path(photo: str) -> str:
    """Where in the folder Ultralytics looks for the labels of a photo that is at `photo`."""
    above, _, below = f"/{photo}".rpartition("/images/")
    return f"{above}/labels/{stem(below)}.txt".lstrip("/")


def label_lines(labels: np.ndarray) -> Iterator[str]:
    """The lines of one label file: class (part - 1), then x and y in shares of the photo's size."""
    height, width = labels.shape
    for part in np.unique(labels[labels > 0]).tolist():
        for polygon in outlines(labels == part, INSET):
            shares = (polygon / (width, height)).ravel().tolist()
            yield f"{part - 1} " + " ".join(f"{share:.8g}" for share in shares) + "\n"


def yaml_text(text: str) -> str:
    """A YAML double-quoted scalar that holds the text, whatever is in it."""
    return '"' + "".join(_yaml_character(c) for c in text) + '"'


def _yaml_character(c: str) -> str:
    if c in '"\\':
        return "\\" + c
    if c.isprintable():
        return c
    code = ord(c)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


def read_yolo(path: str | os.PathLike[str]) -> Annotations:
    """Reads a YOLO-seg folder, or its data.yaml.

    A photo's size comes from meronym.jsonl, or from the photo itself. Where polygons overlap, the later is
    on top.

    Raises:
        FileNotFoundError: no data.yaml.
        BadAnnotations: no names in it, a photo of unknown size, or a line that is not a class and a
        polygon.
    """
    root = Path(path)
    root = root.parent if root.suffix in (".yaml", ".yml") else root
    config = root / "data.yaml"
    if not config.is_file():
        raise FileNotFoundError(f"{config}: no such file; a YOLO folder has one")
    content = need("yaml").safe_load(config.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("names"), dict | list):
        raise BadAnnotations(config, "it has no names of classes")
    given = content["names"]
    names = tuple(str(given[k]) for k in sorted(given)) if isinstance(given, dict) else tuple(map(str, given))
    return Annotations(names, _items(root, len(names)))


def _items(root: Path, parts: int) -> Iterator[Item]:
    for name, size in _photos(root):
        file = root / label_path(photo_path(name))
        labels = np.zeros(size, dtype=np.uint8)
        lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
        for number, line in enumerate(filter(str.strip, lines), start=1):
            try:
                part, *shares = line.split()
                polygon = np.array(shares, dtype=np.float64).reshape(-1, 2) * (size[1], size[0])
                k = int(part) + 1
            except ValueError as error:
                raise BadAnnotations(file, f"line {number} is not a class and pairs of x and y") from error
            if not 1 <= k <= parts or len(polygon) < 3:
                valid = f"classes are 0 to {parts - 1}, polygons 3 points or more"
                raise BadAnnotations(file, f"line {number}: {valid}")
            labels[fill(polygon, size)] = k
        yield Item(name, size, labels)


def _photos(root: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    sizes = root / "meronym.jsonl"
    if sizes.is_file():
        with open(sizes, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                yield row["photo"], (row["height"], row["width"])
        return
    from meronym.images import list_photos, open_photo

    folder = root / "images"
    if not folder.is_dir():
        raise BadAnnotations(root, "neither meronym.jsonl nor images/ is there to say how large the photos are")
    for photo in list_photos(folder):
        image: Image.Image = open_photo(photo)
        yield photo.relative_to(folder).as_posix(), (image.height, image.width)
