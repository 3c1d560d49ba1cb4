"""A model hub of one machine: the few routes that the hub's own client asks for."""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TOKEN = "hf_of_this_test"


class Hub(ThreadingHTTPServer):
    """Models by name, each a dictionary from path to bytes; private: whether it was made so.

    large: the ending of files that it wants as large ones are sent (Git LFS): first their content, then a commit that
    names it by its hash. sent: what has come so, by hash.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Routes)
        self.models: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.large: str | None = None
        self.sent: dict[str, bytes] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Routes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            sent = b"".join(iter(self._chunk, b""))
        hub, path = self.server, self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._json({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            asked = json.loads(sent)
            repo = f"{asked['organization']}/{asked['name']}"
            hub.models.setdefault(repo, {})
            hub.private.setdefault(repo, asked.get("visibility") == "private" or bool(asked.get("private")))
            return self._json({"url": f"{hub.url}/{repo}", "name": repo, "id": repo})
        if path.endswith(".git/info/lfs/objects/batch"):
            upload = [
                file | {"actions": {"upload": {"href": f"{hub.url}/lfs/{file['oid']}"}}}
                for file in json.loads(sent)["objects"]
            ]
            return self._json({"transfer": "basic", "objects": upload})
        repo = "/".join(path.split("/")[3:5])
        if path.endswith("/preupload/main"):
            paths = [file["path"] for file in json.loads(sent)["files"]]
            modes = ["lfs" if hub.large and path.endswith(hub.large) else "regular" for path in paths]
            files = [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in zip(paths, modes, strict=True)]
            return self._json({"files": files})
        for line in map(json.loads, sent.splitlines()):
            match line["key"], line["value"]:
                case "file", file:
                    hub.models[repo][file["path"]] = base64.b64decode(file["content"])
                case "lfsFile", file:
                    hub.models[repo][file["path"]] = hub.sent[file["oid"]]
        return self._json({"commitUrl": f"{hub.url}/{repo}/commit/{self._sha(repo)}", "commitOid": self._sha(repo)})

    def do_PUT(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.rpartition("/")[2]
        if hashlib.sha256(sent).hexdigest() != oid:
            return self._json({"error": "not what was announced"}, 400)
        self.server.sent[oid] = sent
        return self._json({})

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)(?:/(revision|tree)/(\w+))?|/([^/]+/[^/]+)/resolve/\w+/(.+)", path
        )
        repo = found and (found[1] or found[4])
        if not repo or repo not in self.server.models:
            return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        files = self.server.models[repo]
        if found[2] == "tree":
            return self._json(
                [{"type": "file", "path": p, "size": len(b), "oid": _hash(b)} for p, b in sorted(files.items())]
            )
        if found[1]:
            siblings = [{"rfilename": name} for name in sorted(files)]
            about = {"id": repo, "modelId": repo, "sha": self._sha(repo), "siblings": siblings, "tags": []}
            return self._json(about | {"private": self.server.private.get(repo, False)})
        if found[5] not in files:
            return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        self._send(files[found[5]], 200, {"ETag": f'"{_hash(files[found[5]])}"', "X-Repo-Commit": self._sha(repo)})

    do_HEAD = do_GET

    def _sha(self, repo: str) -> str:
        return _hash(repr(sorted(self.server.models[repo].items())).encode())

    def _chunk(self) -> bytes:
        body = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return body

    def _json(self, content: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._send(json.dumps(content).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def _send(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


def _hash(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()
