"""Where the object is, when nobody says: found by the same self-supervised features that tell its parts apart."""

from meronym.masks.pieces import pieces
from meronym.masks.split import Line, along_edges, certainty, learn_object, object_classifier

__all__ = ["Line", "along_edges", "certainty", "learn_object", "object_classifier", "pieces"]
