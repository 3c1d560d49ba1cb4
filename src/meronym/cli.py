"""The command line: one function a command. What a command needs is imported inside it, so that --help is instant."""

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

app = App(
    name="meronym",
    help="Cut every photo of one kind of thing into the same meaningful parts, without part labels.",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
)

Several = Parameter(negative="", consume_multiple=True)
Settings = Annotated[tuple[str, ...], Parameter(name="--set", negative="", consume_multiple=True)]


@app.command
def train(
    photos: str,
    /,
    *,
    parts: int | Literal["tree"] | None = None,
    method: str = "consensus",
    backbone: str | None = None,
    run: Path | None = None,
    seed: int = 0,
    starts: int = 1,
    kind: str | None = None,
    set: Settings = (),
    report: bool = True,
) -> None:
    """Find the parts of a category in its photos.

    The same command goes on where it stopped.

    Args:
        photos: A folder of photos, a data set in its official layout, or "toy" for drawn creatures.
        parts: How many parts to find; by default the number on which two halves of the photos agree best. tree: 16, 8,
            4 and 2 at once, each part one or more of the finer ones.
        method: How: consensus, contrastive, contrastive_deeplab (the paper's own configuration), dff, kmeans,
            landmarks, region_grouping or scops.
        backbone: The pretrained network; DINOv2 ViT-S/14 where its weights can be had.
        run: The run folder; by default below runs/, named after the other choices.
        seed: Of all random choices.
        starts: Train with so many different seeds, and keep the one with the lowest loss.
        kind: Of collection, where it cannot be told from its files.
        set: Other settings of the method: --set steps=200 lambda_c=0.3
        report: Draw report.html when done.
    """
    from meronym import commands

    commands.train(
        photos,
        parts,
        method=method,
        backbone=backbone,
        run=run,
        seed=seed,
        starts=starts,
        kind=kind,
        settings=_settings(set),
        report=report,
    )


@app.command
def evaluate(
    run: Path,
    photos: str | None = None,
    /,
    *,
    split: str = "test",
    protocol: str = "box",
    kind: str | None = None,
    results: Path = Path("results"),
) -> None:
    """Score a run on photos with annotations, and add a line to results/.

    Args:
        run: The run folder.
        photos: The collection; by default the one it was trained on.
        split: Which photos of it.
        protocol: box: the paper's scores inside ground-truth boxes. whole: whole photos, the background counted.
            regression: the error of keypoints regressed on the parts' centres. boundaries: borders within 2 pixels of
            those of part labels.
        kind: Of collection, where it cannot be told from its files.
        results: Where the line is written.
    """
    from meronym import commands

    _show(commands.evaluate(run, photos, split=split, protocol=protocol, kind=kind, results=results))


@app.command
def baselines(
    photos: str,
    /,
    *,
    published: bool = False,
    keypoint: str = "throat",
    kind: str | None = None,
    results: Path = Path("results"),
) -> None:
    """Regress keypoints on one landmark that needs no model: midpoint, mean keypoint, one keypoint.

    Args:
        photos: A collection with keypoints and a training and a test split.
        published: The readings that give the paper's figures, and not the plain ones.
        keypoint: The one keypoint.
        kind: Of collection, where it cannot be told from its files.
        results: Where the lines are written.
    """
    from meronym import commands

    found = commands.baselines(photos, published=published, keypoint=keypoint, kind=kind, results=results)
    for name, scores in found.items():
        print(name)
        _show(scores)


@app.command
def predict(
    run: Path,
    photos: str,
    /,
    *,
    out: Path,
    format: str = "png",
    kind: str | None = None,
    batch: int = 8,
    ray: str | None = None,
) -> None:
    """Find the parts of all photos of a folder, and write them as annotations.

    The same command goes on where it stopped; the same with another format makes that one too.

    Args:
        run: The run folder, whose names, colours and merged parts are used; or hf:user/name for a model on the hub.
        photos: A folder of photos, or a data set in its official layout.
        out: The folder to write to.
        format: png, colour, overlay, coco, coco_polygons, yolo, cvat, label_studio, parquet; several as coco,yolo.
        kind: Of collection, where it cannot be told from its files.
        batch: How many photos the network sees at a time.
        ray: The address of a Ray cluster that does it, or "local" for one on this machine.
    """
    from meronym import commands

    commands.predict(run, photos, out=out, format=format, kind=kind, batch=batch, ray=ray)


@app.command
def masks(
    photos: str,
    /,
    *,
    out: Path,
    method: str = "features",
    backbone: str | None = None,
    split: str | None = None,
    kind: str | None = None,
    results: Path = Path("results"),
) -> None:
    """Find the object in all photos of a folder, and write a mask of each.

    The same command goes on where it stopped. Masks that the photos come with are not used but compared with.

    Args:
        photos: A folder of photos, or a data set in its official layout.
        out: The folder to write to; photos/masks is where train looks for them.
        method: features (learned from these photos), tokencut (each photo for itself) or u2net (a trained network).
        backbone: The pretrained network whose features are used; DINOv2 ViT-S/14 where its weights can be had.
        split: Which photos of a data set, train or test; by default all.
        kind: Of collection, where it cannot be told from its files.
        results: Where the line of scores is written.
    """
    from meronym.masking import find_masks

    find_masks(photos, out=out, method=method, backbone=backbone, split=split, kind=kind, results=results)


@app.command
def export(
    run: Path,
    /,
    *,
    onnx: Path | None = None,
    folder: Path | None = None,
    hub: str | None = None,
    private: bool = False,
) -> None:
    """Take a model elsewhere: as an ONNX file that is checked against it, as a folder, or to the model hub.

    Args:
        run: The run folder, whose names, colours and merged parts go with the model; or hf:user/name.
        onnx: The file to write, model.onnx.
        folder: A new folder to write the model and its card to, as they go on the hub.
        hub: Where on the hub, user/name.
        private: On the hub, open to nobody else.
    """
    from meronym.export import command

    command.export(run, onnx=onnx, folder=folder, hub=hub, private=private)


@app.command
def distill(
    teacher: Path,
    photos: str | None = None,
    /,
    *,
    network: str = "efficientnet_lite0",
    run: Path | None = None,
    seed: int = 0,
    kind: str | None = None,
    set: Settings = (),
    report: bool = True,
) -> None:
    """Train a small network, fast on any machine, to find the parts that a run's model finds.

    The same command goes on where it stopped.

    Args:
        teacher: The run to learn from; or hf:user/name.
        photos: To learn on; by default those that the run was trained on.
        network: efficientnet_lite0, or timm:<name> for another EfficientNet or MobileNet.
        run: The new run folder; by default the first one's name with "-student", below runs/.
        seed: Of all random choices.
        kind: Of collection, where it cannot be told from its files.
        set: Other settings, as name=value: size, steps, batch, learning_rate, workers.
        report: Draw report.html when done.
    """
    from meronym import student

    given = _settings(set)
    student.distill(teacher, photos, network=network, run=run, seed=seed, kind=kind, settings=given, report=report)


@app.command
def demo(photos: str = "toy", /, *, parts: int = 6, run: Path | None = None) -> None:
    """Find parts from start to report in minutes, with nothing to download.

    Args:
        photos: "toy" for drawn creatures, or a folder of your own photos.
        parts: How many parts to find.
        run: The folder of the run; by default demo, and of other photos demo-<name>-<parts>.
    """
    from meronym import commands

    _show(commands.demo(photos, parts, run))


@app.command
def explore(
    run: Path,
    photos: str | None = None,
    /,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    open_browser: bool = True,
    kind: str | None = None,
) -> None:
    """Open a page that shows what a run found: look, name, merge, correct, download.

    Args:
        run: The run folder.
        photos: A collection to look at; by default the one it was trained on.
        port: To listen on; any free one by default.
        host: The address to listen on; by default this machine only.
        open_browser: Show the page.
        kind: Of collection, where it cannot be told from its files.
    """
    from meronym import explorer

    explorer.explore(run, photos, port=port, host=host, open_browser=open_browser, kind=kind)


@app.command
def reproduce(
    table: str | None = None,
    /,
    *,
    root: Path | None = None,
    row: Annotated[tuple[str, ...], Several] = (),
    seeds: Annotated[tuple[int, ...], Several] = (),
    runs: Path = Path("runs"),
    results: Path = Path("results"),
    out: Path = Path("figures"),
) -> None:
    """Measure a table of the paper, row by row, or draw a figure; without a name, list what there is.

    The same command goes on where it stopped, and what stands in results/ is not computed again.

    Args:
        table: table1 to table5, best (the default method), or a figure.
        root: The folder that holds the data sets (CUB_200_2011/, DeepFashion/, PASCAL-Part/, CCP/, CarParts/), or one
            of them; without it, the rows and what stands of them are listed.
        row: These rows only; one that needs a GPU is run without one only when it is named here.
        seeds: These and not each row's own.
        runs: Where the runs are kept.
        results: Where the lines are.
        out: Where a figure is drawn.
    """
    from meronym.reproduction import reproduce as measure

    outcomes = measure(table, root=root, row=row, seeds=seeds, runs=runs, results=results, out=out)
    if any(outcome.startswith("failed") for outcome in outcomes.values()):
        sys.exit(1)


@app.command
def results(folder: Path = Path("results"), /, *, out: Path = Path("docs/results.md")) -> None:
    """Write docs/results.md from results/*.jsonl.

    Args:
        folder: Where the lines are.
        out: The page to write.
    """
    from meronym.evaluation.results import write_page

    print(write_page(folder, out))


@app.command
def info() -> None:
    """Say what hardware, weights and methods are there."""
    from meronym import commands

    print(commands.info())


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    import yaml

    settings = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ValueError(f"--set {pair}: write name=value")
        try:
            settings[key.replace("-", "_")] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise ValueError(f"--set {pair}: write the value as in YAML, such as 3, word or [a, b]") from None
    return settings


def _show(scores: dict[str, float]) -> None:
    for name, value in scores.items():
        print(f"{name.upper().replace('_', '-', 1).replace('_', ' ')}: {value:.1f}")


def main() -> None:
    """Run a command; what the user can mend is one line, not a traceback."""
    try:
        app(sys.argv[1:])
    except KeyboardInterrupt:
        print("meronym: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        print(f"meronym: {error}", file=sys.stderr)
        sys.exit(2)
    except Exception as error:
        code = {"Interrupted": 130, "MissingExtra": 2}.get(type(error).__name__)
        if code is None:
            raise
        print(f"meronym: {error}", file=sys.stderr)
        sys.exit(code)
