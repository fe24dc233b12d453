"""Which runs and lanes the Runs page shows: from the address, by search, and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from explorer.errors import RunError, SkipscopeError
from explorer.pages.compare.run_views import STATUS_WORDS
from explorer.runs.serve.service import RunService
from explorer.runs.serve.views import ExperimentView
from explorer.structure.names import title_of, token_of
from explorer.structure.specs import MAX_LANES

Lane = tuple[str, int]  # experiment, lane


@dataclass(frozen=True)
class Choice:
    """What the address says.

    Attributes:
        runs: Ids, in the order chosen.
        lanes: Those that are compared; None takes the first lanes of the runs.
        search: Words that a run must have, all of them.
        figure: Key of the figure that is drawn.
    """

    runs: tuple[str, ...] = ()
    lanes: tuple[Lane, ...] | None = None
    search: str = ""
    figure: str = "error"

    def with_runs(self, runs: Sequence[str]) -> Choice:
        """Other runs; lanes that were chosen of the old ones are left."""
        return replace(self, runs=tuple(runs), lanes=None)


def from_query(query: Mapping[str, str]) -> Choice:
    """Rubbish in the link is nobody's choice."""
    lanes = tuple(
        (run, int(lane))
        for run, dot, lane in (part.rpartition(".") for part in query.get("lanes", "").split(","))
        if dot and lane.isdecimal() and len(lane) < 3
    )
    return Choice(
        runs=tuple(dict.fromkeys(part for part in query.get("run", "").split(",") if part)),
        lanes=tuple(dict.fromkeys(lanes)) if "lanes" in query else None,
        search=query.get("q", "")[:200],
        figure=query.get("figure", "error"),
    )


def to_query(choice: Choice) -> dict[str, str]:
    query = {}
    if choice.runs:
        query["run"] = ",".join(choice.runs)
    if choice.lanes is not None:
        query["lanes"] = lanes_text(choice.lanes)
    if choice.search:
        query["q"] = choice.search
    if choice.figure != "error":
        query["figure"] = choice.figure
    return query


def lanes_text(lanes: Sequence[Lane]) -> str:
    """``abcd.0,efgh.1``."""
    return ",".join(f"{run}.{lane}" for run, lane in lanes)


def found(service: RunService, choice: Choice) -> tuple[list[ExperimentView], list[str]]:
    """The chosen runs, and a sentence for each that is not here."""
    views, problems = [], []
    for run in choice.runs:
        try:
            views.append(service.experiment(run))
        except SkipscopeError:
            problems.append(
                f"The run {run[:40]!r} is not here: it was deleted, or the link comes from another "
                "machine. Deleted runs can be brought back for a day, below the list."
            )
    return views, problems


def all_lanes(views: Sequence[ExperimentView]) -> list[Lane]:
    return [(view.id, lane) for view in views for lane in range(len(view.lanes))]


def compared(choice: Choice, views: Sequence[ExperimentView]) -> list[Lane]:
    """The lanes that are drawn, as many as can be told apart."""
    there = all_lanes(views)
    chosen = there if choice.lanes is None else [x for x in choice.lanes if x in there]
    return chosen[:MAX_LANES]


def lane_words(views: Sequence[ExperimentView]) -> dict[str, str]:
    """What each lane is called, by ``ID.LANE``."""
    lanes = [
        (view, lane, title_of(net)) for view in views for lane, net in enumerate(view.spec.lanes)
    ]
    times = Counter(title for _, _, title in lanes)
    names = Counter(view.name for view in views)

    def words(view: ExperimentView, lane: int, title: str) -> str:
        if times[title] == 1:
            return title
        whose = view.name if names[view.name] == 1 else f"{view.name} ({view.id})"
        return f"{title} · {whose}, lane {lane + 1}"

    return {f"{view.id}.{lane}": words(view, lane, title) for view, lane, title in lanes}


def matching(views: Sequence[ExperimentView], search: str) -> list[ExperimentView]:
    """Runs that have every word of the search somewhere: name, note, nets, data, status, seed."""
    words = search.lower().split()
    return [view for view in views if all(word in _text(view) for word in words)]


def _text(view: ExperimentView) -> str:
    spec = view.spec
    nets = [f"{title_of(net)} {token_of(net)}" for net in spec.lanes]
    return " ".join(
        [
            *(view.id, view.name, view.note, *nets, data_word(view), spec.training.recipe),
            *(STATUS_WORDS[view.status], f"seed {spec.seed}", begun(view)),
        ]
    ).lower()


def rows(service: RunService, views: Sequence[ExperimentView]) -> dict[str, list[Any]]:
    """The table's columns."""
    return {
        "name": [view.name for view in views],
        "test error, %": [_errors(service, view) for view in views],
        "status": [STATUS_WORDS[v.status] + (", kept" if v.kept else "") for v in views],
        "nets": [" · ".join(token_of(net) for net in view.spec.lanes) for view in views],
        "data": [data_word(view) for view in views],
        "seed": [view.spec.seed for view in views],
        "steps": [f"{view.step:,} of {view.steps_total:,}" for view in views],
        "begun": [begun(view) for view in views],
        "note": [view.note.partition("\n")[0] for view in views],
    }


def data_word(view: ExperimentView) -> str:
    return Path(view.spec.data.path or view.spec.data.name).name


def begun(view: ExperimentView) -> str:
    return datetime.fromtimestamp(view.created).strftime("%Y-%m-%d %H:%M")


def _errors(service: RunService, view: ExperimentView) -> str:
    """The lanes' last test errors in the order of the nets; empty before the first."""
    try:
        errors = service.last_errors(view.id)
    except RunError:  # deleted a moment ago
        return ""
    words = ["–" if error is None else f"{100 * error:.1f}" for error in errors]
    return " · ".join(words) if any(error is not None for error in errors) else ""
