"""What the explorer does not do: answer strangers, read outside its photos, or fall over what it is sent."""

import io
import struct
import zlib

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from rig import ADDRESS

from meronym.explorer import uploads
from meronym.explorer.guard import Guard, is_loopback, trusted

WRITES = (
    ("PUT", "/api/edits"),
    ("POST", "/api/export"),
    ("DELETE", "/api/export"),
    ("POST", "/api/upload"),
)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:8000",
        "",
        "127.0.0.1@evil.example",
        "192.168.0.7",
        "[::1",
        "a:b",
    ],
)
def test_other_names_for_this_machine_are_not_answered(client, host):
    """DNS rebinding: a foreign name that is made to point here."""
    for path in ("/", "/api/state", "/api/photo/0/tile.jpg"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 421 and "content-security-policy" in answer.headers
        assert "part" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8000", "127.0.0.1", "127.0.0.1:9", "[::1]:8000", "LOCALHOST:1"])
def test_this_machine_is_answered_by_any_of_its_own_names(client, host):
    assert client.get("/api/state", headers={"host": host}).status_code == 200


def test_names_where_the_explorer_is_opened_to_others():
    assert trusted("192.168.0.7:8000", local=False) and trusted("[fe80::1]:8000", local=False)
    assert not trusted("evil.example:8000", local=False)
    guard = Guard(lambda *_: None, "Laptop.local")
    assert guard.refusal("GET", [(b"host", b"laptop.local:8000")]) is None
    assert guard.refusal("GET", [(b"host", b"evil.example:8000")]) is not None
    assert is_loopback("127.0.0.1") and is_loopback("::1") and is_loopback("localhost") and not is_loopback("0.0.0.0")


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_other_sites_cannot_change_anything(client, run, method, path):
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://localhost:8000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert client.request(method, path, headers=headers).status_code == 403, headers
    bare = TestClient(client.app, base_url=ADDRESS)
    assert bare.request(method, path).status_code == 403  # no header that a form or an image could not add
    assert not (run / "edits.json").exists()


def test_two_hosts_or_origins_are_none():
    guard = Guard(lambda *_: None, "127.0.0.1")
    host = (b"host", b"127.0.0.1:1")
    assert guard.refusal("GET", [host]) is None
    assert guard.refusal("GET", [host, (b"host", b"evil.example")]) is not None
    mine = (b"origin", b"http://127.0.0.1:1")
    assert guard.refusal("PUT", [host, mine, (b"x-meronym", b"1")]) is None
    assert guard.refusal("PUT", [host, mine, mine, (b"x-meronym", b"1")]) is not None


def test_no_answer_is_for_other_sites(client):
    for path in ("/", "/page/main.js", "/api/state", "/api/photo/0/tile.jpg", "/api/photo/99/tile.jpg"):
        headers = client.get(path).headers
        assert headers["cross-origin-resource-policy"] == "same-origin" and headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
    assert client.options("/api/edits", headers={"access-control-request-method": "PUT"}).status_code in (403, 405)


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/guard.py",
        "/page/index.html",
        "/page/%2fetc%2fpasswd",
        "/page//etc/passwd",
        "/../../etc/passwd",
        "/api/photo/..%2f..%2fsettings.yaml/tile.jpg",
        "/api/photo/-1/tile.jpg",
        "/api/photo/8/view.jpg",
        "/api/photo/1e3/labels",
        "/api/photo/0/close/0.jpg",
        "/api/photo/0/close/-1.jpg",
        "/api/photo/99999999999999999999999/details",
        "/api/upload/..%2f..%2fx/view.jpg",
        "/api/upload/0123456789abcdef/labels",
        "/api/export/file",
        "/api/labels?photos=",
        "/api/labels?photos=a",
        "/api/labels?photos=-1",
        "/api/labels?photos=" + ",".join(["0"] * 401),
        "/api/labels?photos=" + "1" * 4001,
        "/api/order?sort=name",
        "/api/order?show=with&part=77",
        "/api/order?show=../x",
        "/docs",
        "/openapi.json",
    ],
)
def test_nothing_else_can_be_read(client, path):
    answer = client.get(path)
    assert answer.status_code in (404, 405, 422)
    assert "root:" not in answer.text and "import" not in answer.text and "/tmp" not in answer.text


def test_addresses_never_hold_a_path(client):
    """A broken photo is told by its reason alone; its folder stays unknown."""
    broken = client.get("/api/ids").json().index("broken.png")
    for kind in ("tile.jpg", "view.jpg", "labels", "details", "close/1.jpg"):
        answer = client.get(f"/api/photo/{broken}/{kind}")
        assert answer.status_code == 422 and answer.json()["detail"].startswith("truncated")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"revision": 0, "names": {"1": 1e999}}']
)
def test_bodies_that_are_no_edits(client, body):
    answer = client.put("/api/edits", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (409, 422) or (answer.status_code == 200 and b"1e999" in body)


def test_bodies_of_another_type_or_too_large(client):
    assert client.put("/api/edits", content=b"{}", headers={"content-type": "text/plain"}).status_code == 415
    assert client.put("/api/edits", content=b"{}", headers={"content-type": ""}).status_code == 415
    large = b" " * (8 * 2**20 + 1)
    assert client.put("/api/edits", content=large, headers={"content-type": "application/json"}).status_code == 413


def jpeg(width=64, height=48) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 50).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG of a few hundred bytes that says it has 900 megapixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n(/etc/passwd) (r) file\n"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not a photo"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a photo"),
        (b"<html><script>", "not a photo"),
        (EPS, "not a photo"),
        (b"#!/bin/sh\nrm -rf /\n", "not a photo"),
        (jpeg()[:-300], "truncated"),
        (jpeg(5, 5), "too small"),
        (bomb(), "more than 60 megapixels"),
        (b"PK\x03\x04" + b"\0" * 100, "not a photo"),
    ],
    ids=["empty", "svg", "html", "eps", "script", "truncated", "tiny", "bomb", "zip"],
)
def test_files_that_are_no_photos(client, data, says):
    answer = client.post("/api/upload?name=x.jpg", content=data, headers={"content-type": "image/jpeg"})
    assert answer.status_code == 422 and says in answer.json()["detail"] and "/" not in answer.json()["detail"]


def test_uploads_have_limits(client, monkeypatch):
    kinds = {"text/html": 415, "application/json": 415, "": 415, "multipart/form-data": 415, "image/jpeg": 200}
    for kind, status in kinds.items():
        assert client.post("/api/upload", content=jpeg(), headers={"content-type": kind}).status_code == status, kind
    monkeypatch.setattr("meronym.explorer.app.MOST_BYTES", 2**20)
    assert (
        client.post("/api/upload", content=bytes(2**20 + 1), headers={"content-type": "image/png"}).status_code == 413
    )

    def pieces():  # without a content-length
        for _ in range(20):
            yield bytes(2**17)

    answer = client.post("/api/upload", content=pieces(), headers={"content-type": "image/png"})
    assert answer.status_code == 413
    long = client.post("/api/upload", params={"name": "x" * 301}, content=jpeg(), headers={"content-type": "image/png"})
    assert long.status_code == 422


def test_only_the_last_few_uploads_are_kept(client):
    tokens = []
    for _ in range(uploads.KEPT + 1):
        answer = client.post("/api/upload", content=jpeg(), headers={"content-type": "image/jpeg"})
        tokens.append(answer.json()["token"])
    assert len(set(tokens)) == len(tokens)
    assert client.get(f"/api/upload/{tokens[0]}/labels").status_code == 404
    assert client.get(f"/api/upload/{tokens[-1]}/labels").status_code == 200


def test_every_kind_of_photo_can_be_tried(client, hostile):
    for path in sorted((hostile / "good").iterdir()):
        answer = client.post("/api/upload", content=path.read_bytes(), headers={"content-type": "image/x"})
        assert answer.status_code == 200, (path.name, answer.text)
    for path in sorted((hostile / "bad").iterdir()):
        answer = client.post("/api/upload", content=path.read_bytes(), headers={"content-type": "image/x"})
        assert answer.status_code == 422, path.name
