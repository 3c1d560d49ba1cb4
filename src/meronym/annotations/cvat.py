"""CVAT: a zip in the format that its import menu calls "CVAT 1.1", with one mask for each part.

Source: CVAT's documentation, "XML annotation format", version 1.1, section Annotation, element `mask`. Its
`rle` holds the run lengths of the mask inside its box, row by row, beginning with the pixels that are not
the mask's. A task must have the labels before annotations can be imported: `labels.json` in the zip is
their definition, to paste into the task's "Raw" label editor.
"""

import io
import json
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from meronym.annotations.base import Annotations, BadAnnotations, Item, distinct, whole_file
from meronym.annotations.colours import hex_colour, palette
from meronym.annotations.summary import summarise

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_cvat(
    items: Iterable[Item],
    out: str | os.PathLike[str],
    names: Sequence[str],
    *,
    colours: np.ndarray | None = None,
) -> Path:
    """Writes the zip, one item in memory at a time; returns its path. Masks are read back identical.

    Characters that XML cannot hold (control characters) become U+FFFD in names.

    Raises:
        ValueError: two parts of one name.
    """
    names = distinct([xml_text(name) for name in names])
    colours = palette(len(names)) if colours is None else colours
    labels = [
        {"name": name, "color": hex_colour(colour), "type": "mask", "attributes": []}
        for name, colour in zip(names, colours, strict=True)
    ]
    with whole_file(out, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.json", json.dumps(labels, indent=1))
        raw = archive.open("annotations.xml", "w", force_zip64=True)
        with io.TextIOWrapper(raw, encoding="utf-8", newline="\n") as xml:  # type: ignore[arg-type]
            _write_xml(items, xml, labels)
    return Path(out)


def xml_text(text: str) -> str:
    """The text with every character that XML 1.0 does not allow replaced by U+FFFD."""
    return _NOT_XML.sub("\ufffd", text)


def _write_xml(items: Iterable[Item], xml: io.TextIOWrapper, labels: Sequence[dict]) -> None:
    xml.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <meta>\n')
    xml.write("    <task>\n      <name>Meronym parts</name>\n      <mode>annotation</mode>\n      <labels>\n")
    for label in labels:
        name = escape(label["name"], {"\r": "&#13;"})
        xml.write(f"        <label>\n          <name>{name}</name>\n")
        xml.write(f"          <color>{label['color']}</color>\n")
        xml.write("          <type>mask</type>\n          <attributes>\n          </attributes>\n")
        xml.write("        </label>\n")
    xml.write("      </labels>\n    </task>\n  </meta>\n")
    for number, item in enumerate(items):
        height, width = item.size
        name = quoteattr(xml_text(item.name))
        xml.write(f'  <image id="{number}" name={name} width="{width}" height="{height}">\n')
        for row in summarise(item.labels, [label["name"] for label in labels]):
            if row["box"] is not None:
                x0, y0, x1, y1 = row["box"]
                runs = ", ".join(map(str, run_lengths(item.labels[y0:y1, x0:x1] == row["part"])))
                xml.write(f'    <mask label={quoteattr(row["name"])} source="auto" occluded="0" rle="{runs}" ')
                xml.write(f'left="{x0}" top="{y0}" width="{x1 - x0}" height="{y1 - y0}" z_order="0">\n')
                xml.write("    </mask>\n")
        xml.write("  </image>\n")
    xml.write("</annotations>\n")


def run_lengths(mask: np.ndarray) -> list[int]:
    """The run lengths of a mask, row by row: first False (0 of them where it begins True), then in turn."""
    flat = mask.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = np.diff(np.concatenate([[0], changes, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


def from_run_lengths(runs: Sequence[int], size: tuple[int, int]) -> np.ndarray:
    """The mask (H, W) bool of `run_lengths`.

    Raises:
        ValueError: the runs do not add up to the mask's pixels.
    """
    if sum(runs) != size[0] * size[1] or min(runs, default=0) < 0:
        raise ValueError(f"run lengths add up to {sum(runs)} pixels, the mask has {size[0]}x{size[1]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size)


def read_cvat(path: str | os.PathLike[str]) -> Annotations:
    """Reads the masks of a "CVAT for images 1.1" export, the zip or its XML. Other shapes are left out.

    Labels become parts 1 to K in the file's order; where masks overlap, the higher z_order is on top.

    Raises:
        FileNotFoundError: no such file.
        BadAnnotations: not such a zip or XML.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file")
    root = _parse(path)
    if root.tag != "annotations":
        raise BadAnnotations(path, f"not CVAT annotations: its root is <{root.tag}>, not <annotations>")
    names = tuple(label.findtext("name") or "" for label in root.iterfind("meta//labels/label"))
    return Annotations(names, _items(path, root, names))


def _parse(path: str | os.PathLike[str]) -> ElementTree.Element:
    try:
        if not zipfile.is_zipfile(path):
            text = Path(path).read_bytes()
        else:
            with zipfile.ZipFile(path) as archive:
                found = [entry for entry in archive.namelist() if entry.endswith(".xml")]
                if not found:
                    raise BadAnnotations(path, "this zip holds no annotations.xml")
                text = archive.read(found[0])
        if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
            raise BadAnnotations(path, "it declares XML entities, which annotations never need; not read")
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, zipfile.BadZipFile) as error:
        raise BadAnnotations(path, f"neither a zip nor an XML of CVAT annotations ({error})") from error


def _items(path: str | os.PathLike[str], root: ElementTree.Element, names: Sequence[str]) -> Iterator[Item]:
    for image in root.iterfind("image"):
        size = (int(image.attrib["height"]), int(image.attrib["width"]))
        labels = np.zeros(size, dtype=np.uint8)
        for shape in sorted(image.iterfind("mask"), key=lambda m: int(m.get("z_order", 0))):
            if shape.attrib["label"] not in names:
                raise BadAnnotations(path, f"a mask of label {shape.attrib['label']!r}, which is not declared")
            x, y, w, h = (int(shape.attrib[key]) for key in ("left", "top", "width", "height"))
            mask = from_run_lengths([int(run) for run in shape.attrib["rle"].split(",")], (h, w))
            labels[y : y + h, x : x + w][mask] = names.index(shape.attrib["label"]) + 1
        yield Item(image.attrib["name"], size, labels)
