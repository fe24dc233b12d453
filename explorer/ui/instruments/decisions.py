"""What the instruments that explain one decision share: image, class, a block left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from explorer.results import BASELINES, Decision
from explorer.ui.instruments.contract import Asking, Lane
from explorer.ui.instruments.options import (
    Choice,
    ClassPick,
    ImagePick,
    OwnImage,
    Present,
    UnitPick,
)
from explorer.ui.instruments.words import listed, percent


@dataclass(frozen=True)
class TargetPick(ClassPick):
    """The class whose logit is explained."""

    def choices(self, present: Present) -> Mapping[str, str]:
        own = {"predicted": "each net's answer", "true": "the true class"}
        return {**own, **super().choices(present)}


@dataclass(frozen=True)
class WithoutPick(UnitPick):
    """One block to leave out, or none."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": "none", **super().choices(present)}

    def usual(self, present: Present) -> Any:
        return ""


IMAGE = ImagePick(when=lambda options: not options["own"])
OWN = OwnImage()
TARGET = TargetPick("class", "Evidence for")
WITHOUT = WithoutPick("without", "Without block", which=lambda unit: unit.deletable)
BASELINE = Choice(
    "baseline",
    "Against an image that is",
    {name: {"mean": "mean colour"}.get(name, name) for name in BASELINES},
)


def one_picture(asking: Asking) -> dict[str, Any]:
    """Net, image and the block left out; none where a net has no block of that name."""
    options = asking.options
    names = () if asking.plan is None else tuple(unit.name for unit in asking.plan.units)
    own = options["own"]
    return {
        "net": asking.source,
        "data": asking.data.model_dump(mode="json"),
        "index": None if own else options["image"],
        "image_path": own or None,
        "deleted": [options["without"]] if options["without"] in names else [],
    }


def one_decision(asking: Asking) -> dict[str, Any]:
    """The same, the class whose logit is explained, and what it is held against."""
    return {
        **one_picture(asking),
        "target": asking.options["class"],
        "baseline": asking.options["baseline"],
    }


def said_of(lane: Lane, decision: Decision) -> str:
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
