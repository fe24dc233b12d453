"""What measures share: shipped and fresh nets, and images, each made once a process."""

from __future__ import annotations

from functools import cache

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import NotApplicableError
from explorer.nets import Net, create_net
from explorer.nets.weights import load_pretrained
from explorer.structure.cards import shipped
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, fit_to_data

SEEDS = (7, 11, 12, 13, 14, 15)  # of fresh nets: more than a sentence names


@cache
def images(name: str = "digits") -> Dataset:
    return load_data(DataSpec.model_validate({"name": name}))


def shipped_names(family: str) -> list[str]:
    """Nets of a family that ship for the digits: ``plain``, ``residual``, ``highway``, ``dense``.

    Without those that ship to show how they fail.

    Raises:
        NotApplicableError: None ships, so that a claim about them bears nothing.
    """
    found = [
        name
        for name, card in shipped().items()
        if (card.spec.family, card.data.name) == (family, "digits") and not card.meant_to_fail
    ]
    if not found:
        raise NotApplicableError(f"No {family} net ships with the program, so none is measured.")
    return found


@cache
def trained(name: str) -> Net:
    return load_pretrained(name)


def fresh(token: str, seed: int, data: str = "digits") -> Net:
    """An untrained net, shaped for the images."""
    spec = DataSpec.model_validate({"name": data})
    return create_net(fit_to_data(spec_of(token), spec), seed=seed)
