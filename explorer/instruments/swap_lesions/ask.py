"""What can be asked of swapped pairs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import field_validator

from explorer.errors import SpecError
from explorer.instruments import lesion_options
from explorer.instruments.contract import option
from explorer.structure.blueprint import Blueprint


class Ask(lesion_options.Ask):
    """Swap every two units of one shape in turn and measure the accuracy."""

    was = ("swap", "lesions --kind swap")
    examples = (
        "swap_lesions digits_resnet_v2_56 --stage 1",
        "swap_lesions digits_plain_56 digits_resnet_v2_56 --html swap.html",
    )

    stage: int | None = option(
        None,
        "Stage",
        "swap units of this stage alone, counted from 1",
        least=1,
        pick="explorer.pages.instruments.picks:STAGE",
    )

    @field_validator("stage", mode="before")
    @classmethod
    def _all_of_them(cls, value: Any) -> Any:
        return None if value == "all" else value

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return lesion_options.none_alike(plan)

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """Refuses a stage that is not there, or has nothing to swap."""
        if plan is None or self.stage is None:
            return self
        stages = plan.stage_names
        if self.stage > len(stages):
            raise SpecError(f"There is no stage {self.stage}: this net has {len(stages)}, from 1.")
        inside = [unit.swap_group for unit in plan.units if unit.stage == self.stage - 1]
        if not any(n > 1 for group, n in Counter(inside).items() if group is not None):
            raise SpecError(
                f"No two blocks of {stages[self.stage - 1]} keep one and the same shape, so none "
                "can change places there: choose another stage."
            )
        return self


class Show(lesion_options.Show):
    pass
