"""The explorer's inner parts: what is computed once and kept, figures over photos, and the command."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import CancelledError
from contextlib import closing, suppress

import numpy as np
import pytest
import yaml
from jaxtyping import TypeCheckError
from PIL import Image
from rig import wait
from test_routes import unrun

from meronym import edits, explorer
from meronym.collections import Sample
from meronym.explorer.cache import Cache, remove_others
from meronym.explorer.look import HIDDEN, SHARE, SURE, X0, Y1, X, Y, look_at, pack_figures, unpack_figures
from meronym.explorer.pictures import fitted, jpeg, pack, runs, smaller_labels, unpack
from meronym.explorer.predictor import NOW, SOMETIME, Predictor
from meronym.explorer.study import Study
from meronym.explorer.tally import landing, merged, present, scattered, sureness, together, unusual
from meronym.model import PartModel
from meronym.parts import Parts, default_names
from stripes import Stripes

# -- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (40, 7), (300, 500)])
def test_label_maps_survive_runs_and_packing(shape):
    labels = np.random.default_rng(0).integers(0, 4, shape, dtype=np.uint8)
    assert (unrun(runs(labels)) == labels).all() and (unpack(pack(labels)) == labels).all()


def test_runs_longer_than_a_number_of_two_bytes():
    labels = np.zeros((700, 600), np.uint8)
    labels[600:] = 7
    assert (unrun(runs(labels)) == labels).all() and len(runs(labels)) == 4 + 3 * (6 + 1)
    exact = np.zeros((257, 255), np.uint8)  # 65,535 pixels
    assert len(runs(exact)) == 4 + 3


def test_smaller_labels_are_labels():
    labels = np.zeros((1000, 500), np.uint8)
    labels[:500, 250:] = 200
    small = smaller_labels(labels, 100)
    assert small.shape == (100, 50) and set(np.unique(small)) == {0, 200} and small[:50, 25:].min() == 200
    assert smaller_labels(labels, 1000) is labels
    assert fitted((10_000, 1), 384) == (384, 1) and fitted((3, 2), 384) == (3, 2)
    assert jpeg(Image.new("RGB", (2000, 10)), 384)[:2] == b"\xff\xd8"


# -- looks and tallies -------------------------------------------------------------------------------------------------


def look(labels, confidence=None, keypoints=None, size=None):
    labels = np.asarray(labels, dtype=np.uint8)
    confidence = None if confidence is None else np.full(labels.shape, confidence, np.float32)
    return look_at(Parts(labels, default_names(3), confidence), size or labels.shape[::-1], keypoints)


def test_a_look_measures_parts_against_the_object():
    found = look([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 2, 0], [0, 0, 0, 0]], 0.5)
    assert found.figures[0].tolist() == pytest.approx([0.5, 0.5, 0.25, 0.5, 0.25, 0.25, 0.5, 0.75])
    assert found.figures[2, SHARE] == 0 and np.isnan(found.figures[2, SURE:]).all()
    assert found.exact and not look([[1, 1]], size=(4, 2)).exact


def test_keypoints_are_looked_up_in_the_photos_own_pixels():
    points = np.array([[10, 10, 1], [30, 10, 1], [30, 10, 0], [np.nan, 0, 1], [9999, 0, 1]], np.float32)
    found = look([[1, 2]], keypoints=points, size=(40, 20))
    assert found.keypoints.tolist() == [1, 2, HIDDEN, 1, 2]


def test_a_look_is_kept_whole():
    before = look([[1, 2, 2]], 0.25, np.array([[0, 0, 1]], np.float32))
    after = unpack_figures(pack_figures(before))
    assert after.size == before.size and after.labels is None
    assert np.array_equal(after.figures, before.figures, equal_nan=True) and (after.keypoints == before.keypoints).all()
    with pytest.raises(ValueError):
        unpack_figures(pack_figures(before) + b"x")


def test_merged_figures_are_those_of_the_merged_label_map():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (20, 30), dtype=np.uint8)
    confidence = rng.random((20, 30), dtype=np.float32)
    apart = Parts(labels, default_names(3), confidence)
    one = apart.merge([[1, 3]])
    figures = merged(look_at(apart, (30, 20)).figures[None], [(1, 3), (2,)])[0]
    assert figures == pytest.approx(look_at(one, (30, 20)).figures, abs=1e-5)
    absent = merged(look([[2]]).figures[None], [(1, 3)])[0, 0]
    assert absent[SHARE] == 0 and np.isnan(absent[X0 : Y1 + 1]).all()


def test_doubt_is_the_mean_over_the_object():
    labels = np.array([[1, 1, 1, 2, 0]], np.uint8)
    confidence = np.array([[1, 1, 1, 0, 0.3]], np.float32)
    figures = look_at(Parts(labels, default_names(2), confidence), (5, 1)).figures
    unknown, empty = look([[1]]).figures, look([[0]]).figures
    assert sureness(figures[None]) == pytest.approx([0.75])
    assert np.isnan(sureness(np.stack([unknown, empty]))).all()


def test_together_and_landing():
    there = np.array([[1, 1, 0], [1, 0, 0], [1, 1, 0]], bool)
    table = together(there)
    assert table[0].tolist() == pytest.approx([1, 2 / 3, 0]) and table[1].tolist() == [1, 1, 0]
    assert np.isnan(table[2]).all()
    shown = np.zeros(256, np.uint8)
    shown[[1, 2, 3]] = 1, 2, 1
    keypoints = np.array([[1, HIDDEN], [3, HIDDEN], [0, HIDDEN], [2, HIDDEN]], np.uint8)
    lands = landing(keypoints, shown, 2)
    assert lands[0].tolist() == [0.25, 0.5, 0.25] and np.isnan(lands[1]).all()


def test_the_unusual_is_found_and_said():
    rng = np.random.default_rng(0)
    figures = np.zeros((60, 8), np.float32)
    figures[:, SHARE] = 0.2 * np.exp(rng.normal(0, 0.1, 60))
    figures[:, X] = np.where(rng.random(60) < 0.5, 0.8, 0.2) + rng.normal(0, 0.02, 60)  # mirrored half of the time
    figures[:, Y], figures[:, SURE] = 0.5 + rng.normal(0, 0.02, 60), 0.9 + rng.normal(0, 0.01, 60)
    figures[3, SHARE], figures[5, SHARE] = 0.02, 0.7
    figures[7, Y], figures[9, SURE], figures[11, SHARE] = 0.05, 0.4, 0
    distance, why = unusual(figures)
    assert np.isnan(distance[11]) and not why[11]
    assert set(np.argsort(-np.nan_to_num(distance))[:4]) == {3, 5, 7, 9}
    assert (why[3], why[5], why[7], why[9]) == ("small", "large", "odd place", "unsure")
    figures[:, SURE] = np.nan
    assert np.isfinite(unusual(figures).distance[3])
    assert np.isnan(unusual(np.zeros((2, 8), np.float32)).distance).all()
    assert present(figures[None])[0].sum() == 59


@pytest.mark.parametrize("total", [0, 1, 2, 7, 100, 618, 1000])
def test_scattered_numbers_are_all_numbers(total):
    order = scattered(total)
    assert sorted(order) == list(range(total))
    if total >= 100:
        assert max(np.diff(np.sort(order[:20]))) < total / 5


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_a_cache_keeps_to_its_size(tmp_path):
    cache = Cache(tmp_path / "cache.sqlite", most_bytes=10_000)
    for photo in range(100):
        cache.put("tile", photo, "s", bytes(1000))
    kept = [photo for photo in range(100) if cache.get("tile", photo, "s")]
    assert 1 < len(kept) <= 10 and kept[-1] == 99
    cache.put("tile", 99, "s", bytes(500))
    assert len(cache.get("tile", 99, "s") or b"") == 500
    cache.close()


def test_a_cache_is_there_again_and_knows_what_changed(tmp_path):
    path = tmp_path / "cache-1.sqlite"
    cache = Cache(path)
    cache.put("tile", 1, "old", b"picture")
    cache.put_figures(1, "old", b"figures")
    cache.close()
    cache = Cache(path)
    assert cache.get("tile", 1, "old") == b"picture" and cache.get("tile", 1, "new") is None
    assert list(cache.figures()) == [(1, "old", b"figures")]
    (tmp_path / "cache-2.sqlite").write_bytes(b"an earlier model's")
    remove_others(path)
    assert not (tmp_path / "cache-2.sqlite").exists() and path.exists()


@pytest.mark.parametrize("damage", [b"not a database, but long enough to look at" * 100, b""])
def test_a_damaged_cache_is_replaced(tmp_path, damage):
    path = tmp_path / "cache.sqlite"
    path.write_bytes(damage)
    cache = Cache(path)
    cache.put("tile", 1, "s", b"x")
    assert cache.get("tile", 1, "s") == b"x" and sqlite3.connect(path).execute("SELECT count(*) FROM pictures")


def test_where_nothing_can_be_written_the_cache_is_in_memory(tmp_path):
    (tmp_path / "explorer").write_text("a file where the folder should be")
    cache = Cache(tmp_path / "explorer" / "cache.sqlite")
    cache.put("tile", 1, "s", b"x")
    assert cache.get("tile", 1, "s") == b"x"


def test_what_was_looked_at_is_not_looked_at_again(run, monkeypatch):
    first = Study(run)
    first.begin()
    wait(lambda: first.photos.figures.seen.sum() == 7)
    first.close()
    again = Study(run)
    assert again.photos.figures.seen.sum() == 7
    assert np.array_equal(again.photos.figures.parts, first.photos.figures.parts, equal_nan=True)
    monkeypatch.setattr(again.predictor, "ask", lambda *_: pytest.fail("asked again"))
    assert again.photos.look(0).labels is not None and again.strips()["looked"] == 7
    again.close()


def test_a_photo_that_changed_is_looked_at_again(run):
    study = Study(run)
    study.begin()
    wait(lambda: study.photos.figures.seen.sum() == 7)
    study.close()
    path = study.collection.records[study.collection.ids.index("z.png")].photo
    Image.new("RGB", (33, 44)).save(path)
    again = Study(run)
    assert again.photos.figures.seen.sum() == 6
    again.close()


def test_other_weights_have_another_cache(run):
    study = Study(run)
    before = set(run.glob("explorer/*.sqlite"))
    study.close()
    (run / "model" / "model.safetensors").write_bytes(b"other weights")
    study = Study(run)
    after = set(run.glob("explorer/*.sqlite"))
    study.close()
    assert len(before) == len(after) == 1 and before != after


def test_a_survey_that_fails_says_so_and_browsing_goes_on(study, monkeypatch):
    def fails(*_):
        raise RuntimeError("out of memory\nand more")

    monkeypatch.setattr(study.predictor, "ask", fails)
    study.begin()
    wait(lambda: study.trouble is not None)
    assert study.state()["trouble"] == "not all photos were looked at: out of memory"
    assert study.photos.tile(0)


# -- the model ---------------------------------------------------------------------------------------------------------


def sample() -> Sample:
    return Sample("x", Image.new("RGB", (20, 20)))


def test_who_waits_comes_first():
    predictor = Predictor(PartModel(Stripes(3)))
    held, begun, order = threading.Event(), threading.Event(), []
    stream = predictor.model.stream

    def slow(samples, batch):
        begun.set()
        held.wait(5)
        order.append(samples[0].id)
        return stream(samples, batch)

    predictor.model.stream = slow  # type: ignore[method-assign]
    asks = [("first", SOMETIME), ("later", SOMETIME), ("now", NOW)]
    threads = []
    for name, urgency in asks:
        one = Sample(name, Image.new("RGB", (20, 20)))
        threads.append(threading.Thread(target=predictor.ask, args=([one], urgency)))
        threads[-1].start()
        assert begun.wait(5)
        wait(lambda: predictor._queue.qsize() >= len(threads) - 1)
    held.set()
    for thread in threads:
        thread.join(10)
    assert order == ["first", "now", "later"]
    assert not predictor.quiet and predictor.batch >= 1
    predictor.close()


def test_a_question_that_fails_is_answered_and_the_next_one_too():
    predictor = Predictor(PartModel(Stripes(3)))
    with pytest.raises((AttributeError, TypeError, TypeCheckError)):
        predictor.ask([None], NOW)  # type: ignore[list-item]
    assert len(predictor.ask([sample()], NOW)) == 1
    predictor.close()
    with pytest.raises(CancelledError):
        predictor.ask([sample()], NOW)


# -- the command -------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_said_in_one_line():
    taken = explorer.listen("127.0.0.1", 0)
    taken.listen()
    with pytest.raises(explorer.CannotExplore, match="leave --port away"):
        explorer.listen("127.0.0.1", taken.getsockname()[1])
    for host, port in (("127.0.0.1", 99_999), ("no such host", 0)):
        with pytest.raises(explorer.CannotExplore):
            explorer.listen(host, port)
    taken.close()


def test_no_run_is_said_in_one_line(tmp_path):
    with pytest.raises(FileNotFoundError, match="meronym train"):
        explorer.explore(tmp_path, open_browser=False)


def test_photos_that_moved_can_be_named(run, tmp_path):
    (tmp_path / "birds").rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError, match="meronym explore RUN PHOTOS"):
        Study(run)
    study = Study(run, tmp_path / "moved")
    assert len(study.photos) == 8
    study.close()


def test_marks_of_other_photos_are_not_the_runs(run, study, tmp_path):
    study.change({"wrong": [3]}, 0)
    before = edits.load(run)
    shutil.copytree(tmp_path / "birds", tmp_path / "others")
    other = Study(run, tmp_path / "others")
    assert other.state()["edits"]["wrong"] == []
    other.change({"wrong": [1], "names": {"2": "head"}}, 0)
    assert other.state()["edits"]["wrong"] == [1]
    assert edits.load(run).wrong == before.wrong and edits.load(run).names == {2: "head"}
    assert study.state()["edits"]["wrong"] == [3]
    other.close()


def test_a_run_without_masks_is_shown_without(run, study):
    assert not study.collection.unmarked
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    (run / "settings.yaml").write_text(yaml.safe_dump(settings | {"masks": "none"}))
    blind = Study(run)
    assert blind.collection.unmarked
    blind.close()


def test_without_the_extra_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(explorer.CannotExplore, match=r'pip install "meronym\[explorer\]"'):
        explorer.explore("anywhere")


def test_importing_the_explorer_is_instant():
    code = "import sys, meronym.explorer; sys.exit(any(m in sys.modules for m in ('torch', 'fastapi', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_serves_in_a_notebook_too_and_ends_with_ctrl_c(run, monkeypatch):
    """A notebook's event loop runs already where its cells do."""
    listeners = []
    listen = explorer.listen
    monkeypatch.setattr(explorer, "listen", lambda *where: listeners.append(listen(*where)) or listeners[-1])

    def interrupt():
        wait(lambda: bool(listeners))
        port = listeners[0].getsockname()[1]
        wait(lambda: answers(port))
        os.kill(os.getpid(), signal.SIGINT)

    def answers(port):
        with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state") as answer:
            return answer.status == 200

    async def cell():
        explorer.explore(run, open_browser=False)
        return "ended"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs do not hear it
    person = threading.Thread(target=interrupt)
    person.start()
    with closing(asyncio.new_event_loop()) as loop:  # as a notebook's, it leaves Ctrl+C to the cell
        assert loop.run_until_complete(cell()) == "ended"
    person.join()
    signal.signal(signal.SIGINT, before)
