"""Gradient magnitude by layer (He15 §4.1; SGS15 §1).

Purpose: does the signal that trains the first layers vanish or explode? Cost: one forward and
one backward pass on one batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch.func import functional_call

from explorer.data.dataset import Dataset
from explorer.instruments.gradients.result import LayerGradients
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import batch_statistics
from explorer.measuring.taps import tap, wide
from explorer.nets import Net


def layer_gradients(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int = 256,
    name: str | None = None,
) -> LayerGradients:
    """Gradients of the mean cross-entropy on one fixed batch of training images.

    As in a training step, batch norm normalises by the batch itself; its running statistics
    stay as they are. Unlike one, nothing is drawn at random (no dropout, no dropped units, no
    augmentation). Through the batch's statistics an example's loss also depends on the others'
    outputs; ``output_rms`` counts that dependence in.

    Args:
        n_images: Size of the batch, each class in its share.
    """
    images, labels = some_images(net, dataset, n_images, train=True)
    device = next(net.parameters()).device
    x, labels = dataset.normalise(images).to(device), labels.to(device)
    n = len(labels)
    plan = net.blueprint
    # Stand-ins for the parameters: the net's own ``grad`` and ``requires_grad`` stay untouched.
    parameters = {key: value.detach().requires_grad_() for key, value in net.named_parameters()}
    with (
        batch_statistics(net) as used,
        torch.enable_grad(),
        tap(
            net,
            net.unit_names,
            outputs=False,
            gradients=True,
            reduce=lambda grad: wide(n * grad).square().mean().sqrt(),  # ∂ℓ_i/∂y_i = n·∂L/∂y_i
        ) as taps,
    ):
        loss = F.cross_entropy(functional_call(net, parameters, (x,)), labels)
        weights = [parameters[f"{layer.name}.weight"] for layer in plan.weight_layers]
        # Zeros of units that a training passes by for good.
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
    parameter_rms = torch.stack([wide(grad).square().mean().sqrt() for grad in gradients])
    output_rms = torch.stack([taps.gradients[unit][0] for unit in net.unit_names])
    return LayerGradients(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=n,
        loss=loss.item(),
        layers=tuple(layer.name for layer in plan.weight_layers),
        depth_index=tuple(layer.depth_index or 0 for layer in plan.weight_layers),
        parameter_rms=parameter_rms.double().cpu().numpy(),
        units=net.unit_names,
        output_rms=output_rms.double().cpu().numpy(),
        statistics=used,
    )
