"""Gradient magnitude by layer."""

from __future__ import annotations

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.gradients.ask import Ask
from explorer.instruments.gradients.result import LayerGradients
from explorer.measuring.gradients import layer_gradients
from explorer.nets import Net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> LayerGradients:
    """Root mean square gradient of each layer's weights and of each unit's output, on one batch.

    Cost: one forward and one backward pass on one batch.
    """
    return layer_gradients(net, data, n_images=ask.n_images, name=job.name)
