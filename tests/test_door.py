"""The door around the server, and the table of who may do what: row by row."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Match, Route, WebSocketRoute
from starlette.websockets import WebSocket
from streamlit import config

from explorer.data.catalog import data_info
from explorer.errors import NotAllowedError, SkipscopeError
from explorer.pages.server import askers, rights, routes, visitors
from explorer.pages.server.askers import HERE, Asker, asked_by, asker
from explorer.pages.server.door import (
    COOKIE,
    KEY,
    NO_PATH,
    NO_PROOF,
    WRONG_HOST,
    WRONG_ORIGIN,
    Door,
    Guests,
    keyed,
    may_ask,
    may_be_called,
    policies,
)
from explorer.pages.server.rights import (
    ACTIONS,
    GRANTS,
    ROUTES,
    ActionRow,
    Grant,
    RouteRow,
    route_of,
)
from explorer.pages.server.upload_room import UploadRoom
from explorer.runs.serve import service as run_services
from explorer.runs.serve.service import Action, RunService
from explorer.runs.sweeps.server_sweeps import ServerSweeps
from explorer.structure.names import spec_of
from explorer.structure.specs import RECIPES, DataSpec, ExperimentSpec, fit

ROOT = Path(__file__).parent.parent
LAN = ("192.168.1.9", 40000)
LOCAL = ("127.0.0.1", 40000)
PROVEN = {"x-skipscope": "1"}
MACHINE = ("lab", "lab.local")

# ------------------------------------------------------------------------------ names and origins


@pytest.mark.parametrize(
    "name", ["localhost", "localhost:8501", "127.0.0.1:8501", "[::1]:8501", "127.0.0.2:8501"]
)
def test_this_machine_is_called_by_its_own_names(name: str) -> None:
    assert may_be_called(name, Guests(machine=MACHINE), from_here=True)
    assert may_be_called(name, Guests(machine=MACHINE), from_here=False)  # a container's port


@pytest.mark.parametrize(
    "address", ["localhost", "LOCALHOST", "127.0.0.2", "::1", "192.168.1.5", ""]
)
def test_only_a_server_that_is_open_says_so(
    address: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(routes, "guests", lambda: Guests(machine=MACHINE))
    before = config.get_option("server.address"), config.get_option("server.allowedHosts")
    config.set_option("server.address", address)
    try:
        routes._tell_who_may()
        hosts = config.get_option("server.allowedHosts")
    finally:
        config.set_option("server.address", before[0])
        config.set_option("server.allowedHosts", before[1])
    is_open = address in ("192.168.1.5", "")
    assert ("open beyond this machine" in capsys.readouterr().out) == is_open
    assert hosts == ["*"] if is_open else address in hosts


@pytest.mark.parametrize(
    "name",
    [
        *(None, "", "evil.test", "evil.test:8501", "localhost.evil.test", "127.0.0.1.evil.test"),
        *(
            "localhost@evil.test",
            "localhost/evil.test",
            "evil.test#localhost",
            "localhost:x",
            "a b",
        ),
        *("lab", "93.184.216.34", "[::2]", "127.0.0.1:999999", "localhost, evil.test"),
    ],
)
def test_this_machine_answers_to_no_other_name(name: str | None) -> None:
    assert not may_be_called(name, Guests(machine=MACHINE), from_here=True)


def test_the_network_may_type_an_address_or_the_machines_name() -> None:
    for name in ("192.168.1.5:8501", "[fe80::1]:8501", "lab:8501", "LAB.local"):
        assert may_be_called(name, Guests(machine=MACHINE), from_here=False), name
    # What a name server may point anywhere is refused from there too.
    for name in ("evil.test:8501", "192.168.1.5.evil.test", "lab.evil.test"):
        assert not may_be_called(name, Guests(machine=MACHINE), from_here=False), name


def test_names_that_were_given() -> None:
    known = Guests(hosts=("lab.example.org", "*.teach.example.org"), machine=())
    for name in (
        "lab.example.org",
        "LAB.example.org:443",
        "lab.example.org.",
        "a.teach.example.org",
    ):
        assert may_be_called(name, known, from_here=True), name
    for name in (
        "example.org",
        "teach.example.org",
        "lab.example.org.evil.test",
        "xlab.example.org",
    ):
        assert not may_be_called(name, known, from_here=True), name
    assert may_be_called("anything.test", Guests(hosts=("*",), machine=()), from_here=True)


@pytest.mark.parametrize(
    ("origin", "host", "may"),
    [
        (None, "localhost:8501", True),  # no browser
        ("http://localhost:8501", "localhost:8501", True),
        ("http://LOCALHOST:8501", "localhost:8501", True),
        ("https://lab.example.org", "lab.example.org", True),
        ("https://lab.example.org", "lab.example.org:443", True),
        ("http://localhost:3000", "localhost:8501", False),  # another program's page
        ("http://127.0.0.1:8501", "localhost:8501", False),
        ("http://localhost", "localhost:8501", False),
        ("http://evil.test", "localhost:8501", False),
        ("http://evil.test:8501", "localhost:8501", False),
        ("null", "localhost:8501", False),  # a file, or a frame that is shut in
        ("", "localhost:8501", False),
        ("file://localhost:8501", "localhost:8501", False),
        ("chrome-extension://localhost:8501", "localhost:8501", False),
        ("http://localhost:8501@evil.test", "localhost:8501", False),
        ("http://[", "localhost:8501", False),
        ("https://out.example.org", "127.0.0.1:8501", True),  # the proxy's name, by --host
        ("https://out.example.org:9000", "127.0.0.1:8501", False),  # another port of the proxy
        ("https://other.example.org:8443", "127.0.0.1:8501", True),
        ("https://friend.test", "127.0.0.1:8501", True),  # corsAllowedOrigins
        ("http://friend.test", "127.0.0.1:8501", False),
    ],
)
def test_which_pages_may_ask(origin: str | None, host: str, may: bool) -> None:
    known = Guests(
        hosts=("out.example.org", "other.example.org:8443"),
        origins=("https://friend.test",),
        machine=(),
    )
    assert may_ask(origin, host, known) == may
    assert not may_ask("http://evil.test", host, Guests(hosts=("*",), machine=()))


# ------------------------------------------------------------------------------ a server in here


async def _anything(request: Request) -> PlainTextResponse:
    now = asker()
    return PlainTextResponse(f"{now.place} {now.visitor}")


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    told = websocket.headers.getlist(askers.HEADER)
    await websocket.send_text(json.dumps(told))
    await websocket.close()


def app(guests: Guests | None = None) -> Starlette:
    return Starlette(
        routes=[
            WebSocketRoute("/_stcore/stream", _socket),
            Route("/{path:path}", _anything, methods=["GET", "POST", "PUT", "DELETE"]),
        ],
        middleware=[Middleware(Door, guests=guests or Guests(machine=MACHINE))],
    )


class Answer:
    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        start = next(m for m in messages if m["type"].endswith("response.start"))
        self.status = start["status"]
        self.headers = {k.decode().lower(): v.decode() for k, v in start["headers"]}
        self.text = b"".join(m.get("body", b"") for m in messages).decode()


def exchange(
    path: str,
    headers: dict[str, str] | None = None,
    *,
    client: tuple[str, int] | None = LOCAL,
    method: str = "GET",
    guests: Guests | None = None,
    socket: bool = False,
) -> list[dict[str, Any]]:
    """What the server in here sends to one request."""
    path, _, query = path.partition("?")
    sent: list[dict[str, Any]] = []
    given = {"host": "localhost:8501", **(headers or {})}
    scope: dict[str, Any] = {
        "type": "websocket" if socket else "http",
        "scheme": "ws" if socket else "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
        "client": client,
        "server": ("127.0.0.1", 8501),
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}} if socket else {},
    }
    if socket:
        del scope["method"]
    inbox = iter([{"type": "websocket.connect" if socket else "http.request", "body": b""}])

    async def receive() -> dict[str, Any]:
        return next(inbox, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(guests)(scope, receive, send))
    return sent


def ask(path: str, headers: dict[str, str] | None = None, **how: Any) -> Answer:
    return Answer(exchange(path, headers, **how))


def handshake(headers: dict[str, str], **how: Any) -> Any:
    """What the page's script would be told; the refusal where there is no handshake."""
    sent = exchange("/_stcore/stream", headers, socket=True, **how)
    if sent[0]["type"] == "websocket.accept":
        return json.loads(sent[1]["text"])
    return Answer(sent).text


def example(row: RouteRow) -> str:
    path = row.path.replace("…", "x")
    for part in ("{name}", "{page}"):
        path = path.replace(part, "instruments")
    return path


HTTP_ROWS = [row for row in ROUTES if row.path != "/_stcore/stream"]
by_path = pytest.mark.parametrize("row", HTTP_ROWS, ids=lambda row: row.path)


@by_path
def test_row_by_row_who_asks_an_address(row: RouteRow) -> None:
    path = example(row)
    assert route_of(path) == row
    own = {"sec-fetch-site": "same-origin", "origin": "http://localhost:8501"}
    for client, place in ((LOCAL, "this machine"), (LAN, "the network")):
        answer = ask(path, {**own, **PROVEN}, client=client)
        assert (answer.status, answer.text.split()[:2]) == (200, place.split())
        bare = ask(path, own, client=client)
        assert (bare.status == 200) != row.proof
        assert not row.proof or bare.text == NO_PROOF
        assert (ask(path, client=client).status == 200) != row.proof  # a browser that says nothing
    # Another site's page, by whatever means; a proof it could not have changes nothing.
    for site in ("cross-site", "same-site"):
        for mode, dest in (("no-cors", "image"), ("cors", "empty"), ("navigate", "iframe")):
            asked = {"sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest}
            assert ask(path, {**asked, **PROVEN}).text == WRONG_ORIGIN
        link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
        assert (ask(path, link).status == 200) == row.opens
        assert ask(path, link, method="POST").status == 403
    for origin in ("http://evil.test", "http://localhost:3000", "null"):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert ask(path, {"origin": origin, **PROVEN}, method=method).text == WRONG_ORIGIN
    for host in ("evil.test", "evil.test:8501", "localhost.evil.test"):
        for client in (LOCAL, LAN):
            rebound = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
            assert ask(path, {**rebound, **PROVEN}, client=client).text == WRONG_HOST


def test_a_link_to_a_file_has_its_key() -> None:
    query = keyed({"as": "csv"})
    assert query == {"as": "csv", "key": KEY}
    assert ask(f"/skipscope/run/file?as=csv&key={KEY}").status == 200
    assert ask("/skipscope/run/file?as=csv&key=guessed").text == NO_PROOF
    assert (
        ask(f"/skipscope/run/file?as=csv&key={KEY}", {"origin": "http://evil.test"}).status == 403
    )


def test_the_socket_lets_our_own_pages_in_and_tells_them_apart() -> None:
    own = {"origin": "http://localhost:8501", "sec-fetch-site": "same-origin"}
    assert handshake(own) == ["-"]
    assert handshake({}) == ["-"]  # a program
    # What claims to be from here is not believed.
    (visitor,) = handshake({"host": "192.168.1.5:8501", askers.HEADER: "-"}, client=LAN)
    assert len(visitor) == 32
    known = {"host": "192.168.1.5:8501", "cookie": f"a=b; {COOKIE}={'0a' * 16}"}
    assert handshake(known, client=LAN) == ["0a" * 16]
    for origin in ("http://evil.test", "http://localhost:3000", "http://127.0.0.1:8501", "null"):
        assert handshake({"origin": origin}) == WRONG_ORIGIN
    assert handshake({"sec-fetch-site": "same-site"}) == WRONG_ORIGIN
    rebound = {"host": "evil.test:8501", "origin": "http://evil.test:8501"}
    assert handshake(rebound) == WRONG_HOST
    assert handshake(rebound, client=LAN) == WRONG_HOST


def test_who_comes_by_a_proxy_is_not_taken_for_somebody_at_this_machine() -> None:
    assert ask("/").text == "this machine "
    assert ask("/", client=LAN).text.startswith("the network ")
    assert ask("/", client=None).text.startswith("the network ")
    for name in ("x-forwarded-for", "forwarded", "x-real-ip"):
        assert ask("/", {name: "127.0.0.1"}).text.startswith("the network ")
    proxy = Guests(hosts=("lab.example.org",), machine=())
    assert ask("/", guests=proxy).text.startswith("the network ")
    assert ask("/", {"host": "lab.example.org"}, guests=proxy).status == 200


def test_a_visitor_of_the_network_is_known_again_and_nobody_else_is_marked() -> None:
    assert "set-cookie" not in ask("/").headers
    first = ask("/", client=LAN)
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    visitor = cookie.partition("=")[2].partition(";")[0]
    assert first.text == f"the network {visitor}"
    again = ask("/skipscope/feed", {"cookie": f"{COOKIE}={visitor}", **PROVEN}, client=LAN)
    assert again.text == f"the network {visitor}"
    assert "set-cookie" not in again.headers
    assert ask("/skipscope/feed", PROVEN, client=LAN).text == "the network "
    for nonsense in ("x", "../..", "0a" * 17):
        answer = ask("/", {"cookie": f"{COOKIE}={nonsense}"}, client=LAN)
        assert "set-cookie" in answer.headers
        assert nonsense not in answer.text


def test_a_path_in_front_is_left_away() -> None:
    below = Guests(base="/tools/skipscope", machine=())
    assert ask("/tools/skipscope/skipscope/feed", guests=below).text == NO_PROOF
    assert ask("/tools/skipscope/skipscope/feed", PROVEN, guests=below).status == 200
    assert ask("/tools/skipscope", guests=below).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "*",
        "http://localhost:8501/",
        "localhost:80",
        "evil",
        "",
        "/skipscope/feed\n",
        "/\x00",
        "/a\x7f",
    ],
)
def test_what_is_no_path_is_refused_in_a_sentence(path: str) -> None:
    """What proxies are asked, and `OPTIONS *`."""
    for method in ("GET", "OPTIONS", "POST"):
        answer = ask(path, PROVEN, method=method)
        assert (answer.status, answer.text) == (400, NO_PATH)
    below = Guests(base="/tools", machine=())
    assert ask("/toolsskipscope/feed", guests=below).text != NO_PROOF  # nothing lies there


def test_what_a_route_answers_is_that_routes_row_however_it_is_written() -> None:
    """Routes match by patterns of their own: "/skipscope/feed%0A" was the feed, without a proof."""
    own = [route for route in routes.routes() if isinstance(route, Route)]
    wanting = [r for r in own if route_of(r.path).proof]
    assert len(wanting) == 7
    signs = [chr(code) for code in range(0x3000)] + ["//", "/.", "/..", "\r\n", "%0A", "\ufeff"]
    answered = []
    for route in wanting:
        for sign in signs:
            end, middle = f"{route.path}{sign}", route.path.replace("/", f"/{sign}", 1)
            for path in (end, middle, f"{sign}{route.path}"):
                scope = {"type": "http", "path": path, "method": "GET"}
                if route.matches(scope)[0] != Match.NONE and path != route.path:
                    answered.append(path)
                    assert ask(path).status in (400, 403), ascii(path)
    assert [path for path in answered if path.endswith("feed\n")]  # if not, this tests nothing
    for path in (
        "/skipscope",
        "/skipscope/",
        "/skipscope/feed/",
        "/skipscope/new",
        "/skipscope//feed",
    ):
        assert ask(path).text == NO_PROOF


# --------------------------------------------------------------------------------- room for uploads


def put(
    tab: str, size: int | None, held: dict[str, int], *, meanwhile: tuple[str, int] | None = None
) -> list[int]:
    """Statuses of an upload, after that of another one that comes while it is under way."""
    statuses: list[int] = []

    async def streamlit(scope: Any, receive: Any, send: Any) -> None:
        nonlocal meanwhile
        if meanwhile is not None:
            other, meanwhile = meanwhile, None
            await one(*other)
        await PlainTextResponse("", 204)(scope, receive, send)

    room = UploadRoom(streamlit, lambda: held, largest=200 << 20, base="/lab")

    async def one(tab: str, size: int | None) -> None:
        said = [] if size is None else [(b"content-length", str(size).encode())]
        path = f"/lab/_stcore/upload_file/{tab}/file"
        scope = {"type": "http", "method": "PUT", "path": path, "headers": said}

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await room(scope, receive, send)

    asyncio.run(one(tab, size))
    assert not room._coming
    return statuses


def test_uploads_fill_so_much_of_the_memory_and_no_more() -> None:
    mb = 1 << 20
    assert put("a", 200 * mb, {}) == [204]
    assert put("a", 24 * mb, {"a": 1000 * mb}) == [204]
    assert put("a", 25 * mb, {"a": 1000 * mb}) == [413]
    assert put("a", None, {"a": 825 * mb}) == [413]  # which may have 200 MB
    assert put("b", 200 * mb, {"a": 1000 * mb}) == [204]
    assert put("c", 49 * mb, {"a": 1000 * mb, "b": 1000 * mb}) == [413]
    # What is under way counts as well.
    assert put("a", 100 * mb, {"a": 850 * mb}, meanwhile=("a", 100 * mb)) == [413, 204]
    assert put("a", 50 * mb, {"a": 850 * mb}, meanwhile=("a", 100 * mb)) == [204, 204]


# ------------------------------------------------------------------------------------ policies


def test_every_answer_has_its_policies() -> None:
    for headers in ({}, {"host": "evil.test"}, {"origin": "http://evil.test"}):
        sent = ask("/", headers).headers
        assert "frame-ancestors 'none'" in sent["content-security-policy"]
        assert sent["x-frame-options"] == "DENY"
        assert sent["x-content-type-options"] == "nosniff"
        assert sent["referrer-policy"] == "same-origin"
        assert sent["cross-origin-resource-policy"] == "same-origin"


def test_a_page_may_run_its_own_scripts_and_no_others() -> None:
    page = '<script>one()</script><script src="x.js"></script><script type="module">two()</script>'
    script = policies(Guests(machine=()), page)["Content-Security-Policy"].split(";")[1]
    script = script.replace("wasm-unsafe-eval", "")
    assert script.count("sha256-") == 2
    assert "unsafe" not in script
    assert "http" not in script


def test_who_is_trusted_may_frame_the_pages() -> None:
    friend = Guests(origins=("https://friend.test",), machine=())
    sent = ask("/", guests=friend).headers
    assert "frame-ancestors https://friend.test" in sent["content-security-policy"]
    assert "x-frame-options" not in sent
    framed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert ask("/", {**framed, "sec-fetch-dest": "iframe"}, guests=friend).status == 200
    assert ask("/skipscope/run/file", {**framed, "sec-fetch-dest": "iframe"}).status == 403


# --------------------------------------------------------------------------- nothing is left out


def test_every_address_of_the_server_is_in_the_table() -> None:
    """Ours, and Streamlit's of this version: what a newer one adds must be looked at."""
    script = (
        "import json, app;"
        "built = app.app._build_starlette_app();"
        "print('@' + json.dumps([getattr(r, 'path', '') for r in built.routes]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = json.loads(done.stdout.partition("@")[2])
    assert len(paths) > 20
    for path in paths:
        row = route_of(path)
        assert row in ROUTES, path
        # No address of ours is let through as if it were a page.
        assert not path.startswith("/skipscope/") or not row.opens, path
        assert row.theirs == (not path.startswith("/skipscope/") and not row.opens), path
    for row in ROUTES:
        held = [path for path in paths if route_of(path) == row]
        assert held or row.path in ("/static/…", "/skipscope/…"), (
            f"{row.path} is in the table, and nowhere else"
        )


def public(of: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(of)
        if not name.startswith("_") and callable(member)
    }


SERVERS_OWN = {"start", "close", "control"}  # control's actions have rows of their own


def test_every_action_is_in_the_table() -> None:
    rows = {row.name for row in ACTIONS}
    assert len(rows) == len(ACTIONS)
    wanted = public(RunService) - SERVERS_OWN | set(get_args(Action))
    wanted |= {f"sweeps.{name}" for name in public(ServerSweeps) - {"close"}}
    assert rows == wanted | {"folder", "download"}


def test_readme_shows_the_table() -> None:
    assert rights.as_markdown() in (ROOT / "README.md").read_text()


# ------------------------------------------------------------------------------ row by row: actions


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunService]:
    """A service whose trainings stay in the queue: nothing here needs a worker."""
    opened = RunService(tmp_path, max_training=0)
    monkeypatch.setattr(run_services, "get_service", lambda home=None: opened)
    monkeypatch.delenv(rights.ALLOW, raising=False)
    monkeypatch.setattr(visitors, "_began", visitors._Began())
    yield opened
    opened.close()


ANNA, BORIS = Asker("the network", "a" * 32), Asker("the network", "b" * 32)


def experiment(data: DataSpec | None = None) -> ExperimentSpec:
    data = data or DataSpec()
    info = data_info(data)
    net = fit(spec_of("plain_8;width=4"), info.input_shape, len(info.classes))
    return ExperimentSpec(lanes=(net,), data=data, training=RECIPES["one_cycle"])


@contextlib.contextmanager
def as_(who: Asker) -> Iterator[RunService]:
    with asked_by(who):
        yield visitors.get_service()


# Arguments for each action that is about one run, after its id.
MORE: dict[str, tuple[Any, ...]] = {
    "duplicate": (0, spec_of("plain_8;width=4")),
    "delete_units": (0, ()),
    "rename": ("a name",),
    "annotate": ("a note",),
    "weights_file": (0,),
    "recorded_training": (0,),
    "moment": (1,),
    "recorded": (0, "step"),
}


def act(service: Any, row: ActionRow, run: str) -> None:
    """Does what the row says, to one run; that the run cannot do it now is no refusal."""
    name = row.name
    if name in get_args(Action):
        service.control(run, name, 1.0)
    elif name == "all_records":
        list(service.all_records(run))
    else:
        getattr(service, name)(run, *MORE.get(name, ()))


def refused(service: Any, row: ActionRow, run: str) -> bool:
    try:
        act(service, row, run)
    except NotAllowedError:
        return True
    except SkipscopeError:
        return False
    return False


ONE_RUN = [
    row
    for row in ACTIONS
    if row.name not in ("experiments", "deleted_experiments", "job", "submit", "create")
    and not row.name.startswith(("sweeps.", "keep_"))
    and row.name not in ("folder", "download")
]


@pytest.mark.parametrize("row", ONE_RUN, ids=lambda row: row.name)
def test_row_by_row_who_may_do_it_to_a_run(
    row: ActionRow, service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = service.create(experiment(), start=False)
    with as_(ANNA) as hers:
        own = hers.create(experiment(), start=False)
    assert visitors.get_service() is service  # at this machine nothing stands between
    closed = row.network not in ("yes", "own")
    for run, visitor in ((here, ANNA), (here, BORIS), (own, BORIS)):
        with as_(visitor) as theirs:
            assert refused(theirs, row, run) == (row.network != "yes"), (row.name, visitor)
    with as_(ANNA) as hers:
        assert refused(hers, row, own) == closed
    with as_(Asker("the network")) as nobody:  # who is known by no name owns nothing
        assert refused(nobody, row, own) == (row.network != "yes")
    monkeypatch.setenv(rights.ALLOW, "runs" if row.network == "own" else str(row.network))
    with as_(BORIS) as theirs:
        assert not refused(theirs, row, here)


def test_what_is_not_in_the_table_is_refused(service: RunService) -> None:
    with as_(ANNA) as theirs, pytest.raises(NotAllowedError):
        theirs.close()
    with as_(ANNA) as theirs, pytest.raises(SkipscopeError):
        theirs.control("x", "explode")  # type: ignore[arg-type]
    with as_(ANNA) as theirs:
        assert theirs.notice == service.notice
        assert theirs.home == service.home


def test_a_queue_has_bounds_for_the_network(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with as_(ANNA) as hers:
        first = hers.create(experiment())
        hers.create(experiment())
        with pytest.raises(NotAllowedError, match="You have 2 trainings under way or waiting"):
            hers.create(experiment())
        hers.control(first, "stop")
        hers.create(experiment())
    for n in range(rights.ALL_RUNS - 2):
        with as_(Asker("the network", f"{n:032x}")) as theirs:
            theirs.create(experiment())
    with as_(BORIS) as his, pytest.raises(NotAllowedError, match="12 trainings of visitors"):
        his.create(experiment())
    service.create(experiment())  # this machine has no bounds
    monkeypatch.setenv(rights.ALLOW, "queue")
    with as_(BORIS) as his:
        his.create(experiment())


def test_measurements_of_the_network_have_bounds(service: RunService) -> None:
    service._job_queue._count = 0  # nobody answers: all wait

    def payload(seed: int) -> dict[str, Any]:
        net = spec_of("plain_8").model_dump(mode="json")
        return {"net": {"source": "fresh", "spec": net, "seed": seed}}

    with as_(ANNA) as hers:
        jobs = [hers.submit("gradients", payload(seed)) for seed in range(rights.OWN_JOBS)]
        with pytest.raises(NotAllowedError, match="12 measurements"):
            hers.submit("gradients", payload(99))
        jobs[0].cancel()
        hers.submit("gradients", payload(99))
    service.submit("gradients", payload(100))


def folder_of_images(root: Path) -> Path:
    from PIL import Image

    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            Image.new("RGB", (8, 8)).save(root / split / name / "1.png")
    return root


def test_the_servers_folders_are_not_the_networks(
    service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.pages.instruments.links import from_query as read_look
    from explorer.pages.shared.state import from_query as read_page

    there, missing = folder_of_images(tmp_path / "there"), tmp_path / "missing"
    data = DataSpec(name="folder", path=str(there))
    for path in (there, missing):
        link = {"data": f"folder;path={path}"}
        with asked_by(BORIS):
            for _, problems in (read_page(link), read_look(link)):
                # The same sentence whether or not there is such a folder, and no word of it.
                assert len(problems) == 1
                assert "To choose a folder of the server is for people at" in problems[0]
                assert str(tmp_path) not in problems[0]
    assert read_page({"data": f"folder;path={there}"})[1] == []
    with as_(BORIS) as his:
        with pytest.raises(NotAllowedError):
            his.create(experiment(data))
        with pytest.raises(NotAllowedError):
            his.submit("prepare_data", {"data": data.model_dump(mode="json")})
    # What a run here was trained on is seen with the run.
    service.create(experiment(data), start=False)
    with asked_by(BORIS):
        assert read_page({"data": f"folder;path={there}"})[1] == []
        assert read_page({"data": f"folder;path={missing}"})[1] != []
    monkeypatch.setenv(rights.ALLOW, "folders")
    with asked_by(BORIS):
        assert "There is no folder" in read_page({"data": f"folder;path={missing}"})[1][0]


def test_a_dropped_archive_is_anybodys_and_leads_nowhere_else(
    service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.pages.shared.state import from_query as read_page

    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "home"))
    content = zipped(folder_of_images(tmp_path / "there"))
    with as_(BORIS) as his:
        kept = his.keep_images("pets.zip", content)
        data = DataSpec(name="folder", path=kept)
        his.create(experiment(data), start=False)
    with asked_by(ANNA):
        assert visitors.data_info(data).classes == ("cat", "dog")
        assert read_page({"data": f"folder;path={kept}"})[1] == []
        for other in (f"{kept}/../x", f"../zips/{kept}", f"/{kept}", f"{kept}-8.safetensors"):
            (problem,) = read_page({"data": f"folder;path={other}"})[1]
            assert "To choose a folder of the server is for people at" in problem
        (problem,) = read_page({"data": "folder;path=0123456789abcdef.images"})[1]
        assert "are not stored here: drop the .zip on the page again" in problem


def zipped(folder: Path) -> bytes:
    import io
    import zipfile

    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, f"pets/{file.relative_to(folder)}")
    return made.getvalue()


def test_the_network_downloads_nothing_unless_it_is_switched_on(
    service: RunService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "home"))
    mnist = DataSpec(name="mnist")
    fetch = ("prepare_data", {"data": mnist.model_dump(mode="json")})
    with as_(BORIS) as his:
        with pytest.raises(NotAllowedError, match="MNIST is not on the server"):
            his.create(experiment(mnist))
        with pytest.raises(NotAllowedError, match="--allow downloads"):
            his.submit(*fetch)  # type: ignore[arg-type]
        with pytest.raises(NotAllowedError, match="--allow downloads"):
            his.submit("prepare_weights", {"name": "torchvision_resnet50"})
    service._job_queue._count = 0
    monkeypatch.setenv(rights.ALLOW, "downloads")
    with as_(BORIS) as his:
        his.submit(*fetch).cancel()  # type: ignore[arg-type]


def test_somebody_at_this_machine_may_do_all_of_it(service: RunService) -> None:
    run = service.create(experiment(), start=False)
    with asked_by(HERE):
        assert all(visitors.may(row.name, run) for row in ACTIONS)
    with asked_by(BORIS):
        closed = {row.name for row in ACTIONS if not visitors.may(row.name, run)}
    assert closed == {row.name for row in ACTIONS if row.network not in ("yes", "bounded")}


# --------------------------------------------------------------------------------- in words


def test_an_open_server_says_what_the_network_may_do() -> None:
    words = rights.open_words("0.0.0.0", ["runs"])
    assert "open beyond this machine (0.0.0.0)" in words
    assert "without a password" in words
    assert "Others open http://lab:1;" in rights.open_words("0.0.0.0", [], "http://lab:1")
    for grant, what in GRANTS.items():
        assert f"may {'' if grant == 'runs' else 'not '}{what}" in words


def test_words_for_the_network_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(get_args(Grant)) == set(GRANTS)
    monkeypatch.setenv(rights.ALLOW, "runs, nonsense,queue")
    assert rights.allowed() == {"runs", "queue"}
    assert rights.unknown_grants("runs, nonsense,queue") == ["nonsense"]


def test_the_command_hands_names_on() -> None:
    from explorer.cli.app import server_command
    from explorer.cli.parser import parse

    args = parse(["app", "--host", "Lab.example.org", "--host", "*.b.org", "--allow", "runs"])
    command = server_command("127.0.0.1", 1, headless=True, hosts=args.host)
    assert command[-3:-1] == [
        "--server.allowedHosts=lab.example.org",
        "--server.allowedHosts=*.b.org",
    ]
    assert args.allow == ["runs"]
    # Streamlit would ask another site for this machine's address.
    wide = server_command("0.0.0.0", 1, headless=True)
    assert "--browser.serverAddress=localhost" in wide
    for wrong in ("http://lab.example.org", "a b", "lab/x", ""):
        with pytest.raises(SkipscopeError, match="a name as it stands in the address"):
            parse(["app", "--host", wrong])


# ------------------------------------------------------------------------------ gone, and looking


def test_a_job_ends_when_whoever_asked_is_gone(
    service: RunService, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.pages.server import leases as module

    monkeypatch.setattr(module, "GONE_SECONDS", 0.3)
    monkeypatch.setattr(module, "_TURN", 0.05)
    open_pages = {"anna"}
    monkeypatch.setattr(module, "is_here", lambda viewer: viewer in open_pages)
    service._job_queue._count = 0
    held = module.Leases()
    net = spec_of("plain_8").model_dump(mode="json")
    job = held.hold(service.submit("gradients", {"net": {"source": "fresh", "spec": net}}), "anna")
    twin = service.submit("gradients", {"net": {"source": "fresh", "spec": net}})
    assert held.hold(twin, "boris") is job  # one hold, two viewers
    time.sleep(0.8)
    assert job.state == "waiting"  # her page is open
    open_pages.clear()
    deadline = time.monotonic() + 10
    while job.state == "waiting" and time.monotonic() < deadline:
        time.sleep(0.02)
    assert job.state == "cancelled"
    assert len(held) == 0


def test_a_closed_page_gives_up_what_nobody_else_looks_at() -> None:
    from test_pages_instrument_feed import Desk

    from explorer.pages.shared.measurements import Measurements

    measurements, desk = Measurements(held=lambda viewer: 0.4), Desk()
    for viewer in ("anna", "boris"):
        measurements.look(desk, "lesions", {"net": 1}, viewer=viewer)  # type: ignore[arg-type]
    measurements.left("anna")
    time.sleep(0.2)
    assert not desk.jobs[0].cancelled
    measurements.left("boris")
    deadline = time.monotonic() + 5
    while not desk.jobs[0].cancelled and time.monotonic() < deadline:
        time.sleep(0.02)
    assert desk.jobs[0].cancelled


def test_a_visitors_own_bound_is_no_failure_of_the_measurement() -> None:
    from test_pages_instrument_feed import Desk

    from explorer.pages.shared.measurements import Measurements

    class Full(Desk):
        def submit(self, kind: str, payload: Any) -> Any:
            raise NotAllowedError("You have 12.")

    measurements = Measurements()
    full: Any = Full()
    desk: Any = Desk()
    assert measurements.look(full, "lesions", {"net": 1}).error == "You have 12."
    assert measurements.look(desk, "lesions", {"net": 1}).error is None  # somebody else's look


def test_looking_downloads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from explorer.data.downloads import SOURCES, is_here, is_missing
    from explorer.data.load import load_data
    from explorer.errors import MissingError
    from explorer.nets.adapters import load_external

    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    import socket

    def no_network(*args: object, **named: object) -> None:
        raise AssertionError("it asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    for name in SOURCES:
        data = DataSpec.model_validate({"name": name})
        assert not is_here(data)
        with pytest.raises(MissingError) as told:
            load_data(data, download=False)
        assert is_missing(str(told.value))
    with pytest.raises(MissingError):
        load_external("torchvision_resnet18", weights="default", download=False)
    for name in SOURCES["mnist"].files:
        file = tmp_path / "data" / SOURCES["mnist"].folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert is_here(DataSpec(name="mnist"))


def test_no_page_takes_the_service_past_the_table() -> None:
    for path in (ROOT / "explorer" / "pages").rglob("*.py"):
        if path.name == "visitors.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names}
                assert not (
                    node.module == "explorer.runs.serve.service" and "get_service" in names
                ), path
                assert not (
                    node.module == "explorer.data.catalog"
                    and names & {"data_info", "scan_folder", "list_folder"}
                ), path


def test_names_in_figures_are_text() -> None:
    """Plotly takes a little HTML for markup; a class is a folder's name."""
    import numpy as np

    from explorer.drawing.image import probability_figure
    from explorer.results import Prediction

    link = '<a href="http://evil.test">cat</a>'
    shares = Prediction("net", np.array([0.25, 0.75]))
    figure = probability_figure([(0, "net", shares)], [link, "dog"])
    assert set(figure.data[0].x) == {"dog", '&lt;a href="http://evil.test"&gt;cat&lt;/a&gt;'}


def test_what_is_missing_is_asked_again_when_it_is_here(
    service: RunService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from explorer.data.downloads import SOURCES
    from explorer.pages.instruments.downloads import Downloads, wanted, words
    from explorer.pages.shared.sources import source_net

    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path))
    service._job_queue._count = 0
    downloads = Downloads()
    net = source_net(service, "resnet_v2_8;width=4", DataSpec(name="mnist"), 7)
    assert wanted(net) == "mnist"
    assert words("mnist") == "Download MNIST (12 MB)"
    before = downloads.stamp("mnist", net.stamp)
    assert downloads.under_way("mnist") is None  # a look fetches nothing
    downloads.begin(service, "mnist")
    downloads.begin(service, "mnist")  # pressed twice
    coming = downloads.under_way("mnist")
    assert coming is not None
    assert (coming.done, coming.error) == (False, None)
    for what in ("digits", "nonsense", "../x", ""):
        with pytest.raises(SkipscopeError):
            downloads.begin(service, what)
    for name in SOURCES["mnist"].files:
        file = tmp_path / "data" / SOURCES["mnist"].folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert wanted(net) == ""
    assert downloads.stamp("", net.stamp) != before
