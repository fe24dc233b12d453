"""Transform gates T(x) of highway units (SGS15 Fig 2).

Purpose: how much does each unit replace (T near 1) and how much does it carry on (T near 0)?
Cost: one forward pass.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.probes.select import data_name, net_name, some_images
from explorer.probes.taps import eval_mode, tap
from explorer.results import GateMeans

_CHUNK = 256


def gate_means(
    net: Net, dataset: Dataset, *, n_images: int | None = 1000, name: str | None = None
) -> GateMeans:
    """Mean and spread of T over test images and entries, unit by unit, in evaluation mode.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.
        name: What the result calls the net; None takes its token.

    Raises:
        NotApplicableError: The net has no transform gates.
        DataError: The images do not fit the net.
    """
    plan = net.blueprint
    # Each gated unit's name, and its gate's layer with weights.
    gated = {
        unit.name: layer
        for unit in plan.units
        for layer in unit.layers
        if layer.branch == "transform_gate" and layer.kind in ("conv", "linear")
    }
    if not gated:
        raise NotApplicableError(
            f"A {net.spec.family} net has no transform gates; measure its gradients or delete "
            "its units instead, or choose a highway net."
        )
    images, labels = some_images(net, dataset, n_images)
    device = next(net.parameters()).device
    names = [f"{unit}.transform_gate" for unit in gated]
    with eval_mode(net), torch.inference_mode(), tap(net, names, reduce=_moments) as taps:
        for part in torch.split(images, _CHUNK):
            net(dataset.normalise(part).to(device))
    count, total, squares = torch.stack(
        [torch.stack(taps.outputs[gate]).sum(0) for gate in names], dim=1
    ).cpu()
    mean = total / count
    sd = (squares / count - mean.square()).clamp(min=0).sqrt()
    bias = [net.get_parameter(f"{layer.name}.bias").mean().item() for layer in gated.values()]
    return GateMeans(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        units=tuple(gated),
        mean=mean.numpy(),
        sd=sd.numpy(),
        bias=torch.tensor(bias, dtype=torch.float64).numpy(),
    )


def _moments(gate: Tensor) -> Tensor:
    """Count, sum and sum of squares, in double precision where the device has it."""
    wide = gate if gate.device.type == "mps" else gate.double()
    count = torch.full((), gate.numel(), dtype=wide.dtype, device=gate.device)
    return torch.stack([count, wide.sum(), wide.square().sum()])
