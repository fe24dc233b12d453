"""The door in a real Chromium: other sites and ports, a name that points here, people's words.

The other sites are served by this test, on another port of this machine; Chromium is told that
their names point here, as a name server of theirs could (DNS rebinding).
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlparse

import pytest
from PIL import Image

from explorer.bench.browser import CHROMIUM_FLAGS, Server, find_chromium, serve
from explorer.errors import SkipscopeError
from explorer.pages.server.askers import HEADER
from explorer.pages.server.door import NO_PROOF, WRONG_HOST, WRONG_ORIGIN
from explorer.pages.shared.state import from_query
from explorer.runs.serve.service import RunService

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

# What a name must never become: an image from elsewhere, a link, a style, a formula.
EVIL = (
    "![a](http://evil.test/n.png) <img src=http://evil.test/h.png> [l](http://evil.test/l) "
    "<a href=http://evil.test/p>z</a> $x$ :red[r] http://evil.test/b"
)


def folder_of_images(root: Path) -> Path:
    """Two classes, one of them with such a name, as far as a folder can have it."""
    for split in ("train", "test"):
        for name in (EVIL.replace("/", "")[:60], "b**bold**"):
            (root / split / name).mkdir(parents=True)
            for n in range(3):
                Image.new("RGB", (32, 32), (40 * n, 9, 9)).save(root / split / name / f"{n}.png")
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path) -> list[str]:
    """Three runs, two alike, with such names and notes; one on such a folder."""
    folder = folder_of_images(home / "pictures" / EVIL.replace("/", "\u2215"))
    service = RunService(home)
    service.start()
    try:
        ids = []
        for data in ("", "", f"folder;path={quote(str(folder), safe='/')}"):
            nets = "plain_8;width=4,resnet_v2_8;width=4"
            query = {"lanes": nets, "train": "one_cycle;steps=4;batch_size=2"}
            state, problems = from_query({**query, "data": data} if data else query)
            assert not problems
            ids.append(service.create(state.experiment(), name=f"{EVIL} {len(ids)}"))
            service.annotate(ids[-1], EVIL)
        deadline = time.monotonic() + 240
        while any(service.experiment(run).active for run in ids):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert [service.experiment(run).status for run in ids] == ["finished"] * 3
        gone = service.create(service.experiment(ids[0]).spec, name=f"{EVIL} gone", start=False)
        service.delete(gone)
    finally:
        service.close()
    return ids


@pytest.fixture(scope="module")
def server(home: Path, runs: list[str]) -> Iterator[Server]:
    try:
        find_chromium()
    except SkipscopeError as error:
        if os.environ.get("SKIPSCOPE_REQUIRE_BROWSER"):
            raise
        pytest.skip(str(error))
    with serve(home, log=home / "server.log") as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    flags = (*CHROMIUM_FLAGS, "--host-resolver-rules=MAP evil.test 127.0.0.1")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=find_chromium(), args=list(flags))
        try:
            yield opened
        finally:
            opened.close()


def port_of(server: Server) -> int:
    port = urlparse(server.url).port
    assert port is not None
    return port


# ------------------------------------------------------------------------- the real server, bare


def raw(server: Server, path: str, headers: dict[str, str], method: str = "GET") -> tuple[int, str]:
    line = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
    line.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        line.putheader(name, value)
    line.endheaders()
    answer = line.getresponse()
    text = answer.read().decode("utf-8", "replace")
    assert "frame-ancestors 'none'" in (answer.getheader("Content-Security-Policy") or ""), path
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    line.close()
    return answer.status, text


def handshake(server: Server, **headers: str) -> str:
    """First line of the answer to a websocket's handshake, with the whole answer beneath."""
    asked = {
        "Host": f"localhost:{port_of(server)}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "streamlit",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = "GET /_stcore/stream HTTP/1.1\r\n"
    text += "".join(f"{name}: {value}\r\n" for name, value in asked.items()) + "\r\n"
    with socket.create_connection(("127.0.0.1", port_of(server)), 20) as line:
        line.sendall(text.encode())
        line.settimeout(20)
        answer = line.recv(65536).decode("latin-1")
        while "101" not in answer.splitlines()[0] and "\r\n\r\n" in answer:
            more = line.recv(65536).decode("latin-1")
            if not more:
                break
            answer += more
    return answer


ADDRESSES = (
    *("/", "/instruments", "/no-such-page", "/_stcore/health", "/_stcore/host-config"),
    *("/media/x.png", "/static/js/x.js", "/favicon.png", "/skipscope/assets/page.css"),
    *("/skipscope/feed", "/skipscope/instrument", "/skipscope/job?id=job-1"),
    *("/skipscope/run/file?as=csv", "/skipscope/instrument/file"),
    *("/_stcore/upload_file/a/b", "/component/x/y.html", "/_stcore/agent/openapi.json"),
)


@pytest.mark.parametrize("path", ADDRESSES)
def test_no_address_answers_another_name_or_another_page(server: Server, path: str) -> None:
    port = port_of(server)
    own = f"localhost:{port}"
    for host in ("evil.test", f"evil.test:{port}", f"localhost.evil.test:{port}"):
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            assert raw(server, path, {"Host": host}, method) == (403, WRONG_HOST)
    for origin in ("http://evil.test", "http://localhost:3000", f"http://127.0.0.1:{port}", "null"):
        foreign = {"Host": own, "Origin": origin, "X-Skipscope": "1"}
        assert raw(server, path, foreign) == (403, WRONG_ORIGIN)
    for site in ("cross-site", "same-site"):
        image = {"Host": own, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert raw(server, path, {**image, "Sec-Fetch-Dest": "image"}) == (403, WRONG_ORIGIN)
    bare = raw(server, path, {"Host": own})
    assert (bare == (403, NO_PROOF)) == path.startswith(
        ("/skipscope/feed", "/skipscope/i", "/skipscope/j", "/skipscope/r")
    )


def test_the_socket_of_the_real_server(server: Server) -> None:
    port = port_of(server)
    assert handshake(server, Origin=f"http://localhost:{port}").startswith("HTTP/1.1 101")
    assert handshake(server, Origin=f"http://localhost:{port}", **{HEADER: "x"}).startswith(
        "HTTP/1.1 101"
    )
    for origin in ("http://localhost:3000", f"http://127.0.0.1:{port}", "http://evil.test", "null"):
        answer = handshake(server, Origin=origin)
        assert answer.startswith("HTTP/1.1 403")
        assert WRONG_ORIGIN in answer
    rebound = handshake(server, Host=f"evil.test:{port}", Origin=f"http://evil.test:{port}")
    assert rebound.startswith("HTTP/1.1 403")
    assert WRONG_HOST in rebound


# --------------------------------------------------------------------------------- other sites

ATTACK = """<!doctype html><title>elsewhere</title><a id=link href="TARGET/instruments">link</a>
<script>
const tried = [];
const of = (name, promise) => tried.push(promise.then((v) => [name, v], () => [name, "failed"]));
for (let i = 0; i < 40; i += 1) {
  const url = "TARGET/skipscope/instrument?nets=resnet_v2_110;width=" + (4 + i) +
    "&instrument=lesions&data=mnist";
  of("image", new Promise((done, not) => {
    const img = new Image();
    img.onload = () => done("loaded"); img.onerror = not; img.src = url;
    if (i % 2) img.referrerPolicy = "no-referrer";
    document.body?.append(img);
  }));
}
of("read", fetch("TARGET/", { mode: "cors" }).then((r) => r.text()));
of("header", fetch("TARGET/skipscope/feed", { headers: { "X-Skipscope": "1" } })
  .then(() => "sent"));
of("post", fetch("TARGET/skipscope/download?what=mnist", { method: "POST", mode: "no-cors" })
  .then((r) => r.type));
of("script", new Promise((done, not) => {
  const s = document.createElement("script");
  s.onload = () => done("loaded"); s.onerror = not;
  s.src = "TARGET/skipscope/assets/skipscope.js"; document.head.append(s);
}));
of("socket", new Promise((done, not) => {
  const s = new WebSocket("TARGET/_stcore/stream".replace("http", "ws"), ["streamlit"]);
  s.onopen = () => done("open"); s.onerror = not;
}));
window.over = Promise.all(tried);
addEventListener("DOMContentLoaded", () => {
  const frame = document.createElement("iframe");
  frame.src = "TARGET/"; document.body.append(frame);
});
</script><body></body>"""


@pytest.fixture(scope="module")
def elsewhere(server: Server) -> Iterator[int]:
    """The port of a site that is not ours."""

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            target = f"http://{self.path[1:]}:{port_of(server)}"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ATTACK.replace("TARGET", target).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site.server_address[1]
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize(
    ("site", "target"),
    [
        ("evil.test", "127.0.0.1"),  # another site
        ("127.0.0.1", "127.0.0.1"),  # another port of this machine
        ("localhost", "127.0.0.1"),
        ("localhost", "localhost"),
        ("evil.test", "evil.test"),  # and its name points here
    ],
)
def test_another_page_gets_nothing_and_starts_nothing(
    browser: Any, server: Server, elsewhere: int, home: Path, site: str, target: str
) -> None:
    before, _ = ask_one(server)  # the worker is warm
    page = browser.new_page()
    ours: list[int] = []
    port = port_of(server)
    page.on("response", lambda r: ours.append(r.status) if urlparse(r.url).port == port else None)
    page.goto(f"http://{site}:{elsewhere}/{target}")
    told = page.evaluate("window.over")
    assert len(told) == 45
    # A post without an answer that could be read; the server refuses it, as it does all else.
    assert {(name, value) for name, value in told} <= {
        *((name, "failed") for name in ("image", "read", "header", "script", "socket", "post")),
        ("post", "opaque"),
    }
    page.wait_for_timeout(500)
    assert ours
    assert set(ours) == {403}
    assert {entry.name for entry in (home / "data").iterdir()} <= {"folders"}  # no download
    page.locator("#link").click()
    if target == "evil.test":
        page.wait_for_function("() => document.body.innerText.includes('does not answer')")
        assert page.locator("body").inner_text().strip() == WRONG_HOST
    else:  # a link may be clicked anywhere
        page.wait_for_selector(".sk-instrument", timeout=60_000)
    page.close()
    seconds, error = ask_one(server)
    assert error is None
    assert seconds < max(
        15, 3 * before
    )  # 29.6 s behind the 40 jobs of such a page, before there was a door


_seeds = iter(range(1000, 2000))


def ask_one(server: Server, seconds: float = 60.0) -> tuple[float, str | None]:
    """How long another visitor waits for one small measurement that nobody has asked for yet."""
    asked = time.monotonic()
    query = urlencode(
        {"nets": "resnet_v2_8;width=4", "instrument": "lesions", "seed": str(next(_seeds))}
    )
    while time.monotonic() - asked < seconds:
        line = http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)
        line.request("GET", f"/skipscope/instrument?{query}", headers={"X-Skipscope": "1"})
        answer = json.loads(line.getresponse().read())
        line.close()
        if answer["lanes"][0]["done"]:
            return time.monotonic() - asked, answer["lanes"][0]["error"]
        time.sleep(0.1)
    return seconds, "not answered"


def test_a_closed_tab_leaves_no_work_behind(browser: Any, server: Server) -> None:
    before, _ = ask_one(server)  # the worker is warm
    page = browser.new_page()
    nets = "resnet_v2_110,plain_110;width=9,resnet_v2_110;width=10,resnet_v1_110"
    link = urlencode({"nets": nets, "instrument": "lesions", "n": "360"})
    page.goto(f"{server.url}/instruments?{link}")
    page.wait_for_function(
        "() => Number(document.querySelector('.sk-bar')?.getAttribute('aria-valuenow')) > 0",
        timeout=90_000,
    )
    page.close()
    # Four such curves take far longer: whoever comes next is next within some seconds.
    seconds, error = ask_one(server)
    assert error is None
    assert seconds < 15 + 3 * before


# ------------------------------------------------------------------------------- our own pages

PAGES = ("/", "/instruments", "/net?net=resnet_v2_8", "/sweep", "/papers", "/timing", "/runs")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_our_pages_keep_to_their_policies(browser: Any, server: Server, theme: Any) -> None:
    context = browser.new_context(color_scheme=theme)
    for path in PAGES:
        page = context.new_page()
        errors: list[str] = []
        page.on("console", lambda m, to=errors: to.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error, to=errors: to.append(str(error)))
        page.goto(server.url + path)
        settled(page)
        assert errors == [], path
        page.close()
    context.close()


def settled(page: Any) -> None:
    page.wait_for_selector('[data-testid="stMain"] h1', timeout=60_000)
    page.wait_for_function(
        "() => !document.querySelector('[data-testid=stSkeleton], #sk-cover') &&"
        " !document.querySelector('[data-testid=stStatusWidget]')",
        timeout=60_000,
    )
    page.wait_for_timeout(600)


FOREIGN = """() => {
  const found = [];
  const walk = (root) => {
    for (const e of root.querySelectorAll("*")) {
      if (e.shadowRoot) walk(e.shadowRoot);
      for (const name of ["src", "href", "xlink:href"]) {
        const value = e.getAttribute(name) ?? "";
        const ours = value.startsWith(".") || value.includes(location.host) ||
          value.startsWith("skipscope/");
        if (value.includes("evil") && !ours) found.push(e.outerHTML.slice(0, 200));
      }
    }
  };
  walk(document);
  const styled = document.querySelectorAll("[data-testid=stMarkdownContainer] :is(.katex, strong)");
  // The share links' heading alone is bold.
  return [found, [...styled].map((e) => e.textContent).filter((t) => !/as a link/.test(t))];
}"""


def links(runs: list[str]) -> list[str]:
    one, two, three = runs
    return [
        f"/runs?run={one},{two},{three}&figure=loss",
        f"/runs?run={one}",
        f"/?run={one}",
        f"/?run={three}&image=1",
        f"/instruments?nets=run:{one}.0,run:{three}.0&instrument=lesions",
        f"/instruments?nets=run:{three}.0&instrument=lesions;class=0",
        f"/instruments?nets=run:{three}.1&instrument=attribution",
        "/?" + urlencode({"lanes": EVIL, "seed": EVIL, "data": EVIL, "run": EVIL}),
        "/instruments?" + urlencode({"nets": f"{EVIL},timm_{EVIL},run:{EVIL}", "data": EVIL}),
        "/instruments?" + urlencode({"instrument": f"lesions;x={EVIL}", "hide": EVIL}),
        "/net?" + urlencode({"net": EVIL, "open": EVIL}),
        "/timing?" + urlencode({"net": EVIL, "steps": EVIL}),
        "/sweep?" + urlencode({"nets": f"plain_N,{EVIL}", "depths": EVIL, "data": EVIL}),
        "/sweep?" + urlencode({"sweep": EVIL}),
        "/papers?" + urlencode({"figure": EVIL}),
        "/runs?" + urlencode({"run": EVIL, "q": EVIL}),
    ]


@pytest.mark.parametrize("nth", range(16))
def test_a_name_is_text_everywhere(browser: Any, server: Server, runs: list[str], nth: int) -> None:
    context = browser.new_context(bypass_csp=True)  # the policies must not hide what is loaded
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "evil" in r.url.split("?")[0] else None)
    page.goto(server.url + links(runs)[nth])
    settled(page)
    assert page.evaluate(FOREIGN) == [[], []]
    assert asked == []
    context.close()
