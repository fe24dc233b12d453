"""Controls that depend on the nets and images at hand: an image, a block, a class, a stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from explorer.instruments.by_hand.rearranged import Rearranged, read_hands, write_hands
from explorer.instruments.contract import always
from explorer.pages.instruments.controls import (
    Choice,
    ClassPick,
    ImagePick,
    Number,
    Options,
    OwnImage,
    Present,
    UnitPick,
)


@dataclass(frozen=True)
class NamedClass(Choice):
    """One class of the images by its name, or none.

    Attributes:
        none: In words.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    none: str = "none"

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": self.none, **{name: name for name in present.classes}}

    def read(self, text: str, present: Present) -> Any:
        """Also its number, as in earlier links; a name counts more, as it may be a number, too."""
        name, names = unquote(text), present.classes
        if name not in names and name.isascii() and name.isdigit() and int(name) < len(names):
            return names[int(name)]
        return super().read("" if name == "all" and name not in names else name, present)

    def write(self, value: Any) -> str:
        return str(value).replace("%", "%25").replace(";", "%3B")  # which ends an option in a link


@dataclass(frozen=True)
class StagePick(Choice):
    """One stage, from 1, that every net here has; or all of them."""

    values: Mapping[str, str] = field(default_factory=dict)

    def choices(self, present: Present) -> Mapping[str, str]:
        stages = min((len(plan.stage_names) for plan in present.plans), default=1)
        return {"all": "all", **{str(i): str(i) for i in range(1, stages + 1) if stages > 1}}


@dataclass(frozen=True)
class ChannelPick(Choice):
    """One channel of gates, from 0, or the mean over all of them."""

    def choices(self, present: Present) -> Mapping[str, str]:
        gated = present.plans[0].gated_units if present.plans else ()
        fewest = min((unit.output_shape[0] for unit in gated), default=0)
        return {"": "the mean over all", **{str(k): f"channel {k}" for k in range(fewest)}}

    def write(self, value: Any) -> str:
        return "" if value is None else str(value)


@dataclass(frozen=True)
class WithoutPick(UnitPick):
    """One block to leave out, or none."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": "none", **super().choices(present)}

    def usual(self, present: Present) -> Any:
        return ""


@dataclass(frozen=True)
class TargetPick(ClassPick):
    """The class whose logit is explained."""

    def choices(self, present: Present) -> Mapping[str, str]:
        own = {"predicted": "each net's answer", "true": "the true class"}
        return {**own, **super().choices(present)}


@dataclass(frozen=True)
class BlockPick(UnitPick):
    """One block, or the last of each stage."""

    def choices(self, present: Present) -> Mapping[str, str]:
        return {"": "the last of each stage", **super().choices(present)}

    def usual(self, present: Present) -> Any:
        return ""


@dataclass(frozen=True)
class HandPick:
    """What was done by hand to each net: by its position, from 0."""

    name: str = "hand"
    label: str = "Blocks"
    help: str | None = None
    when: Callable[[Options], bool] = always

    def usual(self, present: Present) -> Any:
        return {}

    def read(self, text: str, present: Present) -> Any:
        return read_hands(text)

    def write(self, value: Any) -> str:
        return write_hands(value)


def hand_of(options: Options, index: int) -> Rearranged:
    """What was done to one net."""
    done: Rearranged = options["hand"].get(index, Rearranged())
    return done


IMAGE = ImagePick(when=lambda options: not options["own"])
OWN = OwnImage()
WITHOUT = WithoutPick("without", "Without block", which=lambda unit: unit.deletable)
TARGET = TargetPick("target", "Evidence for")
AT_UNIT = UnitPick(
    "unit",
    "At block",
    usually="last",
    which=lambda unit: len(unit.output_shape) == 3,
    when=lambda options: options["method"] == "grad_cam",
    help="A net that has no block of this name is looked at after its last one.",
)
UNITS = BlockPick("units", "Block", help="Nets without a block of this name show their stages.")
OF_CLASS = NamedClass("of_class", "Class")
ONE_CLASS = NamedClass(
    "of_class",
    "Images of",
    help="Accuracy among the images of one class alone.",
    none="all classes",
)
STAGE = StagePick("stage", "Stage", help="Blocks of one stage alone: larger squares, sooner done.")
HELD = Number(
    "values",
    "A value of your own",
    0.5,
    0.0,
    1.0,
    0.05,
    help="Beside 0, 1 and the mean.",
    slider=True,
)
OF_CHANNEL = ChannelPick("of_channel", "Channel", values={})
HAND = HandPick()
