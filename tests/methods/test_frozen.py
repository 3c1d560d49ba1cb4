"""What heads on a frozen backbone learn from, where nobody says where the objects are."""

import numpy as np

from meronym.collections import open_collection
from meronym.methods import METHODS


def test_parts_are_learned_on_every_cell_that_a_found_object_touches():
    toy = open_collection("toy:8", seed=0).split("train")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0", size=128).resolved(3)
    (_, blind), (_, given) = (kmeans.prepare(photos, 3) for photos in (toy.without_masks(), toy))
    assert set(np.unique(blind.foreground)) == {0, 255}
    assert set(np.unique(given.foreground)) > {0, 255}
