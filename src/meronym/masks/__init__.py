"""Where the object is, when nobody says: found by the same self-supervised features that tell its parts apart."""

from meronym.masks.split import object_classifier, split_foreground

__all__ = ["object_classifier", "split_foreground"]
