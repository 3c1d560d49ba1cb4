"""A plain folder, as users have them."""

import shutil

import numpy as np
import pytest
from PIL import Image

from meronym.collections import CollectionError, CollectionNotFound, open_collection
from meronym.images import BadPhoto
from pictures import picture


def save_mask(path, size=(48, 32), value=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size[::-1], np.uint8)
    mask[8:24, 10:30] = value
    Image.fromarray(mask).save(path)


@pytest.fixture
def birds(tmp_path):
    root = tmp_path / "birds"
    for number, name in enumerate(("b2.jpg", "b10.jpg", "nest/b1.JPG")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed=number).save(root / name)
    return root


def test_photos_without_masks(birds):
    collection = open_collection(birds)
    assert collection.ids == ["b2.jpg", "b10.jpg", "nest/b1.JPG"]
    assert collection.name == "birds"
    assert collection.summary() == "found 3 photos (none with a mask) in birds/"
    assert collection[0].mask is None and collection[0].box is None
    assert collection.split("train").ids == collection.split("test").ids == collection.ids


@pytest.mark.parametrize("place", ["birds/masks", "masks", "elsewhere"])
def test_masks_are_found_and_a_photo_may_have_none(birds, place):
    folder = birds.parent / place
    save_mask(folder / "b2.png")
    save_mask(folder / "nest/b1.png")
    options = {"masks": folder} if place == "elsewhere" else {}
    collection = open_collection(birds, **options)
    assert collection.ids == ["b2.jpg", "b10.jpg", "nest/b1.JPG"]
    assert "found 3 photos (2 with masks) in birds/" in collection.summary()
    assert collection[0].mask[8:24, 10:30].all() and collection[0].mask.sum() == 16 * 20
    assert collection[1].mask is None
    assert open_collection(birds, masks=False)[0].mask is None


def test_images_beside_masks_are_one_collection(birds):
    root = birds.parent / "pair"
    shutil.copytree(birds, root / "images")
    save_mask(root / "masks/b2.png")
    collection = open_collection(root)
    assert collection.name == "pair"
    assert collection.ids == ["b2.jpg", "b10.jpg", "nest/b1.JPG"]
    assert collection[0].mask.any()


def test_masks_that_were_made_for_the_whole_folder_stay_its_own(birds):
    shutil.copytree(birds, birds / "images")
    save_mask(birds / "masks/images/b2.png")  # as `meronym masks birds --out birds/masks` names it
    collection = open_collection(birds)
    assert len(collection) == 6 and [r.id for r in collection.records if r.mask] == ["images/b2.jpg"]


@pytest.mark.parametrize("begun", [(), ("extra/b2.png",)])
def test_masks_that_are_only_begun_do_not_hide_photos(birds, begun):
    shutil.copytree(birds, birds / "images")
    shutil.copytree(birds / "nest", birds / "extra")
    (birds / "masks").mkdir()
    for name in begun:
        save_mask(birds / "masks" / name)
    assert len(open_collection(birds)) == 7


def test_a_bad_mask_that_is_not_used_costs_no_photo(birds):
    save_mask(birds / "masks/b2.png")
    Image.new("L", (3, 3)).save(birds / "masks/b10.png")
    collection = open_collection(birds)
    with pytest.raises(BadPhoto, match="3x3 pixels, its photo"):
        collection[1]
    blind = collection.without_masks()
    assert [sample.mask for sample in blind] == [None] * 3 and blind.unmarked
    assert blind.fingerprint(0) == open_collection(birds, masks=False).fingerprint(0)


def test_masks_of_other_photos_are_not_used(birds):
    save_mask(birds / "masks/fish.png")
    collection = open_collection(birds)
    assert len(collection) == 3 and collection[0].mask is None
    assert "; masks/ is not used: none in it has a photo's name" in collection.summary()
    save_mask(birds.parent / "elsewhere/fish.png")
    with pytest.raises(CollectionError, match="none of 1 mask has the name of a photo"):
        open_collection(birds, masks=birds.parent / "elsewhere")


def test_the_alpha_channel_is_a_mask(birds):
    cut_out = picture(seed=9)
    alpha = np.zeros((32, 48), np.uint8)
    alpha[4:20, 6:30] = 255
    cut_out.putalpha(Image.fromarray(alpha))
    cut_out.save(birds / "cut.png")
    collection = open_collection(birds)
    assert "(1 with an alpha channel)" in collection.summary()
    np.testing.assert_array_equal(collection[collection.ids.index("cut.png")].mask, alpha > 0)


def test_an_alpha_channel_that_leaves_nothing_out_is_no_mask(birds):
    opaque = picture(seed=9)
    opaque.putalpha(255)
    opaque.save(birds / "screen.png")
    opaque.putpixel((0, 0), (0, 0, 0, 0))
    opaque.save(birds / "corner.png")
    collection = open_collection(birds)
    assert collection.unmarked and not collection.masked and len(collection) == 5


def test_what_was_made_among_the_photos_is_no_photo(birds):
    made = {"runs/a/settings.yaml": "", "runs/a/model/config.json": "", "parts/predict.json": '{"photos": "birds"}'}
    for name, text in (made | {"objects/masks.json": '{"photos": 3}', "nest/masks.json": "[]"}).items():
        (birds / name).parent.mkdir(parents=True, exist_ok=True)
        (birds / name).write_text(text)
    for name in ("runs/a/tree.jpg", "runs/a/samples/1.jpg", "parts/labels/b2.png", "objects/b2.png"):
        (birds / name).parent.mkdir(parents=True, exist_ok=True)
        picture(seed=1).save(birds / name)
    assert open_collection(birds).ids == ["b2.jpg", "b10.jpg", "nest/b1.JPG"]


def test_what_cannot_be_used_is_skipped_and_named(birds, hostile):
    for path in (hostile / "bad").iterdir():
        shutil.copy(path, birds / path.name)
    picture(1, 1).save(birds / "dot.png")
    picture(400, 7).save(birds / "thin.png")
    collection = open_collection(birds)
    reasons = {path.rsplit("/", 1)[-1]: reason for path, reason in collection.skipped}
    assert reasons == {
        "empty.jpg": "empty file",
        "text.jpg": "not a picture",
        "dot.png": "1x1 pixels, too small to have parts",
        "thin.png": "400x7 pixels, too small to have parts",
    }
    assert collection.summary() == (
        "found 5 photos (none with a mask) in birds/, skipped 4: "
        "dot.png (1x1 pixels, too small to have parts), "
        "empty.jpg (empty file), text.jpg (not a picture) and 1 more"
    )
    with pytest.raises(BadPhoto, match="truncated.jpg: truncated"):
        collection[collection.ids.index("truncated.jpg")]


def test_a_mask_that_does_not_fit_is_one_clear_line(birds):
    save_mask(birds / "masks/b2.png", size=(24, 16))
    save_mask(birds / "masks/b10.png", value=0)
    collection = open_collection(birds)
    with pytest.raises(BadPhoto, match="b2.png: 24x16 pixels, its photo 48x32; make the mask again"):
        collection[0]
    with pytest.raises(BadPhoto, match="b10.jpg: its mask b10.png marks nothing"):
        collection[1]


def test_a_mask_turns_with_its_photo(birds, hostile):
    shutil.copy(hostile / "good/turned.jpg", birds / "turned.jpg")  # stored 32x48, shown 48x32
    save_mask(birds / "masks/turned.png")
    collection = open_collection(birds)
    sample = collection[collection.ids.index("turned.jpg")]
    assert sample.image.size == (48, 32) and sample.mask.shape == (32, 48)


def test_places_without_photos(birds, tmp_path):
    with pytest.raises(CollectionNotFound, match="no such folder, did you mean .*birds"):
        open_collection(tmp_path / "bird")
    with pytest.raises(CollectionError, match="b2.jpg: a file; give the folder that holds the photos"):
        open_collection(birds / "b2.jpg")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CollectionError, match="no photo in it or below .it is empty."):
        open_collection(tmp_path / "empty")
    (tmp_path / "empty/notes.txt").touch()
    with pytest.raises(CollectionError, match="it holds notes.txt.*jpeg jpg"):
        open_collection(tmp_path / "empty")
    (tmp_path / "empty/a.jpg").touch()
    with pytest.raises(CollectionError, match="no usable photo, 1 file skipped: a.jpg .empty file."):
        open_collection(tmp_path / "empty")
