"""Every address of the explorer, asked as its page asks."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from rig import HOSTILE, NAMES, wait

from meronym.annotations import FORMATS
from meronym.annotations import read as read_annotations
from meronym.edits import load


def number(client: TestClient, name: str) -> int:
    return client.get("/api/ids").json().index(name)


def unrun(data: bytes) -> np.ndarray:
    """A label map from its runs, as the page reads them."""
    width, height = struct.unpack("<HH", data[:4])
    flat = [np.full(length, label) for label, length in struct.iter_unpack("<BH", data[4:])]
    return np.concatenate(flat).reshape(height, width)


def frames(data: bytes) -> list[tuple[dict, np.ndarray | None]]:
    found = []
    while data:
        head, body = struct.unpack("<II", data[:8])
        runs = data[8 + head : 8 + head + body]
        found.append((json.loads(data[8 : 8 + head]), unrun(runs) if body else None))
        data = data[8 + head + body :]
    return found


def change(client: TestClient, **edits):
    state = client.get("/api/state").json()
    return client.put("/api/edits", json={**state["edits"], "revision": state["revision"], **edits})


def test_the_page_and_its_files(client):
    page = client.get("/")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    for name in ("main.js", "base.css", "icon.svg"):
        assert f"/page/{name}" in page.text and client.get(f"/page/{name}").status_code == 200
    assert client.get("/page/main.js").headers["content-type"].startswith("text/javascript")
    assert "http://" not in page.text.replace("http://www.w3.org", "") and "https://" not in page.text


def test_state(client):
    state = client.get("/api/state").json()
    assert state["photos"] == len(NAMES) + 1 and state["looked"] == len(NAMES) and state["unread"] == 1
    assert [part["name"] for part in state["parts"]] == [f"part {k}" for k in range(1, 6)]
    assert state["figures"][4] == {"share": pytest.approx(0.2, abs=0.02), "present": len(NAMES)}
    assert {entry["key"] for entry in state["formats"]} == set(FORMATS)
    assert set(client.get("/api/ids").json()) == {*NAMES, "broken.png"}


def test_pictures(client):
    for name in NAMES:
        photo = number(client, name)
        tile, view = (client.get(f"/api/photo/{photo}/{kind}.jpg") for kind in ("tile", "view"))
        labels = unrun(client.get(f"/api/photo/{photo}/labels").content)
        size = Image.open(io.BytesIO(view.content)).size
        assert size == labels.shape[::-1] and max(size) <= 1024
        assert max(Image.open(io.BytesIO(tile.content)).size) <= 384
        assert "max-age" in tile.headers["cache-control"]
    assert Image.open(io.BytesIO(client.get(f"/api/photo/{number(client, 'turned.jpg')}/view.jpg").content)).size == (
        40,
        60,
    )


def test_label_maps_of_many_photos_come_in_one_answer(client):
    found = frames(client.get("/api/labels?photos=0,1,2,3,4,5,6,7").content)
    assert sorted(header["photo"] for header, _ in found) == list(range(8))
    broken = number(client, "broken.png")
    for header, labels in found:
        if header["photo"] == broken:
            assert labels is None and "truncated" in header["error"] and "/" not in header["error"]
        else:
            assert labels is not None and set(np.unique(labels)) <= set(range(6)) and header["sure"] > 0.9


def test_details_and_close_ups(client):
    photo = number(client, HOSTILE)
    details = client.get(f"/api/photo/{photo}/details").json()
    assert details["id"] == HOSTILE and details["size"] == [80, 60]
    assert [row["share"] for row in details["parts"]] == pytest.approx([0.2] * 5, abs=0.02)
    close = client.get(f"/api/photo/{photo}/close/5.jpg")
    assert Image.open(io.BytesIO(close.content)).size == (208, 208)


def test_orders(client):
    everything = client.get("/api/order").json()
    assert everything == list(range(len(NAMES) + 1))
    for sort in ("doubt", "sure"):
        order = client.get(f"/api/order?sort={sort}").json()
        assert sorted(order) == everything and order[-1] == number(client, "broken.png")
    assert client.get("/api/order?show=unread").json() == [number(client, "broken.png")]
    with_first, without = (client.get(f"/api/order?show={show}&part=1").json() for show in ("with", "without"))
    assert set(with_first) | set(without) == set(everything) - {number(client, "broken.png")}
    assert not set(with_first) & set(without)
    change(client, wrong=[2])
    assert client.get("/api/order?show=wrong").json() == [2]


def test_strips_and_tables(client):
    strips = client.get("/api/strips").json()
    assert strips["looked"] == len(NAMES) and [strip["part"] for strip in strips["strips"]] == [1, 2, 3, 4, 5]
    last = strips["strips"][4]
    shown = [item["photo"] for end in ("typical", "odd") for item in last[end]]
    assert len(shown) == len(set(shown)) == last["present"] and all(item["why"] for item in last["odd"])
    together = client.get("/api/together").json()
    assert together["present"][4] == len(NAMES) and together["together"][0][4] == 1.0
    assert together["keypoints"] == [] and together["landing"] == []


def test_keypoints_lie_on_parts(run):
    from meronym.explorer.app import make_app
    from meronym.explorer.study import Study

    study = Study(run, "toy:3")
    with TestClient(make_app(study), base_url="http://localhost:1") as client:
        wait(lambda: client.get("/api/state").json()["looked"] == 23)
        found = client.get("/api/together").json()
        assert len(found["keypoints"]) == len(found["landing"]) == 6
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in found["landing"] if None not in row)


def test_edits_are_kept_and_shown_everywhere(client, run):
    answer = change(client, names={"2": "  head "}, colours={"1": "#112233"}, groups=[[4, 5]], wrong=[0])
    assert answer.status_code == 200
    names = [part["name"] for part in answer.json()["parts"]]
    assert names == ["part 1", "head", "part 3", "part 4"] and answer.json()["parts"][3]["members"] == [4, 5]
    edits = load(run)
    assert edits.names == {2: "head"} and edits.groups == ((4, 5),)
    assert edits.wrong == {client.get("/api/ids").json()[0]}
    together = client.get("/api/together").json()
    assert together["parts"] == [1, 2, 3, 4] and together["looked"] == len(NAMES) - 1
    photo = number(client, "z.png")
    shares = {row["part"]: row["share"] for row in client.get(f"/api/photo/{photo}/details").json()["parts"]}
    assert 5 not in shares and shares[4] > 0.35
    assert client.get(f"/api/photo/{photo}/close/4.jpg").status_code == 200
    assert client.get(f"/api/photo/{photo}/close/5.jpg").status_code == 404
    assert change(client, groups=[]).json()["parts"][4]["name"] == "part 5"


def test_edits_that_do_not_fit_change_nothing(client, run):
    change(client, names={"1": "head"})
    before = (run / "edits.json").read_text()
    for wanted in (
        {"names": {"9": "x"}},
        {"names": {"1": "head", "2": "Head"}},
        {"names": {"2": " "}},
        {"names": {"2": "x" * 200}},
        {"colours": {"2": "red;}"}},
        {"groups": [[1, 1]]},
        {"groups": [[1, 99]]},
        {"groups": "12"},
        {"wrong": [99]},
        {"wrong": [True]},
        {"wrong": "a"},
        {"names": 3},
    ):
        answer = change(client, **wanted)
        assert answer.status_code == 422 and answer.json()["detail"], wanted
        assert (run / "edits.json").read_text() == before
    assert client.put("/api/edits", json={"names": {}, "revision": 0}).status_code == 409
    assert client.put("/api/edits", json={"names": {}}).status_code == 409


def test_edits_made_elsewhere_are_not_lost(client, run):
    from meronym.edits import Edits

    state = client.get("/api/state").json()
    Edits({1: "by hand"}).save(run)
    answer = client.put("/api/edits", json={"names": {"2": "mine"}, "revision": state["revision"]})
    assert answer.status_code == 409 and load(run).names == {1: "by hand"}
    state = client.get("/api/state").json()
    assert state["parts"][0]["name"] == "by hand" and state["revision"] == 1
    (run / "edits.json").write_text("{")
    assert "remove it" in client.get("/api/state").json()["trouble"]
    assert change(client, names={"2": "mine"}).status_code == 422 and (run / "edits.json").read_text() == "{"


def test_wrong_photos_of_another_collection_stay_marked(run):
    from meronym.edits import Edits
    from meronym.explorer.study import Study

    Edits(wrong=frozenset(["elsewhere.jpg"])).save(run)
    study = Study(run)
    study.change({"wrong": [1]}, 0)
    assert load(run).wrong == {"elsewhere.jpg", study.collection.ids[1]}
    study.close()


def test_a_name_with_markup_stays_text(client):
    change(client, names={"1": "<script>alert(1)</script>"})
    answer = client.get("/api/state")
    assert (
        answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    )
    assert "<script>" not in client.get("/").text.replace('<script type="module" src="/page/main.js"></script>', "")


def upload(client: TestClient, data: bytes, name="my photo.jpg", kind="image/jpeg"):
    return client.post("/api/upload", params={"name": name}, content=data, headers={"content-type": kind})


def test_a_photo_is_tried(client):
    buffer = io.BytesIO()
    Image.effect_noise((1500, 700), 50).convert("RGB").save(buffer, "JPEG")
    answer = upload(client, buffer.getvalue(), HOSTILE).json()
    assert answer["id"] == HOSTILE and answer["size"] == [1500, 700] and answer["seconds"] < 2
    assert len(answer["parts"]) == 5
    base = f"/api/upload/{answer['token']}"
    assert unrun(client.get(f"{base}/labels").content).shape == (478, 1024)
    assert Image.open(io.BytesIO(client.get(f"{base}/view.jpg").content)).size == (1024, 478)
    change(client, groups=[[1, 2]])
    assert len(client.get(f"{base}/details").json()["parts"]) == 4


def export(client: TestClient, format: str, **options) -> tuple[dict, bytes]:
    assert client.post("/api/export", json={"format": format, **options}).status_code == 200
    wait(lambda: client.get("/api/export").json()["state"] != "running")
    state = client.get("/api/export").json()
    return state, client.get("/api/export/file").content


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_downloads_with_the_edits(client, tmp_path, format):
    change(client, names={"2": "head"}, groups=[[4, 5]], wrong=[number(client, "a/2.png")])
    state, data = export(client, format)
    assert state["state"] == "ready", state
    assert state["left_out"] == [["broken.png", state["left_out"][0][1]]] and state["wrong"] == 1
    assert state["bytes"] == len(data) and state["name"].startswith("birds-")
    path = tmp_path / state["name"]
    path.write_bytes(data)
    if path.suffix == ".zip" and format != "cvat":
        zipfile.ZipFile(path).extractall(tmp_path / "open")
        path = tmp_path / "open"
        inner = path / FORMATS[format].out
        path = inner if inner.exists() and inner.is_file() else path
    if FORMATS[format].read is None:
        return
    found = read_annotations(format, path)
    assert found.names == ("part 1", "head", "part 3", "part 4")
    items = {item.name: item.labels for item in found.items}
    assert len(items) == len(NAMES) - 1
    assert items["large.jpg"].shape == (900, 2100) and items["turned.jpg"].shape == (60, 40)


def test_wrong_photos_can_be_downloaded_too(client):
    change(client, wrong=[number(client, "z.png")])
    assert "z.png" not in export(client, "coco")[1].decode()
    assert "z.png" in export(client, "coco", with_wrong=True)[1].decode()


def test_what_is_known_is_written_as_if_it_were_predicted_anew(client, study):
    """Label maps from the cache give the same file as the model's own, confidence of each part included."""
    known = json.loads(export(client, "coco")[1])
    fresh = [(n, parts) for n, parts in study.photos.whole(range(len(study.photos)), with_photo=True)]
    for photo, parts in fresh:
        if isinstance(parts, Exception):
            continue
        image = next(entry for entry in known["images"] if entry["file_name"] == study.collection.ids[photo])
        rows = [row for row in parts.table() if row["area"]]
        mine = [entry for entry in known["annotations"] if entry["image_id"] == image["id"]]
        assert [entry["area"] for entry in mine] == [row["area"] for row in rows]
        assert [entry["score"] for entry in mine] == pytest.approx([row["confidence"] for row in rows], abs=1e-4)


def test_exports_one_at_a_time_and_stoppable(client, run):
    assert client.get("/api/export").json() is None and client.get("/api/export/file").status_code == 404
    assert client.post("/api/export", json={"format": "cocoa"}).status_code == 422
    assert "did you mean 'coco'" in client.post("/api/export", json={"format": "cocoa"}).json()["detail"]
    client.post("/api/export", json={"format": "overlay"})
    second = client.post("/api/export", json={"format": "coco"})
    client.delete("/api/export")
    wait(lambda: client.get("/api/export").json()["state"] != "running")
    assert second.status_code in (409, 200)
    state = client.get("/api/export").json()["state"]
    assert state in ("cancelled", "ready")
    assert state == "ready" or not (run / "explorer" / "export").exists()


def test_an_export_of_nothing_says_so(client):
    change(client, wrong=list(range(len(NAMES) + 1)))
    state, _ = export(client, "coco")
    assert state["state"] == "failed" and "all are marked as wrong" in state["error"]
