"""Who may ask for what: the explorer is a page on the user's own machine, and other sites' pages are not to reach it.

A page from elsewhere can make a browser send requests here. Three things stop it: the Host header has to name this
machine (so a foreign name that is made to point here does not work), whatever changes something needs a header that no
other site can add and an Origin that is this page's, and no answer may be shown or read by another site.
"""

import ipaddress
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MARK = b"x-meronym"
"""The header, of any value, that a request has to have to change something."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
)


class Guard:
    """ASGI middleware around the whole explorer. host: the address that it listens on."""

    def __init__(self, app: Callable[..., Awaitable[None]], host: str = "127.0.0.1") -> None:
        self.app, self.local = app, is_loopback(host)
        self.names = () if self.local else tuple(map(str.lower, (host, socket.gethostname(), socket.getfqdn())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [*message.get("headers", []), *(h for h in HEADERS if h[0] not in given)]
            await send(message)

        refusal = self.refusal(scope["method"], scope["headers"])
        if refusal is None:
            await self.app(scope, receive, guarded)
            return
        status, text = refusal
        body = text.encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        await guarded({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def refusal(self, method: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str] | None:
        """Status and reason if a request is not to be answered."""
        values: dict[bytes, list[bytes]] = {}
        for name, value in headers:
            values.setdefault(name.lower(), []).append(value)
        hosts = [value.decode("latin-1") for value in values.get(b"host", [])]
        if len(hosts) != 1 or not trusted(hosts[0], self.local, self.names):
            return 421, "This is not the address of a Meronym explorer. Open the address that it printed."
        if method in ("GET", "HEAD"):
            return None
        origins = [value.decode("latin-1") for value in values.get(b"origin", [])]
        foreign = any(origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}") for origin in origins)
        site = values.get(b"sec-fetch-site", [b"same-origin"])[0]
        if foreign or len(origins) > 1 or site != b"same-origin" or MARK not in values:
            return 403, "Only the explorer's own page can change something."
        return None


def trusted(host: str, local: bool, names: Sequence[str] = ()) -> bool:
    """Whether a Host header can only be meant for this machine.

    Where the explorer listens on this machine alone, that is "localhost" or a loopback address, with any port (it may
    have been forwarded); else any numeric address or one of this machine's names.
    """
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):
        name, port = host, "0"
    if not port.isdecimal():
        return False
    name = name.lower().strip("[]") if name.startswith("[") == name.endswith("]") else ""
    if name == "localhost" or is_loopback(name):
        return True
    return not local and (_is_address(name) or name in names)


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
