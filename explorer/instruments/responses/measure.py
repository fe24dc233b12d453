"""Standard deviation of each layer's response."""

from __future__ import annotations

import torch

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.responses.ask import Ask
from explorer.instruments.responses.result import LayerResponses
from explorer.measuring import walk
from explorer.measuring.responses import mean_and_sd, moments, response_modules
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> LayerResponses:
    """Standard deviation of each layer's response over test images and entries (He15 Fig 7).

    The response is the layer's output after its batch norm, before activation and addition. In
    pre-activation and dense nets the batch norm that follows a unit's last convolution belongs to
    what comes next, behind the addition: there the convolution's own output is the response.

    Cost: one forward pass over the images.
    """
    chosen = some_images(net, data, ask.n_images)
    observed = response_modules(net, acting=True)
    names = [module for _, module in observed]
    with (
        measuring(net, data, chosen[0], cancelled=job.cancelled) as used,
        torch.inference_mode(),
        tap(net, names, reduce=moments) as taps,
    ):
        for x, _ in walk.chunks(net, data, chosen, kept=4, cancelled=job.cancelled):
            net(x)
    sums = [torch.stack(taps.outputs[module]).sum(0) for module in names]
    _, sd = mean_and_sd(torch.stack(sums))
    return LayerResponses(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(chosen[1]),
        statistics=used,
        layers=tuple(layer.name for layer, _ in observed),
        depth_index=tuple(layer.depth_index or 0 for layer, _ in observed),
        sd=sd,
    )
