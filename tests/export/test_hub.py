"""The model hub, spoken to over HTTP on this machine: what goes there comes back the same, and nothing else goes."""

import json
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hub_server import TOKEN, Hub
from huggingface_hub import constants

import meronym
from meronym import annotations, commands
from meronym.backbones import load_backbone
from meronym.edits import Edits, load
from meronym.export import HubError, export, export_folder, push_to_hub
from meronym.model import PartModel
from meronym.segmenters import HeadSegmenter
from pictures import picture

EDITS = Edits(names={2: "head", 1: "a|*b*"}, colours={1: "#1796ff"}, groups=((2, 4),), wrong=frozenset(["aunt/1.jpg"]))


@pytest.fixture(scope="module")
def model() -> PartModel:
    segmenter = HeadSegmenter(load_backbone("efficientnet_lite0", size=64), 4, centre=0.5)
    torch.nn.init.normal_(segmenter.head.weight, generator=torch.Generator().manual_seed(0))
    return PartModel(segmenter, about={"method": "contrastive", "skipped": [["aunt/2.jpg", "empty"]]})


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Iterator[Hub]:
    """A hub that is empty, and a user who is logged in there."""
    with Hub() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield server
        server.shutdown()


def test_a_run_goes_to_the_hub_and_comes_back_with_its_names_and_merges(model, hub, tmp_path, monkeypatch, capsys):
    model.save(tmp_path / "run/model")
    EDITS.save(tmp_path / "run")
    assert export(tmp_path / "run", hub="ann/birds", private=True) == f"{hub.url}/ann/birds"
    assert f"the model is at {hub.url}/ann/birds" in capsys.readouterr().err and hub.private["ann/birds"]
    files = hub.models["ann/birds"]
    assert {name for name in files if name[0] != "."} == {"README.md", "config.json", "edits.json", "model.safetensors"}
    assert not any(b"aunt/" in content for content in files.values()), "a photo's name went to the hub"

    again = meronym.load("hf:ann/birds")
    assert again.fingerprint == model.fingerprint
    photo = picture(90, 70)
    edited, plain = again.predict(photo), model.predict(photo)
    assert np.array_equal(edited.labels, EDITS.apply(plain).labels) and edited.names == EDITS.apply(plain).names

    hub.shutdown()  # what was fetched once needs no hub
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    (tmp_path / "photos").mkdir()
    photo.save(tmp_path / "photos/1.png")
    made = commands.predict("hf:ann/birds", tmp_path / "photos", out=tmp_path / "out", format="coco")
    found = annotations.read("coco", made["coco"])
    assert found.names == ("a|*b*", "head", "part 3")
    (item,) = found.items
    assert np.array_equal(item.labels, EDITS.apply(model.predict(photo)).labels)


def test_weights_go_as_large_files_where_the_hub_wants_it(model, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # its storage speaks a protocol of its own
    hub.large = ".safetensors"
    push_to_hub(model, "ann/birds", EDITS)
    (weights,) = hub.sent.values()
    assert hub.models["ann/birds"]["model.safetensors"] == weights
    assert meronym.load("hf:ann/birds").fingerprint == model.fingerprint


def test_a_newer_model_takes_the_place_of_the_older(model, hub):
    push_to_hub(model, "ann/birds", EDITS)
    first = meronym.load("hf:ann/birds").fingerprint
    other = PartModel(HeadSegmenter(model.segmenter.backbone, 3))
    other.push_to_hub("ann/birds")
    assert meronym.load("hf:ann/birds").fingerprint == other.fingerprint != first
    assert json.loads(hub.models["ann/birds"]["edits.json"])["names"] == {}


def test_a_folder_is_the_same_without_a_hub(model, tmp_path, capsys):
    model.save(tmp_path / "run/model")
    EDITS.save(tmp_path / "run")
    assert export(tmp_path / "run", folder=tmp_path / "birds") == str(tmp_path / "birds")
    assert meronym.load(tmp_path / "birds").fingerprint == model.fingerprint
    edits = load(tmp_path / "birds")
    assert (edits.names, edits.groups, edits.colours) == (EDITS.names, EDITS.groups, EDITS.colours) and not edits.wrong
    card = (tmp_path / "birds/README.md").read_text()
    assert card.startswith("---\nlibrary_name: meronym\n") and r"| parts | a\|\*b\*, head, part 3 |" in card
    assert "| licence of its weights | Apache-2.0 |" in card and 'meronym.load("birds")' in card
    assert str(tmp_path) not in card
    with pytest.raises(FileExistsError, match="birds is not empty: choose a new folder"):
        export_folder(model, tmp_path / "birds")


def test_no_test_can_reach_the_real_hub():
    assert constants.HF_HUB_OFFLINE and constants.HUGGINGFACE_CO_URL_TEMPLATE.startswith("http://127.0.0.1:9/")


def test_a_hub_that_cannot_be_reached(model, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for _ in ("switched off", "gone"):
        with pytest.raises(HubError, match=r"hf:ann/birds: the hub cannot be reached; connect, unset HF_HUB_OFF"):
            meronym.load("hf:ann/birds")
        with pytest.raises(HubError, match=r"hf:ann/birds: the hub cannot be reached; .*RUN --folder. needs no hub"):
            model.push_to_hub("ann/birds")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")


def test_what_is_to_be_private_does_not_go_where_all_can_see_it(model, hub):
    model.push_to_hub("ann/birds")
    before = dict(hub.models["ann/birds"])
    with pytest.raises(HubError, match="hf:ann/birds is there already, open to all"):
        push_to_hub(model, "ann/birds", private=True)
    assert hub.models["ann/birds"] == before


def test_what_else_can_be_wrong_is_said(model, hub, monkeypatch):
    with pytest.raises(HubError, match=r"hf:birds: the name of a model on the hub is user/name"):
        model.push_to_hub("birds")
    with pytest.raises(HubError, match=r"hf:../x: the name of a model"):
        meronym.load("hf:../x")
    with pytest.raises(HubError, match=r"hf:ann/brids: not there, or not open to you; check the name, and log in"):
        meronym.load("hf:ann/brids")
    hub.models["ann/words"] = {"config.json": b'{"model_type": "bert"}'}
    with pytest.raises(HubError, match="hf:ann/words: it is no model of Meronym; check the name"):
        meronym.load("hf:ann/words")
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(HubError, match="log in with `hf auth login`"):
        model.push_to_hub("ann/birds")
