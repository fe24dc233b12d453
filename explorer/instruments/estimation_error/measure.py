"""Each unit's output against the end of its stage (Greff17)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.estimation_error.ask import Ask
from explorer.instruments.estimation_error.result import EstimationError
from explorer.measuring import walk
from explorer.measuring.responses import mean_and_sd, moments
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net
from explorer.structure.blueprint import UnitPlan


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> EstimationError:
    """Mean and spread of y_i − y_end within each stage (Greff17).

    y_i is a unit's output and y_end that of its stage's last unit, both of one shape; the layers
    between stages are no units of theirs.
    """
    stages = _stages(net.blueprint.units)
    chosen = some_images(net, data, ask.n_images)
    order = [i for stage in stages for i in stage]
    sums = torch.zeros(len(order), 3, dtype=torch.float64)
    ends = torch.zeros(len(order), 3, dtype=torch.float64)
    kept = max(map(len, stages)) + 6
    with measuring(net, data, chosen[0], cancelled=job.cancelled) as used, torch.inference_mode():
        for x, _ in walk.chunks(net, data, chosen, kept=kept, cancelled=job.cancelled):
            x = net.stem(x)
            place = 0
            inside: list[Tensor] = []
            for i, unit in enumerate(net.units):
                x = unit(x)
                stage = next((s for s in stages if i in s), None)
                if stage is None:
                    continue
                inside.append(x)
                if i == stage[-1]:
                    for k, value in enumerate(inside):
                        sums[place + k] += moments(value - x).cpu()
                        ends[place + k] += moments(x).cpu()
                    place += len(inside)
                    inside = []
    mean, sd = mean_and_sd(sums)
    count, _, squares = ends.numpy().T
    plans = net.blueprint.units
    return EstimationError(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(chosen[1]),
        statistics=used,
        units=tuple(plans[i].name for i in order),
        stage=tuple(plans[i].stage for i in order),
        mean=mean,
        sd=sd,
        scale=np.sqrt(squares / count),
    )


def _stages(plans: tuple[UnitPlan, ...]) -> list[list[int]]:
    """By stage the units of its last one's shape, where there are at least two."""
    found = []
    for stage in sorted({plan.stage for plan in plans}):
        inside = [
            (i, p) for i, p in enumerate(plans) if p.stage == stage and p.kind != "transition"
        ]
        shape = inside[-1][1].output_shape if inside else None
        alike = [i for i, plan in inside if plan.output_shape == shape]
        if len(alike) > 1:
            found.append(alike)
    return found
