"""The explorer as a person uses it, in a real browser: from `meronym train` to COCO with a part called "head" in it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("fastapi", reason="the explorer's extra is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

from rig import wait  # noqa: E402

pytestmark = pytest.mark.slow

QUIET = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync", "--disable-quic"]
PARTS = 6


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    places = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    found = next((place for place in places if place), None)
    if found is None:
        pytest.skip("no Chromium here: install it as the package `chromium`")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


def some_birds(source: Path, folder: Path, count: int) -> Path:
    """A part of CUB-200-2011 in its official layout: `count` photos of its first class or two."""
    ids = {line.split()[0] for line in (source / "images.txt").read_text().splitlines()[:count]}
    (folder / "parts").mkdir(parents=True)
    per_photo = ("images.txt", "image_class_labels.txt", "bounding_boxes.txt", "train_test_split.txt")
    for name in (*per_photo, "parts/part_locs.txt"):
        lines = (source / name).read_text().splitlines()
        (folder / name).write_text("".join(f"{line}\n" for line in lines if line.split()[0] in ids))
    for name in ("classes.txt", "parts/parts.txt"):
        shutil.copy(source / name, folder / name)
    for name in ("images", "segmentations"):
        (folder / name).symlink_to(source / name)
    return folder


def meronym(*words: object) -> list[str]:
    return [sys.executable, "-c", "from meronym.cli import main; main()", *map(str, words)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a small budget: on 60 photos of birds where they are at hand, else on drawn creatures."""
    folder = tmp_path_factory.mktemp("explore")
    here = Path(__file__).resolve().parents[2]
    places = [Path(os.environ.get("MERONYM_SHARED", here / "shared")), here.parent / "shared"]
    found = [cub for place in places if (cub := place / "data" / "CUB_200_2011").is_dir()]
    photos = some_birds(found[0], folder / "birds", 60) if found else "toy:40"
    words = meronym("train", photos, "--parts", PARTS, "--backbone", "efficientnet_lite0", "--run", folder / "run")
    environment = {**os.environ, "MERONYM_CACHE": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(words, check=True, env=environment, timeout=600)
    return folder / "run"


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """`meronym explore` on a run, as a process of its own; its folder and its address."""
    run = request.getfixturevalue(request.param)
    words = meronym("explore", run, "--no-open-browser")
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("look at "):
                break
        assert "look at http" in said, said
        yield run, said.split("look at ")[1].split()[0]
        process.terminate()


class Screen:
    """A page, whatever it complains about, and pictures of it where MERONYM_SCREENSHOTS names a folder."""

    def __init__(self, browser: sync_api.Browser, address: str, **options) -> None:
        self.context = browser.new_context(viewport={"width": 1360, "height": 860}, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.goto(address)
        self.page.wait_for_selector(".tile.drawn.loaded", timeout=60_000)

    def picture(self, name: str) -> None:
        if folder := os.environ.get("MERONYM_SCREENSHOTS"):
            self.page.wait_for_timeout(700)
            self.page.screenshot(path=Path(folder, f"{name}.png"))

    def drawn(self) -> str:
        """What is drawn over the first photo."""
        return self.page.evaluate("document.querySelector('.tile canvas').toDataURL()")

    def names(self) -> list[str]:
        return self.page.locator("#parts .name").all_inner_texts()


@pytest.mark.parametrize("served", ["trained"], indirect=True)
def test_look_name_merge_try_and_take_away(served, browser, tmp_path):
    run, address = served
    screen = Screen(browser, address)
    page, expect = screen.page, sync_api.expect
    expect(page.locator("#progress")).to_be_hidden(timeout=120_000)
    screen.picture("1-gallery")
    all_on = screen.drawn()

    page.keyboard.press("1")
    expect(page.locator("#parts input").first).not_to_be_checked()
    wait(lambda: screen.drawn() != all_on)
    screen.picture("2-part-off")
    page.locator("#parts label").first.click()
    page.mouse.move(700, 5)
    expect(page.locator("#parts input").first).to_be_checked()
    wait(lambda: screen.drawn() == all_on)

    page.keyboard.press("Shift+Digit2")
    expect(page.locator("#editor .examples img")).to_have_count(6)
    page.get_by_label("Name", exact=True).fill("head")
    screen.picture("3-rename")
    page.keyboard.press("Enter")
    expect(page.locator("#parts .name").nth(1)).to_have_text("head")
    assert json.loads((run / "edits.json").read_text())["names"] == {"2": "head"}

    page.get_by_role("button", name="Edit part 3").first.click()
    page.get_by_role("button", name="Merge part 5 into part 3").click()
    expect(page.locator("#parts .name")).to_have_count(PARTS - 1)
    assert screen.names() == ["part 1", "head", "part 3", "part 4", "part 6"]
    page.mouse.move(700, 5)
    screen.picture("4-merged")

    photo = tmp_path / "mine.jpg"
    photo.write_bytes(page.request.get(f"{address}/api/photo/2/view.jpg").body())
    page.set_input_files("#file", photo)
    expect(page.locator("#viewer h2")).to_have_text("mine.jpg")
    expect(page.locator("#viewer canvas")).to_be_visible()
    said = page.locator("#viewer .sheet-head p").inner_text()
    assert float(said.split(" in ")[1].split(" s")[0]) < 2, said
    screen.picture("5-upload")
    page.keyboard.press("Escape")

    page.get_by_role("button", name="Download").click()
    page.get_by_label("COCO, run-length masks").check()
    screen.picture("6-download")
    with page.expect_download() as download:
        page.locator("#exporter").get_by_role("button", name="Download").click()
    coco = json.loads(Path(download.value.path()).read_text())
    assert [category["name"] for category in coco["categories"]] == ["part 1", "head", "part 3", "part 4", "part 6"]
    assert len(coco["images"]) == 60
    head = [a for a in coco["annotations"] if a["category_id"] == 2]
    assert len(head) > 20 and all(a["area"] > 0 for a in head)
    page.keyboard.press("Escape")

    page.keyboard.press("Control+z")
    expect(page.locator("#parts .name")).to_have_count(PARTS)
    page.keyboard.press("Control+z")
    expect(page.locator("#parts .name").nth(1)).to_have_text("part 2")
    assert not screen.complaints


@pytest.mark.parametrize("served", ["trained"], indirect=True)
def test_by_keyboard_alone(served, browser):
    run, address = served
    screen = Screen(browser, address)
    page, expect = screen.page, sync_api.expect
    page.locator("#scroller").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = "document.activeElement.dataset.place"
    columns = int(page.evaluate(focused)) - 1
    assert columns >= 4
    page.keyboard.press("w")
    expect(page.locator(".tile.wrong")).to_have_count(1)
    wait(lambda: len(json.loads((run / "edits.json").read_text())["wrong"]) == 1)
    page.keyboard.press("Enter")
    expect(page.locator("#viewer")).to_be_visible()
    title = page.locator("#viewer h2").inner_text()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#viewer h2")).not_to_have_text(title)
    page.keyboard.press("n")
    expect(page.locator("#viewer .tag").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#viewer")).to_be_hidden()
    assert int(page.evaluate(focused)) == columns + 2
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("w")
    expect(page.locator(".tile.wrong")).to_have_count(0)
    page.keyboard.press("End")
    assert int(page.evaluate(focused)) == 59
    page.keyboard.press("0")
    expect(page.locator("#parts input:checked")).to_have_count(0)
    page.keyboard.press("0")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("0001")
    expect(page.locator("#count")).not_to_be_empty()
    assert not screen.complaints


@pytest.mark.parametrize("served", ["trained"], indirect=True)
def test_names_with_markup_are_text(served, browser):
    _, address = served
    screen = Screen(browser, address)
    page, expect = screen.page, sync_api.expect
    hostile = "<img src=x onerror=\"document.title='owned'\">"
    page.keyboard.press("Shift+Digit1")
    page.get_by_label("Name", exact=True).fill(hostile)
    page.keyboard.press("Enter")
    expect(page.locator("#parts .name").first).to_have_text(hostile)
    page.locator(".tile").first.click()
    page.keyboard.press("n")
    expect(page.locator("#viewer .tag").first).to_be_visible()
    page.keyboard.press("Escape")
    for tab, section in (("Parts", "strips"), ("Together", "together")):
        page.get_by_role("tab", name=tab).click()
        expect(page.locator(f"#{section}").get_by_text(hostile).first).to_be_visible()
    assert "owned" not in page.title() and not page.locator("img[src=x]").count()
    page.keyboard.press("Control+z")
    expect(page.locator("#parts .name").first).to_have_text("part 1")
    assert not screen.complaints


@pytest.mark.parametrize("served", ["trained"], indirect=True)
def test_the_default_colours_can_be_told_apart_by_everybody(served, browser):
    _, address = served
    screen = Screen(browser, address)
    script = """([first, second]) => import('/page/colours.js').then((colours) => colours.alike(first, second))"""
    colours = screen.page.evaluate("fetch('/api/state').then((answer) => answer.json())")["palette"][:9]
    for one, first in enumerate(colours):
        for second in colours[:one]:
            assert not screen.page.evaluate(script, [first, second]), (first, second)
    assert screen.page.evaluate(script, ["#d01010", "#607010"])  # red and green, as many see them


@pytest.mark.parametrize("served", ["trained"], indirect=True)
@pytest.mark.parametrize("width", [340, 1360])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_and_wide_light_and_dark(served, browser, width, scheme):
    _, address = served
    screen = Screen(browser, address, color_scheme=scheme)
    page = screen.page
    page.set_viewport_size({"width": width, "height": 800})
    for view in ("photos", "strips", "together"):
        page.goto(f"{address}/#{view}")
        page.wait_for_selector(f"#{view}:visible")
        screen.picture(f"{view}-{scheme}-{width}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    page.goto(f"{address}/#photos")
    page.locator(".tile").first.click()
    page.wait_for_selector("#viewer canvas:visible")
    box = page.locator("#viewer .picture").bounding_box()
    assert box is not None and box["x"] >= 0 and box["x"] + box["width"] <= width + 1
    screen.picture(f"viewer-{scheme}-{width}")
    assert not screen.complaints


@pytest.fixture(scope="module")
def many(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model over 10,000 photos, of which no two lie in the same file."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8)).resize((320, 240)) for _ in range(50)]
    for number, image in enumerate(noise):
        image.save(folder / f"{number:05d}.jpg")
    (folder / "photos").mkdir()
    for number in range(10_000):
        shutil.copy(folder / f"{number % 50:05d}.jpg", folder / "photos" / f"{number:05d}.jpg")
    run = folder / "run"
    shutil.copytree(trained / "model", run / "model")
    (run / "settings.yaml").write_text(yaml.safe_dump({"photos": str(folder / "photos"), "kind": "folder"}))
    return run


CLOCK = """new MutationObserver(() => {
  if (!window.firstPhoto && document.querySelector('.tile.loaded')) window.firstPhoto = performance.now();
}).observe(document, {subtree: true, childList: true, attributes: true, attributeFilter: ['class']})"""


@pytest.mark.parametrize("served", ["many"], indirect=True)
def test_ten_thousand_photos(served, browser):
    _, address = served
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.add_init_script(CLOCK)
    page.goto(address)
    page.wait_for_selector(".tile.loaded")
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    first = page.evaluate("window.firstPhoto")
    print(f"10,000 photos: painted after {painted:.0f} ms, the first photo after {first:.0f} ms")
    assert painted < 2000 and first < 2000
    assert page.locator("#subtitle").inner_text().startswith("10,000 photos")
    seen = "[...document.querySelectorAll('.tile')].filter((t) => t.getBoundingClientRect().bottom > 130 "
    seen += "&& t.getBoundingClientRect().top < innerHeight).map((t) => t.classList.contains('loaded'))"
    for share in (0.5, 1, 0.1):
        height = page.evaluate("document.getElementById('grid').offsetHeight")
        page.evaluate(f"document.getElementById('scroller').scrollTop = {share * height}")
        wait(lambda: len(found := page.evaluate(seen)) >= 20 and all(found))
        assert page.locator(".tile").count() < 150
    page.close()
