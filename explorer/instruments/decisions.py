"""What the instruments that explain one decision share: its result, its options, its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from explorer.instruments.contract import Lane, Values, always, option
from explorer.results.statistics import Statistics
from explorer.writing.wording import listed, percent

Baseline = Literal["black", "white", "mean"]


@dataclass(frozen=True)
class Decision:
    """What is explained: the logit of one class, of one net, for one image.

    Attributes:
        image: ``test image 12``, or the file's name.
        deleted: Units that were left out.
        target: The class whose logit is explained.
        predicted: The class that the net, with what was deleted, finds likeliest.
        true_class: None for a person's own image.
        logit: f(x) of the target.
        probability: Its softmax, in [0, 1].
        statistics: What batch norms normalised by (:mod:`explorer.results.statistics`).
    """

    net: str
    data: str
    image: str
    deleted: tuple[str, ...]
    target: int
    target_name: str
    predicted: int
    predicted_name: str
    true_class: int | None
    logit: float
    probability: float
    statistics: Statistics | None = None


class OfDecision:
    """What the doors ask of a result, taken from its ``decision``."""

    decision: Decision

    @property
    def net(self) -> str:
        return self.decision.net

    @property
    def data(self) -> str:
        return self.decision.data

    @property
    def image(self) -> str:
        return self.decision.image

    @property
    def statistics(self) -> Statistics | None:
        return self.decision.statistics


def target_option() -> Any:
    """The option ``target``: the class whose logit is explained."""
    return option(
        "predicted",
        "Evidence for",
        "class whose logit is explained, by name or number, predicted or true",
        flags=["class"],
        was={"class": {}},
        pick="explorer.pages.instruments.picks:TARGET",
    )


def baseline_option(when: Any = always) -> Any:
    """The option ``baseline``: the image without evidence."""
    return option(
        "black",
        "Against an image that is",
        "colour of the image that stands for no evidence",
        words={"mean": "mean colour"},
        when=when,
    )


def steps_option() -> Any:
    """The option ``steps`` of integrals."""
    return option(
        None,
        "Steps",
        "number of steps of the integrals; else it is doubled until they add up",
        least=1,
        most=4096,
        doors=("shell", "python"),
    )


def method_is(*methods: str) -> Any:
    """For ``when``: one of these was chosen."""

    def chosen(values: Values) -> bool:
        return values["method"] in methods

    return chosen


def said_of(lane: Lane[Any], decision: Decision) -> str:
    """ "ResNet v2 56 answers 8 to test image 3, rightly. Explained is 8: probability 99.9 %, …"."""
    answer = f"{lane.name} answers {decision.predicted_name} to {decision.image}"
    if decision.true_class is not None:
        true = lane.info.classes[decision.true_class]
        right = decision.true_class == decision.predicted
        answer += ", rightly" if right else f"; it is {true}"
    if decision.deleted:
        answer += f", without {listed(decision.deleted)}"
    return (
        f"{answer}. Explained is {decision.target_name}: probability "
        f"{percent(decision.probability)}, logit {decision.logit:.3g}."
    )
