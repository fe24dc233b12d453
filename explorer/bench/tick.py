"""What a live tick of Compare costs the browser's main thread, by Chromium's own account."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from explorer.bench.browser import Server

LANES = ("plain_8;width=4", "resnet_v2_8;width=4", "resnet_v1_8;width=4", "plain_14;width=4")
STEPS = 1500  # made before it is measured: a curve is drawn with 1000 points at most

_DRAWN = "() => [...document.querySelectorAll('.sk-plot.js-plotly-plot')]"


@dataclass(frozen=True)
class Ticks:
    """What the page does on the main thread while a training is watched: one tick a second.

    Attributes:
        milliseconds: Of each second.
        charts: That are in sight, and drawn again as they come in.
        points: Of all their traces.
    """

    milliseconds: list[float]
    charts: int
    points: int


def live_ticks(browser: Any, server: Server, n: int) -> Ticks:
    """While four small nets train on digits, every chart of Compare in sight."""
    page = browser.new_page(viewport={"width": 1440, "height": 3200})
    link = {"lanes": ",".join(LANES), "train": "one_cycle;steps=100000"}
    page.goto(f"{server.url}/?{urlencode(link)}")
    page.wait_for_function("() => !document.getElementById('sk-cover')", timeout=60_000)
    page.locator(".sk-play").click()
    page.wait_for_function(
        """(least) => {
          const step = /step ([\\d,]+)/.exec(document.querySelector('.sk-status').textContent);
          return step && Number(step[1].replaceAll(',', '')) >= least;
        }""",
        arg=STEPS,
        timeout=300_000,
    )
    thread = page.context.new_cdp_session(page)
    thread.send("Performance.enable")

    def clocks() -> tuple[float, float]:
        """Seconds that the main thread was busy so far, and seconds."""
        metrics = {m["name"]: m["value"] for m in thread.send("Performance.getMetrics")["metrics"]}
        return float(metrics["TaskDuration"]), float(metrics["Timestamp"])

    marks = [clocks()]
    for _ in range(n):
        page.wait_for_timeout(1000)
        marks.append(clocks())
    charts = page.evaluate(f"() => ({_DRAWN})().length")
    points = page.evaluate(
        f"() => ({_DRAWN})().flatMap((p) => p._fullData).reduce((n, t) => n + t.x.length, 0)"
    )
    page.locator(".sk-stop").click()
    page.wait_for_timeout(500)
    page.close()
    spent = [1000 * (b - a) / (now - before) for (a, before), (b, now) in pairwise(marks)]
    return Ticks(spent, charts, points)
