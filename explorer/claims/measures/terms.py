"""The direct term of the gradient, block by block."""

from __future__ import annotations

from explorer.claims.measures.nets import SEEDS, fresh, images
from explorer.measuring.gradient_terms import gradient_terms


def handed_on_in_stages(net: str) -> list[float]:
    """‖direct‖ at the input ÷ at the output of blocks that keep the shape, of fresh nets.

    The least and the greatest of each seed.
    """
    found = []
    for seed in SEEDS:
        made = fresh(net, seed)
        terms = gradient_terms(made, images())
        after = [*terms.direct[1:], terms.end]
        shares = [
            float(before / behind)
            for unit, before, behind in zip(made.blueprint.units, terms.direct, after, strict=True)
            if unit.input_shape == unit.output_shape
        ]
        found += [min(shares), max(shares)]
    return found
