"""The student: it learns on the teacher's labels, wherever these come from, and is a run like any other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from meronym.backbones import load_stages
from meronym.collections import open_collection
from meronym.commands import load
from meronym.edits import Edits
from meronym.edits import load as load_edits
from meronym.methods import KMeans
from meronym.methods.distill import Distill, _labels_one_by_one, imitation, jittered, relocated, soft_labels
from meronym.model import PartModel
from meronym.segmenters import Student, build
from meronym.training.run import Run
from meronym.training.sampling import generator

TOY = open_collection("toy:12", seed=0).split("train")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory) -> Path:
    run = Run(tmp_path_factory.mktemp("teacher"), {"photos": "toy:12", "kind": None})
    KMeans(backbone="efficientnet_lite0", size=128).fit(TOY, 3, run).save(run.model)
    return run.folder


def test_labels_from_the_cache_are_what_the_teacher_says(teacher):
    model = PartModel.load(teacher)
    cached, asked = soft_labels(model, TOY), _labels_one_by_one(model, TOY)
    assert cached.rows == asked.rows and asked.boxes == [None] * len(TOY)
    for a, b in zip(cached.maps, asked.maps, strict=True):
        assert a.shape == (4, 8, 8) and float((a.float() - b.float()).abs().max()) < 0.01


def test_without_boxes_it_looks_where_the_teacher_finds_the_object(teacher):
    model = PartModel.load(teacher)
    labels = soft_labels(model, TOY.without_masks())
    assert len(labels.maps) == len(TOY) and all(box is not None for box in labels.boxes)
    held = []
    for sample, box in zip(TOY, labels.boxes, strict=True):
        x0, y0, x1, y1 = map(round, box)
        held.append(sample.mask[y0:y1, x0:x1].sum() / sample.mask.sum())
    assert np.mean(held) > 0.8 and len(set(labels.boxes)) == len(TOY)


def test_labels_move_with_the_window():
    maps = torch.arange(64.0).view(1, 8, 8)
    base = (10.0, 20.0, 90.0, 100.0)
    assert torch.allclose(relocated(maps, base, base, 8), maps, atol=1e-4)
    quarter = relocated(maps, base, (50.0, 20.0, 90.0, 60.0), 4)
    assert torch.allclose(quarter, maps[:, :4, 4:], atol=1e-4)
    beside = relocated(maps, base, (90.0, 20.0, 170.0, 100.0), 8)
    assert not beside[:, :, 1:].any()


def test_windows_stay_near_the_object_or_lead_to_the_whole_photo():
    base, photo = (100.0, 100.0, 200.0, 200.0), (0.0, 0.0, 640.0, 480.0)
    for zoom, widest in ((True, 500.0), (False, 130.0)):
        found = [jittered(base, photo, generator(i), zoom) for i in range(200)]
        assert all(x1 - x0 > 70 and y1 - y0 > 70 for x0, y0, x1, y1 in found)
        assert (max(x1 - x0 for x0, _, x1, _ in found) > widest) == zoom


def test_imitation_is_zero_for_the_same_shares_only():
    logits, objects = torch.randn(2, 3, 4, 4, generator=generator("logits")), torch.ones(2, 4, 4)
    shares = logits.softmax(1)
    assert float(imitation(logits, shares, objects)) == pytest.approx(0, abs=1e-6)
    assert float(imitation(-logits, shares, objects)) > 0.1


def test_it_refuses_what_cannot_be_learned(teacher, tmp_path):
    with pytest.raises(ValueError, match="which run to learn from"):
        Distill().fit(TOY, 3, Run(tmp_path / "a", {}))
    with pytest.raises(ValueError, match="has 3 parts, and so has its student"):
        Distill(teacher=str(teacher)).fit(TOY, 4, Run(tmp_path / "b", {}))
    with pytest.raises(ValueError, match="vgg16: no EfficientNet or MobileNet"):
        Distill(teacher=str(teacher), backbone="vgg16").fit(TOY, 3, Run(tmp_path / "c", {}))


def test_the_command_makes_a_run_like_any_other(teacher, meronym):
    Edits(names={1: "head"}, groups=((2, 3),), wrong=frozenset({TOY.ids[0]})).save(teacher)
    how = ["--set", "size=64", "steps=40", "batch=4", "workers=0", "learning_rate=0.01"]
    code, said = meronym("distill", teacher, "--run", "student", "--no-report", *how)
    assert code == 0, said
    assert load_edits("student") == Edits(names={1: "head"}, groups=((2, 3),))
    small, large = load("student"), load(teacher)
    found = [(small.predict(s.image, mask=s.mask), large.predict(s.image, mask=s.mask)) for s in list(TOY)[:4]]
    assert all(a.names == b.names == ("head", "part 2") for a, b in found)
    same = np.mean([(a.labels == b.labels)[b.labels > 0].mean() for a, b in found])
    assert same > 0.6, f"the same part as the teacher on {100 * same:.0f} % of the object"
    code, said = meronym("evaluate", "student")
    assert code == 0, said
    line = json.loads(Path("results/toy.jsonl").read_text())
    assert (line["method"].split("+")[0], line["backbone"]) == ("distill", "efficientnet_lite0")
    assert f"--set teacher={teacher}" in line["command"] and "teacher" not in line["method"]


def test_a_student_of_an_earlier_version_says_so():
    stages = load_stages("efficientnet_lite0", pretrained=False)
    student = Student("efficientnet_lite0", stages, 3, size=64)
    state = {name: values for name, values in student.own_state().items() if ".top." not in name}
    with pytest.raises(ValueError, match="earlier version"):
        build(student.config(), state)
    assert build(student.config(), student.own_state()).parts == 3
