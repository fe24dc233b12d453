"""``skipscope bench app``: the real server and a real Chromium, timed as a person meets them.

Cases: first content (every lane with its number and its blocks) after the server's start (cold) and
when a browser comes back (warm); a click on a block until the new accuracy stands there; and while
two lanes train, other colours for the blocks and a drawer of choices. Some are measured twice in
the same run. First content: on the cover and on the page that takes over from it, as it would come
without a cover; ``ratio`` is page ÷ cover. What is done while lanes train: with the project's
server settings and with Streamlit's defaults (garbage collection after every script run, file
watchers for every session); ``ratio`` is defaults ÷ ours. At last, what a live tick costs the
browser's main thread with every chart in sight. For the other cases ``ratio`` is the limit of the
design ÷ the median.
"""

from __future__ import annotations

import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from explorer.bench.browser import Server, chromium, serve
from explorer.bench.tick import live_ticks
from explorer.system.machine import processor

LIMITS_MS = {
    "first content, cold": 3000.0,
    "first content, warm": 1000.0,
    "click on a block": 1000.0,
    "blocks recoloured while training": 100.0,
    "drawer opened while training": 100.0,
    "main thread a live tick": 150.0,
}
_DEFAULTS = {
    "STREAMLIT_RUNNER_POST_SCRIPT_GC": "true",
    "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "auto",
}
# Text of an element under the page's live parts; they sit in the light DOM.
_FIRST_CONTENT = """() => {
  const lanes = [...document.querySelectorAll('.sk-lane')];
  const numbers = lanes.filter(l => /%/.test(l.querySelector('.sk-big')?.textContent ?? ''));
  return lanes.length > 1 && numbers.length === lanes.length
      && document.querySelectorAll('.sk-graph [data-unit]').length > 20;
}"""

# The drawer's last control stands there.
_DRAWN = """() => [...document.querySelectorAll('[data-testid="stSelectbox"] label')].some(
  (label) => label.textContent.trim() === 'Device') && 'drawn'"""

# The page itself: what a person clicks there is answered.
TAKEN_OVER = f"() => !document.getElementById('sk-cover') && ({_FIRST_CONTENT})()"

# Clicks an element; milliseconds, by the browser's own clock, until a condition gives a new text.
_UNTIL = """async (element, condition) => {
  const now = eval(condition);
  const before = now();
  const begun = performance.now();
  element.dispatchEvent(new MouseEvent('click', { bubbles: true }));
  while (true) {
    const text = now();
    if (text && text !== before) break;
    if (performance.now() - begun > 30000) throw new Error('no answer within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return performance.now() - begun;
}"""


def bench_app(
    *,
    starts: int = 5,
    clicks: int = 20,
    interactions: int = 60,
    ticks: int = 30,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Rows of (case, ratio, median and worst milliseconds, n) and the conditions."""
    say = progress or (lambda text: None)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as home, chromium() as browser:
        say("first content")
        cold = [_cold_start(browser) for _ in range(starts)]
        rows.append(_row("first content, cold", [cover for cover, _ in cold]))
        rows.append(_against("first content, cold", "without the cover", cold))
        with serve(Path(home)) as server:
            visitor = browser.new_context()  # keeps the files of its first visit
            warm = [_first_content(visitor.new_page(), server.url) for _ in range(6)][1:]
            rows.append(_row("first content, warm", [cover for cover, _ in warm]))
            rows.append(_against("first content, warm", "without the cover", warm))
            say("clicks on blocks")
            rows.append(_row("click on a block", _clicks(browser, server, clicks)))
            say("interactions while two lanes train")
            ours = _interactions(browser, server, interactions)
        say("the same with Streamlit's defaults")
        with _environment(_DEFAULTS), serve(Path(home)) as server:
            defaults = _interactions(browser, server, interactions)
        for case, took in ours.items():
            rows.append(_row(case, took))
            ratio = statistics.median(defaults[case]) / statistics.median(took)
            rows.append(_row_of(f"{case}, Streamlit's defaults", defaults[case], ratio=ratio))
        say("live ticks")
        with serve(Path(home)) as server:
            live = live_ticks(browser, server, ticks)
        row = _row("main thread a live tick", live.milliseconds)
        rows.append({**row, "charts": live.charts, "points": live.points})
        version = browser.version
    return {"rows": rows, "conditions": server_conditions(version)}


def _row(case: str, milliseconds: list[float]) -> dict[str, Any]:
    limit = LIMITS_MS[case]
    row = _row_of(case, milliseconds, ratio=limit / statistics.median(milliseconds))
    return {**row, "limit_ms": limit}


def _row_of(case: str, milliseconds: Sequence[float], *, ratio: float) -> dict[str, Any]:
    return {
        "case": case,
        "ratio": round(ratio, 2),
        "median_ms": round(statistics.median(milliseconds), 1),
        "worst_ms": round(max(milliseconds), 1),
        "n": len(milliseconds),
    }


def server_conditions(chromium_version: str) -> dict[str, Any]:
    """Under what the server and the browser were measured."""
    from importlib.metadata import version

    return {
        "device": "cpu",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": "one a worker",
        "dtype": "float32",
        "versions": {
            "python": platform.python_version(),
            "streamlit": version("streamlit"),
            "torch": version("torch"),
            "chromium": chromium_version,
        },
        "server": "real, on 127.0.0.1; torch in worker processes only",
    }


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _against(case: str, other: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    """A row of (ours, the other way) in milliseconds."""
    ours, others = zip(*pairs, strict=True)
    ratio = statistics.median(others) / statistics.median(ours)
    return _row_of(f"{case}, {other}", others, ratio=ratio)


def _cold_start(browser: Any) -> tuple[float, float]:
    """First content after the start of a server on an empty home: see :func:`_first_content`."""
    with tempfile.TemporaryDirectory() as home:
        person = browser.new_context().new_page()  # whose browser is open before the server starts
        person.goto("about:blank")
        with serve(Path(home)) as server:
            return _first_content(person, server.url, since=server.started)


def _first_content(page: Any, url: str, *, since: float | None = None) -> tuple[float, float]:
    """Milliseconds until every lane shows its number and its blocks, on the cover and on the page
    that takes over from it; closes the page."""
    begun = time.monotonic() if since is None else since
    page.goto(url, wait_until="commit")
    took = []
    for condition in (_FIRST_CONTENT, TAKEN_OVER):
        page.wait_for_function(condition, timeout=60_000, polling=20)
        took.append((time.monotonic() - begun) * 1000)
    page.close()
    return took[0], took[1]


def _clicks(browser: Any, server: Server, n: int) -> list[float]:
    """Deletes one more block each time; until the sentence with the new accuracy is there."""
    page = browser.new_page()
    page.goto(f"{server.url}/?{urlencode({'lanes': 'plain_56,resnet_v2_56'})}")
    page.wait_for_function(TAKEN_OVER, timeout=60_000)
    lane = page.locator(".sk-lane").nth(1)
    units = lane.locator("[data-unit][aria-disabled='false'], [data-unit]:not([aria-disabled])")
    took = []
    for i in range(n + 1):
        unit = units.nth(2 + i % 20)
        unit.scroll_into_view_if_needed()
        took.append(
            unit.evaluate(
                _UNTIL,
                """() => {
                  const said = document.querySelectorAll('.sk-lane')[1]
                    .querySelector('.sk-answer').textContent;
                  return /%/.test(said) && said;
                }""",
            )
        )
        page.wait_for_timeout(150)
    page.close()
    return took[1:]  # the first loads the net


def _interactions(browser: Any, server: Server, n: int) -> dict[str, list[float]]:
    """While plain-56 and ResNet-56 train: other colours for the blocks, which the page has at hand,
    and a drawer of choices, until its last control stands there."""
    page = browser.new_page()
    link = urlencode({"lanes": "plain_56,resnet_v2_56", "train": "one_cycle;steps=100000"})
    page.goto(f"{server.url}/?{link}")
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    page.locator(".sk-graph [data-unit]").first.wait_for(timeout=60_000)
    page.locator(".sk-play").click()
    page.wait_for_function(
        "() => document.querySelector('.sk-transport').dataset.status === 'running'",
        timeout=60_000,
    )
    page.wait_for_function(
        "() => /step [1-9]/.test(document.querySelector('.sk-status').textContent)",
        timeout=60_000,
    )
    page.wait_for_timeout(3000)
    colours, drawers = [], []
    drawer = page.get_by_role("button", name="Training", exact=True)
    for i in range(n):
        name = ("gradient", "cost of deletion")[(i + 1) % 2]
        wanted = "gradient_parameters" if name == "gradient" else "lesion"
        colours.append(
            page.get_by_role("radio", name=name, exact=True).evaluate(
                _UNTIL,
                f"""() => [...document.querySelectorAll('.sk-lane')].every(
                  (lane) => lane.dataset.colour === '{wanted}') && '{wanted}{i}'""",
            )
        )
        page.wait_for_timeout(400)
        drawers.append(drawer.evaluate(_UNTIL, _DRAWN))
        page.keyboard.press("Escape")
        page.wait_for_function(f"() => !({_DRAWN})()", timeout=10_000)
        page.wait_for_timeout(400)
    page.locator(".sk-stop").click()
    page.wait_for_timeout(500)
    page.close()
    return {
        "blocks recoloured while training": colours,
        "drawer opened while training": drawers,
    }
