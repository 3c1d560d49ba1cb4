"""What heads on a frozen backbone learn from, where nobody says where the objects are."""

import numpy as np
from scipy.ndimage import grey_opening

from meronym.collections import open_collection
from meronym.methods import METHODS


def test_parts_are_learned_on_a_cell_more_around_found_objects():
    toy = open_collection("toy:8", seed=0).split("train")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0", size=128).resolved(3)
    (_, blind), (_, given) = (kmeans.prepare(photos, 3) for photos in (toy.without_masks(), toy))
    assert all(np.array_equal(grey_opening(one, (3, 3), mode="nearest"), one) for one in blind.foreground)
    assert not all(np.array_equal(grey_opening(one, (3, 3), mode="nearest"), one) for one in given.foreground)
