"""Signal and gradient from the image to the last unit, at initialisation or after training.

Purpose: before a net has learned anything, does its signal keep its size on the way up, and its
gradient on the way down? He's initial weights (arXiv 1502.01852) are chosen so that a plain net's
do; a residual unit's sum doubles the variance unless something holds it. Cost: one forward and one
backward pass of one small batch for each seed; a 110-layer net on digits about 0.2 s each.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, NotApplicableError
from explorer.nets import Net, create_net
from explorer.nets.adapters import AdaptedNet
from explorer.probes.select import data_name, net_name, some_images
from explorer.probes.statistics import batch_statistics, statistics_of
from explorer.probes.taps import wide
from explorer.results import Propagation, Statistics

MAX_SEEDS = 100


def propagation(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int = 64,
    seeds: int | None = 5,
    name: str | None = None,
    on_progress: Callable[[Propagation, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Propagation:
    """Variance of every unit's output, and the loss gradient there, on one batch.

    Batch norm normalises by the batch, as in the first training step; nothing is drawn at random
    but the weights. Values may overflow to infinity: that is then the answer.

    Args:
        n_images: Training images, class-balanced.
        seeds: So many nets with the same spec and fresh weights, of seeds 0, 1, 2, …; None
            measures this net with the weights it has.
        name: What the result calls the net; None takes its token.
        on_progress: Called after each net with the rows so far and the share done.
        cancelled: Asked before each net.

    Raises:
        NotApplicableError: Fresh weights of another library's net, which only it can draw.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    if seeds is not None and not 1 <= seeds <= MAX_SEEDS:
        raise NotApplicableError(
            f"The number of seeds is from 1 to {MAX_SEEDS}, not {seeds}; 5 show the spread."
        )
    if seeds is not None and isinstance(net, AdaptedNet):
        raise NotApplicableError(
            f"{net.external.name} is another library's net, and its initial weights are that "
            "library's: measure it with the weights it has, or choose a net of `skipscope list`."
        )
    images, labels = some_images(net, dataset, n_images, train=True)
    device = next(net.parameters()).device
    x, labels = dataset.normalise(images).to(device), labels.to(device)
    variance: list[Tensor] = []
    gradient: list[Tensor] = []
    used: Statistics | None = "batch" if statistics_of(net) else None

    def result() -> Propagation:
        return Propagation(
            net=net_name(net) if name is None else name,
            data=data_name(dataset),
            n_images=len(labels),
            fresh=seeds is not None,
            positions=("input", "stem", *net.unit_names),
            variance=torch.stack(variance).cpu().numpy(),
            gradient=torch.stack(gradient).cpu().numpy(),
            statistics=used,
        )

    for seed in range(seeds or 1):
        if cancelled is not None and cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        measured = net if seeds is None else create_net(net.spec, seed=seed).to(device)
        sizes = _sizes(measured, x, labels)
        variance.append(sizes[0])
        gradient.append(sizes[1])
        if on_progress is not None:
            on_progress(result(), (seed + 1) / (seeds or 1))
    return result()


def _sizes(net: Net, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(positions,) each: variance of the signal, and RMS of n · ∂L/∂signal."""
    with batch_statistics(net), torch.enable_grad():
        flow = [x.detach().requires_grad_()]
        for part in (net.stem, *net.units):
            flow.append(part(flow[-1]))
        loss = F.cross_entropy(net.head(flow[-1]), labels)
        gradients = torch.autograd.grad(loss, flow)
    variance = [wide(signal.detach()).var(correction=0) for signal in flow]
    slope = [(len(labels) * wide(gradient)).square().mean().sqrt() for gradient in gradients]
    return torch.stack(variance), torch.stack(slope)
