"""What can be asked of gates, unit by unit."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.instruments.gate_words import no_gates
from explorer.structure.blueprint import Blueprint


class Ask(contract.Ask):
    """Measure the gates of a highway net, or of gated shortcuts.

    Mean, standard deviation and quantiles of each unit's gate T(x) over test images and entries
    (Srivastava et al. 2015, Fig 2): near 0 a unit carries its input on, near 1 it replaces it. Of
    a residual net with gated shortcuts (He et al. 2016, 3.1) the gates g(x) of these, which pass
    on 1 − g.
    """

    was = ("gate_means", "gate_distribution")
    examples = (
        "gates digits_fc_highway_50",
        "gates highway_25 --data digits --seed 3 --json",
        "gates digits_fc_highway_50 --view distribution --html spread.html",
        "gates 'resnet_v2_20;shortcut=exclusive_gating'",
    )

    n_images: int = images(1000)

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        return no_gates(plan)


class Show(contract.Show):
    view: Literal["mean", "distribution"] = option(
        "mean",
        "Show",
        "statistics that the figure shows",
        words={"mean": "mean ± sd", "distribution": "median and spread"},
        was={"show": {"mean": "mean", "spread": "distribution"}},
    )

    def needs(self) -> tuple[str, ...]:
        return ("levels", "quantiles") if self.view == "distribution" else ()
