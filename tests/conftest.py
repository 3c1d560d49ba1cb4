"""Fixtures for every test: the real data next to the checkout, a folder of hostile photos, a quiet machine."""

import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook
from PIL import Image

# before its client is imported, which reads them once: no test can reach the model hub
os.environ |= {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}

if "PYTEST_XDIST_WORKER" in os.environ:  # before torch is imported: several processes, a core each
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# before anything imports them: shapes in signatures are checked
TENSORS = ("backbones", "masks", "segmenters", "model", "features", "objectives", "training", "methods")
TENSORS += ("metrics", "evaluation")
install_import_hook([f"meronym.{room}" for room in TENSORS], "shapes.check")

from pictures import picture  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def nothing_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No cache, weights or hub but what a test names; features that several tests need are computed once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MERONYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("MERONYM_WEIGHTS", raising=False)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and weights: MERONYM_SHARED, or `shared/` in or next to the checkout."""
    here = Path(__file__).resolve().parents[1]
    given = os.environ.get("MERONYM_SHARED")
    places = [Path(given)] if given else [here / "shared", here.parent / "shared"]
    for place in places:
        if (place / "data").is_dir():
            return place
    pytest.skip("no real data here: set MERONYM_SHARED to the folder that holds data/ and weights/")


@pytest.fixture(scope="session")
def weights(shared: Path) -> Path:
    """The folder of weights that are on no package index."""
    if not (shared / "weights").is_dir():
        pytest.skip(f"no weights in {shared}: set MERONYM_SHARED to the folder that holds data/ and weights/")
    return shared / "weights"


@pytest.fixture
def meronym(monkeypatch, capsys, tmp_path):
    """Run a command in a fresh folder: its exit code, and the lines it says on stderr."""
    from meronym import cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(sys, "argv", ["meronym", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().err.strip().splitlines()

    return run


def _jpeg(image: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def _turned() -> bytes:
    """A photo stored on its side, with the EXIF orientation that sets it upright again."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return _jpeg(picture().transpose(Image.Transpose.ROTATE_90), exif=exif)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of photos as users really have them: `good/` can all be opened, `bad/` cannot."""
    root = tmp_path / "hostile"
    good, bad = root / "good", root / "bad"
    good.mkdir(parents=True)
    bad.mkdir()
    photo = picture()
    photo.save(good / "plain.png")
    photo.convert("L").save(good / "grey.PNG")
    photo.convert("P").save(good / "palette.gif")
    photo.convert("1").save(good / "onebit.png")
    photo.convert("CMYK").save(good / "cmyk.jpg")
    photo.convert("LA").save(good / "greyalpha.png")
    (good / "turned.jpg").write_bytes(_turned())
    (good / "jpeg named.png").write_bytes(_jpeg(photo))
    deep = (np.asarray(photo.convert("L")).astype(np.uint16)) * 257
    Image.fromarray(deep).save(good / "sixteen.png")
    Image.fromarray(deep.astype(np.float32) / 65535).save(good / "float.tif")
    cut_out = photo.copy()
    cut_out.putalpha(Image.fromarray(np.tile(np.uint8([0, 255]).repeat(24), (32, 1))))
    cut_out.save(good / "alpha.png")
    (bad / "empty.jpg").write_bytes(b"")
    (bad / "text.jpg").write_text("<html>404 not found</html>")
    (bad / "truncated.jpg").write_bytes(_jpeg(photo)[:-400])
    (bad / "truncated.png").write_bytes((good / "plain.png").read_bytes()[:-300])
    return root
