"""A net that goes on from another's weights: what two structures share goes over, layer by layer.

"Same weights, shortcut cut": the residual's own layers are the plain net's layers, under other
names (``residual.conv1`` is ``conv1``, a highway's ``transform.linear`` is ``linear``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import nn

from explorer.nets import Net
from explorer.structure.blueprint import UnitPlan
from explorer.training.lane import Lane

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class Carried:
    """What went over.

    Attributes:
        names: The new net's tensors by name, each with the name it had in the old one.
        fresh: Layers with weights of the new net that started from the seed.
        layers: How many layers with weights the new net has.
    """

    names: Mapping[str, str]
    fresh: tuple[str, ...]
    layers: int

    def __str__(self) -> str:
        taken = self.layers - len(self.fresh)
        if not self.fresh:
            return f"all {self.layers} of its layers with weights were taken over."
        some = ", ".join(self.fresh[:3]) + (", …" if len(self.fresh) > 3 else "")
        return (
            f"{taken} of its {self.layers} layers with weights were taken over; {some} "
            f"{'starts' if len(self.fresh) == 1 else 'start'} from the seed."
        )


@torch.no_grad()
def carry_over(source: Net, target: Net) -> Carried:
    """Copy every tensor of ``target`` that ``source`` has at the same place, in the same shape.

    Batch norms go over only where the layers of the unit stand in the same order: a norm before a
    convolution says nothing about one after it.
    """
    theirs = {_place(name): name for name in source.state_dict()}
    state, values = target.state_dict(), source.state_dict()
    other_order = _of_another_order(source, target)
    names = {
        name: theirs[_place(name)]
        for name, value in state.items()
        if _place(name) in theirs
        and values[theirs[_place(name)]].shape == value.shape
        and name.rpartition(".")[0] not in other_order
    }
    for name, old in names.items():
        state[name].copy_(values[old])
    held = {  # by its weight; a batch norm without scale has a shift alone
        layer.name: next((n for p in ("weight", "bias") if (n := f"{layer.name}.{p}") in state), "")
        for layer in target.blueprint.layers
    }
    layers = [layer for layer, tensor in held.items() if tensor]
    fresh = tuple(layer for layer in layers if held[layer] not in names)
    return Carried(names, fresh, len(layers))


def carry_optimizer(source: Lane, target: Lane, names: Mapping[str, str]) -> None:
    """Momenta and the like of the parameters that :func:`carry_over` took over."""
    old = dict(source.net.named_parameters())
    for name, parameter in target.net.named_parameters():
        state = source.optimizer.state.get(old[names[name]]) if name in names else None
        if state:
            target.optimizer.state[parameter] = {
                key: value.detach().clone() if isinstance(value, torch.Tensor) else value
                for key, value in state.items()
            }


def _place(name: str) -> str:
    """The same for what is the same layer: the branch's own name is left out."""
    return name.replace(".residual.", ".").replace(".transform.", ".")


def _of_another_order(source: Net, target: Net) -> frozenset[str]:
    """Batch norms of the target in units whose layers stand in another order than the source's."""
    theirs = {unit.name: unit for unit in source.blueprint.units}
    modules = dict(target.named_modules())
    return frozenset(
        layer.name
        for unit in target.blueprint.units
        if unit.name not in theirs or _order(theirs[unit.name]) != _order(unit)
        for layer in unit.layers
        if isinstance(modules.get(layer.name), _NORMS)
    )


def _order(unit: UnitPlan) -> tuple[str, ...]:
    """Norms and weight layers of the way through the unit."""
    return tuple(
        layer.kind
        for layer in unit.layers
        if layer.branch in ("main", "residual") and layer.kind in ("conv", "linear", "batch_norm")
    )
