"""Gradient magnitudes of a training step, cheaply: a few fused calls, no transfer to the host.

Purpose: gradient by layer while a net trains. Cost: one ``_foreach_norm`` for all weights and
one norm per unit; the caller moves the results to the host in one go.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


def layer_weights(net: nn.Module, layers: Sequence[str]) -> list[nn.Parameter]:
    """The weights of the named convolutions and linear maps."""
    weights = [net.get_submodule(name).weight for name in layers]
    return [weight for weight in weights if isinstance(weight, nn.Parameter)]


def gradient_rms(weights: Sequence[nn.Parameter]) -> Tensor:
    """√mean((∂L/∂w)²) of each weight tensor, (len(weights),); 0 where there is no gradient."""
    gradients = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
    norms = torch.stack(list(torch._foreach_norm(gradients)))
    sizes = torch.tensor([weight.numel() for weight in weights], device=norms.device)
    return norms / sizes.sqrt()


def rms(values: Tensor) -> Tensor:
    """√mean(x²), a scalar."""
    norm: Tensor = torch.linalg.vector_norm(values)
    return norm / math.sqrt(values.numel())
