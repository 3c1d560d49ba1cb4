"""Weights are found where they are said to be, read safely, and loaded whole or not at all."""

import pickle
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from meronym import backbones
from meronym.backbones import WeightsError, WeightsNotFound, default_backbone, load_backbone, weights
from meronym.backbones.weights import fetch, find_weights, load_checked, read_state

PREFIXES = {
    "resnet50": ("resnet50",),
    "resnet50_caffe": ("resnet50_caffe", "resnet50_keras"),
    "vgg16": ("vgg16",),
}
PREFIXES["vgg16_deepcluster"] = ("vgg16_deepcluster",)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_a_file_belongs_to_the_longest_name_that_fits(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "resnet50_keras_fp16.safetensors",
        "vgg16_deepcluster.pth.tar",
        "vgg16-397923af.pth",
        "vgg16.txt",
    )
    assert find_weights("resnet50_caffe", tmp_path, PREFIXES).name == "resnet50_keras_fp16.safetensors"
    assert find_weights("vgg16", tmp_path, PREFIXES).name == "vgg16-397923af.pth"
    assert find_weights("vgg16_deepcluster", tmp_path, PREFIXES).name == "vgg16_deepcluster.pth.tar"
    with pytest.raises(WeightsNotFound, match=r"has no weights for resnet50: put resnet50\* .*\.safetensors"):
        find_weights("resnet50", tmp_path, PREFIXES)


def test_the_environment_names_a_folder_that_need_not_hold_everything(tmp_path, monkeypatch) -> None:
    touch(tmp_path, "vgg16.pth", "vgg16_plain.safetensors")
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path))
    assert find_weights("vgg16", None, PREFIXES).name == "vgg16_plain.safetensors"
    assert find_weights("resnet50", None, PREFIXES) is None
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path / "away"))
    with pytest.raises(WeightsNotFound, match="MERONYM_WEIGHTS: .*away is neither a file nor a folder"):
        find_weights("vgg16", None, PREFIXES)


def test_half_precision_storage_becomes_float32_and_a_common_wrapper_goes(tmp_path: Path) -> None:
    state = {"module.a": torch.ones(2, dtype=torch.float16), "module.n": torch.tensor(3)}
    save_file(state, tmp_path / "x.safetensors")
    torch.save({"state_dict": state, "epoch": 4, "optimizer": {"lr": 0.1}}, tmp_path / "x.pth.tar")
    for name in ("x.safetensors", "x.pth.tar"):
        read = read_state(tmp_path / name)
        assert read["a"].dtype == torch.float32 and read["n"].dtype == torch.int64 and len(read) == 2


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.pth", "cut.ckpt", "empty.pth", "empty.safetensors"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"" if name.startswith("empty") else b"\x80\x03}q\x00(X\x07")
    with pytest.raises(WeightsError, match=f"{name}: cannot be read as weights") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


class Explosive:
    """A pickle that would create a file when loaded without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["evil.pth", "evil.ckpt"])
def test_nothing_in_a_file_is_ever_run(tmp_path: Path, name: str) -> None:
    path, sign = tmp_path / name, tmp_path / "ran"
    if name.endswith(".pth"):
        torch.save({"state_dict": {"a": Explosive(sign)}}, path)
    else:
        path.write_bytes(pickle.dumps({"a": Explosive(sign)}, protocol=3))
    with pytest.raises(WeightsError):
        read_state(path)
    assert not sign.exists()
    pickle.loads(pickle.dumps(Explosive(sign)))
    assert sign.exists(), "the trap itself does not work"


def test_arrays_of_objects_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps({"a": np.array([None], dtype=object)}, protocol=3))
    with pytest.raises(WeightsError, match="only float32 is read"):
        read_state(tmp_path / "x.ckpt")


def test_nothing_is_loaded_in_part() -> None:
    module = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    before = {k: v.clone() for k, v in module.state_dict().items()}
    state = {
        "0.weight": torch.zeros(3, 2),
        "0.bias": torch.zeros(4),
        "1.bias": torch.zeros(1),
        "2.x": torch.zeros(1),
    }
    with pytest.raises(WeightsError) as caught:
        load_checked(module, state, "some.pth")
    assert str(caught.value) == (
        "some.pth does not fit this network: 1 missing (1.weight); 1 unexpected (2.x); "
        "1 of another shape (0.bias (4,) for (3,))"
    )
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_only_the_first_five_keys_are_listed_of_many() -> None:
    with pytest.raises(WeightsError, match=r"7 unexpected \(k0, k1, k2, k3, k4, …\)"):
        load_checked(nn.Identity(), {f"k{i}": torch.zeros(1) for i in range(7)}, "x")


def test_batch_counters_may_be_absent() -> None:
    module = nn.BatchNorm2d(2)
    state = {k: v + 1 for k, v in module.state_dict().items() if k != "num_batches_tracked"}
    load_checked(module, state, "x")
    assert module.weight.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("vgg19", r"vgg19\*"),
        ("dinov2_vitb14", r"dinov2_vitb14\*"),
        ("timm:resnet18", r"resnet18\*"),
        ("resnet50_caffe", r"on no hub; put resnet50_caffe\*"),
    ],
)
def test_offline_says_at_once_what_to_put_where(name, remedy, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    start = time.perf_counter()
    with pytest.raises(WeightsNotFound, match=remedy + ".* set MERONYM_WEIGHTS") as caught:
        load_backbone(name)
    assert time.perf_counter() - start < 3
    assert "\n" not in str(caught.value)


def test_a_file_in_the_hub_cache_needs_no_hub(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / "vgg16-checkpoint.pth.tar"
    path.parent.mkdir(parents=True)
    path.touch()
    assert fetch("x", "https://somewhere.invalid/vgg16/checkpoint.pth.tar", "…") == path


def test_an_unreachable_hub_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    start = time.perf_counter()
    assert not weights.reachable("hf:timm/anything")
    assert time.perf_counter() - start < weights.HUB_SECONDS + 1


def test_the_default_is_dinov2_when_it_can_be_had(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(backbones, "cached_on_disk", lambda hub: None)
    with pytest.warns(UserWarning, match="MERONYM_WEIGHTS"):
        assert default_backbone() == "efficientnet_lite0"
    (tmp_path / "dinov2_vits14_pretrain.pth").touch()
    monkeypatch.setenv("MERONYM_WEIGHTS", str(tmp_path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert default_backbone() == "dinov2_vits14"
