"""Figures 2 to 5 of the paper, drawn anew: what each method finds in the same photos, one colour for the same part.

*Unsupervised Part Discovery from Contrastive Reconstruction*, NeurIPS 2021. Differs from them: all methods of Figures
3 to 5 are heads on the same frozen backbone, with the settings of Tables 1, 4 and 5; k-means and deep feature
factorisation stand beside SCOPS; Figure 4 shows Clothing Co-Parsing where there is no DeepFashion; Figure 5 shows cars
(CarParts) and horses (Weizmann) in place of PASCAL-Part. The photos are spread evenly over the test photos, not chosen.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from PIL import Image, ImageFilter

from meronym.annotations.colours import palette
from meronym.backbones import default_backbone
from meronym.collections import Collection, Sample, open_collection
from meronym.evaluation.lines import plain
from meronym.methods import DFF, Consensus, Contrastive, KMeans, Method, Scops
from meronym.metrics import Contingency
from meronym.model import PartModel, object_box
from meronym.parts import Parts, default_names
from meronym.progress import say
from meronym.report.grid import Row, grid
from meronym.report.pictures import around_object
from meronym.report.survey import spread
from meronym.training.run import Run

PARTS = 4
LAYERS = ("relu3_2", "relu4_3", "relu5_2", "relu5_4")
FEW = 120
"""Photos that are learned from where their features would take long: enough to see what a method finds."""
HUMAN = " A human label has the colour of the last row's part that covers most of it."
DETAILS = {
    "relu3_2": "64 by 64 cells",
    "relu4_3": "32 by 32 cells",
    "relu5_2": "16 by 16 cells",
    "relu5_4": "16 by 16 cells",
    "k-means": "on the same features",
    "DFF": "Collins et al., 2018",
    "SCOPS": "Hung et al., 2019",
    "contrast": "the paper's Eq. 2 and 3",
    "Meronym": "consensus",
}


@dataclass(frozen=True)
class Subject:
    """One kind of thing: photos to learn from, and photos to show."""

    title: str
    photos: Collection
    shown: list[Sample]


def figure2(root: Path, runs: Path, out: Path) -> Path:
    """k-means on the object's cells at four depths of VGG-19: early layers find borders, late ones parts."""
    birds = subject(place(root, "CUB_200_2011"), shown=7, most=FEW)
    ways = {layer: KMeans(backbone="vgg19", layers=(layer,)) for layer in LAYERS}
    rows = look(birds, ways, runs / "figure2", sharp=False)
    note = (
        f"k-means, K = {PARTS}, on the object's cells in one layer of VGG-19 (ImageNet), from {len(birds.photos)} "
        f"training photos of {birds.photos.name}. Test photos, evenly spread; the objects' masks are given."
    )
    return draw(out / "figure2.png", [("", rows)], note)


def figure3(root: Path, runs: Path, out: Path) -> Path:
    """Birds."""
    birds = subject(place(root, "CUB_200_2011"), shown=8)
    ways = heads("k-means", "DFF", "SCOPS", "contrast")
    return draw(out / "figure3.png", [("", look(birds, ways, runs / "figure3"))], told(ways, birds))


def figure4(root: Path, runs: Path, out: Path) -> Path:
    """People and what they wear."""
    fashion = place(root, "DeepFashion")
    people = subject(fashion if fashion.is_dir() else place(root, "CCP"), shown=9, most=FEW)
    ways = heads("k-means", "SCOPS", "contrast", "Meronym", centre=0.0)
    groups = [("", look(people, ways, runs / "figure4", human=True))]
    return draw(out / "figure4.png", groups, told(ways, people) + HUMAN)


def figure5(root: Path, runs: Path, out: Path) -> Path:
    """Cars and horses, a model for each."""
    names = {"CarParts": "cars", "WeizmannHorse": "horses"}
    kinds = [subject(place(root, name), shown=4, most=FEW, title=title) for name, title in names.items()]
    ways = heads("DFF", "SCOPS", "k-means", "contrast", "Meronym", centre=0.0)
    groups = [(kind.title, look(kind, ways, runs / f"figure5-{kind.title}", human=True)) for kind in kinds]
    return draw(out / "figure5.png", groups, told(ways, *kinds) + HUMAN)


FIGURES: dict[str, Callable[[Path, Path, Path], Path]] = {
    "figure2": figure2,
    "figure3": figure3,
    "figure4": figure4,
    "figure5": figure5,
}
"""Name -> function of the folder of data sets, the folder of runs and the folder to draw into; it returns the file."""


def place(root: Path, name: str) -> Path:
    """The folder of a data set: below the root, or the root itself where that is its name."""
    return root if root.resolve().name == name else root / name


def subject(folder: Path, shown: int, most: int | None = None, title: str = "") -> Subject:
    """The training photos of a collection, `most` of them at most, and some of its test photos."""
    collection = open_collection(folder)
    photos, test = collection.split("train"), collection.split("test")
    samples = [enlarged(sample) for sample in test.select(spread(len(test), shown))]
    return Subject(title, photos.select(spread(len(photos), most or len(photos))), samples)


def enlarged(sample: Sample, side: int = 800) -> Sample:
    """A small photo with its annotation at a longer side of at least `side` pixels, so that borders come out smooth."""
    scale = side / max(sample.image.size)
    if scale <= 1:
        return sample
    size = round(scale * sample.image.width), round(scale * sample.image.height)
    mask = None
    if sample.mask is not None:
        mask = np.asarray(Image.fromarray(sample.mask).convert("L").resize(size, Image.Resampling.BICUBIC)) > 127
    labels = None
    if sample.part_labels is not None:
        labels = np.asarray(Image.fromarray(sample.part_labels).resize(size, Image.Resampling.NEAREST))
    box = None if sample.box is None else tuple(edge * scale for edge in sample.box)
    photo = sample.image.resize(size, Image.Resampling.BICUBIC)
    return replace(sample, image=photo, mask=mask, part_labels=labels, box=box, keypoints=None)


def heads(*names: str, centre: float | None = None) -> dict[str, Method]:
    """Methods by the names they have in a figure, on the best backbone that can be had; centre: of k-means."""
    backbone = default_backbone()
    kinds = {"DFF": DFF, "SCOPS": Scops, "contrast": Contrastive, "Meronym": Consensus}
    ways: dict[str, Method] = {name: kind(backbone=backbone) for name, kind in kinds.items()}
    ways["k-means"] = KMeans(backbone=backbone, centre=centre)
    return {name: ways[name] for name in names}


def told(ways: Mapping[str, Method], *subjects: Subject) -> str:
    """The note below a figure of heads on one backbone."""
    backbone = next(iter(ways.values())).settings()["backbone"]
    photos = " and ".join(f"{len(s.photos):,} training photos of {s.photos.name}" for s in subjects)
    return (
        f"K = {PARTS}; every method is a head on frozen {backbone} features, trained on {photos}. Test photos, evenly "
        "spread; the objects' masks are given. One colour is one part; methods are matched by the pixels they share."
    )


def look(
    subject: Subject, ways: Mapping[str, Method], runs: Path, sharp: bool = True, human: bool = False
) -> list[Row]:
    """The photos, human labels where wanted, and a row of each method, in the colours of the last.

    runs: the start of the names of the run folders; finished ones are not trained again.
    sharp: whether labels follow the photo's edges.
    """
    found = {}
    for name, way in ways.items():
        model = trained(way, subject.photos, runs.with_name(f"{runs.name}-{name.lower()}"))
        model.segmenter.sharp = sharp
        found[name] = list(model.stream(subject.shown))
    like = found[next(reversed(found))]
    found = {name: matched(parts, like) for name, parts in found.items()}
    rows = [Row("photo", "", like, plain=True)]
    rows += [Row("human", "labels", labelled(subject.shown, like))] if human else []
    rows += [Row(name, DETAILS.get(name, ""), parts) for name, parts in found.items()]
    boxes = [object_box(sample) for sample in subject.shown]
    cut = [[around_object(smoothed(p), box) for p, box in zip(row.parts, boxes, strict=True)] for row in rows]
    return [replace(row, parts=parts) for row, parts in zip(rows, cut, strict=True)]


def trained(way: Method, photos: Collection, folder: Path) -> PartModel:
    """The model of a run, trained now if it is not there yet. A run that was interrupted goes on."""
    way = way.resolved(PARTS)
    chosen = {"collection": photos.name, "photos": len(photos), "parts": PARTS, "seed": 0, **plain(way.settings())}
    run = Run(folder, chosen)
    if not run.finished:
        say(f"{folder.name}: {way.name} on {len(photos):,} photos of {photos.name}")
        way.fit(photos, PARTS, run).save(run.model)
    return PartModel.load(run.folder)


def matched(found: Sequence[Parts], like: Sequence[Parts]) -> list[Parts]:
    """The same parts under the numbers of the parts in `like` that they share most pixels with, one to one."""
    count = len(like[0].names)
    table = Contingency(count, count)
    for mine, other in zip(found, like, strict=True):
        both = (mine.labels > 0) & (other.labels > 0)
        table.update(*(torch.from_numpy(p.labels[both].astype(np.int64) - 1) for p in (mine, other)))
    number = np.zeros(count + 1, np.uint8)
    for part, (other, _) in table.matching().items():
        number[part + 1] = other + 1
    return [Parts(number[parts.labels], parts.names, id=parts.id, image=parts.image) for parts in found]


def smoothed(parts: Parts, window: int = 9) -> Parts:
    """Borders without their fringe: each pixel takes the label that is most frequent around it."""
    labels = np.asarray(Image.fromarray(parts.labels).filter(ImageFilter.ModeFilter(window)))
    return replace(parts, labels=labels)


def labelled(samples: Sequence[Sample], like: Sequence[Parts]) -> list[Parts]:
    """What people marked: each class in the colour of the part that covers most of it; the object alone in grey."""
    if any(sample.part_labels is None for sample in samples):
        grey = np.full((1, 3), 200, np.uint8)
        return [Parts((p.labels > 0).astype(np.uint8), ("object",), colours=grey, image=p.image) for p in like]
    human = [cast(np.ndarray, sample.part_labels) for sample in samples]
    kinds = max(int(labels.max()) for labels in human)
    table = Contingency(len(like[0].names) + 1, kinds + 1)
    for labels, parts in zip(human, like, strict=True):
        table.update(*(torch.from_numpy(m.astype(np.int64).ravel()) for m in (parts.labels, labels)))
    colours = palette(len(like[0].names))[table.table[1:, 1:].argmax(0).numpy()]
    names = default_names(kinds)
    return [Parts(m, names, colours=colours, image=s.image) for m, s in zip(human, samples, strict=True)]


def draw(path: Path, groups: Sequence[tuple[str, list[Row]]], note: str) -> Path:
    """One grid of all groups, side by side, as a PNG."""
    rows = [
        Row(row[0].name, row[0].detail, [parts for part in row for parts in part.parts], row[0].plain)
        for row in zip(*(rows for _, rows in groups), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(rows, [(title, len(rows[0].parts)) for title, rows in groups], note).save(path)
    say(f"{path}")
    return path
