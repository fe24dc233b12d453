"""The recipe in numbers: the rate of every step, and the optimiser."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any, cast

import torch
from torch import nn

from explorer.errors import SpecError
from explorer.structure.specs import TrainSpec
from explorer.training import optimisers

ONE_CYCLE_RISE = 0.3  # share of the steps during which the rate rises
WARMUP_FACTOR = 0.1  # He15 §4.2: 0.01 instead of 0.1


def learning_rate(spec: TrainSpec, step: int, steps_per_epoch: int, seconds: float = 0.0) -> float:
    """Learning rate of the update number ``step``, counted from 0.

    Args:
        seconds: What the steps before took; counts where the recipe has a budget of seconds.
    """
    if step < spec.warmup_steps:
        return WARMUP_FACTOR * spec.learning_rate
    return spec.learning_rate * _shape(spec, step, steps_per_epoch, seconds)


def _shape(spec: TrainSpec, step: int, steps_per_epoch: int, seconds: float) -> float:
    """Share of the peak rate, in [0, 1]."""
    if spec.schedule == "exponential":
        return float(spec.decay_rate ** (step // steps_per_epoch))
    at = float(step)
    if spec.max_seconds is not None:
        at = max(at, min(1.0, seconds / spec.max_seconds) * (spec.steps - 1))
    if spec.schedule == "one_cycle":
        rise = ONE_CYCLE_RISE * spec.steps
        if at < rise:
            return (at + 1) / (rise + 1)
        return 0.5 * (1 + math.cos(math.pi * (at - rise) / (spec.steps - rise)))
    if spec.schedule == "milestones":
        passed = sum(at >= share * spec.steps for share in spec.milestones)
        return float(0.1**passed)
    return 1.0


def moments(spec: TrainSpec) -> tuple[str, ...]:
    """What the optimiser of a recipe keeps of every parameter; ``step`` is one number."""
    if spec.optimizer in ("adam", "adamw"):
        return ("step", "exp_avg", "exp_avg_sq")
    return ("momentum_buffer",) if spec.momentum > 0 else ()


_DECAYING: dict[str, tuple[type[nn.Module], ...]] = {
    "weights": (nn.Conv2d, nn.Linear),
    "convolutions": (nn.Conv2d,),
}


def decayed(spec: TrainSpec, net: nn.Module) -> frozenset[nn.Parameter]:
    """The parameters that the recipe's weight decay acts on."""
    if spec.decay_on == "all":
        return frozenset(net.parameters())
    kinds = _DECAYING[spec.decay_on]
    modules = (module for module in net.modules() if isinstance(module, kinds))
    return frozenset(cast(nn.Parameter, module.weight) for module in modules)


def make_optimizer(
    spec: TrainSpec,
    parameters: Iterable[nn.Parameter],
    device: torch.device | None = None,
    free: Collection[nn.Parameter] = (),
) -> torch.optim.Optimizer:
    """The optimiser of a recipe; the loop sets its rate before every step.

    Fused into one call for all parameters: on one CPU thread it takes half the time of foreach.

    Args:
        free: Those that do not decay.
    """
    every = list(parameters)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in every if p not in free]},
        {"params": [p for p in every if p in free], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate, decay = spec.learning_rate, spec.weight_decay
    on_gpu = device is not None and device.type == "cuda"  # counts steps there, for CUDA graphs
    if spec.optimizer == "adam":
        return optimisers.Adam(groups, lr=rate, weight_decay=decay, fused=True, capturable=on_gpu)
    if spec.optimizer == "adamw":
        return optimisers.AdamW(groups, lr=rate, weight_decay=decay, fused=True, capturable=on_gpu)
    nesterov = spec.optimizer == "nesterov"
    if nesterov and spec.momentum == 0:
        raise SpecError(
            "The optimizer 'nesterov' needs a momentum above 0 (0.9 is usual): set one, or "
            "choose 'sgd'."
        )
    return optimisers.SGD(
        groups,
        lr=rate,
        momentum=spec.momentum,
        weight_decay=decay,
        nesterov=nesterov,
        fused=True,
    )
