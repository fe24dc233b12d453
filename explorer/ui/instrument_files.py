"""What the Instruments page shows, as a file: table, results, or a page with the figure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from html import escape

from explorer.charts.config import PLOT_CONFIG
from explorer.errors import RunError
from explorer.ui.instrument_feed import conditions, lanes_of, look_at
from explorer.ui.instruments import Instrument, Lane
from explorer.ui.look import Scene, from_query, scene, to_query
from explorer.ui.visitors import get_service


def download(query: Mapping[str, str]) -> tuple[bytes, str, str]:
    """The numbers or the figure of a look as a file: content, media type, file name.

    Raises:
        SkipscopeError: Nothing is measured yet.
    """
    service = get_service()
    shown, _ = scene(service, from_query(query)[0])
    lanes = lanes_of(shown, look_at(service, shown))
    if not lanes:
        raise RunError("There is nothing to save yet: wait for the figure, then try again.")
    one = shown.instrument
    name = "-".join([one.key, *(re.sub(r"[^\w]+", "_", lane.name) for lane in lanes)])[:120]
    kind = query.get("as", "json")
    if kind == "csv":
        return _csv(one, lanes).encode(), "text/csv", f"{name}.csv"
    if kind == "html":
        figure = one.figure(lanes, shown.options, "light")
        words = "".join(f"<p>{escape(line)}</p>" for line in _words(shown, lanes))
        page = figure.to_html(include_plotlyjs=True, full_html=True, config=PLOT_CONFIG)
        style = "<style>body{font:16px/1.5 system-ui;max-width:70rem;margin:2rem auto}</style>"
        title = f"<h1>{escape(one.question)}</h1>"
        page = page.replace("<body>", f"<body>{style}{title}{words}", 1)
        return page.encode(), "text/html", f"{name}.html"
    whole = {
        "instrument": one.key,
        "link": to_query(shown.look),
        "conditions": conditions(shown, lanes),
        "results": [{"name": lane.name, **lane.result} for lane in lanes],
    }
    return json.dumps(whole, indent=1).encode(), "application/json", f"{name}.json"


def _words(shown: Scene, lanes: Sequence[Lane]) -> list[str]:
    one = shown.instrument
    return [one.explains, *one.caption(lanes, shown.options), *conditions(shown, lanes)]


def _csv(one: Instrument, lanes: Sequence[Lane]) -> str:
    """All rows of all nets, with the net's name in front."""
    rows = [{"net": lane.name, **row} for lane in lanes for row in one.table(lane.result)]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else ["net"])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
