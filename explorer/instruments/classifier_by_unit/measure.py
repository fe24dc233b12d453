"""The classifier after every unit of the last stage (Jastrzebski18)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.classifier_by_unit.ask import Ask
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.instruments.contract import Job
from explorer.measuring import walk
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> ClassifierByUnit:
    """Accuracy and loss of the classifier on each unit's output of the last stage.

    The head is applied as it is, its own batch norm and activation included (Jastrzebski18).
    """
    plans = net.blueprint.units
    shape = plans[-1].output_shape
    first = len(plans)
    while first and plans[first - 1].output_shape == shape:
        first -= 1
    chosen = some_images(net, data, ask.n_images)
    sums = torch.zeros(len(plans) - first, 2, dtype=torch.float64)
    with measuring(net, data, chosen[0], cancelled=job.cancelled) as used, torch.inference_mode():
        for x, truth in walk.chunks(net, data, chosen, kept=6, cancelled=job.cancelled):
            x = net.stem(x)
            for i, unit in enumerate(net.units):
                x = unit(x)
                if i >= first:
                    sums[i - first] += _answers(walk.wide(net.head(x)), truth).cpu()
    accuracy, loss = (sums / len(chosen[1])).numpy().T
    return ClassifierByUnit(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(chosen[1]),
        statistics=used,
        units=net.unit_names[first:],
        accuracy=accuracy,
        loss=loss,
    )


def _answers(logits: Tensor, truth: Tensor) -> Tensor:
    """(right answers, sum of losses); an answer that is not finite is wrong."""
    right = (logits.argmax(1) == truth) & logits.isfinite().all(1)
    return torch.stack([right.sum(), F.cross_entropy(logits, truth, reduction="sum")])
