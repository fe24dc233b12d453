"""What layers and blocks answer, in fresh nets and in the shipped ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims.measures.nets import SEEDS, fresh, images, shipped_names, trained
from explorer.instruments.functions import estimation_error, responses, reuse
from explorer.nets import Net, create_net
from explorer.structure.cards import shipped


def ends_of_fresh(nets: Sequence[str]) -> list[float]:
    """The least and the greatest standard deviation of a layer's response, net by net."""
    found = []
    for net in nets:
        for seed in SEEDS[:3]:
            sd = responses(fresh(net, seed), images()).sd
            found += [float(sd.min()), float(sd.max())]
    return found


def medians(families: Sequence[str]) -> list[float]:
    """Median standard deviation of the layers' responses of each shipped net."""
    names = [name for family in families for name in shipped_names(family)]
    return [float(np.median(responses(trained(name), images()).sd)) for name in names]


def narrowing_of_fresh(nets: Sequence[str]) -> list[float]:
    """Share of stages whose spread about their end shrinks at every block, net by net."""
    found = []
    for net in nets:
        for seed in SEEDS[:3]:
            errors = estimation_error(fresh(net, seed), images())
            stages = np.asarray(errors.stage)
            shrinks = [bool((np.diff(errors.sd[stages == s]) < 0).all()) for s in np.unique(stages)]
            found.append(float(np.mean(shrinks)))
    return found


def reuse_medians(family: str) -> list[float]:
    """Of each shipped net, then of the same net before training: the median source's weight, in
    percent of its layer's strongest one."""
    found = []
    for name in shipped_names(family):
        card = shipped()[name]
        found += [
            _median_share(trained(name)),
            _median_share(create_net(card.spec, seed=card.seed)),
        ]
    return found


def _median_share(net: Net) -> float:
    shares = np.concatenate([block.relative().ravel() for block in reuse(net).blocks])
    return float(100 * np.median(shares[np.isfinite(shares)]))
