"""A run folder goes on with its own settings only, and what a power cut leaves in it is no obstacle."""

import pytest

from meronym.collections import open_again, spelled
from meronym.training.run import Run, RunExists, open_photos, photos_of
from pictures import picture


def snapshot(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path):
    run = Run(tmp_path / "run", {"parts": 4, "layers": ["a", "b"], "rate": 1e-5})
    run.log(0, {"total": 1.0})
    before = snapshot(run.folder)
    with pytest.raises(RunExists) as caught:
        Run(run.folder, {"parts": 8, "layers": ["a", "b"], "rate": 1e-5, "new": 1})
    message = str(caught.value)
    assert "parts: 4 there, 8 here" in message and "new: None there, 1 here" in message and "--run" in message
    assert "layers" not in message and "\n" not in message and snapshot(run.folder) == before
    assert Run(run.folder, run.settings).settings == Run.read(run.folder) == run.settings


def test_the_photos_of_a_run_are_found_from_any_folder(tmp_path, monkeypatch):
    (tmp_path / "birds").mkdir()
    picture(8, 8).save(tmp_path / "birds/1.png")
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/2.png").write_bytes((tmp_path / "birds/1.png").read_bytes())
    of = {"kind": None, "at": str(tmp_path)}
    assert photos_of({"photos": "birds"} | of) == str(tmp_path / "birds")
    assert open_photos({"photos": "birds"} | of).ids == ["1.png"]
    assert photos_of({"photos": "gone"} | of) == "gone" and photos_of({"photos": "birds", "kind": None}) == "birds"
    assert len(open_photos({"photos": "toy"} | of)) == 240 and open_photos({"photos": "./toy"} | of).ids == ["2.png"]
    monkeypatch.chdir(tmp_path)
    assert spelled("./toy") == "./toy" and spelled("./birds/") == "birds" and spelled("toy:9") == "toy:9"
    assert open_again("./toy").ids == ["2.png"] and open_again("toy", "folder").ids == ["2.png"]
    before = Run(tmp_path / "run", {"photos": "birds", "parts": 2, "at": "elsewhere"})
    before.log(0, {"total": 1})
    Run(before.folder, before.settings | of)  # where it was begun is no setting


def test_photos_of_the_same_name_elsewhere_are_others(tmp_path):
    for place in "ab":
        (tmp_path / place / "birds").mkdir(parents=True)
    settings = {"photos": "birds", "parts": 2, "at": str(tmp_path / "a")}
    Run(tmp_path / "run", settings).log(0, {"total": 1})
    with pytest.raises(RunExists, match="photos: .*a/birds there, .*b/birds here"):
        Run(tmp_path / "run", settings | {"at": str(tmp_path / "b")})
    (tmp_path / "a").rename(tmp_path / "c")  # the project moved
    Run(tmp_path / "run", settings | {"at": str(tmp_path / "c")})


def test_a_run_that_came_to_nothing_does_not_hold_its_folder(tmp_path):
    Run(tmp_path / "run", {"parts": 800})
    (tmp_path / "run/.settings.yaml.123").write_text("par")  # the power went while it was written
    assert Run(Run(tmp_path / "run", {"parts": 8}).folder, {"parts": 8}).settings == {"parts": 8}


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(RunExists, match="is not empty and holds no run"):
        Run(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["lr: 0.1\n", "- a\n", "a: [", "\x00"])
def test_settings_of_another_program_are_kept(tmp_path, text):
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(RunExists):
        Run(tmp_path, {"parts": 8})
    assert (tmp_path / "settings.yaml").read_text() == text


def test_read_says_where_there_is_no_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        Run.read(tmp_path)
    (tmp_path / "settings.yaml").write_text("model: !net {layers: 3}\n")  # YAML, but of another program
    with pytest.raises(FileNotFoundError, match="its settings.yaml is of something else"):
        Run.read(tmp_path)


@pytest.mark.parametrize("torn", ["", "3", "3,0.1", "1", "4,0.1,2.5,7,8\n5,0."])
def test_rows_from_a_step_on_are_forgotten_whole_or_torn(tmp_path, torn):
    run = Run(tmp_path, {})
    for step in range(4):
        run.log(step, {"total": step / 3, "L_f": 1})
    path = tmp_path / "metrics.csv"
    path.write_text(path.read_text() + torn)
    again = Run(tmp_path, {})
    again.rewind(2)
    again.log(2, {"L_f": 5, "total": 0.25})
    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert [row[0] for row in rows] == ["step", "0", "1", "2"] and rows[-1][2:] == ["0.25", "5"]


@pytest.mark.parametrize("left", [None, "", "step,sec"])
def test_rows_begin_anew_where_there_was_no_checkpoint(tmp_path, left):
    run = Run(tmp_path, {})
    if left is not None:
        (tmp_path / "metrics.csv").write_text(left)
    if not left:
        run.rewind(0)
    run.log(0, {"total": 0.5})
    assert (tmp_path / "metrics.csv").read_text().startswith("step,seconds,total\n0,")
