"""What can be asked of paths that are switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.structure.blueprint import Blueprint

MOST = 4  # units: 16 paths
Which = Literal["stages", "start", "end"]


def chosen_units(plan: Blueprint, which: Which) -> tuple[str, ...]:
    """All blocks with two ways, if they are few; else as many as there are stages, at most four."""
    parting = [unit for unit in plan.units if unit.parts_ways]
    if len(parting) <= MOST:
        return tuple(unit.name for unit in parting)
    of_stage = {unit.stage: unit.name for unit in reversed(parting)}
    n = min(MOST, max(len(of_stage), 2))
    if which == "end":
        return tuple(unit.name for unit in parting[-n:])
    if which == "start" or len(of_stage) < 2:
        return tuple(unit.name for unit in parting[:n])
    return tuple(of_stage[stage] for stage in sorted(of_stage))[:n]


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


class Ask(contract.Ask):
    """Switch paths through a few units off, and measure what the answer loses.

    Up to four units are written out to all their paths (Veit et al. 2016, Fig 1). A path has a
    digit for each of them, 1 where it goes through the unit's branch and 0 where it goes by: 010
    goes through the second of three branches alone.
    """

    priority = "sweep"
    was = ("unravelled_view",)
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {"paths --view unravelled": ()}
    examples = (
        "unravelled resnet_v2_8 --off 010,110",
        "unravelled digits_resnet_v2_56 --which end",
        "unravelled digits_resnet_v2_56 --units stages.0.units.0,stages.2.units.0",
        "unravelled resnet_v2_8 --picture paths.svg",
    )

    n_images: int | None = images(None)
    which: Which = option(
        "stages",
        "Blocks",
        "blocks whose paths are shown; nets of up to four blocks are shown whole",
        words={
            "stages": "the first of each stage",
            "start": "the first blocks",
            "end": "the last blocks",
        },
    )
    units: tuple[str, ...] | None = option(
        None,
        "Units",
        "units whose paths are shown, one to four by name, instead of those chosen by place",
        doors=("shell", "python"),
        read=_listed,
    )
    off: tuple[str, ...] = option(
        (),
        "Switched off",
        "paths that are switched off, by their digits, such as 010,110",
        pick="explorer.pages.instruments.path_pick:OFF",
        read=_listed,
    )

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        if any(unit.parts_ways for unit in plan.units):
            return None
        return (
            f"A {plan.spec.family} net has a single path, so there is nothing to unravel: look at "
            "its gradients, or choose a residual, highway or dense net, such as "
            "digits_resnet_v2_56."
        )

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """With the names of its units."""
        if plan is None or self.units is not None or self.not_for(plan) is not None:
            return self
        return self.model_copy(update={"units": chosen_units(plan, self.which)})


class Show(contract.Show):
    pass
