"""What can be asked of deletions at random."""

from __future__ import annotations

from explorer.instruments import lesion_options
from explorer.instruments.contract import option, seed
from explorer.instruments.lesion_options import MOST_TRIALS
from explorer.structure.blueprint import Blueprint


class Ask(lesion_options.Ask):
    """Delete 1, 2, … k units of a net at random and measure the accuracy.

    Each draw is one random order of the units that can be deleted; its first, its first two, and so
    on are deleted (Veit et al. 2016, Fig 5a).
    """

    was = ("several", "lesion_band", "lesions --kind random")
    examples = (
        "random_lesions digits_resnet_v2_56 --k 20 --trials 10 --png fig5a.png",
        "random_lesions digits_plain_56 digits_resnet_v2_56 --html fig5a.html",
        "random_lesions digits_resnet_v2_56 --recalibrate",
    )

    k: int = option(
        20,
        "Most blocks deleted",
        "greatest number of blocks deleted; all of them where a net has fewer",
        least=1,
        most=1000,
    )
    trials: int = option(
        10, "Draws", "number of draws of the order in which blocks go", least=1, most=MOST_TRIALS
    )
    seed: int = seed("the draws")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return lesion_options.none_deletable(plan)

    def for_net(self, plan: Blueprint | None, lane: int = 0) -> Ask:
        """A smaller net has fewer to delete."""
        if plan is None:
            return self
        most = max(1, sum(unit.deletable for unit in plan.units))
        return self.model_copy(update={"k": min(self.k, most)})


class Show(lesion_options.Show):
    pass
