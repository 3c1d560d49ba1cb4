"""The ONNX file: any batch, the model's own answers, and what it says of itself."""

import json
import re
import sys

import numpy as np
import pytest
import torch

from meronym.backbones import load_backbone, load_stages
from meronym.edits import Edits
from meronym.export import CannotExport, export, export_onnx, onnx_file
from meronym.heads import AgreedHead, FactorHead, LinearHead, TreeHead
from meronym.model import PartModel
from meronym.segmenters import DeepLab, HeadSegmenter, Student
from pictures import picture
from stripes import Stripes

ort = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")


@pytest.fixture(scope="module")
def model() -> PartModel:
    segmenter = HeadSegmenter(load_backbone("efficientnet_lite0", size=96), 4, centre=0.5)
    segmenter.finds = True
    g = torch.Generator().manual_seed(0)
    segmenter.head.weight.data.copy_(torch.randn(4, segmenter.backbone.dim, generator=g))
    for layer in segmenter.object[::2]:
        layer.weight.data.copy_(torch.randn(layer.weight.shape, generator=g))
    return PartModel(segmenter)


def test_the_file_of_a_run_gives_the_models_answers_for_any_batch(model, tmp_path, capsys):
    model.save(tmp_path / "run/model")
    Edits(names={2: "head"}, colours={1: "#1796ff"}, groups=((2, 4),)).save(tmp_path / "run")
    export(tmp_path / "run", onnx=tmp_path / "birds.onnx")
    said = re.search(r"birds.onnx; it gives the same part as here on ([\d.]+) % of pixels", capsys.readouterr().err)
    assert said and float(said[1]) >= 99.9
    assert {path.name for path in tmp_path.iterdir()} == {"run", "birds.onnx"}
    session = ort.InferenceSession(str(tmp_path / "birds.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].shape[1:] == [3, 96, 96]
    for count in (1, 3):
        images = torch.rand(count, 3, 96, 96, generator=torch.Generator().manual_seed(count))
        logits, objects = session.run(["logits", "object"], {"images": images.numpy()})
        with torch.inference_mode():
            mine, found = model.segmenter.segment(images)
        np.testing.assert_allclose(logits, mine.numpy(), atol=1e-3)
        np.testing.assert_allclose(objects, found.numpy(), atol=1e-3)
    about = session.get_modelmeta().custom_metadata_map
    parts = json.loads(about["parts"])
    assert [part["name"] for part in parts] == ["part 1", "head", "part 3", "head"]
    assert parts[0]["colour"] == "#1796ff" and parts[1]["colour"] == parts[3]["colour"]
    assert about["size"] == "96" and about["align_corners"] == "false"
    assert json.loads(about["mean"]) == json.loads(about["std"]) == [0.5, 0.5, 0.5]
    assert about["window"] == "the smallest square around the object"


def test_a_file_that_gives_other_parts_is_not_kept(tmp_path, monkeypatch):
    class Other(onnx_file.Plain):
        def forward(self, images):
            (logits,) = super().forward(images)
            return (logits if torch.compiler.is_exporting() else logits.flip(1),)

    monkeypatch.setattr(onnx_file, "Plain", Other)
    with pytest.raises(CannotExport, match="birds.onnx: not written, the file would give another part than the model"):
        export_onnx(PartModel(Stripes(4)), tmp_path / "birds.onnx", photos=[picture()])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "least", "most"),
    [
        (lambda logits, objects: (logits, objects), 1, 1),
        (lambda logits, objects: (logits.flip(1), objects), 0, 0.9),
        (lambda logits, objects: (logits, 1 - objects), 0, 0.1),
        (lambda logits, objects: (logits if len(logits) == 2 else logits.flip(1), objects), 0, 0.9),
    ],
)
def test_parts_object_and_other_batches_than_the_traced_are_compared(model, change, least, most):
    plain = onnx_file.Plain(model.segmenter)

    class Session:
        def run(self, _, given):
            return [found.numpy() for found in change(*plain(torch.from_numpy(given["images"])))]

    photos = [picture(96, 96, seed=seed) for seed in range(3)]
    assert least <= onnx_file.agreement(Session(), plain, photos) <= most


def test_what_cannot_be_exported_is_said(model, tmp_path, monkeypatch):
    with pytest.raises(CannotExport, match=r"birds.pt: end the name in .onnx"):
        export_onnx(model, tmp_path / "birds.pt")
    with pytest.raises(CannotExport, match="give a file in a folder that is there"):
        export_onnx(model, tmp_path / "nowhere/birds.onnx")
    monkeypatch.setattr(onnx_file, "MOST_BYTES", 1_000_000)
    with pytest.raises(CannotExport, match="an ONNX file holds 2 GB, the network has 0.0; use a smaller backbone"):
        export_onnx(model, tmp_path / "birds.onnx")
    monkeypatch.undo()
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: (_ for _ in ()).throw(torch.onnx.OnnxExporterError()))
    with pytest.raises(CannotExport, match="PyTorch cannot write this network as ONNX"):
        export_onnx(model, tmp_path / "birds.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CannotExport, match=r'onnxruntime, which is not installed: pip install "meronym\[export\]"'):
        export_onnx(model, tmp_path / "birds.onnx")


@pytest.mark.slow
def test_factors(tmp_path):
    segmenter = HeadSegmenter(load_backbone("efficientnet_lite0", size=96), 3)
    segmenter.head = FactorHead(segmenter.backbone.dim, 3)
    segmenter.head.factors.uniform_(generator=torch.Generator().manual_seed(0))
    assert PartModel(segmenter).export(tmp_path / "birds.onnx") >= 0.999


def test_a_tree_whose_coarser_level_is_of_two_heads(tmp_path):
    segmenter = HeadSegmenter(load_backbone("efficientnet_lite0", size=96), 4)
    wholes, others, pieces = (LinearHead(segmenter.backbone.dim, 2, merge) for merge in ((), (0, 1, 1), (0, 1, 2, 3)))
    for head in (wholes, others, pieces):
        head.weight.data.normal_(generator=torch.Generator().manual_seed(len(head.weight)))
    segmenter.head = TreeHead(AgreedHead([wholes, others]), pieces, [1, 0, 1, 1])
    model = PartModel(segmenter)
    assert model.export(tmp_path / "birds.onnx") >= 0.999
    again = PartModel.load(model.save(tmp_path / "model"))
    assert again.fingerprint == model.fingerprint and again.segmenter.config() == segmenter.config()


@pytest.mark.slow
def test_deeplab(tmp_path):
    torch.manual_seed(0)
    assert PartModel(DeepLab(3, size=64)).export(tmp_path / "birds.onnx") >= 0.999
    session = ort.InferenceSession(str(tmp_path / "birds.onnx"), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["logits"]
    assert session.get_modelmeta().custom_metadata_map["align_corners"] == "true"


@pytest.mark.slow
def test_dinov2(weights, tmp_path, monkeypatch):
    monkeypatch.setenv("MERONYM_WEIGHTS", str(weights))
    segmenter = HeadSegmenter(load_backbone("dinov2_vits14", size=224), 4, centre=0.5)
    torch.nn.init.normal_(segmenter.head.weight, generator=torch.Generator().manual_seed(0))
    assert PartModel(segmenter).export(tmp_path / "birds.onnx") >= 0.999


def test_a_student_is_small(tmp_path):
    segmenter = Student("efficientnet_lite0", load_stages("efficientnet_lite0"), 8)
    segmenter.finds = True
    export_onnx(PartModel(segmenter), tmp_path / "student.onnx")
    assert (tmp_path / "student.onnx").stat().st_size < 10_000_000
    session = ort.InferenceSession(str(tmp_path / "student.onnx"), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    logits, objects = session.run(["logits", "object"], {"images": images.numpy()})
    assert logits.shape == (3, 8, 32, 32) and objects.shape == (3, 32, 32)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["mean"]) == [0.5, 0.5, 0.5]
