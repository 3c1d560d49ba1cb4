"""What a table is made of: rows on data, beside the paper's own figures. Nothing here imports what computes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Data:
    """A data set that tables are measured on.

    kind: of collection, with its options. collection: what its results are called, a regular expression.
    get: where it is to be had.
    """

    kind: str
    folder: str
    collection: str
    get: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: what to train, how it is scored, and what it stands beside.

    method, backbone, parts, settings: as `train` takes them, the settings in the method's own order. A method that
    brings its own networks has no backbone, one that needs no network has "none".
    masks: what its results say of them: "given", or "none" where the setting `masks` hides them or none are needed.
    beside: the paper's row of the same table; None where it has none. why: why the two may differ, one line.
    seeds: several where the method is random. gpu: without one it is run only when it is asked for by name.
    """

    name: str
    method: str
    beside: str | None
    why: str
    backbone: str | None = "dinov2_vits14"
    parts: int = 4
    settings: Mapping[str, Any] = field(default_factory=dict)
    masks: str = "given"
    protocols: tuple[str, ...] = ("box", "whole")
    seeds: tuple[int, ...] = (0, 1, 2)
    hardware: str = "2 CPU cores, 2 minutes a seed once the features are cached"
    gpu: bool = False

    @property
    def label(self) -> str:
        """The method as lines of results name it."""
        shown = {key: value for key, value in self.settings.items() if key not in ("workers", "masks")}
        words = {key: value if isinstance(value, str) else json.dumps(value) for key, value in shown.items()}
        return self.method + "".join(f"+{key}={value}" for key, value in words.items())

    @property
    def network(self) -> str:
        """The backbone as lines of results name it."""
        trunk, phi = self.settings.get("trunk", "resnet50_caffe"), self.settings.get("phi", "vgg19")
        return self.backbone or f"{trunk} / {phi}"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Rows that share their columns: each score, on each of the data (names in DATA).

    paper: its row, and the row's figures in the order of the columns; None where it has a dash. note: what holds for
    all rows.
    """

    title: str
    data: tuple[str, ...]
    scores: tuple[str, ...]
    rows: tuple[Row, ...]
    paper: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    note: str = ""

    @property
    def columns(self) -> list[tuple[str, str]]:
        """(score, data) of each."""
        return [(score, data) for score in self.scores for data in self.data]


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the paper, or one of our own."""

    title: str
    panels: tuple[Panel, ...]


CUB50 = (
    "cub50 is species 001 to 050, with masks from a saliency network for training; the paper's figures are on all 200."
)

PAPER_CONFIGURATION: dict[str, Any] = {
    "method": "contrastive_deeplab",
    "backbone": None,
    "hardware": "one GPU, about a day a seed",
    "gpu": True,
}
"""What the rows that train the paper's networks end to end have in common."""

HEADS = (
    Row(
        name="contrastive",
        method="contrastive",
        beside="Ours",
        why="two of the four terms, for a head on frozen DINOv2 features; theirs trains a network on pixels",
    ),
    Row(
        name="consensus",
        method="consensus",
        beside="Ours",
        why="our default, the agreement of many clusterings of DINOv2 features",
    ),
)
"""The rows that Tables 4 and 5 have beside the paper's own."""

PASCAL = ("sheep", "horse", "cow", "mbike", "plane", "bus", "car", "bike", "dog", "cat")
PASCAL_NAMES = {"mbike": "motorbike", "plane": "aeroplane", "bike": "bicycle"}

DATA: dict[str, Data] = {
    "CUB": Data(
        kind="cub",
        folder="CUB_200_2011",
        collection=r"cub\d*",
        get="CUB-200-2011 and its segmentations, www.vision.caltech.edu/datasets/cub_200_2011, unpacked there",
    ),
    "DeepFashion": Data(
        kind="deepfashion",
        folder="DeepFashion",
        collection="deepfashion",
        get="DeepFashion's In-shop Clothes Retrieval Benchmark with its segmentations, in its official layout, there",
    ),
    **{
        name: Data(
            kind=f"pascal_part:category={name}",
            folder="PASCAL-Part",
            collection=f"pascal-{PASCAL_NAMES.get(name, name)}",
            get="the photos and lists of PASCAL VOC 2010 and PASCAL-Part's Annotations_Part, unpacked there",
        )
        for name in PASCAL
    },
    "CCP": Data(
        kind="label_maps",
        folder="CCP",
        collection="CCP",
        get="Clothing Co-Parsing, github.com/bearpaw/clothing-co-parsing, as images/ and labels/ (index PNGs)",
    ),
    "CCP, grouped": Data(
        kind="label_maps:groups=true",
        folder="CCP",
        collection=r"CCP\+groups",
        get="Clothing Co-Parsing, github.com/bearpaw/clothing-co-parsing, as images/, labels/ (index PNGs), groups.txt",
    ),
    "CarParts": Data(
        kind="label_maps",
        folder="CarParts",
        collection="CarParts",
        get="the Car-Parts-Segmentation data set, as trainingset/ and testset/ with images/ and labels/ (index PNGs)",
    ),
}
