"""Photos labelled by the workers of a Ray cluster, one of which dies in the middle: each once, as by one process."""

import os
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meronym import commands
from meronym.annotations import MissingExtra
from pictures import picture

GOOD = 90


def workers(word: str) -> list[int]:
    """Processes of Ray's workers that have a word in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cmdline").read_bytes().startswith(b"ray::") and word.encode() in (
                process / "environ"
            ).read_bytes():
                found.append(int(process.name))
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ninety photos in folders, and two that cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(GOOD):
        (folder / f"{i % 3}").mkdir(exist_ok=True)
        picture(300 + i, 200, seed=i).save(folder / f"{i % 3}/{i}.png")
    for name in ("cut.png", "1/short.png"):
        (folder / name).write_bytes((folder / "1/1.png").read_bytes()[:-400])
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    given = {"method": "kmeans", "backbone": "efficientnet_lite0", "settings": {"size": 96}}
    commands.train("toy:12", 3, run=folder, report=False, **given)
    return folder


def test_without_ray_it_says_what_to_install(run, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtra, match=r'--ray needs ray, which is not installed: pip install "meronym\[ray\]"'):
        commands.predict(run, photos, out=tmp_path / "out", ray="local")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """One of two workers: its address, and a word in the environment of all its processes."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    word = uuid.uuid4().hex
    monkeypatch.setenv("MERONYM_CLUSTER", word)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield nodes.address, word
    nodes.shutdown()


@pytest.mark.slow
def test_a_worker_that_dies_loses_and_doubles_no_photo(run, photos, tmp_path, cluster, capsys):
    address, word = cluster
    out, killed = tmp_path / "out", []

    def kill() -> None:
        while not killed:
            done = len(list(out.rglob("labels/**/[0-9]*.png")))
            if done >= 5 and (there := workers(word)):
                os.kill(there[0], signal.SIGKILL)
                killed.append(done)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    commands.predict(run, photos, out=out, batch=4, ray=address)
    thread.join(5)
    assert killed and killed[0] < GOOD
    labels = sorted((out / "labels").rglob("*"))
    assert len([path for path in labels if path.is_file()]) == GOOD
    assert sorted(line.split(":")[0] for line in (out / "skipped.txt").read_text().splitlines()) == [
        "1/short.png",
        "cut.png",
    ]
    commands.predict(run, photos, out=tmp_path / "alone", batch=4)
    for path in (path for path in labels if path.is_file()):
        with Image.open(path) as found, Image.open(tmp_path / "alone" / path.relative_to(out)) as expected:
            assert np.array_equal(np.asarray(found), np.asarray(expected))

    before = {path: path.stat().st_mtime_ns for path in labels}
    gone = next(path for path in labels if path.is_file())
    gone.unlink()
    capsys.readouterr()
    commands.predict(run, photos, out=out, ray=address)  # it goes on where it stopped
    assert f"{GOOD - 1} of {GOOD + 2} photos are labelled already" in capsys.readouterr().err
    assert all(path.stat().st_mtime_ns == when for path, when in before.items() if path.is_file() and path != gone)
    assert gone.exists()


def test_no_cluster_there(run, photos, tmp_path):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with pytest.raises(ConnectionError, match=r"--ray 127.0.0.1:9: no cluster there; `ray start --head`"):
        commands.predict(run, photos, out=tmp_path / "out", ray="127.0.0.1:9")
    with pytest.raises(ConnectionError, match="--ray mars: no cluster there"):
        commands.predict(run, photos, out=tmp_path / "out", ray="mars")
