"""What an instrument's page file declares; see :mod:`explorer.ui.instruments` for how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme
from explorer.errors import SpecError
from explorer.runs.requests import JobKind
from explorer.runs.service import RunService
from explorer.specs import DataInfo, DataSpec
from explorer.ui.instruments.options import Option, Options

Group = Literal["blocks", "gradients", "responses", "gates", "paths", "features", "start", "loss"]
Result = dict[str, Any]
Row = Mapping[str, str | int | float | None]


@dataclass(frozen=True)
class Lane:
    """One net on the page, with what was measured of it so far.

    Attributes:
        index: Decides colour, dash and marker.
        name: Unlike every other lane's.
        plan: None for a net whose structure only its library knows.
        info: The images that it was measured on.
        result: The job's result, or its latest partial one: plain JSON values.
        done: False while more is coming; captions then speak of what is there so far.
    """

    index: int
    name: str
    plan: Blueprint | None
    info: DataInfo
    result: Result
    done: bool = True

    @property
    def unit_names(self) -> tuple[str, ...]:
        return () if self.plan is None else tuple(unit.name for unit in self.plan.units)


@dataclass(frozen=True)
class Asking:
    """What a payload is built from.

    Attributes:
        index: The net's place on the page.
        source: Where the job finds the net (:mod:`explorer.runs.requests`); empty where the
            instrument needs none.
        data: The images; always told, also where a person left it to the net.
        n_images: None takes the instrument's own number.
        seed: Of what is drawn at random, such as which units are deleted.
        options: A value for each of the instrument's options.
    """

    index: int
    source: dict[str, Any]
    data: DataSpec
    n_images: int | None
    seed: int
    options: Options
    plan: Blueprint | None


@dataclass(frozen=True)
class Picture:
    """A small image below the figure.

    Attributes:
        png: Base64.
        words: Below it, a few.
        alt: What it shows, for who cannot see it.
    """

    lane: int
    png: str
    words: str
    alt: str


def one_net(asking: Asking) -> dict[str, Any]:
    """The payload of jobs that take a net, data and a number of images."""
    return {
        "net": asking.source,
        "data": asking.data.model_dump(mode="json"),
        "n_images": asking.n_images,
    }


def no_pictures(lanes: Sequence[Lane], options: Options) -> list[Picture]:
    return []


def whole(lane: Lane, options: Options) -> Result:
    return lane.result


def no_headline(lane: Lane, options: Options) -> tuple[str, str]:
    return "", ""


def any_net(plan: Blueprint) -> str | None:
    """For instruments that mean something for every net."""
    return None


@dataclass(frozen=True)
class Instrument:
    """One question about a net, and how its answer is drawn, said and tabled.

    Attributes:
        key: Names it in links.
        title: Two words or three, on a button.
        order: Its place among those of its group.
        question: The page's heading.
        explains: Two sentences: what one sees, and what to look for.
        figure_of: Which paper's figure this is, with the numbers that the paper prints.
        job: Its kind; by the options where they decide it; None where it is ``recorded``.
        figure: Any number of lanes (also none) as one figure; must accept partial results.
            ``options["narrow"]`` tells a phone's width.
        caption: What the data shows, a sentence an entry; nothing that it does not show.
        formula: The formula, and then again with numbers of this result in it, a line an entry.
        mode: How the net was evaluated, for the line of conditions; by the lane where it differs.
            Batch norm's statistics are added from the result.
        step: Whether a training step is measured, in which batch norm goes by the batch.
        chosen: What of the result the options choose, such as one class's images: figure,
            sentences, table, files and conditions are all of that.
        payload: Of the job.
        not_for: Why it means nothing for a net, and which nets would do, in one sentence.
        suggests: Tokens of nets that it means something for, offered where none is chosen.
        table: The result's rows, for people and screen readers; every row has the same columns.
        recorded: Where the result is no measurement, but what a training has recorded: takes the
            run service and the asking, and is called at every look instead of a job; raises a
            ``SkipscopeError`` where there is nothing.
        headline: A net's big number and what it is, where the page has a place for it.
        pictures: Small images to be shown below the figure.
        own_weights: False for a result of weights drawn for it, or of none: then the conditions do
            not say where the net's own come from.
        takes_images: False where a number of images means nothing.
        see: Others that go on from here, as in a link (``history;as=ends``), and the words of a
            button that leads there with the same nets.
        needs_net: False for what is asked of no net in particular, such as an instrument that
            builds small nets of its own; its lanes are then one, named by ``title``, without plan.
    """

    key: str
    title: str
    group: Group
    question: str
    explains: str
    figure_of: str
    job: JobKind | Callable[[Options], JobKind] | None
    figure: Callable[[Sequence[Lane], Options, Theme], go.Figure]
    caption: Callable[[Sequence[Lane], Options], list[str]]
    formula: Callable[[Sequence[Lane], Options], list[str]]
    table: Callable[[Result], Sequence[Row]]
    mode: str | Callable[[Lane], str]
    step: bool = False
    order: int = 50
    options: tuple[Option, ...] = ()
    payload: Callable[[Asking], dict[str, Any]] = one_net
    not_for: Callable[[Blueprint], str | None] = any_net
    suggests: tuple[str, ...] = field(default=("digits_resnet_v2_56",))
    recorded: Callable[[RunService, Asking], Result] | None = None
    headline: Callable[[Lane, Options], tuple[str, str]] = no_headline
    pictures: Callable[[Sequence[Lane], Options], list[Picture]] = no_pictures
    chosen: Callable[[Lane, Options], Result] = whole
    own_weights: Callable[[Lane, Options], bool] = lambda lane, options: True
    takes_images: bool = True
    needs_net: bool = True
    see: Mapping[str, str] = field(default_factory=dict)

    def kind(self, options: Options) -> JobKind:
        job = self.job(options) if callable(self.job) else self.job
        if job is None:
            raise ValueError(f"the instrument {self.key} has no job: it is recorded")
        return job

    def option(self, name: str) -> Option:
        for option in self.options:
            if option.name == name:
                return option
        known = ", ".join(option.name for option in self.options) or "none"
        raise SpecError(
            f"The instrument {self.key!r} has no option {name[:40]!r}; it has: {known}."
        )
