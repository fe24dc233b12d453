"""A net's gates as modules: T(x) of highway units, g(x) of gated shortcuts (He16 §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.measuring import walk
from explorer.nets import Net
from explorer.nets.layers import Gate
from explorer.nets.net import passed_by
from explorer.results.common import Floats
from explorer.structure.blueprint import GateKind


@dataclass(frozen=True)
class UnitGate:
    """A gate of the net.

    Attributes:
        unit: Name of its unit.
        name: Name of the module σ(W x + b).
        weights: Name of the layer W x + b.
    """

    unit: str
    name: str
    weights: str
    module: Gate

    @property
    def bias(self) -> Floats:
        """b, one value a channel or feature."""
        return numbers(self.module.bias)


def unit_gates(net: Net) -> tuple[GateKind, list[UnitGate]]:
    """All gates that act in a net with gates, in forward order, and their kind.

    Raises:
        NotApplicableError: The net is trained without every unit that has one.
    """
    found = []
    for unit, module in zip(net.blueprint.units, net.units, strict=True):
        if unit.gate is not None and not passed_by(module):
            gate = cast(Gate, net.get_submodule(unit.gate))
            inner, _ = next(gate.named_children())
            found.append(UnitGate(unit.name, unit.gate, f"{unit.gate}.{inner}", gate))
    kind = net.blueprint.gate_kind
    if kind is None or not found:
        raise NotApplicableError(
            "Every block with a gate is left out of this net, so there is nothing to measure: "
            "take the net with one of them."
        )
    return kind, found


def run_through(
    net: Net, dataset: Dataset, images: Tensor, cancelled: Callable[[], bool] | None = None
) -> None:
    """Passes images through a net whose modules are tapped."""
    unlabelled = torch.zeros(len(images), dtype=torch.int64)
    for x, _ in walk.chunks(net, dataset, (images, unlabelled), kept=6, cancelled=cancelled):
        net(x)


def numbers(value: Tensor) -> Floats:
    return np.asarray(value.detach().double().cpu(), dtype=np.float64)
