"""Ways of discovering parts: one file each, the same outside. Adding one is one file and one line here."""

from meronym.methods.base import Method
from meronym.methods.consensus import Consensus
from meronym.methods.contrastive import Contrastive
from meronym.methods.contrastive_deeplab import ContrastiveDeepLab
from meronym.methods.dff import DFF
from meronym.methods.distill import Distill
from meronym.methods.kmeans import KMeans
from meronym.methods.landmarks import Landmarks
from meronym.methods.region_grouping import RegionGrouping
from meronym.methods.scops import Scops

METHODS: dict[str, type[Method]] = {
    "consensus": Consensus,
    "contrastive": Contrastive,
    "contrastive_deeplab": ContrastiveDeepLab,
    "dff": DFF,
    "distill": Distill,
    "kmeans": KMeans,
    "landmarks": Landmarks,
    "region_grouping": RegionGrouping,
    "scops": Scops,
}

__all__ = [
    "DFF",
    "METHODS",
    "Consensus",
    "Contrastive",
    "ContrastiveDeepLab",
    "Distill",
    "KMeans",
    "Landmarks",
    "Method",
    "RegionGrouping",
    "Scops",
]
