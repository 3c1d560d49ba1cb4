"""What a way of finding objects looks like from outside."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float
from PIL import Image

Maps = Callable[[], Iterator[Float[np.ndarray, "D h w"]]]


class Finder(ABC):
    """Where the object is in a photo: a share of each cell of a grid over the whole photo, squashed to a square.

    on_features: whether it sees a frozen backbone's features of the photo, or the photo itself. learns: whether it
    looks at many photos first. divided: into how many rows and columns it divides each cell that it sees. network:
    what it is called in results where it sees photos.
    """

    on_features: ClassVar[bool] = True
    learns: ClassVar[bool] = False
    divided: ClassVar[int] = 1
    network: str = ""

    def learn(self, maps: Maps, views: Iterable[Image.Image]) -> None:
        """Look at many photos of one kind of thing. maps: called for a fresh pass; views: what they are of."""
        raise NotImplementedError(f"{type(self).__name__} takes each photo for itself")

    @abstractmethod
    def find(self, seen: Any) -> Float[np.ndarray, "_ _"]:
        """How surely each cell is object, 0 to 1. seen: features (D, h, w), or a photo."""
