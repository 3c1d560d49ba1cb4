"""What a person changed about the parts of a run: names, colours, merged parts, photos marked as wrong.

The model itself stays as it was trained. Its edits lie beside it, in <run>/edits.json, and are applied to what
it predicts, here and in every export:

>>> meronym.load("runs/birds").predict("robin.jpg").names
('head', 'wing', 'tail')
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from meronym.annotations.colours import hex_colour, palette
from meronym.files import write_atomically
from meronym.parts import Parts

FILE = "edits.json"
LONGEST_NAME = 60


class BadEdits(ValueError):
    """Edits that do not fit the parts, or an edits.json that cannot be read: one line that says why."""


class Shown(NamedTuple):
    """A part as it is shown and exported. members: the model's parts that it is made of, its namesake first."""

    members: tuple[int, ...]
    name: str
    colour: np.ndarray


@dataclass(frozen=True)
class Edits:
    """Changes to the parts of a model, all by the model's own numbers, 1 to K; a part not named stays as it is.

    Attributes:
        names: part -> name.
        colours: part -> "#rrggbb".
        groups: parts that are one; each takes the name and the colour of the part listed first in it.
        wrong: ids of photos whose parts are wrong; exports leave them out.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, str] = field(default_factory=dict)
    groups: tuple[tuple[int, ...], ...] = ()
    wrong: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names or self.colours or self.groups or self.wrong)

    def shown(self, names: Sequence[str], colours: np.ndarray | None = None) -> list[Shown]:
        """The parts that are left, in the order of the lowest-numbered model part in each.

        Args:
            names: the model's K names.
            colours: (K, 3) uint8, its colours; `palette(K)` by default.

        Raises:
            BadEdits: a part that is not there or in two groups, a name or colour that cannot be used, two
                parts of one name.
        """
        self._check(len(names))
        base = palette(len(names)) if colours is None else np.asarray(colours, dtype=np.uint8)
        joined = {min(group): group for group in self.groups}
        absorbed = {part for group in self.groups for part in group} - joined.keys()
        result = []
        for part in range(1, len(names) + 1):
            if part not in absorbed:
                members = joined.get(part, (part,))
                lead = members[0]
                own = bytes.fromhex(self.colours[lead][1:]) if lead in self.colours else bytes(base[lead - 1])
                colour = np.frombuffer(own, dtype=np.uint8)
                result.append(Shown(members, self.names.get(lead, names[lead - 1]), colour))
        _check_distinct(result)
        return result

    def apply(self, parts: Parts) -> Parts:
        """The parts of one photo with the new names and colours, groups merged and all numbered anew.

        Raises:
            BadEdits: as `shown`.
        """
        shown = self.shown(parts.names, parts.colours)
        names, colours = tuple(part.name for part in shown), np.array([part.colour for part in shown])
        if not self.groups:
            return replace(parts, names=names, colours=colours)
        mapping = {old: new for new, part in enumerate(shown, start=1) for old in part.members}
        return parts.relabel(mapping, names, colours)

    def save(self, run: str | Path) -> Path:
        """Write <run>/edits.json, whole or not at all; returns its path."""
        content = {
            "names": {str(part): name for part, name in sorted(self.names.items())},
            "colours": {str(part): colour for part, colour in sorted(self.colours.items())},
            "groups": [list(group) for group in self.groups],
            "wrong": sorted(self.wrong),
        }
        path = Path(run) / FILE
        write_atomically(path, json.dumps(content, indent=2) + "\n")
        return path

    def _check(self, parts: int) -> None:
        members = [part for group in self.groups for part in group]
        for part in (*self.names, *self.colours, *members):
            if not 1 <= part <= parts:
                raise BadEdits(f"edits: there is no part {part}; the model's parts are 1 to {parts}")
        if twice := {part for part in members if members.count(part) > 1}:
            raise BadEdits(f"edits: part {min(twice)} is merged twice; a part goes into one group")
        if any(len(group) < 2 for group in self.groups):
            raise BadEdits("edits: a group of one part; merge two or more")
        for name in self.names.values():
            if name != clean_name(name):
                raise BadEdits(f"edits: the name {name!r} has spaces around it or characters that cannot be shown")
        for colour in self.colours.values():
            if not re.fullmatch("#[0-9a-fA-F]{6}", colour):
                raise BadEdits(f'edits: the colour {colour!r} is not of the form "#1796ff"')


def clean_name(name: str) -> str:
    """A part's name as it is kept: one line without control characters, spaces single and none around it.

    Raises:
        BadEdits: nothing is left of it, or more than 60 characters.
    """
    visible = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in name)
    kept = " ".join(visible.split())
    if not kept:
        raise BadEdits("a part's name is empty; give it one or more letters")
    if len(kept) > LONGEST_NAME:
        raise BadEdits(f"a part's name has {len(kept)} characters; {LONGEST_NAME} is the most")
    return kept


def load(run: str | Path) -> Edits:
    """The edits of a run; none where there is no edits.json.

    Raises:
        BadEdits: the file is damaged; the message names it and the remedy.
    """
    path = Path(run) / FILE
    if not path.exists():
        return Edits()
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise BadEdits(f"{path}: {error}; mend it, or remove it to begin without edits") from error


def parse(content: Any) -> Edits:
    """Edits from what a JSON file holds. Raises `BadEdits` where it has another form."""
    try:
        return Edits(
            names={int(part): str(name) for part, name in content.get("names", {}).items()},
            colours={int(part): str(colour) for part, colour in content.get("colours", {}).items()},
            groups=tuple(tuple(int(part) for part in group) for group in content.get("groups", [])),
            wrong=frozenset(str(photo) for photo in content.get("wrong", [])),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise BadEdits(f"not the form of an edits.json ({error})") from error


def hex_of(shown: Shown) -> str:
    """The colour of a part as "#rrggbb"."""
    return hex_colour(shown.colour)


def _check_distinct(shown: Sequence[Shown]) -> None:
    seen: dict[str, int] = {}
    for part in shown:
        first = seen.setdefault(part.name.casefold(), part.members[0])
        if first != part.members[0]:
            raise BadEdits(
                f"parts {first} and {part.members[0]} are both called {part.name!r}: "
                "merge them, or give one another name"
            )
