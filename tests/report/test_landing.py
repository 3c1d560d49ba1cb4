"""The picture of what lies on which part: every share is there, what never occurs is not, names cannot break it."""

from xml.etree import ElementTree

import numpy as np

from meronym.report import landing_svg


def test_shares_names_and_order():
    counts = np.array([[0, 30, 0, 1], [10, 10, 0, 1], [0, 0, 0, 2]])
    picture = landing_svg(counts, ("no part", "head", "<tail>"), ("beak", "back", "never", "tail"))
    texts = [node.text for node in ElementTree.fromstring(picture).iter() if node.tag.endswith("text")]
    assert texts[:3] == ["no part", "head", "<tail>"] and "never" not in texts
    assert texts[3:] == ["back", "75", "25", "beak", "100", "tail", "25", "25", "50"]
