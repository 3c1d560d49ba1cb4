"""Photos as users have them: every good one opens, every bad one gives one clear line."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from meronym import images
from meronym.images import BadPhoto
from pictures import picture


def test_every_good_photo_opens_upright_as_rgb(hostile):
    paths = images.list_photos(hostile / "good")
    assert len(paths) == 11
    for path in paths:
        photo = images.open_photo(path)
        assert photo.mode == "RGB", path
        assert photo.size == (48, 32), path
    plain = np.asarray(images.open_photo(hostile / "good/plain.png"), int)
    turned = np.asarray(images.open_photo(hostile / "good/turned.jpg"), int)
    assert abs(plain - turned).mean() < 4


def test_sixteen_bit_and_float_photos_keep_their_range(hostile):
    grey = np.asarray(images.open_photo(hostile / "good/grey.PNG"), int)
    for name in ("sixteen.png", "float.tif"):
        assert abs(np.asarray(images.open_photo(hostile / "good" / name), int) - grey).max() <= 1


def test_transparency_shows_white_and_gives_the_mask(hostile):
    photo = np.asarray(images.open_photo(hostile / "good/alpha.png"))
    assert (photo[:, :24] == 255).all() and not (photo[:, 24:] == 255).all()
    alpha = images.open_alpha(hostile / "good/alpha.png")
    assert alpha.dtype == bool and alpha.shape == (32, 48)
    assert not alpha[:, :24].any() and alpha[:, 24:].all()
    assert images.open_alpha(hostile / "good/greyalpha.png") is None  # opaque throughout
    assert images.open_alpha(hostile / "good/plain.png") is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("empty.jpg", "empty file"),
        ("text.jpg", "not a picture"),
        ("truncated.jpg", "truncated"),
        ("truncated.png", "truncated"),
        ("missing.jpg", "no such file"),
    ],
)
def test_every_bad_photo_says_what_is_wrong_in_one_line(hostile, name, reason):
    path = hostile / "bad" / name
    with pytest.raises(BadPhoto) as caught:
        images.open_photo(path)
    assert caught.value.path == str(path)
    assert caught.value.reason.startswith(reason)
    assert str(caught.value) == f"{path}: {caught.value.reason}"
    assert "\n" not in str(caught.value)


def test_other_files_that_are_no_photos(tmp_path, monkeypatch):
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    with pytest.raises(BadPhoto, match="convert it to JPEG"):
        images.open_photo(tmp_path / "phone.heic")
    with pytest.raises(BadPhoto, match="a folder"):
        images.open_photo(tmp_path)
    picture().save(tmp_path / "big.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadPhoto, match="megapixels; make it smaller"):
        images.open_photo(tmp_path / "big.png")


def test_a_large_photo_opens_without_a_warning(tmp_path):
    picture(40, 30).save(tmp_path / "large.png")
    code = (
        "import sys; from PIL import Image; from meronym.images import open_photo;"
        "Image.MAX_IMAGE_PIXELS = 1000;"  # Pillow warns above this, and refuses above its double
        "print(open_photo(sys.argv[1]).size)"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "always", "-c", code, tmp_path / "large.png"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (ran.stdout.strip(), ran.stderr) == ("(40, 30)", "")


def test_peek_sees_what_a_header_shows(hostile):
    assert images.peek(hostile / "good/alpha.png") == ((48, 32), True)
    assert images.peek(hostile / "good/cmyk.jpg") == ((48, 32), False)
    assert images.peek(hostile / "bad/truncated.jpg").size == (48, 32)
    with pytest.raises(BadPhoto, match="empty file"):
        images.peek(hostile / "bad/empty.jpg")


def test_photos_are_listed_in_natural_order_without_hidden_ones(tmp_path):
    for name in ("b10.jpg", "b2.JPG", "A1.png", "deep/er/c.webp", "._b2.jpg", ".git/x.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX/x.jpg").touch()
    listed = [path.relative_to(tmp_path).as_posix() for path in images.list_photos(tmp_path)]
    assert listed == ["A1.png", "b2.JPG", "b10.jpg", "deep/er/c.webp"]


def test_a_folder_that_may_not_be_entered_is_passed_over(tmp_path, monkeypatch):
    picture().save(tmp_path / "a.jpg")
    (tmp_path / "lost+found").mkdir()
    stat = os.stat

    def refused(path, *args, **options):
        if isinstance(path, (str, os.PathLike)) and "lost+found/" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return stat(path, *args, **options)

    monkeypatch.setattr(os, "stat", refused)
    assert [path.name for path in images.list_photos(tmp_path)] == ["a.jpg"]


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.jpg").touch()
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/link").symlink_to(tmp_path / "real")
    (tmp_path / "photos/circle").symlink_to(tmp_path / "photos")
    assert [path.name for path in images.list_photos(tmp_path / "photos")] == ["a.jpg"]


def test_listing_what_is_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        images.list_photos(tmp_path / "birds")
    (tmp_path / "a.jpg").touch()
    with pytest.raises(NotADirectoryError, match="a file"):
        images.list_photos(tmp_path / "a.jpg")


@pytest.mark.parametrize("form", ["1", "L", "zero-one", "RGB", "P", "I;16", "quantised", "cut out"])
def test_masks_of_every_form_say_the_same(tmp_path, form):
    truth = np.zeros((6, 9), bool)
    truth[2:5, 3:7] = True
    grey = Image.fromarray(truth.astype(np.uint8) * 255)
    if form == "zero-one":
        grey = Image.fromarray(truth.astype(np.uint8))
    elif form == "I;16":
        grey = Image.fromarray(truth.astype(np.uint16) * 65535)
    elif form == "P":
        grey = Image.fromarray(truth.astype(np.uint8))
        grey.putpalette([0, 0, 0, 200, 30, 30])
    elif form == "quantised":
        grey = grey.convert("RGB").quantize(2)  # its first entry is white
        assert grey.getpalette()[:6] == [255] * 3 + [0] * 3
    elif form == "cut out":
        colours = np.dstack([np.full((6, 9, 3), 40, np.uint8), truth.astype(np.uint8) * 255])
        grey = Image.fromarray(colours)
    else:
        grey = grey.convert(form)
    grey.save(tmp_path / "mask.png")
    mask = images.open_mask(tmp_path / "mask.png")
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, truth)


@pytest.mark.parametrize(("ring", "object"), [(3, 1), (20, 255)])
def test_what_a_mask_leaves_open_is_no_object(tmp_path, ring, object):
    mask = np.zeros((20, 20), np.uint8)
    mask[4:16, 4:16] = 1
    mask[4 : 4 + ring, 4:16] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert np.array_equal(images.open_mask(tmp_path / "mask.png"), mask == object)


def test_label_maps_are_indices_not_colours(tmp_path):
    labels = np.arange(48, dtype=np.uint8).reshape(6, 8)
    Image.fromarray(labels).save(tmp_path / "grey.png")
    indexed = Image.fromarray(labels)
    indexed.putpalette(list(range(144)))
    indexed.save(tmp_path / "indexed.png")
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "sixteen.png")
    for name in ("grey.png", "indexed.png", "sixteen.png"):
        opened = images.open_labels(tmp_path / name)
        assert opened.dtype == np.uint8
        np.testing.assert_array_equal(opened, labels)
    picture().save(tmp_path / "colour.png")
    with pytest.raises(BadPhoto, match="a RGB picture; a label map is"):
        images.open_labels(tmp_path / "colour.png")
    Image.fromarray(labels.astype(np.uint16) + 300).save(tmp_path / "over.png")
    with pytest.raises(BadPhoto, match="labels from 300 to 347"):
        images.open_labels(tmp_path / "over.png")


def test_content_hash_follows_the_bytes_not_the_name(tmp_path, hostile):
    shutil.copy(hostile / "good/plain.png", tmp_path / "copy.png")
    plain = images.content_hash(hostile / "good/plain.png")
    assert images.content_hash(tmp_path / "copy.png") == plain and len(plain) == 32
    assert images.content_hash(hostile / "good/grey.PNG") != plain
    with pytest.raises(BadPhoto, match="no such file"):
        images.content_hash(tmp_path / "none.png")


def test_square_window():
    assert images.square_window((10, 20, 50, 40)) == (10, 10, 50, 50)
    assert images.square_window((10, 20, 50, 40), pad=0.05) == (8, 8, 52, 52)


def test_crop_photo_shows_what_lies_under_the_window():
    photo = picture(60, 40)
    inside = images.crop_photo(photo, (10, 5, 42, 37), (32, 32))
    np.testing.assert_array_equal(np.asarray(inside), np.asarray(photo)[5:37, 10:42])
    over = np.asarray(images.crop_photo(photo, (-10, -6, 22, 26), (32, 32), fill=(1, 2, 3)))
    np.testing.assert_array_equal(over[6:, 10:], np.asarray(photo)[:26, :22])
    assert (over[:6] == (1, 2, 3)).all() and (over[:, :10] == (1, 2, 3)).all()
    outside = np.asarray(images.crop_photo(photo, (100, 100, 120, 120), (8, 4), fill=(1, 2, 3)))
    assert outside.shape == (4, 8, 3) and (outside == (1, 2, 3)).all()


def test_a_square_around_a_long_photo_needs_no_square_of_its_pixels(monkeypatch):
    long = picture(300, 20).resize((9000, 600))
    window = images.square_window((0, 0, 9000, 600))
    drawn, new = [], Image.new
    monkeypatch.setattr(Image, "new", lambda mode, size, *rest: drawn.append(size) or new(mode, size, *rest))
    small = images.crop_photo(long, window, (224, 224))
    assert max(width * height for width, height in drawn) < 1_000_000
    monkeypatch.setattr(images, "MOST_EMPTY", 10**9)
    assert np.abs(np.asarray(small, int) - np.asarray(images.crop_photo(long, window, (224, 224)))).mean() < 1


def test_crop_photo_is_antialiased():
    checks = Image.fromarray(np.indices((256, 256)).sum(0).astype(np.uint8) % 2 * 255).convert("RGB")
    small = np.asarray(images.crop_photo(checks, (0, 0, 256, 256), (16, 16)), int)
    assert abs(small - 127).max() <= 4


def test_crop_mask_gives_exact_coverage():
    rng = np.random.default_rng(0)
    mask = rng.uniform(size=(20, 30)) > 0.5
    window = (-3.25, 2.5, 24.75, 26.5)  # 28 x 24, over the left and lower edge
    crop = images.crop_mask(mask, window, (8, 6))
    assert crop.dtype == np.float32 and crop.shape == (6, 8)
    fine = np.zeros((24 * 4, 28 * 4))  # the same window on a grid of quarter pixels
    for row in range(96):
        for column in range(112):
            y, x = int(np.floor(2.5 + (row + 0.5) / 4)), int(np.floor(-3.25 + (column + 0.5) / 4))
            fine[row, column] = mask[y, x] if 0 <= y < 20 and 0 <= x < 30 else 0
    expected = fine.reshape(6, 16, 8, 14).mean(axis=(1, 3))
    np.testing.assert_allclose(crop, expected, atol=1e-6)
    assert images.crop_mask(mask, (40, 40, 50, 50), (4, 4)).max() == 0
    assert images.crop_mask(mask, (-50, -50, -40, -40), (4, 4)).max() == 0


def test_crop_labels_never_mixes_labels():
    labels = np.zeros((10, 10), np.uint8)
    labels[:, 5:] = 9
    crop = images.crop_labels(labels, (-5, 0, 10, 15), (30, 30))
    assert crop.shape == (30, 30) and crop.dtype == np.uint8
    assert set(np.unique(crop)) == {0, 9}
    assert (crop[:20, 20:] == 9).all() and not crop[:, :20].any() and not crop[20:].any()


@pytest.mark.parametrize("window", [(0, 0, 0, 5), (5, 0, 1, 5), (0, 0, float("nan"), 5), (0, 0, float("inf"), 5)])
def test_a_window_without_area_is_an_error(window):
    for crop, what in (
        (images.crop_photo, picture()),
        (images.crop_mask, np.ones((4, 4), bool)),
        (images.crop_labels, np.ones((4, 4), np.uint8)),
    ):
        with pytest.raises(ValueError, match="x0 < x1 and y0 < y1"):
            crop(what, window, (8, 8))


def test_a_large_jpeg_is_read_small_where_that_will_do(tmp_path):
    path = tmp_path / "large.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.linear_gradient("L").resize((1600, 800)).convert("RGB").save(path, exif=exif)
    assert images.open_photo(path, least=200).size == (200, 400)
    assert images.open_photo(path, least=801).size == images.open_photo(path).size == (800, 1600)
