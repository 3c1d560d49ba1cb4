"""What a way of discovering parts looks like from outside: `fit(collection, parts) -> PartModel`."""

import resource
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin

from meronym.collections import Collection
from meronym.model import PartModel
from meronym.training.run import Run

MOST_PARTS = 64


@dataclass(frozen=True, kw_only=True)
class Method(ABC):
    """Settings of one way of discovering parts. Gradient and closed-form methods look the same from outside."""

    name: ClassVar[str]

    @abstractmethod
    def fit(self, collection: Collection, parts: int, run: Run, seed: int = 0) -> PartModel:
        """Find K parts in a collection. A run that was interrupted goes on.

        Raises ValueError for settings that make no sense for this collection, Interrupted when asked to stop.
        """

    def resolved(self, parts: int) -> Self:
        """The same settings with a number wherever None left the choice to K and the backbone."""
        return self

    def seen(self, collection: Collection) -> Collection:
        """As much of a collection as the method is to know."""
        return collection

    def settings(self) -> dict[str, Any]:
        """What was chosen, for the run folder."""
        return {"method": self.name, **asdict(self)}


def check_parts(parts: int, photos: int = 2) -> None:
    """One clear line where K makes no sense."""
    if not 2 <= parts <= MOST_PARTS:
        raise ValueError(f"--parts {parts}: between 2 and {MOST_PARTS} parts can be found; 4 to 16 suit most things")
    if photos < 2:
        raise ValueError(f"parts are found by comparing photos: at least 2 are needed, got {photos}")


def checked(name: str, value: Any, hint: Any) -> Any:
    """A setting as its field's type has it: 1 and "1e-3" are floats, a list or one item is a tuple.

    Raises ValueError for a value that the type does not take.
    """
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        choices = get_args(kind)
        if get_origin(kind) is Literal and value in choices:
            return value
        if get_origin(kind) is tuple and value is not None:
            items = value if isinstance(value, list | tuple) else [value]
            return tuple(checked(name, item, choices[0]) for item in items)
        if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
            try:
                return float(value)
            except ValueError:
                continue
        if (value is None and kind is NoneType) or (kind in (bool, int, str) and type(value) is kind):
            return value
    words = [repr(word) for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
    raise ValueError(f"setting {name}={value}: {' or '.join(words) or getattr(hint, '__name__', hint)} is needed")


@contextmanager
def measured(about: dict[str, Any], run: Run | None = None) -> Iterator[None]:
    """Write wall-clock seconds and the peak memory of this process, MB, into `about`.

    run: what is gone on with; the seconds up to its checkpoint count too.
    """
    begin = time.monotonic()
    yield
    about["train_seconds"] = round(time.monotonic() - begin + (run.earlier if run else 0), 1)
    about["peak_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
