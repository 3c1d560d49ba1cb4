"""Meronym: cut every photo of one kind of thing into the same meaningful parts, without part labels.

>>> import meronym
>>> model = meronym.train("photos", parts=8)
>>> model.predict("robin.jpg").plot().save("parts.png")
"""

import importlib
from typing import Any

_HOMES = {
    "train": "meronym.commands",
    "evaluate": "meronym.commands",
    "load": "meronym.commands",
    "predict": "meronym.commands",
    "distill": "meronym.student",
    "find_masks": "meronym.masking",
    "reproduce": "meronym.reproduction",
    "explore": "meronym.explorer",
    "open_collection": "meronym.collections",
    "PartModel": "meronym.model",
    "Parts": "meronym.parts",
}

__all__ = ["PartModel", "Parts", "distill", "evaluate", "explore", "find_masks", "load"]
__all__ += ["open_collection", "predict", "reproduce", "train"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import meronym` is instant."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'meronym' has no attribute {name!r}")
