"""What can be asked of held gates."""

from __future__ import annotations

from typing import Any

from pydantic import field_validator

from explorer.instruments import lesion_options
from explorer.instruments.contract import option
from explorer.instruments.gate_lesions.result import GateValue
from explorer.structure.blueprint import Blueprint


def read(text: str) -> tuple[float | str, ...]:
    """What stands between commas, as numbers where it is some."""
    return tuple(map(_number, text.split(",")))


def _number(part: str) -> float | str:
    try:
        return float(part)
    except ValueError:
        return part.strip()


class Ask(lesion_options.Ask):
    """Hold the gate of each unit at a value, then of all units, and measure the accuracy.

    Instead of looking at its input, the gate of a highway unit, or of a gated shortcut (He et al.
    2016, 3.1), is a number, or at its mean: each entry of the gate at its mean over training images
    of the intact net. At 0 a highway unit is deleted (Srivastava et al. 2015, Fig 4), at 1 it is a
    plain layer.
    """

    was = ("held_gates", "lesions --kind gates")
    examples = (
        "gate_lesions digits_fc_highway_50",
        "gate_lesions digits_fc_highway_50 --values 0,1,mean --html held.html",
    )

    values: tuple[GateValue, ...] = option(
        (0.0, 1.0, "mean", 0.5),
        "Held at",
        "values at which gates are held: numbers from 0 to 1, or mean",
        longest=8,
        flags=["hold"],
        was={"value": {}},
        pick="explorer.pages.instruments.picks:HELD",
        read=read,
    )

    @field_validator("values", mode="before")
    @classmethod
    def _possible(cls, given: Any) -> Any:
        """One number is asked beside 0, 1 and the mean, as the page does."""
        if _is_number(given):
            usual = (0.0, 1.0, "mean")
            given = usual if given in usual else (*usual, given)
        for value in given if isinstance(given, (list, tuple)) else ():
            if value != "mean" and not (_is_number(value) and 0 <= value <= 1):
                raise ValueError(
                    f"give numbers from 0 to 1, or mean, such as 0,1,mean, not {str(value)[:40]!r}"
                )
        return given

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if plan.gated_units:
            return None
        return (
            f"A {plan.spec.family} net has no gates that could be held: delete its blocks instead, "
            "or choose a net with gates, such as digits_fc_highway_50 or "
            "'resnet_v1_20;shortcut=exclusive_gating'."
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


class Show(lesion_options.Show):
    pass
