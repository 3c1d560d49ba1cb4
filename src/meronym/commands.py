"""What a user does: train, evaluate, predict. The command line and the Python package offer the same functions."""

import json
import shlex
import sys
import warnings
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_type_hints

from lightning.fabric.utilities.rank_zero import rank_zero_only

from meronym.backbones import FeatureCache, default_backbone
from meronym.collections import Collection, open_again, spelled
from meronym.evaluation.boundaries import evaluate_boundaries
from meronym.evaluation.how_many import how_many
from meronym.evaluation.keypoints import PROTOCOLS, evaluate_keypoints
from meronym.evaluation.lines import plain, result_line, train_command
from meronym.evaluation.pixels import evaluate_pixels
from meronym.evaluation.regression import BASELINES, evaluate_baseline, evaluate_regression
from meronym.evaluation.results import append
from meronym.evaluation.steadiness import shaky, steadiness
from meronym.files import nearest, write_atomically
from meronym.methods import METHODS, Method
from meronym.methods.base import checked
from meronym.methods.frozen import FrozenMethod
from meronym.model import PartModel, run_folder
from meronym.progress import say
from meronym.report import landing_svg, save_levels, write_report
from meronym.training.run import Run, as_trained, open_photos, trained_on

STABILITY = "stability.json"


def train(
    photos: str | Path,
    parts: int | Literal["tree"] | None = None,
    *,
    method: str = "consensus",
    backbone: str | None = None,
    run: str | Path | None = None,
    seed: int = 0,
    starts: int = 1,
    kind: str | None = None,
    settings: Mapping[str, Any] | None = None,
    report: bool = True,
) -> PartModel:
    """Find the parts of a category in its photos; no part labels are needed.

    The run folder holds all of it, and the same command on the same folder goes on where it stopped.

    Args:
        photos: a folder of photos, a data set in its official layout, or "toy" for drawn creatures.
        parts: how many; by default as many as two halves of the photos agree best on. "tree": 16, 8, 4 and 2 at once.
        method: how; see `meronym info`.
        backbone: the pretrained network whose features are used; DINOv2 ViT-S/14 where its weights can be had.
        run: the run folder; by default below runs/, named after the other choices.
        seed: of all random choices.
        starts: train with so many different seeds, and keep the one with the lowest loss.
        kind: of collection, where it cannot be told from its files.
        settings: other settings of the method, by name.
        report: draw report.html when done.
    """
    everything = _collection(photos, kind)
    if parts == "tree":
        parts, settings = 16, {**(settings or {}), "tree": True}
    way = _method(method, backbone, settings)
    collection, stable = way.seen(everything), dict[int, float]()
    before = Run.read(run) if parts is None and run and (Path(run) / "settings.yaml").exists() else {}
    if "parts" in before:
        parts, stable = int(before["parts"]), _stability(Path(str(run)))
    elif parts is None:
        parts, stable = _how_many(way, collection, seed)
    chosen = way.resolved(parts)
    name = run or Path("runs") / f"{collection.name}-{method}-{getattr(chosen, 'backbone', 'deeplab')}-k{parts}-s{seed}"
    record = {"photos": spelled(photos), "kind": kind, "parts": parts, "seed": seed, "starts": starts}
    folder = Run(name, record | plain(chosen.settings()) | {"at": str(Path.cwd())})
    page = folder.folder / "report.html"
    if stable:
        write_atomically(folder.folder / STABILITY, json.dumps(stable))
    if folder.finished:
        model = PartModel.load(folder.folder)
        say(f"{folder.folder} is finished" + (f": {page}" if page.exists() else ""))
    else:
        model = _best_of(chosen, collection, parts, folder, seed, starts)
        if stable and isinstance(chosen, FrozenMethod):
            steady = [round(value, 4) for value in steadiness(model, chosen, collection, folder, seed)]
            say(shaky(model.names, steady))
            model.about |= {"stability": stable, "steadiness": steady}
        save_levels(model, folder, collection)
        say(f"the model is in {model.save(folder.model)}")
    if report and not page.exists() and not rank_zero_only.rank:
        say(f"look at what was found: {write_report(folder.folder, model, collection, skipped=model.about['skipped'])}")
    return model


def load(run: str | Path) -> PartModel:
    """The model of a run, or of the hub ("hf:user/name"); it predicts with the names and merged parts given there.

    `PartModel.load` is the same with the parts as they were found.
    """
    from meronym import edits

    home = run_folder(run)
    model = PartModel.load(home)
    model.edit = edits.load(home).apply
    return model


def evaluate(
    run: str | Path,
    photos: str | Path | None = None,
    *,
    split: str = "test",
    protocol: str = "box",
    kind: str | None = None,
    results: str | Path = "results",
) -> dict[str, float]:
    """Score a run on a collection with annotations; scores ×100, and one line more in results/<collection>.jsonl.

    Args:
        run: the run folder.
        photos: the collection; by default the one it was trained on.
        split: which photos of it.
        protocol: "box" for the paper's scores inside ground-truth boxes (FG-NMI, FG-ARI), "whole" for whole photos with
            the background counted (NMI, ARI), "regression" for the error of keypoints regressed on the parts' centres,
            fitted on the training split, "boundaries" for how well borders lie on those of part labels (F, 2 pixels).
        kind: of collection, where it cannot be told from its files.
        results: where the line is written.
    """
    if protocol not in (*PROTOCOLS, "regression", "boundaries"):
        raise ValueError(f"--protocol {protocol}: one of {', '.join(PROTOCOLS)}, regression, boundaries")
    model = PartModel.load(run)
    before = Run.read(run)
    everything = open_photos(before, photos, kind)
    seen = as_trained(before, everything)
    collection = (seen if protocol == "whole" else everything).split(split)  # the others are told no mask, but the box
    own = split == "test" and (photos is None or _trained_on(run, photos))  # what the run's report shows
    say(collection.summary())
    if protocol == "regression":
        found = evaluate_regression(model, everything.split("train"), collection, masks=seen is everything)
    elif protocol == "boundaries":
        found = evaluate_boundaries(model, collection)
    else:
        score = evaluate_pixels if collection.part_names else evaluate_keypoints
        found, counts, kinds = score(model, collection, protocol)
        picture = Path(run) / (f"landing-{protocol}.svg" if own else f"{collection.name}-{split}-{protocol}.svg")
        names = ["no part"] * (len(counts) - model.parts) + list(model.names)
        write_atomically(picture, landing_svg(counts, names, kinds))
        say(f"which part is where: {picture}")
    scores = {name: round(value, 3) for name, value in found.items()}
    line = result_line(model, before, seen.split(split), split, protocol) | scores
    words = ["meronym", "evaluate", run, *([photos] if photos else []), *(["--kind", kind] if kind else [])]
    words += [*(["--split", split] if split != "test" else []), "--protocol", protocol]
    append(results, line | {"command": f"{train_command(run, before)} && {shlex.join(map(str, words))}"})
    if own:
        path = Path(run) / "scores.json"
        merged = (json.loads(path.read_text()) if path.exists() else {}) | scores
        write_atomically(path, json.dumps(merged, indent=2) + "\n")
        if (Path(run) / "report.html").exists():
            write_report(run, model, seen.split("train"), skipped=model.about.get("skipped", ()))
    return scores


def baselines(
    photos: str | Path,
    *,
    published: bool = False,
    keypoint: str = "throat",
    kind: str | None = None,
    results: str | Path = "results",
) -> dict[str, dict[str, float]]:
    """Keypoint regression from one landmark that needs no model: three lines more in results/<collection>.jsonl.

    The landmarks are the photo's midpoint, the mean of its annotated keypoints, and one of them.

    Args:
        photos: a collection with keypoints; fitted on its training split, scored on its test split.
        published: the readings that give the paper's figures: width and height of the midpoint swapped, an invisible
            keypoint counted as one at pixel (0, 0).
        keypoint: the single one.
        kind: of collection, where it cannot be told from its files.
        results: where the lines are written.
    """
    everything = open_again(photos, kind)
    say(everything.summary())
    fit, test = everything.split("train"), everything.split("test")
    words = ["meronym", "baselines", photos, *(["--published"] if published else []), "--keypoint", keypoint]
    line = {"collection": test.name, "split": "test", "protocol": "regression", "backbone": "none", "parts": 1}
    line |= {"seed": 0, "masks": "none", "train_seconds": 0, "peak_mb": 0}
    line |= {"command": shlex.join(map(str, words + (["--kind", kind] if kind else [])))}
    found = {}
    for name in BASELINES:
        scores = evaluate_baseline(name, fit, test, published=published, keypoint=keypoint)
        found[name] = {key: round(value, 3) for key, value in scores.items()}
        method = name + f"+{keypoint}" * (name == "single_keypoint") + "+published" * published
        append(results, line | {"method": method} | found[name])
    return found


def predict(
    run: str | Path,
    photos: str | Path,
    *,
    out: str | Path,
    format: str = "png",
    kind: str | None = None,
    batch: int = 8,
    ray: str | None = None,
) -> dict[str, Path]:
    """Find the parts of all photos, with the run's names, colours and merged parts; any number of photos.

    Each photo's index PNG is kept in <out>/labels once found; the formats are made from these at the end. The same
    command goes on where it stopped. Unusable photos are listed in <out>/skipped.txt. Returns what each format made.

    Args:
        run: the run folder, or "hf:user/name" for a model on the hub.
        photos: a folder of photos, or a data set in its official layout.
        out: the folder to write to: a new one, or one that the same command has begun.
        format: png, colour, overlay, coco, coco_polygons, yolo, cvat, label_studio, parquet; several as "coco,yolo".
        kind: of collection, where it cannot be told from its files.
        batch: how many photos the network sees at a time.
        ray: the address of a Ray cluster that does it, or "local" for one on this machine.
    """
    from meronym import cluster
    from meronym.edits import load
    from meronym.prediction import Predictions, checked_formats

    if batch < 1:
        raise ValueError(f"--batch {batch}: at least 1")
    by, home = cluster.at(ray, run) if ray else None, run_folder(run)
    model, edits = PartModel.load(home), load(home)
    formats = checked_formats(format, edits, model.names)
    collection = as_trained(model.about, _opened(photos, kind))
    source = str(Path(photos).resolve()) if Path(photos).exists() else str(photos)
    left_out = edits.wrong & set(collection.ids) if _trained_on(home, photos) else frozenset()
    if left_out:
        say(f"left out {len(left_out)} photos that are marked as wrong")
    folder = Predictions(Path(out), model, collection, edits, source, left_out)
    folder.label(batch, by)
    made = {name: folder.write(name) for name in formats}
    if folder.skipped:
        say(f"skipped {len(folder.skipped)} photos, listed in {folder.folder / 'skipped.txt'}")
    for path in made.values():
        say(f"the parts are in {path}")
    return made


def demo(photos: str = "toy", parts: int = 6, run: str | Path | None = None) -> dict[str, float]:
    """Find parts from start to report in minutes, with nothing to download: drawn creatures, or your own photos.

    Args:
        photos: "toy", or a folder of photos.
        parts: how many parts to find.
        run: the folder of the run; by default demo, and of other photos demo-<name>-<parts>.
    """
    run = run or ("demo" if (photos, parts) == ("toy", 6) else f"demo-{Path(photos).name.replace(':', '-')}-{parts}")
    drawn = photos.split(":")[0] == "toy"
    backbone = "efficientnet_lite0" if drawn else None
    model = train(photos, parts, backbone=backbone, run=run, report=not drawn)
    if not drawn:
        return {}
    scores = evaluate(run, results=Path(run) / "results")
    collection = open_again(photos)
    page = write_report(Path(run), model, collection.split("train"), skipped=model.about["skipped"])
    say(f"look at what was found: {page}")
    return scores


def info() -> str:
    """What is there: versions, hardware, backbones whose weights are at hand, methods."""
    import torch

    from meronym.backbones import BACKBONES

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    rows = [
        ("meronym", version("meronym")),
        ("python, torch", f"{sys.version.split()[0]}, {torch.__version__}"),
        ("hardware", ", ".join(gpus) or f"no GPU, {torch.get_num_threads()} CPU threads"),
        ("cache", f"{FeatureCache().folder}, {FeatureCache().size() / 1e9:.1f} GB"),
        ("methods", ", ".join(METHODS)),
        ("backbones", ", ".join(BACKBONES) + ", timm:<name>"),
        ("default backbone", _default_backbone()),
    ]
    return "\n".join(f"{name:<17} {value}" for name, value in rows)


def _collection(photos: str | Path, kind: str | None) -> Collection:
    return _opened(photos, kind).split("train")


def _opened(photos: str | Path, kind: str | None) -> Collection:
    collection = open_again(photos, kind)
    say(collection.summary())
    return collection


def _trained_on(run: str | Path, photos: str | Path) -> bool:
    """The same, of a run folder or a model that came without its run."""
    return (Path(run) / "settings.yaml").exists() and trained_on(Run.read(run), photos)


def _method(name: str, backbone: str | None, settings: Mapping[str, Any] | None) -> Method:
    """The method with its settings; unknown names are answered with the nearest valid one."""
    if name not in METHODS:
        raise ValueError(f"--method {name}: one of {', '.join(METHODS)}{nearest(name, METHODS)}")
    kind = METHODS[name]
    valid, hints = [field.name for field in fields(kind)], get_type_hints(kind)
    given = dict(settings or {})
    for key in given:
        if key not in valid:
            raise ValueError(f"setting {key}: {name} has {', '.join(valid)}{nearest(key, valid)}")
    if "backbone" in valid:
        given["backbone"] = backbone or given.get("backbone") or _default_backbone()
    elif backbone:
        raise ValueError(f"--backbone {backbone}: {name} brings its own networks ({', '.join(valid[:2])})")
    return kind(**{key: checked(key, value, hints[key]) for key, value in given.items()})


def _default_backbone() -> str:
    """The best that can be had, with one plain line where that is not the usual one."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        name = default_backbone()
    for warning in caught:
        say(str(warning.message))
    return name


def _stability(run: Path) -> dict[int, float]:
    """The stability of each number of parts, where it was looked at before a run began."""
    path = run / STABILITY
    return {int(k): v for k, v in json.loads(path.read_text()).items()} if path.exists() else {}


def _how_many(method: Method, collection: Collection, seed: int) -> tuple[int, dict[int, float]]:
    """A number of parts where the user gives none, said with its reasons."""
    if not isinstance(method, FrozenMethod):
        raise ValueError(f"--parts is missing: {method.name} cannot tell how many parts there are")
    parts, stable = how_many(method, collection, seed)
    for k, value in stable.items():
        say(f"{k:>3} parts {'#' * round(40 * max(value, 0))} {value:.2f}" + "  <- taken" * (k == parts))
    say(f"two halves of the photos agree best on {parts} parts; --parts N for another number")
    return parts, {k: round(value, 4) for k, value in stable.items()}


def _best_of(method: Method, collection: Collection, parts: int, run: Run, seed: int, starts: int) -> PartModel:
    """Train with several seeds, each in a folder of its own, and keep the one with the lowest total loss."""
    if starts < 1:
        raise ValueError(f"--starts {starts}: at least 1")
    if starts == 1:
        return method.fit(collection, parts, run, seed)
    models = []
    for start in range(starts):
        own = Run(run.folder / f"start-{start}", {**run.settings, "seed": seed + start, "starts": 1})
        model = PartModel.load(own.folder) if own.finished else method.fit(collection, parts, own, seed + start)
        model.save(own.model)
        say(
            f"start {start}: "
            + ", ".join(f"{k} {model.about[k]:.4g}" for k in ("total", "L_f", "L_c") if k in model.about)
        )
        models.append(model)
    best = min(range(starts), key=lambda i: models[i].about.get("total", 0.0))
    say(f"start {best} has the lowest loss and is kept")
    curve = run.folder / f"start-{best}" / "metrics.csv"
    if curve.exists():  # a closed-form method has none
        (run.folder / "metrics.csv").write_bytes(curve.read_bytes())
    return models[best]
