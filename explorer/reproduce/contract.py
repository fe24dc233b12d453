"""What a figure or table of a paper is here: its numbers, how we measure it, what we may say of it.

A declaration says what the paper did and printed; what was measured here lies in a file
(:mod:`explorer.reproduce.kept`) or on the cards of shipped nets. The mark is not declared: it
follows from what differs between the two protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from explorer.structure.specs import SEED, Spec

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.instruments.contract import Style

Mark = Literal["reproduced", "smaller", "not attempted"]
MARKS: dict[Mark, str] = {
    "reproduced": "reproduced (same protocol)",
    "smaller": "reproduced smaller",
    "not attempted": "not attempted",
}
Holds = Literal["yes", "no", "open"]
HOLDS: dict[Holds, str] = {
    "yes": "holds here",
    "no": "does not hold here",
    "open": "cannot be told here",
}


class Arm(Spec):
    """One net of a comparison, trained from several seeds.

    Attributes:
        net: Its name or token.
        training: What differs from the recipe ``one_cycle``.
        seeds: How many, from ``SEED`` on.
        again: Where the median test error stays above 20 %, which He16 calls a failure, also three
            times as many steps: a failure that more steps mend is none.
    """

    label: str
    net: str
    training: dict[str, Any] = Field(default_factory=dict)
    seeds: int = 3
    again: bool = False
    first_seed: int = SEED


@dataclass(frozen=True)
class Trains:
    """A measurement that trains nets and compares what they come to."""

    arms: tuple[Arm, ...]


@dataclass(frozen=True)
class Asks:
    """A measurement by an instrument.

    Attributes:
        instrument: Its name; ``ask`` what it is asked where that is not its default.
        nets: Trained nets, each from so many seeds; their training is ``one_cycle``.
        fresh: Names of nets that are not trained, each from so many seeds.
        families: Of shipped nets on the paper's own images, which stand for ours where a card
            keeps this instrument's result; none where such a card would not be the paper's figure.
        layers: That such a shipped net must have, so as not to be called the paper's deep one.
    """

    instrument: str
    ask: Mapping[str, Any] = field(default_factory=dict)
    nets: tuple[Arm, ...] = ()
    fresh: tuple[Arm, ...] = ()
    families: tuple[str, ...] = ()
    layers: int = 0


@dataclass(frozen=True)
class Counts:
    """What follows from structure or arithmetic: computed whenever it is shown, from nothing kept.

    Attributes:
        numbers: Gives the numbers; they go by the same names as the paper's.
    """

    numbers: Callable[[], Mapping[str, Any]]


class Ends(Spec):
    """What an arm came to: a number for each seed, None where a training diverged.

    Attributes:
        train_loss: Nats; errors are shares.
        curve: By seed, at each evaluation: ``step``, ``train_loss``, ``train_error`` and
            ``test_error``.
    """

    label: str
    net: str
    steps: int
    seeds: tuple[int, ...]
    train_loss: tuple[float | None, ...]
    train_error: tuple[float | None, ...]
    test_error: tuple[float | None, ...]
    curve: tuple[dict[str, list[float | None]], ...] = ()
    shipped: bool = False


class LaneResult(Spec):
    """An instrument's result of one net.

    Attributes:
        seed: Of the net's training, or of its weights where it is fresh.
        accuracy: On the test images, intact; None of a fresh net.
        result: As the instrument's ``to_json`` gives it.
    """

    label: str
    net: str
    seed: int | None
    steps: int = 0
    accuracy: float | None = None
    shipped: bool = False
    result: dict[str, Any]


class Measurement(Spec):
    """What was measured for a figure, and under which conditions; made by the command alone.

    Attributes:
        data: The images' name; empty where there are none.
        images: How many of them were measured.
        instrument: Which one gave the lanes.
        hardware, threads, versions, created, seconds, command: How it was made.
    """

    format: Literal["skipscope-reproduction-1"] = "skipscope-reproduction-1"
    figure: str
    data: str = ""
    images: int = 0
    instrument: str = ""
    lanes: tuple[LaneResult, ...] = ()
    arms: tuple[Ends, ...] = ()
    numbers: dict[str, Any] = Field(default_factory=dict)
    hardware: str = ""
    threads: int = 1
    versions: dict[str, str] = Field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    command: str = ""
    cards: tuple[str, ...] = ()

    def arm(self, label: str) -> Ends | None:
        """The last of this label, which is the one of the most steps."""
        found = [arm for arm in self.arms if arm.label == label]
        return max(found, key=lambda arm: arm.steps, default=None)

    def lanes_of(self, label: str) -> list[LaneResult]:
        return [lane for lane in self.lanes if lane.label == label]


@dataclass(frozen=True)
class Number:
    """A number that a paper prints.

    Attributes:
        value: None where the paper says it in words alone, which ``words`` are.
        source: Figure, table or section of the figure's paper.
    """

    value: float | None
    unit: str = ""
    source: str = ""
    words: str = ""

    def __str__(self) -> str:
        if self.words:
            return self.words
        assert self.value is not None
        shown = f"{self.value:,}" if self.value == int(self.value) else f"{self.value:g}"
        return f"{shown} {self.unit}".strip()


@dataclass(frozen=True)
class Protocol:
    """What a figure was measured on, the paper's or ours.

    Attributes:
        data: Name of the images; empty where none are needed.
        depth: Layers of the deepest net.
        trainings: Of each net.
        steps: Updates of each training.
        images: On how many images it was measured.
    """

    data: str = ""
    depth: int | None = None
    trainings: int | None = None
    steps: int | None = None
    images: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of the table: the paper's number, ours, and what others reported."""

    what: str
    paper: str = "–"
    ours: str = "–"
    others: str = ""


@dataclass(frozen=True)
class Verdict:
    """What may be said of a measurement: both sentences are chosen from its numbers."""

    holds: Holds
    says: str
    sure: str


@dataclass(frozen=True)
class Figure:
    """A figure, table or statement of a paper.

    Attributes:
        key: Names it in the command, the address and the file: paper and item.
        paper: A key of :data:`explorer.claims.SOURCES`.
        item: ``"Fig 3"``, ``"Table 6"``, ``"§4.1"``.
        shows: What it shows, in the paper's own conditions; a sentence or two.
        numbers: What the paper prints, by a name; each has its source.
        protocol: The paper's.
        how: The measurement; None where none was attempted.
        why_not: Then the reason, in a sentence.
        lines: The table, of a measurement, or of none.
        judge: What the measurement says of the paper's claim.
        draw: Its Plotly figure.
        caution: What one should know before comparing; a sentence or two.
        differs: What else is smaller or other than in the paper, beside what the protocols say.
        kept_in: Another figure's key, where both are read from one measurement.
        on_cards: Of a comparison of trainings: nets of shipped cards that stand for the paper's
            where they were trained on its images, by token, with the arm's label.
        show: How an instrument's figure is drawn, where not as by default.
        brief: Whether measuring it again takes seconds, so that the page offers it.
    """

    key: str
    paper: str
    item: str
    title: str
    shows: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    protocol: Protocol = Protocol()
    how: Trains | Asks | Counts | None = None
    why_not: str = ""
    lines: Callable[[Figure, Measurement | None], list[Line]] | None = None
    judge: Callable[[Figure, Measurement], Verdict] | None = None
    draw: Callable[[Figure, Measurement, Style], go.Figure] | None = None
    caution: str = ""
    differs: Sequence[str] = ()
    kept_in: str = ""
    on_cards: Mapping[str, str] = field(default_factory=dict)
    show: Mapping[str, Any] = field(default_factory=dict)
    brief: bool = False
