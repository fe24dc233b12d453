"""What measures share: shipped and fresh nets, and images, each made once a process."""

from __future__ import annotations

from functools import cache

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import NotApplicableError
from explorer.names import spec_of
from explorer.nets import Net, create_net
from explorer.nets.weights import load_pretrained
from explorer.shipped import shipped
from explorer.specs import DataSpec, fit_to_data

SEEDS = (7, 11, 12, 13, 14, 15)  # of fresh nets: more than a sentence names


@cache
def images(name: str = "digits") -> Dataset:
    return load_data(DataSpec.model_validate({"name": name}))


def shipped_names(family: str) -> list[str]:
    """Shipped nets of a family: ``"plain"``, ``"residual"``, ``"highway"`` or ``"dense"``.

    Raises:
        NotApplicableError: None ships, so that a claim about them bears nothing.
    """
    found = [name for name, card in shipped().items() if card.spec.family == family]
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
