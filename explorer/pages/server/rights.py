"""Who may do what: every route and every action, by who asks. The one table of it.

The door (:mod:`explorer.pages.server.door`) asks ``ROUTES``, the visitors' service
(:mod:`explorer.pages.server.visitors`) asks ``ACTIONS``, README shows both (:func:`as_markdown`),
and what ``skipscope app`` says of an open server is read from here (:func:`open_words`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from explorer.errors import NotAllowedError

Deed = Literal["read", "start", "change", "stop", "delete", "fill"]
Grant = Literal["folders", "runs", "queue", "downloads"]
Network = Literal["yes", "own", "bounded"] | Grant
ALLOW = "SKIPSCOPE_ALLOW"

# What the network may not do unless it is switched on, in words that follow "may".
GRANTS: dict[Grant, str] = {
    "folders": "train and measure on image folders of the server, by their paths",
    "runs": "steer, stop, rename and delete runs and sweeps that others began",
    "queue": "let any number of trainings, sweeps and measurements wait, and keep trainings going "
    "that nobody watches",
    "downloads": "let the server download data sets and other libraries' weights",
}

# Bounds for the network, where "queue" is not switched on.
OWN_RUNS, ALL_RUNS = 2, 12  # trainings under way or waiting: of one visitor, of all
OWN_SWEEPS, ALL_SWEEPS = 1, 4
OWN_JOBS, ALL_JOBS = 12, 96  # measurements


@dataclass(frozen=True)
class RouteRow:
    """An address that the server answers, or all beneath one.

    Attributes:
        path: As routes are written; ``{name}`` stands for one part, ``…`` at the end for any.
        what: What it hands out or does.
        deeds: What asking for it may do.
        proof: It wants a proof that one of our own pages asks, beside the origin.
        opens: A link to it may be clicked on any page: it opens as a page of its own.
        theirs: Streamlit's route; ours otherwise.
    """

    path: str
    what: str
    deeds: tuple[Deed, ...] = ("read",)
    proof: bool = False
    opens: bool = False
    theirs: bool = False

    def holds(self, path: str) -> bool:
        if self.path.endswith("…"):
            beneath = self.path.removesuffix("…")
            return path.startswith(beneath) or path == beneath.rstrip("/")
        mine, asked = self.path.split("/"), path.split("/")
        return len(mine) == len(asked) and all(
            part.startswith("{") or part == other for part, other in zip(mine, asked, strict=True)
        )


@dataclass(frozen=True)
class ActionRow:
    """A method of the run service or of its sweeps that a page may call.

    Attributes:
        network: ``yes``, ``own`` (for the network: of runs that this visitor began, unless
            "runs" is switched on), ``bounded`` (so many at a time, unless "queue" is), or what
            must be switched on.
    """

    name: str
    what: str
    deeds: tuple[Deed, ...]
    network: Network = "yes"


ROUTES = (
    RouteRow("/", "the page Compare", opens=True),
    RouteRow("/skipscope/assets/{name}", "scripts and styles"),
    RouteRow(
        "/skipscope/feed",
        "curves, figures and sentences of Compare; measures what its link shows",
        ("read", "start"),
        proof=True,
    ),
    RouteRow("/skipscope/job", "what one measurement says", proof=True),
    RouteRow(
        "/skipscope/instrument",
        "an instrument's figure and table; measures what its link asks",
        ("read", "start"),
        proof=True,
    ),
    RouteRow(
        "/skipscope/instrument/left",
        "its page was closed: what nobody else looks at is given up",
        ("stop",),
        proof=True,
    ),
    RouteRow(
        "/skipscope/download",
        "a person pressed Download: a data set, or another library's weights",
        ("fill",),
        proof=True,
    ),
    RouteRow("/skipscope/instrument/file", "what was measured, as a file", proof=True),
    RouteRow(
        "/skipscope/run/file",
        "a run's report, numbers, weights or code, as a file",
        ("read", "start"),
        proof=True,
    ),
    # A new route of ours that nobody wrote down here, or an address that only looks like one.
    RouteRow("/skipscope/…", "nothing else is there", proof=True),
    RouteRow(
        "/_stcore/stream",
        "the pages' socket: every action below comes through it",
        ("read", "start", "change", "stop", "delete", "fill"),
        theirs=True,
    ),
    RouteRow(
        "/_stcore/upload_file/…",
        "images and weights that a visitor brings, in the server's memory: 1 GiB a tab, 2 in all",
        ("fill", "delete"),
        theirs=True,
    ),
    RouteRow("/_stcore/…", "Streamlit's health, settings, components; its API is off", theirs=True),
    RouteRow("/media/…", "images and downloads of the pages, by unguessable names", theirs=True),
    RouteRow("/component/…", "Streamlit's older components: there are none", theirs=True),
    RouteRow("/static/…", "Streamlit's scripts, styles and fonts", theirs=True),
    RouteRow("/auth/…", "Streamlit's log-in: not used", theirs=True),
    RouteRow("/oauth2callback", "Streamlit's log-in: not used", theirs=True),
    RouteRow("/…", "the other pages; Streamlit says where there is none", opens=True),
)

ACTIONS = (
    ActionRow("experiment", "how a run stands", ("read",)),
    ActionRow("experiments", "all runs", ("read",)),
    ActionRow("deleted_experiments", "runs deleted in the last day", ("read",)),
    ActionRow("version", "whether there is news of a run", ("read",)),
    ActionRow("live", "a run's curves", ("read",)),
    ActionRow("moment", "a run at an earlier step", ("read",)),
    ActionRow("recorded_training", "what was recorded of every layer", ("read",)),
    ActionRow("recorded", "a run's records of one kind", ("read",)),
    ActionRow("last_errors", "a run's last errors", ("read",)),
    ActionRow("all_records", "everything recorded of a run", ("read",)),
    ActionRow("weights_file", "a run's weights", ("read",)),
    ActionRow("job", "a measurement under way", ("read",)),
    ActionRow(
        "watch", "look at a run: its blocks are measured, it goes on", ("read", "start"), "yes"
    ),
    ActionRow("submit", "measure a net", ("start",), "bounded"),
    ActionRow("create", "begin a training", ("start", "fill"), "bounded"),
    ActionRow("play", "go on with a training", ("start",), "own"),
    ActionRow("resume", "go on with one that was cut short", ("start",), "own"),
    ActionRow("step", "one step of a training", ("start",), "own"),
    ActionRow("slow", "slow motion", ("change",), "own"),
    ActionRow("learning_rate", "another learning rate", ("change",), "own"),
    ActionRow("pause", "pause a training", ("stop",), "own"),
    ActionRow("stop", "end a training", ("stop",), "own"),
    ActionRow("keep", "keep it going when nobody watches", ("start",), "queue"),
    ActionRow("save_weights", "keep the weights of this moment", ("fill",), "own"),
    ActionRow("duplicate", "copy a lane that trains", ("start", "change"), "own"),
    ActionRow("delete_units", "delete blocks of a lane that trains", ("change",), "own"),
    ActionRow("rename", "a run's name", ("change",), "own"),
    ActionRow("annotate", "a run's note", ("change",), "own"),
    ActionRow("delete", "delete a run; it can be brought back for a day", ("delete",), "own"),
    ActionRow("restore", "bring it back", ("change",), "own"),
    ActionRow("purge", "remove it for good", ("delete",), "own"),
    ActionRow("keep_weights", "bring weights: 4 GiB, the oldest go", ("fill",)),
    ActionRow("keep_picture", "bring an image", ("fill",)),
    ActionRow("keep_images", "bring images in a .zip: 4 GiB, the oldest go", ("fill",)),
    ActionRow("sweeps.ids", "all sweeps", ("read",)),
    ActionRow("sweeps.view", "a sweep's errors", ("read",)),
    ActionRow("sweeps.start", "begin a sweep", ("start", "fill"), "bounded"),
    ActionRow("sweeps.resume", "go on with a sweep", ("start",), "own"),
    ActionRow("sweeps.stop", "stop a sweep, or let it wait no more", ("stop",), "own"),
    ActionRow("sweeps.delete", "remove a sweep for good", ("delete",), "own"),
    ActionRow("folder", "read a folder of images on the server, by its path", ("read",), "folders"),
    ActionRow("download", "download a data set or weights", ("fill",), "downloads"),
)


_ACTIONS = {row.name: row for row in ACTIONS}


def route_of(path: str) -> RouteRow:
    """The first row that holds an address."""
    return next(row for row in ROUTES if row.holds(path))


def action(name: str) -> ActionRow:
    """The row of an action; raises :class:`KeyError` where there is none."""
    return _ACTIONS[name]


def allowed() -> frozenset[Grant]:
    """What is switched on for the network: ``SKIPSCOPE_ALLOW=folders,runs``."""
    named = {word.strip() for word in os.environ.get(ALLOW, "").split(",")}
    return frozenset(grant for grant in GRANTS if grant in named)


def unknown_grants(text: str) -> list[str]:
    """Words of ``SKIPSCOPE_ALLOW`` that mean nothing."""
    return [word for part in text.split(",") if (word := part.strip()) and word not in GRANTS]


def refuse(grant: Grant, what: str) -> NotAllowedError:
    """The sentence for somebody on the network who may not do something.

    Args:
        what: Ends in "to …", or begins so.
    """
    return NotAllowedError(
        f"{what} is for people at the server's own machine, unless it was started with "
        f"`skipscope app --allow {grant}`."
    )


# ---------------------------------------------------------------------------------- in words


def open_words(where: str, allow: Iterable[Grant], address: str = "") -> str:
    """What an open server's network can do, for whoever opens it.

    Args:
        where: Where it listens, or its names.
        address: What others open.
    """
    on = [grant for grant in GRANTS if grant in set(allow)]
    off = [grant for grant in GRANTS if grant not in on]
    lines = [
        f"Skipscope is open beyond this machine ({where}). Everybody who reaches it, without a "
        "password, can see all runs, sweeps, notes and weights, train and measure, and bring "
        "images and weights.",
        *([f"Others open {address}; at this machine, open localhost."] if address else []),
        *(f"Switched on: they may {GRANTS[grant]}." for grant in on),
        *(f"They may not {GRANTS[grant]} (--allow {grant})." for grant in off),
    ]
    return "\n".join(lines)


_OFF_WORDS: dict[Network, str] = {
    "yes": "yes",
    "own": "their own; all with `runs`",
    "bounded": "so many at a time; any number with `queue`",
}


def _network_words(row: ActionRow) -> str:
    return _OFF_WORDS.get(row.network, f"with `{row.network}`")


def as_markdown() -> str:
    """Both tables, as README shows them."""
    lines = [
        "| Address | What it does | This machine | The network | Another site's page |",
        "|---|---|---|---|---|",
    ]
    for row in ROUTES:
        foreign = "may link to it" if row.opens else "no"
        proven = "from our pages" if row.proof else "yes"
        what = f"{row.what} ({', '.join(row.deeds)})"
        lines.append(f"| `{row.path}` | {what} | {proven} | {proven} | {foreign} |")
    lines += [
        "",
        "| Action | What it does | This machine | The network | Another site's page |",
        "|---|---|---|---|---|",
    ]
    for act in ACTIONS:
        what = f"{act.what} ({', '.join(act.deeds)})"
        lines.append(f"| `{act.name}` | {what} | yes | {_network_words(act)} | no |")
    return "\n".join(lines)
