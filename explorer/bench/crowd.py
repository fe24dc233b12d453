"""``skipscope bench crowd``: thirty viewers and ten browsers look at one training.

Each viewer asks the feed for news once a second with Compare's charts, as the page does, while two
lanes train and ten real pages stand open in a Chromium on the same machine: how long an answer
takes, how long the latest of all, and how many came only after the next was due. Before that, the
server's memory a session: real pages are opened one after the other; the server keeps a session for
some time after its page is closed.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlparse

from explorer.bench.app import server_conditions
from explorer.bench.browser import Server, chromium, serve

LIMITS = {"tick, median": 50.0, "tick, 99 %": 200.0, "tick, latest": 500.0, "memory a session": 1.0}
_CHARTS = "error,gate,gradient_parameters,lesion,probabilities"
_LINK = {"lanes": "plain_56,resnet_v2_56", "train": "one_cycle;steps=100000"}
_SESSIONS = 12
_NO_COVER = "() => !document.getElementById('sk-cover')"


def bench_crowd(
    *,
    people: int = 30,
    browsers: int = 10,
    seconds: int = 30,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Rows of (case, ratio = limit ÷ measured, the measured value, n) and the conditions."""
    say = progress or (lambda text: None)
    with (
        tempfile.TemporaryDirectory() as home,
        serve(Path(home)) as server,
        chromium() as browser,
    ):
        version = browser.version
        say("a training of two lanes")
        run = _begin(browser, server)
        say(f"{_SESSIONS} sessions")
        mb = _memory_a_session(browser, server, run)
        say(f"{people} viewers, {browsers} browsers")
        for _ in range(browsers):
            _open(browser, server, run)
        ticks = _ticks(server, run, people, seconds)
    how = {"people": people, "browsers": browsers, "seconds": seconds}
    late = sum(tick > 1000 for tick in ticks)
    return {
        "rows": [
            _row("tick, median", statistics.median(ticks), "ms", len(ticks)),
            _row("tick, 99 %", ticks[round(0.99 * (len(ticks) - 1))], "ms", len(ticks)),
            _row("tick, latest", ticks[-1], "ms", len(ticks)),
            {"case": "ticks missed", "ratio": float(late == 0), "value": late, "n": len(ticks)},
            _row("memory a session", mb, "MB", _SESSIONS),
        ],
        "conditions": {**server_conditions(version), **how},
    }


def _row(case: str, value: float, unit: str, n: int) -> dict[str, Any]:
    limit = LIMITS[case]
    return {
        "case": case,
        "ratio": round(limit / max(value, 1e-3), 2),
        "limit": limit,
        "value": round(value, 2),
        "unit": unit,
        "n": n,
    }


def _begin(browser: Any, server: Server) -> str:
    """Presses Play; the experiment's id, from the address."""
    page = browser.new_page()
    page.goto(f"{server.url}/?{urlencode(_LINK)}")
    page.wait_for_function(_NO_COVER, timeout=60_000)
    page.locator(".sk-play").click()
    page.wait_for_function(
        "() => /step [1-9]/.test(document.querySelector('.sk-status').textContent)",
        timeout=120_000,
    )
    run: str = parse_qs(urlparse(page.url).query)["run"][0]
    page.close()
    return run


def _open(browser: Any, server: Server, run: str) -> Any:
    """A page that shows the training; it is a person of its own."""
    page = browser.new_page()
    page.goto(f"{server.url}/?{urlencode({'run': run})}")
    page.wait_for_function(_NO_COVER, timeout=60_000)
    page.locator(".sk-graph [data-unit]").first.wait_for(timeout=60_000)
    return page


def _memory_a_session(browser: Any, server: Server, run: str) -> float:
    """MB of resident memory that each further session adds."""

    for _ in range(4):  # what all sessions share
        _open(browser, server, run).close()
    before = _resident(server.pid)
    for _ in range(_SESSIONS):
        _open(browser, server, run).close()
    return (_resident(server.pid) - before) / _SESSIONS / 1e6


def _resident(pid: int) -> int:
    """Bytes of a process that are in memory (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"process {pid} has ended")


def _ticks(server: Server, run: str, people: int, seconds: int) -> list[float]:
    """Milliseconds of every answer, in ascending order."""
    took: list[float] = []
    begun = time.monotonic() + 1
    viewers = [
        threading.Thread(target=_viewer, args=(server, run, begun + i / people, seconds, took))
        for i in range(people)
    ]
    for viewer in viewers:
        viewer.start()
    for viewer in viewers:
        viewer.join()
    return sorted(took)


def _viewer(server: Server, run: str, begun: float, seconds: int, took: list[float]) -> None:
    """One person's page: a question a second, whether or not the last answer was late."""
    address = urlparse(server.url)
    line = http.client.HTTPConnection(str(address.hostname), address.port, timeout=30)
    have = ""
    for tick in range(seconds):
        time.sleep(max(0.0, begun + tick - time.monotonic()))
        asked = time.monotonic()
        query = {"run": run, "charts": _CHARTS, "theme": "light", "have": have, "image": "0"}
        line.request("GET", f"/skipscope/feed?{urlencode(query)}", headers={"X-Skipscope": "1"})
        have = json.loads(line.getresponse().read())["version"]
        took.append((time.monotonic() - asked) * 1000)
    line.close()
