"""Gradient magnitudes of a training step, cheaply: one fused call, no transfer to the host.

Purpose: gradient by layer while a net trains. Cost: one ``_foreach_norm`` for all weights; the
caller moves the norms to the host in one go, and divides them there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def layer_weights(net: nn.Module, layers: Sequence[str]) -> list[nn.Parameter]:
    """The weights of the named convolutions and linear maps."""
    return [net.get_parameter(f"{name}.weight") for name in layers]


def gradient_norms(weights: Sequence[nn.Parameter]) -> Tensor:
    """‖∂L/∂w‖ of each weight tensor, (len(weights),), on the device; 0 without a gradient."""
    gradients = [w.grad if w.grad is not None else torch.zeros_like(w) for w in weights]
    return torch.stack(list(torch._foreach_norm(gradients)))
