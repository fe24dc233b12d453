"""Feature reuse in dense nets (Huang16 Fig 5).

Purpose: a dense layer may use the maps of every layer before it in its block; how strongly does
it? Read from the weights alone: no images. Cost: one pass over the weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from explorer.instruments.contract import Job
from explorer.instruments.reuse.ask import Ask
from explorer.instruments.reuse.result import FeatureReuse, ReuseBlock
from explorer.measuring.select import net_name
from explorer.nets import Net
from explorer.nets.layers import scale_of
from explorer.structure.blueprint import Layer, UnitPlan


def measure(net: Net, ask: Ask, job: Job) -> FeatureReuse:
    """Mean absolute weight from every source of a block to every layer that sees it.

    Entry (s, ℓ) is the mean of |w| over all weights of layer ℓ's first convolution that act on
    the maps of source s: so it does not grow with the number of maps that s has. The first row is
    the block's input, the last column the transition after it, or the classifier. The paper takes
    the bare weights; ``scaled`` tells what acts on maps of equal size.
    """
    plan = net.blueprint
    blocks = []
    for stage, title in enumerate(plan.stage_names):
        inside = [unit for unit in plan.units if unit.stage == stage]
        after = [unit for unit in inside if unit.kind == "transition"]
        consumers = [(unit.name, unit.layers) for unit in inside if unit.kind == "dense"]
        consumers.append((after[0].name, after[0].layers) if after else ("head", plan.head))
        dense = [unit for unit in inside if unit.kind == "dense"]
        blocks.append(_block(net, title, dense, consumers, scaled=ask.scaled))
    return FeatureReuse(net=job.name or net_name(net), scaled=ask.scaled, blocks=tuple(blocks))


def _block(
    net: Net,
    title: str,
    units: Sequence[UnitPlan],
    consumers: Sequence[tuple[str, Sequence[Layer]]],
    *,
    scaled: bool,
) -> ReuseBlock:
    """One block: ``units`` are its dense units, ``consumers`` these and what follows them."""
    # The maps of the concatenation, in order: the block's input, then what each unit adds.
    maps = [units[0].input_shape[0], *(u.output_shape[0] - u.input_shape[0] for u in units)]
    ends = torch.tensor(maps).cumsum(0).tolist()
    weight = torch.full((len(maps), len(consumers)), torch.nan, dtype=torch.float64)
    for column, (_, layers) in enumerate(consumers):
        strength = _strength_by_map(net, layers, scaled=scaled)
        # Only a reference net's transition takes less than all there is: the last maps.
        first = ends[min(column, len(units))] - len(strength)
        for row, end in enumerate(ends[: column + 1]):
            if end - maps[row] >= first:
                weight[row, column] = strength[end - maps[row] - first : end - first].mean()
    return ReuseBlock(
        name=title,
        sources=("input", *(unit.name for unit in units)),
        maps=tuple(maps),
        targets=tuple(name for name, _ in consumers),
        weight=weight.numpy(),
    )


def _strength_by_map(net: Net, layers: Sequence[Layer], *, scaled: bool) -> Tensor:
    """Mean |w| of the first convolution or linear map, for each of its input maps."""
    place = next(i for i, layer in enumerate(layers) if layer.kind in ("conv", "linear"))
    weight = net.get_parameter(f"{layers[place].name}.weight").detach().cpu().double().abs()
    strength = weight.transpose(0, 1).flatten(1).mean(1)
    norms = [layer for layer in layers[:place] if layer.kind == "batch_norm"]
    if scaled and norms:
        norm = net.get_submodule(norms[-1].name)
        assert isinstance(norm, nn.BatchNorm2d)
        strength = strength * scale_of(norm).detach().cpu().abs()
    return strength
