"""The shapes in signatures, checked as the tests run."""

from typing import Self

from beartype import BeartypeConf, BeartypeHintOverrides, beartype

from meronym.collections import Collection

UNCHECKED = (Self, Collection)  # beartype knows Self in whole classes only, and would read a photo of a Sequence
OVERRIDES = BeartypeHintOverrides(dict.fromkeys(UNCHECKED, object))
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=OVERRIDES))
