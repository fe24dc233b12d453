"""What all lesions are asked alike: on which images, by which statistics, of which class."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar, Literal

from pydantic import field_validator, model_validator

from explorer.instruments import contract
from explorer.instruments.contract import Option, images, option
from explorer.structure.blueprint import Blueprint
from explorer.writing.wording import count

MOST_TRIALS = 1000  # random draws, or walks


class Ask(contract.Ask):
    """Base of all lesions' ``Ask``."""

    priority: ClassVar[Literal["click", "sweep"]] = "sweep"

    n_images: int | None = images(None)
    train: bool = option(
        False,
        "On training images",
        "measure the accuracy on training images, which shows what a net has learned of them, as "
        "SGS15 does; that on test images shows what carries over",
        was={"images": {"test": False, "train": True}},
    )
    recalibrate: bool = option(
        False,
        "Measure batch norm's statistics anew",
        "measure batch norm's statistics anew for each lesion, on training images; nothing is "
        "learned, and it takes longer",
    )
    recalibrate_on: int = option(
        512,
        "Images for that",
        "number of training images on which batch norm's statistics are measured anew",
        least=16,
        most=10_000,
        doors=("shell", "python"),
    )
    precision: Literal["float32", "bfloat16"] = option(
        "float32",
        "Precision",
        "precision of the arithmetic, of which bfloat16 is for a quick look",
        doors=("shell", "python"),
    )

    @model_validator(mode="before")
    @classmethod
    def _recalibrate_was_a_number(cls, value: Any) -> Any:
        """Earlier Python functions and jobs took the number of images; 0 was no."""
        if isinstance(value, dict) and type(value.get("recalibrate")) is int:
            n = value["recalibrate"]
            return {**value, "recalibrate": n > 0, **({"recalibrate_on": n} if n > 1 else {})}
        return value

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """An instrument's own first, then those that all lesions have."""
        return tuple(sorted(super().options(), key=lambda one: one.name in Ask.model_fields))


class Show(contract.Show):
    """Base of all lesions' ``Show``."""

    of_class: str | None = option(
        None,
        "Images of",
        "class among whose images alone the accuracy is shown, by name or number",
        flags=["class"],
        was={"class": {}},
        pick="explorer.pages.instruments.picks:ONE_CLASS",
    )

    def needs(self) -> tuple[str, ...]:
        return () if self.of_class is None else ("by_class",)

    @field_validator("of_class", mode="before")
    @classmethod
    def _all_of_them(cls, value: Any) -> Any:
        return None if value == "" else value


def none_deletable(plan: Blueprint) -> str | None:
    """Why deleting blocks means nothing for a net."""
    if any(unit.deletable for unit in plan.units):
        return None
    return (
        "No block of this net can be deleted, because each changes the shape of what passes "
        f"({count(len(plan.units), 'block')}): look at its gradients, or take a deeper net, whose "
        "stages have more than one block."
    )


def none_alike(plan: Blueprint) -> str | None:
    """Why moving blocks means nothing for a net."""
    groups = Counter(unit.swap_group for unit in plan.units if unit.swap_group is not None)
    if any(n > 1 for n in groups.values()):
        return None
    return (
        "No two blocks of this net keep one and the same shape, so none can change places: delete "
        "its blocks instead, or choose a residual, highway or plain net with more than one block a "
        "stage, such as digits_resnet_v2_56."
    )
