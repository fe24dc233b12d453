"""Residual branches as differential amplifiers: the worked example, measured in a net.

Purpose: a unit that changes its input a little (5 → 5.1) has a small F. So a small change of what
it should give (5.2) is a large change of F relative to F
(:class:`explorer.WorkedExample`). That is loudness, not learning: as H = x + F,
∂L/∂F = ∂L/∂H, and a gradient step is no larger for it. Cost: two forward passes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.instruments.contract import Job
from explorer.instruments.sensitivity.ask import Ask
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.measuring import walk
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net
from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit

_CHUNK = 128
Unit = ResidualUnit | HighwayUnit


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> Sensitivity:
    """How much larger a unit's output is than its F, and how F answers to a moved input.

    In a residual unit H(x) = h(x) + F(x), h the shortcut. In a highway unit H is its output and F =
    H − x = T·(H' − x), what it adds to its input. Evaluation mode; batch norm's statistics as
    :mod:`explorer.measuring.statistics` has them, the moved inputs' the same ones. Each unit's
    input, image by image, moves by ``nudge`` of itself in a random direction.
    """
    units = [
        (unit_name, unit)
        for unit_name, unit in zip(net.unit_names, net.units, strict=True)
        if isinstance(unit, Unit)
    ]
    images, labels = some_images(net, data, ask.n_images)
    device = next(net.parameters()).device
    draw = torch.Generator().manual_seed(ask.seed)
    rows: dict[str, list[Tensor]] = {unit_name: [] for unit_name, _ in units}
    with measuring(net, data, images, cancelled=job.cancelled) as used:
        for part in torch.split(images, _CHUNK):
            if job.cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            with torch.inference_mode():
                x = net.stem(data.normalise(part).to(device))
                for unit_name, unit in zip(net.unit_names, net.units, strict=True):
                    if isinstance(unit, Unit):
                        rows[unit_name].append(_answers(unit, x, ask.nudge, draw))
                    x = unit(x)
    values = torch.stack([torch.cat(rows[unit_name], dim=1) for unit_name, _ in units])
    shares = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    # (3, units, quantities) → quantities, units, 3
    whole = torch.quantile(values.double().cpu(), shares, dim=2).permute(2, 1, 0)
    return Sensitivity(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(labels),
        nudge=ask.nudge,
        units=tuple(unit_name for unit_name, _ in units),
        amplification=whole[0].numpy(),
        residual_change=whole[1].numpy(),
        output_change=whole[2].numpy(),
        statistics=used,
    )


def _answers(unit: Unit, x: Tensor, nudge: float, draw: torch.Generator) -> Tensor:
    """(3, images): ‖H‖/‖F‖, ‖ΔF‖/‖F‖, ‖ΔH‖/‖H‖; not finite where F is 0."""
    noise = torch.randn(x.shape, generator=draw).to(x)
    moved = x + noise * (nudge * _norm(x) / _norm(noise)).view(-1, *[1] * (x.dim() - 1))
    whole, residual = _branches(unit, x)
    whole_moved, residual_moved = _branches(unit, moved)
    small, large = _norm(residual), _norm(whole)
    return torch.stack(
        [
            large / small,
            _norm(residual_moved - residual) / small,
            _norm(whole_moved - whole) / large,
        ]
    )


def _branches(unit: Unit, x: Tensor) -> tuple[Tensor, Tensor]:
    """H(x) and F(x)."""
    if isinstance(unit, ResidualUnit):
        ways = walk.branches(unit, x)
        assert ways is not None
        return ways.shortcut + ways.branch, ways.branch
    output: Tensor = unit(x)
    return output, output - x


def _norm(values: Tensor) -> Tensor:
    """Of each image: (N, …) → (N,)."""
    norms: Tensor = torch.linalg.vector_norm(values.flatten(1), dim=1)
    return norms
