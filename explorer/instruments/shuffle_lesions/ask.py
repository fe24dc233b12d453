"""What can be asked of other orders."""

from __future__ import annotations

from explorer.instruments import lesion_options
from explorer.instruments.contract import option, seed
from explorer.instruments.lesion_options import MOST_TRIALS
from explorer.instruments.shuffle_lesions.result import Moves
from explorer.structure.blueprint import Blueprint


class Ask(lesion_options.Ask):
    """Reorder units of one shape more and more and measure the accuracy.

    Each walk leads away from the intact order by changes of place drawn at random, and is measured
    at some points spread evenly over the range of Kendall's τ (Veit et al. 2016, Fig 5b). With
    pairs, any two units of one shape change places, as in the paper, down to the disorder of a
    random order; with neighbours, two neighbours that still stand in order, down to the reversed
    order.
    """

    was = ("shuffle", "lesions --kind shuffle")
    examples = (
        "shuffle_lesions digits_resnet_v2_56 --html fig5b.html",
        "shuffle_lesions digits_resnet_v2_56 --moves neighbours --csv",
    )

    moves: Moves = option(
        "pairs",
        "What changes places",
        "blocks that change places in a step of a walk",
        words={"pairs": "any two blocks", "neighbours": "neighbours, until all is reversed"},
    )
    points: int = option(
        12, "Orders of each walk", "number of orders of each walk", least=1, most=100
    )
    trials: int = option(
        8, "Walks", "number of walks away from the order", least=1, most=MOST_TRIALS
    )
    seed: int = seed("the walks")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return lesion_options.none_alike(plan)


class Show(lesion_options.Show):
    pass
