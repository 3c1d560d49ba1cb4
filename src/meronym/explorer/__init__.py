"""A page in the browser where a person sees what a run found, names its parts and takes annotations away.

>>> meronym.explore("runs/birds")

The page is served from this machine to this machine (`guard` says how others are kept out); what is changed on it is
kept in <run>/edits.json, which every export and prediction goes by.
"""

import socket
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from meronym.progress import say

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI


class CannotExplore(ValueError):
    """The page cannot be served: one line that says why, and what to do."""


def explore(
    run: str | Path,
    photos: str | Path | None = None,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    open_browser: bool = True,
    kind: str | None = None,
) -> None:
    """Open a page that shows what a run found, until Ctrl+C.

    Args:
        run: the run folder.
        photos: a collection to look at; by default the one the run was trained on.
        port: to listen on; any free one by default.
        host: the address to listen on. Anything but this machine's own opens the page, and the changing of names and
            downloads with it, to whoever can reach that address.
        open_browser: show the page.
        kind: of collection, where it cannot be told from its files.

    Raises:
        CannotExplore: the extra `explorer` is not installed, or the address cannot be listened on.
        FileNotFoundError: no run there, or its photos are gone.
    """
    _check_extra()
    import uvicorn

    from meronym.explorer.app import make_app
    from meronym.explorer.guard import is_loopback
    from meronym.explorer.study import Study

    listener = listen(host, port)
    study = Study(run, photos, kind)
    say(study.collection.summary())
    app: FastAPI = make_app(study, host)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}"
    if not is_loopback(host):
        say(f"{host} is not this machine alone: whoever can reach it can see these photos and change these parts")
    say(f"look at {address} (Ctrl+C ends)")
    if open_browser:
        threading.Timer(0.3, webbrowser.open, [address]).start()
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2, server_header=False)
    _serve(uvicorn.Server(config), listener)


def _serve(server: "uvicorn.Server", listener: socket.socket) -> None:
    """Until Ctrl+C; in a thread of its own, as a notebook has an event loop already."""
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.5)
    except KeyboardInterrupt:
        server.should_exit = True
        thread.join()


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound, so that its port is known and taken. Raises `CannotExplore`."""
    if not 0 <= port <= 65_535:
        raise CannotExplore(f"--port {port}: 1024 to 65535, or leave it away for a free one")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        why = error.strerror or str(error)
        raise CannotExplore(
            f"--host {host} --port {port}: {why}; leave --port away for a free one, and --host for this machine"
        ) from error
    return listener


def _check_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise CannotExplore(
            f'the explorer needs {error.name}, which is not installed: pip install "meronym[explorer]"'
        ) from error


__all__ = ["CannotExplore", "explore"]
