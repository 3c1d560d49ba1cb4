"""The command line: instant help, the functions of the package, and one clear line for whatever goes wrong."""

import inspect
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from types import NoneType
from typing import get_type_hints

import numpy as np
import pytest
from PIL import Image

from meronym import cli, commands, explorer, masking, reproduction, student
from meronym.evaluation import results
from meronym.evaluation.lines import plain, train_command
from meronym.export import command
from meronym.methods import Contrastive, ContrastiveDeepLab, KMeans
from meronym.prediction import Predictions
from pictures import disc, picture

SMALL = ["--backbone", "efficientnet_lite0", "--no-report", "--parts", "3"]
QUICK = [*SMALL, "--method", "contrastive", "--set", "size=128", "steps=3"]


def test_help_is_instant_and_imports_nothing_heavy():
    watch = "import sys; from meronym import cli; cli.app(['--help'], result_action='return_value')"
    heavy = "{'torch', 'numpy', 'sklearn', 'scipy', 'timm', 'lightning', 'matplotlib', 'yaml'}"
    command = [sys.executable, "-c", f"{watch}; assert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in ("train", "evaluate", "demo", "export", "reproduce", "results", "info"))
    assert min(timed(command) for _ in range(3)) < 0.5


def timed(command: list[str]) -> float:
    begin = time.monotonic()
    subprocess.run(command, capture_output=True)
    return time.monotonic() - begin


COMMANDS = {"train": commands.train, "evaluate": commands.evaluate, "demo": commands.demo, "info": commands.info}
COMMANDS |= {"baselines": commands.baselines}
COMMANDS |= {"reproduce": reproduction.reproduce}
COMMANDS |= {"predict": commands.predict, "export": command.export, "masks": masking.find_masks}
COMMANDS |= {"distill": student.distill}
COMMANDS |= {"results": results.write_page, "explore": explorer.explore}
RENAMED = {"set": "settings"}


def sides(name: str) -> tuple[dict, dict]:
    """The parameters of a command, on the command line and in Python: name to (type, default)."""
    both = []
    for function in (getattr(cli, name), COMMANDS[name]):
        hints = get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
        both.append({RENAMED.get(p.name, p.name): (hints[p.name], p.default) for p in parameters})
    return both[0], both[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_function_have_the_same_parameters_and_defaults(name):
    command, function = sides(name)
    assert list(command) == list(function)
    for parameter, (kind, default) in command.items():
        other, usual = function[parameter]
        if parameter == "settings":  # pairs of words there, a mapping here
            continue
        same = str(default) == str(usual) if isinstance(default, Path) else default == usual
        assert same, f"{parameter}: {default!r} on the command line, {usual!r} in Python"
        plain = {int, float, bool, NoneType}
        assert plain & set(getattr(kind, "__args__", [kind])) == plain & set(getattr(other, "__args__", [other]))


def test_every_command_is_compared():
    assert set(COMMANDS) == {name for name in cli.app if not name.startswith("-")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("trian toy", 'Did you mean "train"?'),
        ("train toy --prats 3", "Did you mean --parts?"),
        ("train toy --parts many", 'unable to convert "many" into int'),
        ("train", "PHOTOS requires an argument"),
        ("train toy:4 --method kmens", "--method kmens: one of consensus, contrastive, .*; did you mean kmeans?"),
        ("train toy:4 --parts 3 --backbone efficientnet_lite", "nearest: efficientnet_lite0; valid: dinov2_vits14,"),
        ("train toy:4 --parts 3 --backbone vgg19 --method contrastive_deeplab", "brings its own networks"),
        ("train toy:4 --method contrastive --backbone efficientnet_lite0 --set stesp=3", "did you mean steps?"),
        ("train toy:4 --method contrastive --backbone efficientnet_lite0 --set steps=few", "steps=few: int is needed"),
        (
            "train toy:4 --parts 3 --backbone efficientnet_lite0 --set masks=found",
            "setting masks=found: 'none' is needed",
        ),
        ("masks toy:4 --out masks --method tokencat", "did you mean tokencut?"),
        ("train toy:4 --backbone efficientnet_lite0 --set steps", "--set steps: write name=value"),
        ("train toy:4 --backbone efficientnet_lite0 --set layers=[a", r"--set layers=\[a: write the value as in YAML"),
        ("train toy:4 --parts 3 --method distill --set size=250", "size=250: a multiple of 8 is needed, such as 248"),
        ("train toy:4 --parts 3 --method distill --set size=0", "size=0: a multiple of 8 is needed, such as 8"),
        (
            "train toy:4 --parts 3 --method contrastive --backbone efficientnet_lite0 --set size=128 batch=0",
            "batch 0: at least 1",
        ),
        ("train toy:4 --parts 3 --backbone efficientnet_lite0 --starts 0", "--starts 0: at least 1"),
        ("train toy:4 --backbone efficientnet_lite0 --parts 400", "--parts 400: between 2 and 64 parts"),
        ("train toy:4 --backbone efficientnet_lite0 --parts 0", "--parts 0: between 2 and 64 parts"),
        ("train toy:4 --kind folders", "kind 'folders': known are .*did you mean folder"),
        ("train toy:4 --parts 3 --backbone resnet50_swav", "resnet50_swav.* set MERONYM_WEIGHTS"),
        ("train nowhere", "nowhere: no such folder"),
        ("train toy:many", "toy:200 for 200 creatures"),
        ("evaluate nowhere", "nowhere: no model there; .meronym train. makes one"),
        ("evaluate nowhere --protocol hole", "--protocol hole: one of box, whole"),
        ("results nowhere", "nowhere: no such folder"),
        ("reproduce tabel1", "tabel1: one of table1, table2, .*; did you mean table1?"),
        ("reproduce table1 --row scosp", "--row scosp: table1 has midpoint, .*; did you mean scops?"),
        ("reproduce table1 --root nowhere", "nowhere: no such folder; --root is the one that holds the data sets"),
        ("train toy:4 --kind toy:sed=1", "option 'sed': toy takes .*; did you mean seed?"),
        ("train toy:4 --kind toy:seed", "option 'seed': write name=value"),
        ("export nowhere", "export: say where to, with one of --onnx model.onnx, --folder model, --hub user/name"),
        ("export nowhere --onnx a.onnx --folder a", "export: say where to, with one of"),
        ("exprot nowhere", 'Did you mean "export"?'),
        ("export nowhere --onyx a.onnx", "Did you mean --onnx?"),
        ("export nowhere --onnx a.onnx", "nowhere: no model there; .meronym train. makes one"),
        ("predict hf:nobody/nothing toy:3 --out new", "hf:nobody/nothing: the hub cannot be reached; connect, unset"),
        ("export hf:nobody --folder a", "hf:nobody: the name of a model on the hub is user/name"),
        ("predict nowhere toy:3", "PREDICT requires|--out"),
        ("predict nowhere toy:3 --out new", "nowhere: no model there; .meronym train. makes one"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_the_remedy(meronym, words, said):
    code, lines = meronym(*words.split())
    framed = [line for line in lines if line.strip("─╭╮╰╯│ ")]
    message = " ".join(line.strip("│ ") for line in framed if "─" not in line)
    assert code == 2 and "Traceback" not in message
    assert re.search(said.replace("?", r"\?"), message), message
    assert not list(Path("runs").rglob("*.ckpt"))


def birds(root: Path, count: int = 5, masks: bool = True) -> Path:
    for kind in ("images", "masks")[: 1 + masks]:
        (root / kind).mkdir(parents=True)
    for i in range(count):
        picture(96, 80, seed=i).save(root / "images" / f"{i}.png")
        if masks:
            Image.fromarray(disc(96, 80, 20 + 3 * i)).save(root / "masks" / f"{i}.png")
    return root


def test_a_folder_without_photos(meronym, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/a.txt").write_text("a")
    code, lines = meronym("train", "notes")
    assert code == 2 and len(lines) == 1
    assert lines[0].startswith("meronym: notes: no photo in it or below (it holds a.txt); read are ")


def test_masks_of_another_size_or_all_black(meronym, tmp_path):
    root = birds(tmp_path / "birds")
    Image.fromarray(np.ones((9, 9), bool)).save(root / "masks/1.png")
    Image.new("1", (96, 80)).save(root / "masks/2.png")
    code, lines = meronym("train", "birds", "--run", "run", *QUICK)
    assert code == 0
    (skipped,) = [line for line in lines if "skipped" in line]
    assert skipped.startswith("skipped 2 of 5 photos: ") and "9x9 pixels, its photo 96x80" in skipped
    for i in range(5):
        Image.new("1", (96, 80)).save(root / "masks" / f"{i}.png")
    code, lines = meronym("train", "birds", "--run", "other", *QUICK)
    assert code == 2 and lines[-1].startswith("meronym: no photo of birds could be used: ")
    assert "its mask 0.png marks nothing; draw the object in white, or remove the mask" in lines[-1]


@pytest.mark.parametrize("method", ["contrastive", "kmeans"])
def test_photos_as_users_have_them(meronym, hostile, tmp_path, method):
    """Truncated, empty, CMYK, 16-bit, palette, turned by EXIF, 1x1, a text named .jpg: skipped and counted, or used."""
    for i in range(3):
        shutil.copy(hostile / "good/plain.png", hostile / "good" / f"plain{i}.png")
    Image.new("RGB", (1, 1)).save(hostile / "bad/dot.png")
    good, bad = (len(list((hostile / kind).iterdir())) for kind in ("good", "bad"))
    settings = [*SMALL, "--set", "size=128", *(["steps=3"] if method == "contrastive" else [])]
    code, lines = meronym("train", hostile, "--method", method, "--run", "run", *settings)
    assert code == 0, lines
    opened = next(line for line in lines if line.startswith("found "))
    assert "skipped 3: " in opened and "empty.jpg (empty file)" in opened and "text.jpg (not a picture)" in opened
    assert "dot.png (1x1 pixels, too small to have parts)" in opened
    read = next(line for line in lines if line.startswith("skipped "))
    assert read.startswith(f"skipped 2 of {good + bad - 3} photos: ") and "truncated" in read
    assert Path("run/model/model.safetensors").exists()


def test_the_same_command_goes_on_and_other_settings_are_refused(meronym):
    code, lines = meronym("train", "toy:4", "--run", "run", *QUICK)
    assert code == 0 and "the model is in run/model" in lines
    code, lines = meronym("train", "toy:4", "--run", "run", *QUICK)
    assert code == 0 and lines[-1] == "run is finished"
    code, lines = meronym("train", "toy:4", "--run", "run", *QUICK, "temperature=0.5", "--seed", 1)
    assert code == 2 and "seed: 0 there, 1 here; " in lines[-1] and "temperature: " in lines[-1]
    code, lines = meronym("train", "toy:4", "--run", "run", *QUICK[:2], *QUICK[3:])
    assert code == 0 and lines[-1] == "look at what was found: run/report.html" and Path("run/report.html").exists()


def test_wrong_settings_do_not_hold_the_folder(meronym):
    assert meronym("train", "toy:4", "--run", "run", *QUICK, "--parts", 400)[0] == 2
    assert meronym("train", "toy:4", "--run", "run", *QUICK)[0] == 0


@pytest.mark.parametrize("method", ["contrastive", "kmeans"])
def test_the_best_of_several_starts_is_kept(meronym, method):
    settings = [*SMALL, "--set", "size=128", *(["steps=3"] if method == "contrastive" else [])]
    code, lines = meronym("train", "toy:4", "--starts", 2, "--method", method, "--run", "run", *settings)
    assert code == 0, lines
    losses = [float(line.split("total ")[1].split(",")[0]) for line in lines if "total " in line]
    best = int(np.argmin(losses))
    assert f"start {best} has the lowest loss and is kept" in lines
    weights = [Path("run", place, "model/model.safetensors").read_bytes() for place in ("", f"start-{best}")]
    assert weights[0] == weights[1]
    assert Path("run/metrics.csv").exists() == (method == "contrastive")


@pytest.mark.parametrize(
    "method",
    [
        ContrastiveDeepLab(
            layer_energies=None, layers=("relu3_2",), layer_weights=(1,), across="l2", learning_rate=1e-6
        ),
        Contrastive(backbone="efficientnet_lite0", cosine=False, size=64, layers=("blocks.3",)).resolved(4),
        KMeans(backbone="efficientnet_lite0", centre=0.25, masks="none"),
    ],
)
def test_the_command_noted_in_results_gives_the_same_settings(meronym, monkeypatch, method):
    record = {"photos": "my birds", "kind": "folder", "parts": 4, "seed": 2, "starts": 3}
    command = train_command("run 1", record | plain(method.settings()))
    called = {}
    monkeypatch.setattr(
        commands, "train", lambda photos, parts, **rest: called.update(photos=photos, parts=parts, **rest)
    )
    assert meronym(*shlex.split(command)[1:])[0] == 0
    assert {key: called[key] for key in record} == record and called["run"] == Path("run 1")
    again = commands._method(called["method"], called["backbone"], called["settings"]).resolved(4)
    assert again == method.resolved(4)


def test_train_evaluate_results(meronym, capsys):
    assert meronym("train", "toy:4", "--run", "run", *QUICK)[0] == 0
    code, lines = meronym("evaluate", "run", "toy:3", "--split", "train", "--results", "out")
    assert code == 0 and "meronym evaluate run toy:3 --split train --protocol box" in Path("out/toy.jsonl").read_text()
    assert Path("run/toy-train-box.svg").exists() and not Path("run/scores.json").exists()  # not of the run's own test
    for protocol in ("regression", "box", "whole"):
        code, lines = meronym("evaluate", "run", "--protocol", protocol, "--results", "out")
        assert code == 0, lines
    assert meronym("results", "out", "--out", "page.md")[0] == 0
    line = json.loads(Path("out/toy.jsonl").read_text().splitlines()[-1])
    again, scored = line["command"].split(" && ")
    code, lines = meronym(*shlex.split(again)[1:], "--no-report")
    assert (code, lines[-1]) == (0, "run is finished")  # the command that is noted is the one that made it
    assert scored == "meronym evaluate run --protocol whole"
    page = Path("page.md").read_text()
    assert "## toy, test split, protocol `box`" in page and "## toy, test split, protocol `whole`" in page
    assert json.loads(Path("run/scores.json").read_text())["kpr"] > 0 and "| KPR, all |" in page
    Path("run/report.html").touch()  # of the training, from before there were scores
    assert meronym("evaluate", "run", "--results", "out")[0] == 0
    report = Path("run/report.html").read_text()
    assert "FG-NMI" in report and "landing" in report
    assert meronym("info")[0] == 0


def test_a_run_without_masks_never_uses_any(meronym, monkeypatch):
    """But its scores in boxes are of the true boxes."""
    assert meronym("train", "toy:9", "--run", "run", *QUICK, "masks=none")[0] == 0
    seen = {}

    def see(name, model, *rest, **more):
        seen[name] = rest, more
        return {}

    for name in ("evaluate_pixels", "evaluate_keypoints", "evaluate_regression", "evaluate_boundaries"):
        monkeypatch.setattr(commands, name, partial(see, name))
    commands.evaluate("run", protocol="regression", results="out")
    (_, test), more = seen["evaluate_regression"]
    assert not test.unmarked and more == {"masks": False}
    commands.evaluate("run", protocol="boundaries", results="out")
    assert not seen["evaluate_boundaries"][0][0].unmarked
    for protocol, blind in (("box", False), ("whole", True)):
        with pytest.raises(ValueError, match="unpack"):  # of what is seen here nothing comes
            commands.evaluate("run", protocol=protocol, results="out")
        assert seen["evaluate_pixels"][0][0].unmarked == blind
    shown = []
    monkeypatch.setattr(Predictions, "label", lambda self, *_: shown.append(self.collection.unmarked))
    commands.predict("run", "toy:9", out="labels")
    assert shown == [True]


def test_each_demo_has_a_folder_of_its_own(monkeypatch):
    called = []
    monkeypatch.setattr(commands, "train", lambda photos, parts, run, **rest: called.append(str(run)))
    for photos, parts in (("my/birds", 8), ("my/birds/", 6)):
        commands.demo(photos, parts)
    assert called == ["demo-birds-8", "demo-birds-6"]


def test_baselines_write_a_line_each(meronym):
    code, lines = meronym("baselines", "toy:3", "--keypoint", "head", "--published", "--results", "out")
    assert code == 0, lines
    written = [json.loads(line) for line in Path("out/toy.jsonl").read_text().splitlines()]
    names = ["midpoint+published", "mean_keypoint+published", "single_keypoint+head+published"]
    assert [line["method"] for line in written] == names and all(line["kpr"] > 0 for line in written)
    assert written[0]["command"] == "meronym baselines toy:3 --published --keypoint head"
    assert meronym("results", "out", "--out", "page.md")[0] == 0
