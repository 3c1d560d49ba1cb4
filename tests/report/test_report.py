"""A report is a page that opens anywhere, shows what there is, and never ends on a bad photo."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from meronym.collections import open_collection
from meronym.model import PartModel
from meronym.parts import Parts
from meronym.report import overlay_sheet, write_report
from meronym.report.curves import chart, read_curves, ticks
from meronym.report.outline import overlay_svg, path, rings
from meronym.report.page import PartRow, self_check
from meronym.report.pictures import around_object, close_up, heat_map, part_window
from meronym.report.survey import SIDE, shrunk, spread, survey
from meronym.segmenters import Segmenter


class Columns(Segmenter):
    """Cuts every window into upright stripes; the last part is never found."""

    def __init__(self, parts: int = 4) -> None:
        super().__init__()
        self.parts, self.size = parts, 16
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def window(self, box):
        return box

    def frame(self, window):
        return 16, 16

    def forward(self, images, foreground=None):
        here = torch.arange(16) * (self.parts - 1) // 16
        logits = 5.0 * (here == torch.arange(self.parts)[:, None])
        return logits[None, :, None].expand(len(images), -1, 16, -1)

    def config(self):
        return {}

    def own_state(self):
        return {}


@pytest.fixture
def model() -> PartModel:
    about = {"method": "columns", "backbone": "none", "seed": 0, "train_seconds": 75.2, "peak_mb": 1500}
    return PartModel(Columns(), ("left", "<b>mid</b> & more", "right", "lost"), about)


@pytest.fixture
def toy():
    return open_collection("toy:12", seed=0).split("train")


class Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.found += [value for name, value in attrs if name in ("src", "href")]


def parts_of(width: int, height: int) -> Parts:
    labels = np.zeros((height, width), np.uint8)
    labels[height // 4 : -(height // 4) or None, width // 4 : width // 2] = 1
    labels[height // 4 : -(height // 4) or None, width // 2 : -(width // 4) or None] = 2
    return Parts(labels, ("a", "b"), image=Image.new("RGB", (width, height), (90, 120, 150)))


def test_page_shows_the_run(tmp_path, model, toy):
    (tmp_path / "settings.yaml").write_text("data: <script>alert(1)</script>\n")
    (tmp_path / "scores.json").write_text('{"fg_nmi": 46.31, "broken": NaN, "note": "x"}')
    rows = "step,seconds,total,L_f\n0,0.1,3,1\n10,0.2,2,nan\n20,0.3,1.5,0.5\n30,0"
    (tmp_path / "metrics.csv").write_text(rows)
    page = write_report(tmp_path, model, toy, photos=5, skipped=[("x.jpg", "too <small>")])
    text = page.read_text(encoding="utf-8")
    links = Links(text)
    assert page == tmp_path / "report.html"
    assert "script" not in links.tags and "b" in links.tags
    assert "&lt;b&gt;mid&lt;/b&gt; &amp; more" in text and "<b>mid" not in text and "<small>" not in text
    assert "46.3" in text and "FG-NMI" in text and "BROKEN" not in text
    assert text.count('class="tile"') == 5 and text.count('<svg class="chart"') == 2
    assert "lost holds less than 1 % of the object" in text
    files = [link for link in links.found if not link.startswith("data:")]
    assert len(files) > 5 and all((tmp_path / link).is_file() for link in files)


def test_page_is_a_function_of_the_run(tmp_path, model, toy):
    page = write_report(tmp_path, model, toy, photos=6)
    before = {p.name: p.read_bytes() for p in (page, *(tmp_path / "report").iterdir())}
    write_report(tmp_path, model, toy, photos=6)
    assert before == {p.name: p.read_bytes() for p in (page, *(tmp_path / "report").iterdir())}
    (tmp_path / "report" / "mine.txt").write_text("kept")
    write_report(tmp_path, model, toy, photos=2)
    left = sorted(p.name for p in (tmp_path / "report").iterdir())
    assert [name for name in left if name.startswith("photo-")] == ["photo-001.webp", "photo-002.webp"]
    assert "mine.txt" in left


def test_bad_photos_are_left_out_and_named(tmp_path, model, hostile):
    page = write_report(tmp_path / "run", model, open_collection(hostile))
    text = page.read_text(encoding="utf-8")
    assert "truncated.jpg" in text and "text.jpg" in text and text.count('class="tile"') >= 10


def test_page_is_ascii_whatever_the_names(tmp_path, toy):
    model = PartModel(Columns(), ("Schn\xe4bel \u9ce5", "\udcff\x00", "a\u202eb", "\U0001f426"))
    text = write_report(tmp_path, model, toy, photos=1).read_text(encoding="ascii")
    assert "Schn&#228;bel &#40165;" in text and "\x00" not in text and "&#56575;" not in text
    assert "a&#65533;b" in text


def test_no_usable_photo_still_gives_a_page(tmp_path, model, hostile):
    photos = open_collection(hostile)
    bad = photos.select(i for i, name in enumerate(photos.ids) if "truncated" in name)
    text = write_report(tmp_path / "run", model, bad).read_text(encoding="utf-8")
    assert "No photo could be looked at" in text and 'class="tile"' not in text
    with pytest.raises(ValueError, match="at least 1"):
        write_report(tmp_path / "run", model, bad, photos=0)


def test_survey_measures_shares_of_the_object(model, toy):
    found = survey(model, toy, 8, seed=0)
    assert len(found) == 8 and found.on_objects
    np.testing.assert_allclose(found.shares.sum(1), 1)
    np.testing.assert_allclose(found.share()[:3], 1 / 3, atol=0.2)
    assert found.present().tolist() == [8, 8, 8, 0] and np.isnan(found.sureness()[3])
    assert found.where[0][:, 20:].sum() == 0 and found.where[0][:, :12].sum() > 0
    best = found.best(1, 4)
    assert len({seen.id for seen in best}) == 4 and found.best(4, 4) == []


def test_survey_sees_whole_photos_where_nothing_is_marked(tmp_path, model):
    for i in range(3):
        Image.effect_noise((2400, 1000), 60).convert("RGB").save(tmp_path / f"{i}.jpg", quality=30)
    found = survey(model, open_collection(tmp_path), 3, seed=0)
    assert not found.on_objects
    np.testing.assert_allclose(found.shares[:, :3], 1 / 3, atol=0.05)
    assert found.seen[0].parts(model).size == (SIDE, SIDE * 1000 // 2400)


def test_survey_measures_in_the_objects_that_a_model_finds(tmp_path, model, monkeypatch):
    Image.new("RGB", (200, 100)).save(tmp_path / "a.png")
    stream = PartModel.stream

    def find(self, samples, **options):
        for parts in stream(self, samples, **options):
            parts.labels[:, :150] = 0
            yield parts

    monkeypatch.setattr(PartModel, "stream", find)
    found = survey(model, open_collection(tmp_path), 1, seed=0)
    assert found.on_objects and found.seen[0].box == (150, 0, 200, 100)
    assert found.where[2].mean() == 1


def test_shrunk_keeps_photo_mask_and_box_together(toy):
    sample = toy[0]
    small = shrunk(sample, 64)
    assert small.image.size == (64, 64) and small.mask.shape == (64, 64) and small.mask.dtype == bool
    np.testing.assert_allclose(small.box, np.array(sample.box) / 4)
    assert abs(small.mask.mean() - sample.mask.mean()) < 0.02
    assert shrunk(sample, 256).image is sample.image


def test_spread_is_even_and_never_twice():
    for total, count in ((1000, 24), (10, 24), (24, 24), (1, 5), (0, 5)):
        chosen = spread(total, count, seed=3)
        assert chosen == sorted(set(chosen)) and len(chosen) == min(total, count)
        assert all(0 <= i < total for i in chosen)
    assert spread(1000, 24, 0) != spread(1000, 24, 1)


def test_sheet_has_full_rows_of_one_height():
    sheet = overlay_sheet([parts_of(60, 40), parts_of(30, 60), parts_of(50, 50)], 3, width=600, gap=6)
    assert sheet.size == (600, round((600 - 12) / (1.5 + 0.5 + 1)))
    pixels = np.asarray(sheet)
    assert (pixels[:, -1] != 255).any() and (pixels[:, 0] != 255).any()
    odd = [parts_of(900, 30), parts_of(20, 400), parts_of(8, 8), parts_of(1, 1)]
    strip = overlay_sheet(odd, 2, width=300)
    assert strip.width == 300
    assert overlay_sheet([parts_of(40, 40)] * 4, 3, width=320, gap=10).size == (320, 210)


def test_sheet_says_what_it_needs():
    with pytest.raises(ValueError, match="no parts"):
        overlay_sheet([], 3)
    with pytest.raises(ValueError, match="columns=0"):
        overlay_sheet([parts_of(8, 8)], 0)


def test_outline_goes_round_pieces_and_holes():
    mask = np.zeros((12, 14), bool)
    mask[1:8, 1:9] = True
    mask[3:5, 3:6] = False
    mask[9, 12] = True
    found = rings(mask)
    assert len(found) == 3
    assert sum(len(ring) for ring in found) == 2 * (7 + 8) + 2 * (2 + 3) + 4
    assert path(np.ones((1, 1), bool)) == "M1 0l1 1 -1 1 -1 -1z"


@pytest.mark.parametrize("seed", range(4))
def test_outline_fills_the_mask_again(seed):
    noise = np.random.default_rng(seed).random((24, 30))
    mask = np.asarray(Image.fromarray(noise).resize((120, 96), Image.Resampling.BICUBIC)) > 0.5
    again = np.zeros(mask.shape, bool)
    for ring in rings(mask):
        picture = Image.new("1", (mask.shape[1] * 8, mask.shape[0] * 8))
        ImageDraw.Draw(picture).polygon([(4 * int(x), 4 * int(y)) for x, y in ring], fill=1)
        again ^= np.asarray(picture)[4::8, 4::8]
    assert (again != mask).mean() < 0.004  # where a cut corner meets a pixel's centre


def test_outline_is_xml_with_a_path_a_part():
    labels = np.kron(np.array([[0, 1], [2, 1]], np.uint8), np.ones((200, 300), np.uint8))
    svg = ElementTree.fromstring(overlay_svg(labels))
    assert svg.get("viewBox") == "0 0 576 384"
    assert [child.get("class") for child in svg] == ["p0", "p1", "p2"]
    assert all(re.fullmatch(r"(M\d+ \d+l[-\d ]+z)+", child.get("d")) for child in svg)


def test_curves_read_what_is_whole(tmp_path):
    file = tmp_path / "metrics.csv"
    assert read_curves(file) == {}
    file.write_text("")
    assert read_curves(file) == {}
    file.write_text("step,seconds,total,L_c,once\n0,1,3,nan,1\n10,2,2,1,\n20,3,inf,2,\n\n30,4,1\n40")
    curves = read_curves(file)
    assert list(curves) == ["total", "L_c"]
    assert curves["total"][0].tolist() == [0, 10, 30] and curves["L_c"][1].tolist() == [1, 2]


@pytest.mark.parametrize("values", [np.ones(2), np.zeros(5), np.linspace(9e-7, 1e-7, 5000), np.array([1e6, -1e6])])
def test_chart_is_xml_with_labelled_axes(values):
    steps = np.arange(len(values)) * 10.0
    svg = ElementTree.fromstring(chart("a<b", (steps, values)))
    words = [node.text for node in svg.iter("text")]
    assert max(map(len, words)) <= 10
    assert "step" in words and "a<b" in words
    lines = [node.get("points") for node in svg.iter("polyline")]
    numbers = np.array([float(n) for line in lines for n in re.split("[ ,]", line)])
    assert np.isfinite(numbers).all() and numbers.min() >= 0 and numbers.max() <= 380


def test_ticks_enclose_and_are_round():
    for low, high in ((0.1, 0.93), (-3, 1e4), (5, 5), (1e-9, 2e-9), (0, 0)):
        found = ticks(low, high)
        assert found[0] <= low and found[-1] >= high and 2 <= len(found) <= 8
        assert len({round(b - a, 12) for a, b in zip(found, found[1:], strict=False)}) == 1
    assert ticks(0, 400) == [0, 100, 200, 300, 400]


def test_self_check_names_parts_in_trouble():
    def row(name, share, present):
        return PartRow(name, share, present, 0.5, [], None)

    good = [row("a", 0.5, 100), row("b", 0.3, 90), row("c", 0.2, 60)]
    assert self_check(good, 100, "object") == (
        True,
        "All 3 parts are in use: even the smallest, c, holds 20 % of the object, and is in 60 of 100 photos.",
    )
    fine, line = self_check([row("a", 0.97, 100), row("b", 0.004, 50), row("c", 0.02, 4)], 100, "object")
    assert not fine
    assert "b holds less than 1 % of the object" in line
    assert "c is in fewer than 1 of 10 photos" in line and "a covers 97 % of the object" in line
    _, line = self_check([row(f"p{k}", 0.001, 50) for k in range(9)], 100, "photo")
    assert "p0, p1, p2, p3, p4, p5 and 3 more hold less" in line
    assert not self_check(good, 0, "object")[0]


def test_close_up_looks_at_the_largest_piece():
    parts = parts_of(80, 60)
    labels = parts.labels.copy()
    labels[0, 0] = 1
    parts = Parts(labels, parts.names, image=parts.image)
    assert close_up(parts, 1, side=64).size == (64, 64)
    x0, y0, x1, y1 = part_window(labels == 2, least=4)
    assert x0 < 40 and x1 > 60 and y0 < 15 and y1 > 45 and x1 - x0 == y1 - y0


def test_around_object_stays_in_the_photo():
    parts = parts_of(100, 80)
    assert around_object(parts, (0, 0, 100, 80)).size == (100, 80)
    assert around_object(parts, (60, 20, 95, 60)).size[0] < 60
    near_slim = around_object(parts, (40, 0, 42, 80))
    assert near_slim.size[0] / near_slim.size[1] > 0.6
    assert around_object(parts, (-50, -50, -10, -10)).size[0] >= 1


def test_heat_map_is_clear_where_there_is_nothing():
    where, body = np.zeros((48, 48)), np.zeros((48, 48))
    where[20:28, 20:28], body[10:38, 10:38] = 5, 6
    heat = np.asarray(heat_map(where, body, np.array([255, 0, 0], np.uint8)))
    assert heat.shape == (144, 144, 4)
    assert heat[0, 0, 3] == 0 and 20 < heat[40, 40, 3] < 90
    assert heat[72, 72, 3] > 200 and heat[72, 72, 0] > 220
    blank = np.asarray(heat_map(np.zeros((48, 48)), np.zeros((48, 48)), np.zeros(3, np.uint8)))
    assert blank[..., 3].max() == 0


def test_real_photos(tmp_path, model, shared: Path):
    photos = open_collection(shared / "data" / "CUB_200_2011").split("test")
    few = photos.select(range(0, len(photos), max(1, len(photos) // 6)))
    page = write_report(tmp_path, model, few, photos=4)
    assert page.read_text(encoding="utf-8").count('class="tile"') == 4
