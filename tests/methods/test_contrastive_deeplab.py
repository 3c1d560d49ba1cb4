"""The paper's own configuration on the networks of Table 3."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from meronym.backbones import _randomise, resnet, vgg
from meronym.collections import open_collection
from meronym.methods import ContrastiveDeepLab
from meronym.training.run import Run


def test_table_3_without_labels_trains(tmp_path: Path, monkeypatch) -> None:
    trunk = {f"module.{key}": value for key, value in resnet.resnet50_headless().state_dict().items()}
    phi = _randomise(vgg.vgg16_sobel()).state_dict()
    save_file(trunk, tmp_path / "swav_800ep_pretrain.safetensors")
    wrapped = {key.replace("features", "features.module"): value for key, value in phi.items()}
    save_file(wrapped, tmp_path / "vgg16_deepcluster.safetensors")
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path))
    method = ContrastiveDeepLab(
        trunk="resnet50_swav", phi="vgg16_deepcluster", size=64, steps=1, batch=2, learning_rate=0.0, workers=0
    )
    model = method.fit(open_collection("toy:6", seed=0).split("train"), 3, Run(tmp_path / "run", {}))
    assert model.about["layers"] == ("relu3_2", "relu5_3") and model.about["total"] > 0
    assert torch.equal(model.segmenter.trunk.layer1[0].conv1.weight, trunk["module.layer1.0.conv1.weight"])
