"""A run whose model cuts every photo into upright stripes, and the explorer on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("fastapi", reason="the explorer's extra is not installed")

from fastapi.testclient import TestClient
from rig import ADDRESS, photos, wait

from meronym.explorer.app import make_app
from meronym.explorer.study import Study
from meronym.model import PartModel
from stripes import Stripes


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder, and a way to load its model that needs no network."""
    folder = tmp_path / "run"
    (folder / "model").mkdir(parents=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump({"photos": str(photos(tmp_path)), "kind": None}))
    (folder / "model" / "config.json").write_text("{}")
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(PartModel, "load", lambda folder: PartModel(Stripes(5)))
    return folder


@pytest.fixture
def study(run: Path) -> Iterator[Study]:
    """It has not begun to look at photos by itself."""
    study = Study(run)
    yield study
    study.close()


@pytest.fixture
def client(run: Path) -> Iterator[TestClient]:
    """The page's server, as the page talks to it, once all photos were looked at."""
    app = make_app(Study(run))
    with TestClient(app, base_url=ADDRESS, headers={"x-meronym": "1", "origin": ADDRESS}) as client:
        wait(lambda: (state := client.get("/api/state").json())["looked"] + state["unread"] == state["photos"])
        yield client
