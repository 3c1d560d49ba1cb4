"""The paper's figures: the same part has the same colour in every row, and a finished run is not trained again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meronym.collections import Sample, open_collection
from meronym.methods import KMeans
from meronym.parts import Parts, palette
from meronym.report import figures
from meronym.report.grid import Row, grid

NAMES = ("a", "b", "c")


def stripes(*labels: int, size: tuple[int, int] = (60, 40), tint: int = 120) -> Parts:
    """A photo of one grey, cut into upright stripes."""
    width, height = size
    row = np.repeat(np.array(labels, np.uint8), width // len(labels))
    return Parts(np.tile(row, (height, 1)), NAMES, image=Image.new("RGB", size, (tint,) * 3))


def test_matched_parts_have_the_numbers_of_those_they_share_pixels_with() -> None:
    like = [stripes(0, 1, 1, 2, 3), stripes(3, 3, 1, 2, 2)]
    other = [stripes(1, 3, 3, 1, 2), stripes(2, 2, 3, 0, 1)]
    found = figures.matched(other, like)
    assert [p.labels[0, ::12].tolist() for p in found] == [[2, 1, 1, 2, 3], [3, 3, 1, 0, 2]]


def test_human_labels_have_the_colour_of_the_part_that_covers_most_of_them() -> None:
    like = [stripes(1, 1, 2, 2, 3)]
    human = np.tile(np.repeat(np.uint8([5, 1, 2, 2, 0]), 12), (40, 1))
    [found] = figures.labelled([Sample("x", like[0].image, part_labels=human)], like)
    assert np.array_equal(found.labels, human)
    colours = palette(3)
    assert np.array_equal(found.colours[[4, 0, 1]], colours[[0, 0, 1]])
    [object_] = figures.labelled([Sample("x", like[0].image)], [stripes(0, 1, 2, 2, 3)])
    assert object_.labels[0, ::12].tolist() == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(("count", "wanted"), [(7, 7), (100, 8), (3, 8), (1389, 7), (0, 4)])
def test_photos_are_spread_evenly(count: int, wanted: int) -> None:
    found = figures.spread(count, wanted)
    assert len(found) == min(count, wanted) and all(0 <= i < count for i in found)
    gaps = np.diff(found)
    assert len(set(found)) == len(found) and (len(gaps) == 0 or gaps.max() - gaps.min() <= 1)


def test_a_small_photo_is_enlarged_with_its_annotation() -> None:
    labels = np.zeros((50, 100), np.uint8)
    labels[10:20, 30:60] = 7
    box = (30.0, 10.0, 60.0, 20.0)
    found = figures.enlarged(Sample("x", Image.new("RGB", (100, 50)), labels > 0, box, part_labels=labels))
    assert found.image.size == (800, 400) and found.box == (240, 80, 480, 160)
    assert (found.part_labels[80:160, 240:480] == 7).all() and (found.part_labels > 0).sum() == 80 * 240
    assert abs(found.mask.sum() / (80 * 240) - 1) < 0.02 and found.mask[81:159, 241:479].all()
    assert figures.enlarged(found) is found


def test_smoothing_takes_specks_and_leaves_borders() -> None:
    parts = stripes(1, 2, 3)
    speckled = parts.labels.copy()
    speckled[5, 30] = speckled[20, 5] = 0
    found = figures.smoothed(Parts(speckled, NAMES, image=parts.image))
    assert np.array_equal(found.labels, parts.labels) and found.image is parts.image


def test_cells_of_a_grid_lie_where_its_columns_are() -> None:
    shown = [stripes(1, 1), stripes(0, 0, size=(40, 40), tint=30), stripes(2, 2)]
    rows = [Row("photo", "", shown, plain=True), Row("parts", "found", shown)]
    figure = grid(rows, [("left", 2), ("right", 1)], note="a note " * 40, width=1000)
    pixels = np.asarray(figure).astype(int)
    assert figure.width == 1000
    plain = np.abs(pixels - 120).max(2) < 4
    columns = np.flatnonzero(plain.sum(0) > 50)
    assert abs(columns.max() - 987) <= 2 and (np.diff(columns) > 1).sum() == 1  # the dark photo lies between the two
    tinted = np.abs(pixels - np.rint(0.32 * 120 + 0.68 * palette(2)[1])).max(2) < 6
    assert (
        np.flatnonzero(tinted.any(0)).min() > 600
        and np.flatnonzero(tinted.any(1)).min() > np.flatnonzero(plain.any(1)).max()
    )


def test_a_grid_says_when_its_rows_do_not_fit() -> None:
    with pytest.raises(ValueError, match="a grid of 2 columns needs as many photos"):
        grid([Row("photo", "", [stripes(1, 2)])], [("", 2)])


def test_a_figure_is_drawn_from_finished_runs(tmp_path: Path, monkeypatch) -> None:
    toy = open_collection("toy:9", seed=0)
    monkeypatch.setattr(figures, "open_collection", lambda folder: toy)
    creatures = figures.subject(Path("toy"), shown=2, most=4)
    assert len(creatures.photos) == 4 and len(creatures.shown) == 2
    ways = {"k-means": KMeans(backbone="efficientnet_lite0", size=128)}
    first = figures.look(creatures, ways, tmp_path / "runs" / "toy", human=True)
    assert [row.name for row in first] == ["photo", "human", "k-means"]
    monkeypatch.setattr(KMeans, "fit", None)
    again = figures.look(creatures, ways, tmp_path / "runs" / "toy", human=True)
    assert all(np.array_equal(a.parts[1].labels, b.parts[1].labels) for a, b in zip(first, again, strict=True))
    path = figures.draw(tmp_path / "new" / "toy.png", [("creatures", first), ("again", again)], "two of each")
    assert Image.open(path).width == 2000
