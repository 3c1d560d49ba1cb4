"""What heads on a frozen backbone learn from, where nobody says where the objects are."""

import numpy as np
import pytest
import torch
from PIL import Image

from meronym.collections import open_collection
from meronym.methods import METHODS


def test_parts_are_learned_on_every_cell_that_a_found_object_touches():
    toy = open_collection("toy:8", seed=0).split("train")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0", size=128).resolved(3)
    (_, blind), (_, given) = (kmeans.prepare(photos, 3) for photos in (toy.without_masks(), toy))
    assert set(np.unique(blind.foreground)) == {0, 255}
    assert set(np.unique(given.foreground)) > {0, 255}


def test_masks_teach_a_network_and_found_objects_lines():
    toy = open_collection("toy:8", seed=0).split("train")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0", size=128).resolved(3)
    for photos in (toy.without_masks(), toy):
        segmenter, features = kmeans.prepare(photos, 3)
        (weight, bias), maps = features.lines()[0], torch.from_numpy(np.stack(list(features.maps()))).float()
        lines = torch.nn.functional.conv2d(maps, *map(torch.from_numpy, (weight[:, :, None, None], bias)))
        found = segmenter.object(maps)
        assert torch.allclose(found, lines, atol=1e-3) == (photos is not toy)
        if photos is toy:
            true = torch.from_numpy(features.quarters > 127)
            assert ((segmenter.outline(maps) > 0.5) == true).float().mean() > 0.9


def test_where_some_photos_have_masks_the_objects_of_the_others_are_found(tmp_path, capsys):
    toy = open_collection("toy:12", seed=0)
    (tmp_path / "masks").mkdir()
    for i in range(12):
        toy[i].image.save(tmp_path / f"{i:02}.png")
        if i % 3:
            Image.fromarray(toy[i].mask).save(tmp_path / f"masks/{i:02}.png")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0", size=128).resolved(3)
    _, features = kmeans.prepare(open_collection(tmp_path), 3)
    assert "4 of 12 photos have no mask: finding their objects by what masks show" in capsys.readouterr().err
    for row, foreground in zip(features.rows, features.foreground, strict=True):
        grown = np.asarray(Image.fromarray(toy[row].mask).resize(foreground.shape[::-1], Image.Resampling.BOX)) > 0
        assert 0 < (foreground > 0).mean() < 0.9
        assert row % 3 or (foreground[grown] > 0).mean() > 0.6


def test_one_mask_among_many_photos_is_not_learned_from(tmp_path, capsys):
    toy = open_collection("toy:12", seed=0).split("train")
    kmeans = METHODS["kmeans"](backbone="efficientnet_lite0").resolved(3)
    (tmp_path / "masks").mkdir()
    for i in range(12):
        toy[i].image.save(tmp_path / f"{i:02}.png")
        if not i:
            Image.fromarray(toy[i].mask).save(tmp_path / "masks/00.png")
        seen = kmeans.seen(open_collection(tmp_path))
        assert len(seen) == i + 1 and seen.unmarked == (i > 9)
    assert "only 1 of 12 photos say where the object is" in capsys.readouterr().err


@pytest.mark.parametrize("centre", [0.0, 0.3])
def test_a_centre_that_was_chosen_is_that_of_contrast_too(centre):
    chosen = METHODS["consensus"](backbone="dinov2_vits14", centre=centre).resolved(4)
    assert chosen.contrast(4).centre == (centre or 0.5)
