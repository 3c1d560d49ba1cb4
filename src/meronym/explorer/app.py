"""The explorer's web server: its routes, each a few lines around `Study`, `Uploads` and `Exports`.

Addresses hold numbers and tokens, never a name or a path; the page's own files are read once, from a fixed list.
"""

import json
import mimetypes
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from meronym.annotations import FORMATS
from meronym.edits import BadEdits
from meronym.explorer.exports import Busy, Exports
from meronym.explorer.guard import Guard
from meronym.explorer.look import Look
from meronym.explorer.pictures import TILE, runs, smaller_labels
from meronym.explorer.predictor import NOW
from meronym.explorer.study import SHOWS, SORTS, Outdated, Study, number
from meronym.explorer.tally import sureness
from meronym.explorer.uploads import MOST_BYTES, Upload, Uploads
from meronym.images import BadPhoto

PAGE = Path(__file__).with_name("page")
MOST_JSON = 8 * 2**20
MOST_ASKED = 400
"""Photos whose label maps may be asked for at once."""
KEEP = {"cache-control": "private, max-age=86400, immutable"}
"""For pictures: their addresses hold a version."""
FRESH = {"cache-control": "no-store"}


class Json(Response):
    """JSON of plain ASCII: file names that are no valid Unicode go through too."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def make_app(study: Study, host: str = "127.0.0.1") -> FastAPI:
    """The explorer of a study as an ASGI application. It closes the study when it ends.

    host: the address that it will listen on; requests to other names are refused.
    """
    exports, uploads = Exports(study), Uploads(study.predictor)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        study.begin()
        yield
        await run_in_threadpool(exports.close)
        await run_in_threadpool(study.close)

    app = FastAPI(title="Meronym", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, host=host)
    app.add_exception_handler(BadPhoto, _bad_photo)
    app.add_exception_handler(CancelledError, _closing)
    _page_routes(app)
    _photo_routes(app, study)
    _part_routes(app, study)
    _upload_routes(app, study, uploads)
    _export_routes(app, exports)
    return app


def _page_routes(app: FastAPI) -> None:
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in (".html", ".css", ".js", ".svg")}

    @app.get("/")
    def index() -> Response:
        return Response(files["index.html"], media_type="text/html", headers=FRESH)

    @app.get("/page/{name}")
    def page(name: str) -> Response:
        if name not in files or name == "index.html":
            raise HTTPException(404)
        kind = "text/javascript" if name.endswith(".js") else mimetypes.guess_type(name)[0]
        return Response(files[name], media_type=kind, headers={"cache-control": "no-cache"})


def _photo_routes(app: FastAPI, study: Study) -> None:
    photos = study.photos

    @app.get("/api/ids")
    def ids() -> Response:
        return Json(study.collection.ids, headers=FRESH)

    @app.get("/api/order")
    def order(sort: str = "collection", show: str = "all", part: int | None = None) -> Response:
        if sort not in SORTS or show not in SHOWS:
            raise HTTPException(422, f"sort is one of {', '.join(SORTS)}, show one of {', '.join(SHOWS)}")
        try:
            return Json(study.order(sort, show, part), headers=FRESH)
        except KeyError as error:
            raise HTTPException(404, f"there is no part {part}") from error

    @app.get("/api/labels")
    def labels(photos: Annotated[str, Query(max_length=10 * MOST_ASKED)]) -> Response:
        try:
            numbers = [int(piece) for piece in photos.split(",")]
        except ValueError as error:
            raise HTTPException(422, "photos are numbers with commas between") from error
        if len(numbers) > MOST_ASKED or not all(0 <= photo < len(study.photos) for photo in numbers):
            raise HTTPException(404, f"up to {MOST_ASKED} photos, from 0 to {len(study.photos) - 1}")
        return StreamingResponse(_frames(study, numbers), media_type="application/octet-stream", headers=FRESH)

    @app.get("/api/photo/{photo}/tile.jpg")
    def tile(photo: int) -> Response:
        return _picture(partial(photos.tile, _there(photo, study)))

    @app.get("/api/photo/{photo}/view.jpg")
    def view(photo: int) -> Response:
        return _picture(partial(photos.view, _there(photo, study)))

    @app.get("/api/photo/{photo}/labels")
    def own_labels(photo: int) -> Response:
        return _labels(photos.look(_there(photo, study)))

    @app.get("/api/photo/{photo}/details")
    def details(photo: int) -> Response:
        look = photos.look(_there(photo, study))
        return Json({"id": study.collection.ids[photo], **study.details(look)}, headers=FRESH)

    @app.get("/api/photo/{photo}/close/{part}.jpg")
    def close(photo: int, part: int) -> Response:
        edits = study.edits
        shown = next((s for s in edits.shown(study.model.names) if s.members[0] == part), None)
        if shown is None:
            raise HTTPException(404, f"there is no part {part}")
        return _picture(partial(photos.close, _there(photo, study), shown, edits))


def _part_routes(app: FastAPI, study: Study) -> None:
    formats = [{"key": key, "about": format.about} for key, format in FORMATS.items()]

    @app.get("/api/state")
    def state() -> Response:
        return Json({**study.state(), "formats": formats, "most_bytes": MOST_BYTES}, headers=FRESH)

    @app.get("/api/strips")
    def strips() -> Response:
        return Json(study.strips(), headers=FRESH)

    @app.get("/api/together")
    def together() -> Response:
        return Json(study.together(), headers=FRESH)

    @app.put("/api/edits")
    async def change(request: Request) -> Response:
        content = await _json(request)
        revision = content.pop("revision", None)
        try:
            await run_in_threadpool(study.change, content, revision)
        except Outdated as error:
            raise HTTPException(409, str(error)) from error
        except BadEdits as error:
            raise HTTPException(422, str(error)) from error
        except OSError as error:
            raise HTTPException(507, f"could not be saved: {error.strerror}") from error
        return Json(await run_in_threadpool(study.state), headers=FRESH)


def _upload_routes(app: FastAPI, study: Study, uploads: Uploads) -> None:
    def found(token: str) -> Upload:
        try:
            return uploads.get(token)
        except KeyError as error:
            raise HTTPException(404, "this photo was forgotten: drop it here again") from error

    @app.post("/api/upload")
    async def upload(request: Request, name: Annotated[str, Query(max_length=300)] = "photo") -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not kind.startswith("image/") and kind != "application/octet-stream":
            raise HTTPException(415, f"a photo is expected, this is {kind or 'of no type'}"[:120])
        data = await _body(request, MOST_BYTES)
        token, made = await run_in_threadpool(uploads.add, data, name)
        return Json({"token": token, "id": made.name, "seconds": round(made.seconds, 3), **study.details(made.look)})

    @app.get("/api/upload/{token}/view.jpg")
    def view(token: str) -> Response:
        return Response(found(token).photo, media_type="image/jpeg", headers=KEEP)

    @app.get("/api/upload/{token}/labels")
    def labels(token: str) -> Response:
        return _labels(found(token).look)

    @app.get("/api/upload/{token}/details")
    def details(token: str) -> Response:
        made = found(token)
        return Json({"id": made.name, "seconds": round(made.seconds, 3), **study.details(made.look)}, headers=FRESH)


def _export_routes(app: FastAPI, exports: Exports) -> None:
    def answer() -> Response:
        return Json(exports.current.summary() if exports.current else None, headers=FRESH)

    @app.get("/api/export")
    def progress() -> Response:
        return answer()

    @app.post("/api/export")
    async def start(request: Request) -> Response:
        content = await _json(request)
        try:
            await run_in_threadpool(exports.start, str(content.get("format")), content.get("with_wrong") is True)
        except Busy as error:
            raise HTTPException(409, str(error)) from error
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return answer()

    @app.delete("/api/export")
    def cancel() -> Response:
        exports.cancel()
        return answer()

    @app.get("/api/export/file")
    def file() -> Response:
        export = exports.current
        if export is None or export.state != "ready" or export.file is None:
            raise HTTPException(404, "nothing is ready to download")
        return FileResponse(export.file, filename=export.file.name, headers=FRESH)


def _frames(study: Study, numbers: list[int]) -> Iterator[bytes]:
    """One frame a photo, as soon as it is known: two lengths (four bytes each), a JSON header, runs of labels."""
    try:
        for photo, look in study.photos.looks(numbers, NOW):
            header: dict[str, Any] = {"photo": photo}
            body = b""
            if isinstance(look, BadPhoto):
                header["error"] = look.reason
            elif look.labels is not None:
                header["sure"] = number(sureness(look.figures[None])[0])
                body = runs(smaller_labels(look.labels, TILE))
            head = json.dumps(header).encode("ascii")
            yield struct.pack("<II", len(head), len(body)) + head + body
    except CancelledError:
        return


def _there(photo: int, study: Study) -> int:
    if not 0 <= photo < len(study.photos):
        raise HTTPException(404, f"photos are 0 to {len(study.photos) - 1}")
    return photo


def _picture(make: Callable[[], bytes]) -> Response:
    return Response(make(), media_type="image/jpeg", headers=KEEP)


def _labels(look: Look) -> Response:
    assert look.labels is not None
    return Response(runs(look.labels), media_type="application/octet-stream", headers=FRESH)


async def _body(request: Request, most: int) -> bytes:
    """The body of a request; refused as soon as it is known to be larger than `most` bytes."""
    limit = HTTPException(413, f"larger than {most >> 20} MB")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise limit
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise limit
    return bytes(body)


async def _json(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "JSON is expected")
    try:
        content = json.loads(await _body(request, MOST_JSON))
    except (ValueError, RecursionError) as error:
        raise HTTPException(422, "this is not JSON") from error
    if not isinstance(content, dict):
        raise HTTPException(422, "a JSON object is expected")
    return content


async def _bad_photo(request: Request, error: Exception) -> Response:
    """A photo that cannot be used: why, without its path."""
    reason = error.reason if isinstance(error, BadPhoto) else "it cannot be used"
    return Json({"detail": reason}, status_code=422, headers=FRESH)


async def _closing(request: Request, error: Exception) -> Response:
    return Json({"detail": "the explorer is closing"}, status_code=503, headers=FRESH)
