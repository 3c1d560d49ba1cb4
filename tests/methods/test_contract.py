"""What every method owes: it learns, it can be saved, interrupted and given any photo. A new one needs a line here."""

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from meronym.collections import Sample, open_collection
from meronym.methods import METHODS
from meronym.methods.base import checked
from meronym.model import PartModel
from meronym.training.loop import Interrupted, Training
from meronym.training.run import Run
from pictures import disc, picture

LITE = {"backbone": "efficientnet_lite0", "size": 128}
SMALL = {
    "consensus": {**LITE, "individual": 0.0},
    "contrastive": {**LITE, "steps": 9, "batch": 4},
    "contrastive_deeplab": {"size": 64, "steps": 3, "batch": 2, "learning_rate": 1e-4, "workers": 0},
    "distill": {"size": 64, "steps": 9, "batch": 4, "workers": 0},
    "landmarks": {**LITE, "steps": 9, "batch": 4},
    "region_grouping": {**LITE, "steps": 9, "batch": 4},
    "scops": {**LITE, "steps": 9, "batch": 4},
}
PARTS = 3
FEW = {"contrastive, merged": 2, "contrastive, agreed": 5}
"""Of a transformer's features six parts are trained: three are merged from these, or agree with these."""


@pytest.fixture(scope="module", params=[*METHODS, *FEW])
def case(request, tmp_path_factory):
    """A small method, six creatures, and the model that it makes of them."""
    name = request.param.partition(",")[0]
    with pytest.MonkeyPatch.context() as patch:
        if request.param in FEW:
            for constant, value in {
                "FEW": FEW[request.param],
                "FINEST": 6,
                "COARSE": 2,
                "is_transformer": bool,
            }.items():
                patch.setattr(f"meronym.methods.contrastive.{constant}", value)
        if request.param == "contrastive_deeplab":
            patch.setenv("MERONYM_WEIGHTS", str(request.getfixturevalue("weights")))
        patch.setattr(Training, "log_every", 1)
        patch.setattr(Training, "save_every", 2)
        method = METHODS[name](**SMALL.get(name, LITE))
        run = Run(tmp_path_factory.mktemp("whole"), {})
        toy = open_collection("toy:6", seed=0).split("train")
        if request.param == "distill":
            teacher = tmp_path_factory.mktemp("teacher")
            METHODS["kmeans"](**LITE).fit(toy, PARTS, Run(teacher, {})).save(teacher / "model")
            method = replace(method, teacher=str(teacher))
        yield SimpleNamespace(method=method, toy=toy, run=run, model=method.fit(toy, PARTS, run))


def state(model: PartModel) -> dict[str, torch.Tensor]:
    return model.segmenter.own_state()


def rows(run: Run) -> list[dict[str, str]]:
    """metrics.csv but for the seconds; nothing for a closed form."""
    path = run.folder / "metrics.csv"
    lines = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def stop_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """SIGTERM arrives while a step is being logged."""
    log = Run.log

    def log_and_stop(self, at, values):
        log(self, at, values)
        if at == step:
            os.kill(os.getpid(), signal.SIGTERM)

    patch.setattr(Run, "log", log_and_stop)


def check(parts, size: tuple[int, int], mask: np.ndarray | None = None) -> None:
    assert parts.labels.shape == size[::-1] and parts.labels.dtype == np.uint8
    assert parts.labels.max() <= PARTS and parts.confidence.shape == size[::-1]
    assert parts.confidence.min() >= 0 and parts.confidence.max() <= 1 + 1e-6
    assert mask is None or not parts.labels[~mask].any()


def test_it_goes_on_bit_equal(case, tmp_path):
    run = Run(tmp_path / "run", {})
    for step in range(getattr(case.method, "steps", 0) // 2):  # stopped again and again; a closed form never is
        with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match="the same command goes on"):
            stop_at(step, patch)
            case.method.fit(case.toy, PARTS, run)
    again = case.method.fit(case.toy, PARTS, run)
    assert state(again).keys() == state(case.model).keys()
    assert all(torch.equal(value, state(case.model)[key]) for key, value in state(again).items())
    assert rows(run) == rows(case.run) and len(rows(run)) == getattr(case.method, "steps", 0)
    timing = {"train_seconds": 0, "peak_mb": 0}
    assert again.about | timing == case.model.about | timing


def test_a_run_that_lacks_only_its_model_is_not_trained_again(case):
    before = rows(case.run)
    again = case.method.fit(case.toy, PARTS, case.run)
    assert again.about["total"] == case.model.about["total"] and rows(case.run) == before
    assert all(torch.equal(value, state(case.model)[key]) for key, value in state(again).items())


def short(method):
    """Where it matters only that it ends."""
    return replace(method, steps=1) if hasattr(method, "steps") else method


def test_it_overfits(case, tmp_path, monkeypatch):
    if not rows(case.run):
        pytest.skip("closed form")
    for kind in Training.__subclasses__():
        if kind.__module__ == type(case.method).__module__:
            monkeypatch.setattr(kind, "batch", lambda self, _, *place, batch=kind.batch: batch(self, 0, *place))
    run = Run(tmp_path / "run", {})
    case.method.fit(case.toy, PARTS, run)
    losses = [float(row["total"]) for row in rows(run)]
    assert losses[-1] < losses[0] and np.isfinite(losses).all()


def test_save_and_load_bit_equal(case, tmp_path):
    loaded = PartModel.load(case.model.save(tmp_path / "model"))
    assert loaded.names == case.model.names and loaded.about["method"] == case.method.name
    for sample in (case.toy[0], Sample("blind", case.toy[1].image)):
        ((a, x),), ((b, y),) = (m.segment([m.view(sample)]) for m in (case.model, loaded))
        assert torch.equal(a, b) and ((x is None and y is None) or torch.equal(x, y))


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (97, 61), (400, 9), (5, 300)])
def test_any_size(case, size):
    check(case.model.predict(picture(*size)), size)
    mask = disc(*size, radius=min(size) / 3)
    check(case.model.predict(picture(*size), mask=mask), size, mask)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "I;16", "F"])
def test_any_mode(case, mode, tmp_path):
    image = picture(40, 30).convert("L" if mode in ("I;16", "F") else mode)
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    parts = case.model.predict(image)
    check(parts, image.size)
    image.save(tmp_path / "photo.tif")
    np.testing.assert_array_equal(case.model.predict(tmp_path / "photo.tif").labels, parts.labels)


def test_any_mask(case):
    image = picture(60, 40)
    for mask in (np.zeros((40, 60), bool), np.ones((40, 60), bool), disc(60, 40, 0.5)):
        parts = case.model.predict(image, mask=mask)
        check(parts, image.size, mask)
        assert parts.labels[mask].all()
    with pytest.raises(ValueError, match="its mask is 50x40, the photo 60x40"):
        case.model.predict(image, mask=np.ones((40, 50), bool))


def test_many_photos_come_in_order(case):
    sizes = [(40 + i, 30 + 2 * (i % 3)) for i in range(11)]
    samples = [Sample(str(i), picture(*size), disc(*size) if i % 2 else None) for i, size in enumerate(sizes)]
    found = list(case.model.stream(samples))
    assert [parts.id for parts in found] == [str(i) for i in range(11)]
    for parts, size in zip(found, sizes, strict=True):
        check(parts, size)
    alone = case.model.predict(samples[5].image, mask=samples[5].mask)
    assert (alone.labels == found[5].labels).mean() > 0.99  # batches may differ in the last bit


def folder_of(root: Path, toy, masks: bool = True) -> Path:
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i, sample in enumerate(toy):
        sample.image.save(root / "images" / f"{i}.png")
        if masks:
            Image.fromarray(sample.mask).save(root / "masks" / f"{i}.png")
    return root


def test_bad_photos_and_masks_do_not_end_it(case, tmp_path, capsys):
    root = folder_of(tmp_path / "birds", case.toy)
    spot = np.zeros((256, 256), bool)
    Image.fromarray(spot).save(root / "masks/1.png")
    spot[9, 9] = True
    Image.fromarray(spot).save(root / "masks/2.png")
    Image.fromarray(np.ones((9, 9), bool)).save(root / "masks/3.png")
    (root / "images/4.png").write_bytes((root / "images/4.png").read_bytes()[:-999])
    model = case.method.fit(open_collection(root), PARTS, Run(tmp_path / "run", {}))
    skipped = dict(model.about["skipped"])
    assert "truncated" in skipped["4.png"] and "skipped 3" in capsys.readouterr().err
    assert "marks nothing" in skipped["1.png"] and "9x9 pixels, its photo 256x256" in skipped["3.png"]
    assert all(value.isfinite().all() for value in state(model).values())


def test_photos_without_masks(case, tmp_path):
    root = folder_of(tmp_path / "birds", case.toy, masks=False)
    model = short(case.method).fit(open_collection(root), PARTS, Run(tmp_path / "run", {}))
    check(model.predict(case.toy[0].image), (256, 256))
    if hasattr(case.method, "masks"):  # as if there were none: the same model
        assert checked("masks", "none", get_type_hints(type(case.method))["masks"]) == "none"
        hidden = replace(short(case.method), masks="none").fit(
            open_collection(folder_of(tmp_path / "more", case.toy)), PARTS, Run(tmp_path / "other", {})
        )
        assert all(torch.equal(value, state(model)[key]) for key, value in state(hidden).items())


@pytest.mark.parametrize("parts", [-1, 1, 65])
def test_parts_that_make_no_sense(case, tmp_path, parts):
    with pytest.raises(ValueError, match=f"^--parts {parts}: between 2 and 64 parts") as caught:
        case.method.fit(case.toy, parts, Run(tmp_path / "run", {}))
    assert "\n" not in str(caught.value)


def test_one_photo_is_not_enough(case, tmp_path):
    with pytest.raises(ValueError, match="at least 2 are needed, got 1"):
        case.method.fit(case.toy[:1], PARTS, Run(tmp_path / "run", {}))
