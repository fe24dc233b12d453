"""The door: one check around everything the server answers, so that no route can forget it.

A browser carries a person's reach to whatever page they have open. Four things keep other sites
out, each where the others do not reach:

- **Host**: a site that lets its own name point at this machine (DNS rebinding) is of the same
  origin as what it asks, and only the name in ``Host`` gives it away;
- **Origin** and **Sec-Fetch-Site**: pages of other sites, and of other ports of this machine;
- **a proof** where a browser sends neither, as it may for an image's address over plain HTTP:
  a header that no other site can set without being asked first, or in a link a key that no other
  site can read. Everything that starts work or hands out what was measured wants it;
- **policies** in every answer: no page frames ours, and ours loads nothing from elsewhere.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from explorer.pages.server.askers import HEADER, HERE, Asker, asked_by
from explorer.pages.server.rights import RouteRow, route_of

LOOPBACK = ("localhost", "127.0.0.1", "::1")
WILD = ("0.0.0.0", "::")  # all addresses of this machine
PROOF = "x-skipscope"  # any value: who may set it is of our own pages, or no browser
COOKIE = "skipscope_visitor"
COOKIE_SECONDS = 365 * 24 * 3600
KEY = secrets.token_urlsafe(16)  # of this process: in the links of its pages
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?\.?)(?::(\d{1,5}))?")
_VISITOR = re.compile(r"[0-9a-f]{32}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)
_PORTS = {"http": "80", "https": "443"}

WRONG_HOST = (
    "Skipscope does not answer to the name in this address: open it by a name that it was started "
    "with (this machine is localhost), or name this one with `skipscope app --host NAME`."
)
WRONG_ORIGIN = (
    "This was asked by a page that is not Skipscope's: open Skipscope's own address in a tab, or "
    "name the address that a proxy gives it with `skipscope app --host NAME`."
)
NO_PROOF = (
    "Only Skipscope's own pages may ask for this: open the page that links to it, or, from a "
    f"program, send the header {PROOF.title()}: 1."
)


NO_PATH = (
    "This is no address of a page: it must begin with a slash and have no control characters, such "
    "as http://localhost:8501/instruments."
)


@dataclass(frozen=True)
class Guests:
    """Under which names the server is known, and who else may ask.

    Attributes:
        hosts: Names beyond this machine's own, such as a proxy's: ``lab.example.org``,
            ``*.example.org`` (what lies beneath), ``*`` (any, which lets rebinding in), each with
            a port where it has one.
        origins: Other sites' origins that may ask and may frame the pages.
        base: The path under which everything lies; "" or "/name".
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    base: str = ""
    machine: tuple[str, ...] = field(default_factory=lambda: machine_names())

    @property
    def behind_proxy(self) -> bool:
        """Whether visitors may come by a proxy on this machine, who look as if they sat at it."""
        return bool(self.hosts)


def machine_names() -> tuple[str, ...]:
    """What this machine is called on its own network."""
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return tuple(dict.fromkeys((name, short, f"{short}.local")))


def keyed(query: Mapping[str, str]) -> dict[str, str]:
    """The query of a link to a file, with the proof that one of our pages wrote it."""
    return {**query, "key": KEY}


# ------------------------------------------------------------------------------- host and origin


def host_of(text: str | None) -> tuple[str, str] | None:
    """Name and port ("" for none) of a ``Host`` header; None where it is none."""
    found = _HOST.fullmatch((text or "").lower())
    if found is None:
        return None
    return found[1].strip("[]").rstrip("."), found[2] or ""


def may_be_called(host: str | None, guests: Guests, *, from_here: bool) -> bool:
    """Whether the server answers to this ``Host``.

    Args:
        from_here: The request comes from this machine. Else it also answers to plain addresses,
            which no name server can point anywhere, and to the machine's name.
    """
    parts = host_of(host)
    if parts is None:
        return False
    name = parts[0]
    if is_this_machine(name) or _named(parts, guests.hosts):
        return True
    return not from_here and (_is_address(name) or name in guests.machine)


def may_ask(origin: str | None, host: str, guests: Guests) -> bool:
    """Whether pages of this ``Origin`` may ask a server that is called ``host``."""
    if origin is None or origin in guests.origins:
        return True
    try:
        parts = urlsplit(origin.lower())
        netloc = host_of(parts.netloc)
    except ValueError:
        return False
    if parts.scheme not in _PORTS or netloc is None:
        return False
    usual = _PORTS[parts.scheme]

    def whole(name: tuple[str, str]) -> tuple[str, str]:
        return name[0], name[1] or usual

    asked = host_of(host)
    if asked is not None and whole(asked) == whole(netloc):
        return True
    # Behind a proxy that calls the server by another name than browsers do.
    name, port = netloc
    return _named((name, "" if port == usual else port), guests.hosts, exactly=True)


def _named(name: tuple[str, str], hosts: Iterable[str], *, exactly: bool = False) -> bool:
    """Whether a name is one of those given; ``exactly`` compares ports, and ``*`` is nobody."""
    for given in hosts:
        pattern, _, port = given.strip().lower().partition(":")
        if given.count(":") > 1:  # an IPv6 address
            pattern, port = given.strip("[]").lower(), ""
        if exactly and port != name[1]:
            continue
        if pattern == "*":
            if not exactly:
                return True
        elif pattern.startswith("*."):
            if name[0].endswith(pattern[1:]):
                return True
        elif name[0] == pattern.rstrip("."):
            return True
    return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_this_machine(name: str) -> bool:
    """Whether a name or address leads from every machine to itself: localhost, 127.0.0.2."""
    try:
        return name.lower() in LOOPBACK or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_loopback(client: tuple[str, int] | None) -> bool:
    return client is not None and is_this_machine(client[0])


# --------------------------------------------------------------------------------------- asker


def who(scope: Scope, headers: Headers, guests: Guests) -> Asker:
    """Somebody at this machine only where that is certain.

    Through a proxy on this machine everybody seems to sit at it: where one is named, nobody does.
    """
    host = host_of(headers.get("host"))
    forwarded = any(name in headers for name in ("x-forwarded-for", "forwarded", "x-real-ip"))
    here = _is_loopback(scope.get("client")) and host is not None and is_this_machine(host[0])
    if here and not forwarded and not guests.behind_proxy:
        return HERE
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        cookie = None
    known = cookie is not None and _VISITOR.fullmatch(cookie.value)
    return Asker("the network", cookie.value if known and cookie is not None else "")


# ------------------------------------------------------------------------------------ policies


def policies(guests: Guests, html: str = "") -> dict[str, str]:
    """Headers of every answer.

    Args:
        html: The page that is answered: its own inline scripts may run, by their hashes, and no
            others.
    """
    inline = "".join(f" '{_hash(script)}'" for script in _INLINE.findall(html))
    frames = " ".join(guests.origins)
    content = {
        "default-src": "'self'",
        # Streamlit runs a component's script from a blob; its graphs are drawn by WebAssembly.
        "script-src": f"'self' blob: 'wasm-unsafe-eval'{inline}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "media-src": "'self' data: blob:",
        "connect-src": "'self' data: blob:",
        "worker-src": "'self' blob:",
        "frame-src": "'none'",
        "object-src": "'none'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": frames or "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{key} {value}" for key, value in content.items()),
        **({} if frames else {"X-Frame-Options": "DENY"}),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    }


def _hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


# ----------------------------------------------------------------------------------- middleware


class Door:
    """ASGI middleware around the whole app.

    Args:
        index: Streamlit's own page, whose inline scripts may run wherever it is answered.
    """

    def __init__(self, app: ASGIApp, guests: Guests, index: str = "") -> None:
        self._app = app
        self._guests = guests
        self._policies = policies(guests, index)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path = self._path(scope)
        # Without a slash it is a proxy's way of asking, which no route here answers. A line's end
        # behind an address, though, is none to the routes: their `$` also matches before it.
        if not path.startswith("/") or _CONTROL.search(path):
            await self._refuse(NO_PATH, scope, receive, send, 400)
            return
        row = route_of(path)
        why = self._refusal(scope, headers, row)
        if why is not None:
            await self._refuse(why, scope, receive, send)
            return
        asker = who(scope, headers, self._guests)
        fresh = ""
        if asker.place == "the network" and not asker.visitor:
            fresh = secrets.token_hex(16)
            # Known from the next request on: what comes without a cookie is nobody's.
            asker = (
                asker if scope["type"] == "http" and not row.opens else Asker(asker.place, fresh)
            )
        if scope["type"] == "websocket":
            told = [pair for pair in scope["headers"] if pair[0] != HEADER.encode()]
            scope = {**scope, "headers": [*told, (HEADER.encode(), asker.written.encode())]}

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in self._policies.items():
                    sent.setdefault(name, value)
                if fresh and row.opens:
                    sent.append("Set-Cookie", self._cookie(scope, fresh))
            await send(message)

        with asked_by(asker):
            await self._app(scope, receive, answer)

    def _path(self, scope: Scope) -> str:
        path: str = scope["path"]
        base = scope.get("root_path", "") or self._guests.base
        if base and (path == base or path.startswith(f"{base}/")):
            return path.removeprefix(base) or "/"
        return path

    def _refusal(self, scope: Scope, headers: Headers, row: RouteRow) -> str | None:
        """One sentence, or None where the request may pass."""
        host = headers.get("host")
        from_here = _is_loopback(scope.get("client"))
        if host is None or not may_be_called(host, self._guests, from_here=from_here):
            return WRONG_HOST
        if not may_ask(headers.get("origin"), host, self._guests):
            return WRONG_ORIGIN
        if headers.get("sec-fetch-site") in ("cross-site", "same-site") and not (
            self._trusts(headers) or (row.opens and self._opens_a_page(scope, headers))
        ):
            return WRONG_ORIGIN
        if row.proof and not self._proven(scope, headers):
            return NO_PROOF
        return None

    def _trusts(self, headers: Headers) -> bool:
        return headers.get("origin") in self._guests.origins

    def _opens_a_page(self, scope: Scope, headers: Headers) -> bool:
        """A link to a page may be clicked anywhere; it opens by itself, in no other page."""
        places = ("document", "iframe") if self._guests.origins else ("document",)
        return (
            scope["type"] == "http"
            and scope["method"] in ("GET", "HEAD")
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") in places
        )

    def _proven(self, scope: Scope, headers: Headers) -> bool:
        if PROOF in headers:
            return True
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("key", [""])[-1]
        return secrets.compare_digest(given.encode(), KEY.encode())

    def _cookie(self, scope: Scope, visitor: str) -> str:
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        path = self._guests.base or "/"
        return (
            f"{COOKIE}={visitor}; Path={path}; Max-Age={COOKIE_SECONDS}; HttpOnly; "
            f"SameSite=Lax{secure}"
        )

    async def _refuse(
        self, why: str, scope: Scope, receive: Receive, send: Send, status: int = 403
    ) -> None:
        response = PlainTextResponse(why, status, self._policies)
        if scope["type"] == "websocket":
            socket = WebSocket(scope, receive, send)
            if "websocket.http.response" in scope.get("extensions", {}):
                await socket.send_denial_response(response)
            else:
                await socket.close(1008)
            return
        await response(scope, receive, send)


def page(text: str, guests: Guests, status: int = 200) -> HTMLResponse:
    """A page of ours: the inline scripts in it may run, and no others."""
    headers = {"Cache-Control": "no-cache", **policies(guests, text)}
    return HTMLResponse(text, status, headers=headers)
