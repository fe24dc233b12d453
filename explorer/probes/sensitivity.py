"""Residual branches as differential amplifiers: the worked example, measured in a net.

Purpose: a unit that changes its input a little (5 → 5.1) has a small F. So a small change of what
it should give (5.2) is a large change of F relative to F
(:class:`explorer.results.WorkedExample`). That is loudness, not learning: as H = x + F,
∂L/∂F = ∂L/∂H, and a gradient step is no larger for it. Cost: two forward passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, NotApplicableError
from explorer.nets import Net
from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit
from explorer.probes import walk
from explorer.probes.select import data_name, net_name, some_images
from explorer.probes.statistics import measuring
from explorer.results import Sensitivity

_CHUNK = 128
Unit = ResidualUnit | HighwayUnit


def sensitivity(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 200,
    nudge: float = 0.02,
    seed: int = 0,
    name: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Sensitivity:
    """How much larger a unit's output is than its F, and how F answers to a moved input.

    In a residual unit H(x) = h(x) + F(x), h the shortcut. In a highway unit H is its output and
    F = H − x = T·(H' − x), what it adds to its input. Evaluation mode; batch norm's statistics as
    :mod:`explorer.probes.statistics` has them, the moved inputs' the same ones.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.
        nudge: ‖Δx‖ / ‖x‖: each unit's input, image by image, moves by so much in a random
            direction.
        seed: Of the directions.
        name: What the result calls the net; None takes its token.
        cancelled: Asked before each chunk of images.

    Raises:
        NotApplicableError: The net has no shortcuts to add to, or the nudge is not possible.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    if not (math.isfinite(nudge) and 0 < nudge <= 1):
        raise NotApplicableError(f"The nudge is above 0 and at most 1, not {nudge:g}; try 0.02.")
    units = [
        (unit_name, unit)
        for unit_name, unit in zip(net.unit_names, net.units, strict=True)
        if isinstance(unit, Unit)
    ]
    if not units:
        what = "concatenates" if net.spec.family == "dense" else "replaces its input"
        raise NotApplicableError(
            f"A {net.spec.family} net {what} and adds nothing to a shortcut, so there is no F to "
            "compare with the whole: look at its layers' responses, or choose a residual or "
            "highway net, such as resnet_v2_56."
        )
    images, labels = some_images(net, dataset, n_images)
    device = next(net.parameters()).device
    draw = torch.Generator().manual_seed(seed)
    rows: dict[str, list[Tensor]] = {unit_name: [] for unit_name, _ in units}
    with measuring(net, dataset, images, cancelled=cancelled) as used:
        for part in torch.split(images, _CHUNK):
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            with torch.inference_mode():
                x = net.stem(dataset.normalise(part).to(device))
                for unit_name, unit in zip(net.unit_names, net.units, strict=True):
                    if isinstance(unit, Unit):
                        rows[unit_name].append(_answers(unit, x, nudge, draw))
                    x = unit(x)
    values = torch.stack([torch.cat(rows[unit_name], dim=1) for unit_name, _ in units])
    shares = torch.tensor([0.5, 0.1, 0.9], dtype=torch.float64)
    # (3, units, quantities) → quantities, units, 3
    whole = torch.quantile(values.double().cpu(), shares, dim=2).permute(2, 1, 0)
    return Sensitivity(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        nudge=nudge,
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
