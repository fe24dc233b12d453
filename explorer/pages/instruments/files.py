"""What the Instruments page shows, as a file: table, results, or a page with the figure."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from explorer.drawing.page import figure_page
from explorer.errors import RunError
from explorer.instruments.contract import Lane
from explorer.pages.instruments.feed import conditions, lanes_of, look_at
from explorer.pages.instruments.links import Scene, from_query, scene, to_query
from explorer.pages.server.visitors import get_service


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
        return _csv(lanes).encode(), "text/csv", f"{name}.csv"
    if kind == "html":
        figure = one.figure(lanes, shown.options, "light")
        page = figure_page(figure, one.page.question, _words(shown, lanes))
        return page.encode(), "text/html", f"{name}.html"
    whole = {
        "instrument": one.key,
        "link": to_query(shown.look),
        "conditions": conditions(shown, lanes),
        "results": [_told(lane) for lane in lanes],
    }
    return json.dumps(whole, indent=1).encode(), "application/json", f"{name}.json"


def _words(shown: Scene, lanes: Sequence[Lane[Any]]) -> list[str]:
    one = shown.instrument
    return [one.page.explains, *one.caption(lanes, shown.options), *conditions(shown, lanes)]


def _told(lane: Lane[Any]) -> dict[str, Any]:
    step = {} if lane.step is None else {"step": lane.step}
    return {"name": lane.name, **lane.result.to_json(), **step}


def _csv(lanes: Sequence[Lane[Any]]) -> str:
    """All rows of all nets; with the net's name in front where there are several, as in the
    shell."""
    several = len(lanes) > 1
    rows = [
        {**({"net": lane.name} if several else {}), **row}
        for lane in lanes
        for row in lane.result.records()
    ]
    file = io.StringIO()
    columns = dict.fromkeys(key for row in rows for key in row)  # of one net there may be more
    writer = csv.DictWriter(file, [*columns] or ["net"])
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
