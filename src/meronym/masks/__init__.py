"""Where the object is, when nobody says: one file a way of finding it. `FINDERS` lists them."""

from meronym.masks.base import Finder
from meronym.masks.pieces import pieces
from meronym.masks.split import (
    WIDTH,
    Layers,
    Split,
    along_edges,
    certainty,
    found_quarters,
    object_lines,
    object_network,
)
from meronym.masks.tokencut import TokenCut
from meronym.masks.u2net import U2Net

FINDERS: dict[str, type[Finder]] = {
    "features": Split,
    "tokencut": TokenCut,
    "u2net": U2Net,
}

__all__ = [
    "FINDERS",
    "Finder",
    "WIDTH",
    "Layers",
    "along_edges",
    "certainty",
    "found_quarters",
    "object_lines",
    "object_network",
    "pieces",
]
