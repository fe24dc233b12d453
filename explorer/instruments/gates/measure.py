"""Mean and spread of each unit's gate."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.gates.ask import Ask
from explorer.instruments.gates.result import GateMeans
from explorer.measuring import walk
from explorer.measuring.gates import run_through, unit_gates
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.nets import Net
from explorer.results.common import Floats

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
BINS = 40
_LOGITS = (-20.0, 20.0, 4000)  # least, greatest and number of fine bins: 0.01 of a logit each


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> GateMeans:
    """Mean, spread, quantiles and histogram of each unit's gate over test images and entries.

    Quantiles are read from counts of the logit W x + b in bins of 0.01, so that gates near 0 are
    as well resolved as those near ½: they are exact to within 0.01 of a logit.

    Cost: one forward pass over the images.
    """
    kind, gates = unit_gates(net)
    images, labels = some_images(net, data, ask.n_images)
    names, logits = [gate.name for gate in gates], [gate.weights for gate in gates]
    with (
        measuring(net, data, images, cancelled=job.cancelled) as used,
        torch.inference_mode(),
        tap(net, names, reduce=_moments) as values,
        tap(net, logits, reduce=_counts) as spread,
    ):
        run_through(net, data, images, job.cancelled)
    count, total, squares = torch.stack(
        [torch.stack(values.outputs[gate]).sum(0) for gate in names], dim=1
    ).cpu()
    mean = total / count
    sd = (squares / count - mean.square()).clamp(min=0).sqrt()
    counts = np.stack([torch.stack(spread.outputs[gate]).sum(0).cpu().numpy() for gate in logits])
    fine, coarse = counts[:, : _LOGITS[2]], counts[:, _LOGITS[2] :]
    return GateMeans(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(labels),
        units=tuple(gate.unit for gate in gates),
        mean=mean.numpy(),
        sd=sd.numpy(),
        bias=np.asarray([gate.bias.mean() for gate in gates], np.float64),
        gate=kind,
        statistics=used,
        levels=np.asarray(LEVELS, np.float64),
        quantiles=np.stack([_quantiles(row) for row in fine]),
        edges=np.linspace(0, 1, BINS + 1),
        share=coarse / coarse.sum(1, keepdims=True),
    )


def _moments(gate: Tensor) -> Tensor:
    """Count, sum and sum of squares, in double precision where the device has it."""
    value = walk.wide(gate)
    count = torch.full((), gate.numel(), dtype=value.dtype, device=gate.device)
    return torch.stack([count, value.sum(), value.square().sum()])


def _counts(logit: Tensor) -> Tensor:
    """Counts of the logits in fine bins, and of their σ in the histogram's bins, one vector."""
    least, greatest, bins = _LOGITS
    flat = walk.wide(logit).flatten()
    fine = torch.histc(flat.clamp(least, greatest), int(bins), least, greatest)
    return torch.cat([fine, torch.histc(flat.sigmoid(), BINS, 0, 1)]).to(torch.int64)


def _quantiles(counts: Floats) -> Floats:
    """σ of the logits below which shares of ``LEVELS`` lie, linear within a bin."""
    least, greatest, bins = _LOGITS
    edges = np.linspace(least, greatest, int(bins) + 1)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / counts.sum()
    logits = np.interp(LEVELS, below, edges)
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)
