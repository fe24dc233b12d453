"""What layers and branches answer (He15 Fig 7; Jastrzebski18; Greff17).

Purpose: in nets with shortcuts each layer changes the signal a little, the more layers the less;
units refine one estimate instead of computing a new one. Cost: one forward pass over the images;
:func:`branch_responses` also one backward pass, computing each unit twice. Which statistics batch
norms use, :mod:`explorer.measuring.statistics` decides, and the result says.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from explorer.measuring import walk
from explorer.nets import Net
from explorer.nets.net import passed_by
from explorer.results import (
    Floats,
)
from explorer.structure.blueprint import Layer

Cancel = Callable[[], bool] | None


def response_modules(net: Net, *, acting: bool = False) -> list[tuple[Layer, str]]:
    """Every layer that counts as depth but the classifier, and the module whose output it is.

    Args:
        acting: Without those of units that a training passes by for good, which answer nothing.
    """
    plan = net.blueprint
    units = [
        unit.layers
        for unit, module in zip(plan.units, net.units, strict=True)
        if not (acting and passed_by(module))
    ]
    found = []
    for layers in (plan.stem, *units):
        for i, layer in enumerate(layers):
            if layer.depth_index is None or layer.kind not in ("conv", "linear"):
                continue
            after = layers[i + 1] if i + 1 < len(layers) else None
            normed = after is not None and (after.kind, after.branch, after.chained) == (
                "batch_norm",
                layer.branch,
                True,
            )
            found.append((layer, after.name if after is not None and normed else layer.name))
    return found


def moments(value: Tensor) -> Tensor:
    """Count, sum and sum of squares."""
    value = walk.wide(value)
    count = torch.full((), value.numel(), dtype=value.dtype, device=value.device)
    return torch.stack([count, value.sum(), value.square().sum()])


def mean_and_sd(sums: Tensor) -> tuple[Floats, Floats]:
    """From moments (rows, 3)."""
    count, total, squares = sums.double().cpu().numpy().T
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))
