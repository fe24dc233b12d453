"""A net walked by hand: forward unit by unit, then a gradient back through one unit at a time.

Purpose: what no module's output shows (a gated branch, the sum before the last ReLU), and the
gradient by either branch alone. Cost: one pass more than ``backward`` needs, because each unit is
computed again on the way back; in return only the units' inputs and one unit are in memory.
Nothing is hooked, and no parameter receives a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.nets import Net
from explorer.nets.dense import DenseUnit
from explorer.nets.highway import HighwayUnit
from explorer.nets.net import passed_by
from explorer.nets.residual import ResidualUnit

_BYTES = 256 << 20  # of activations at once
_ACCELERATOR_BYTES = 4 << 30


class Branches(NamedTuple):
    """What arrives at a unit's join by its two ways, before they meet.

    Attributes:
        shortcut: h(x) of a residual unit, x·(1 − T(x)) of a highway unit, x of a dense unit.
        branch: F(x) as it is added (scaled, gated), H(x)·T(x), the new maps.
    """

    shortcut: Tensor
    branch: Tensor


def branches(unit: nn.Module, x: Tensor) -> Branches | None:
    """Both ways through a unit; None where there is but one (plain units, transitions).

    Through one that a training passes by for good its own layers give zeros, of which gradients
    can be asked.
    """
    gone = passed_by(unit)
    if isinstance(unit, ResidualUnit):
        shortcut, branch = unit.branches(x)
        return Branches(shortcut, branch * 0 if gone else branch)
    if isinstance(unit, HighwayUnit):
        if gone:
            return Branches(x, x * 0)
        gate = unit.transform_gate(x)
        return Branches(x * (1 - gate), unit.transform(x) * gate)
    if isinstance(unit, DenseUnit):
        new = unit.growth(x)
        return Branches(x, new * 0 if gone else new)
    return None


def join(unit: nn.Module, shortcut: Tensor, branch: Tensor) -> Tensor:
    """The unit's output from its two branches."""
    if isinstance(unit, ResidualUnit):
        return cast(Tensor, unit.after(shortcut + branch))
    if isinstance(unit, DenseUnit):
        return torch.cat((shortcut, branch), dim=1)
    return shortcut + branch


@torch.no_grad()
def states(net: Net, x: Tensor) -> list[Tensor]:
    """The input of every unit, and last the output of the last: one more than there are units.

    Args:
        x: (N, C, H, W), normalised.
    """
    found = [net.stem(x)]
    for unit in net.units:
        found.append(unit(found[-1]))
    return found


def loss_gradient(net: Net, x: Tensor, labels: Tensor) -> Tensor:
    """∂ℓ_i/∂x_i of each image's own cross-entropy ℓ_i, ``x`` being what the head receives."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        total = F.cross_entropy(net.head(x), labels, reduction="sum")
        return torch.autograd.grad(total, x)[0]


def carried_back(unit: nn.Module, x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at a unit's input from the one at its output."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(unit(x), x, gradient)[0]


def carried_to_each(
    net: Net, found: list[Tensor], labels: Tensor, cancelled: Callable[[], bool] | None = None
) -> Iterator[tuple[int, Tensor]]:
    """(unit, ∂ℓ_i/∂x_i at its input) from the last unit to the first; may be cancelled between.

    Args:
        found: What :func:`states` gave.
    """
    gradient = loss_gradient(net, found[-1], labels)
    for i, unit in reversed(list(enumerate(net.units))):
        if cancelled is not None and cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        gradient = carried_back(unit, found[i], gradient)
        yield i, gradient


def chunks(
    net: Net,
    dataset: Dataset,
    chosen: tuple[Tensor, Tensor],
    *,
    kept: int,
    most: int = 256,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Normalised images and their labels on the net's device, as many at once as memory allows.

    Args:
        chosen: uint8 images and labels, as of :func:`explorer.measuring.select.some_images`.
        kept: How many maps of each image are alive at once.
        most: Images of a chunk.
        cancelled: Asked before each chunk.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    weight = next(net.parameters())
    room = _BYTES if weight.device.type == "cpu" else _ACCELERATOR_BYTES
    shapes = [
        shape for unit in net.blueprint.units for shape in (unit.input_shape, unit.output_shape)
    ]
    largest = max(math.prod(shape) for shape in shapes) * weight.element_size()
    at_once = max(1, min(most, room // (kept * largest)))
    for images, labels in zip(*(torch.split(part, at_once) for part in chosen), strict=True):
        if cancelled is not None and cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        x = dataset.normalise(images).to(weight.device, weight.dtype)
        yield x, labels.to(weight.device)


def wide(value: Tensor) -> Tensor:
    """In double precision, where the device has it: sums of squares of tiny gradients."""
    return value if value.device.type == "mps" else value.double()
