"""Initial weights: He or Glorot, drawn layer by layer so that twins start alike."""

from __future__ import annotations

import hashlib

import torch
from torch import nn

from explorer.nets.layers import Gate
from explorer.nets.net import Net
from explorer.nets.residual import ResidualUnit
from explorer.structure.specs import Initialisation


def initialise(net: Net, seed: int) -> None:
    """Fill every parameter and buffer of ``net``; the global random state is left alone.

    Each layer draws from a generator of its own, seeded by ``seed`` and the layer's position:
    its place in the depth as the paper counts it, or its name for projections and gates. So a
    plain net and its residual twin start from the same convolutions, whatever else differs
    (up to the factor of :func:`_scale_branch`, where that was chosen).
    """
    modules = dict(net.named_modules())
    # He's rule is for rectifiers: drawn by it, a sigmoid gate's answers spread too far, and fully
    # connected highway nets of 50 layers diverge.
    gates = {module[0] for module in modules.values() if isinstance(module, Gate)}
    for layer in net.blueprint.layers:
        module = modules.get(layer.name)
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            position = layer.name if layer.depth_index is None else str(layer.depth_index)
            kind, gain = net.spec.init, net.spec.init_gain
            if module in gates:
                gain = 1.0
                kind = kind if kind.startswith("xavier") else "xavier"
            _draw(module.weight, kind, gain, _generator(seed, position))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.reset_parameters()  # scale 1, shift 0, running mean 0 and variance 1
    for module in modules.values():
        if isinstance(module, Gate):
            nn.init.constant_(module.bias, module.initial_bias)
        elif isinstance(module, ResidualUnit):
            _scale_branch(module, net)


def _scale_branch(unit: ResidualUnit, net: Net) -> None:
    """Set the size at which F starts, where that was chosen; see ``NetBase.init``.

    Without batch norm each addition multiplies the responses (×2 in variance, so 2^L in all);
    a factor 1 / L on F leaves them bounded: (1 + c / L)^L ≤ e^c.
    """
    if net.spec.init not in ("zero_last_scale", "branch_scaled"):
        return
    kinds = (nn.BatchNorm2d, nn.Conv2d, nn.Linear)
    *_, last = (layer for layer in unit.residual.children() if isinstance(layer, kinds))
    if net.spec.init == "zero_last_scale":
        nn.init.zeros_(last.weight)
    else:
        with torch.no_grad():
            last.weight.div_(len(net.units))


def _generator(seed: int, position: str) -> torch.Generator:
    digest = hashlib.blake2b(f"{seed}/{position}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def _draw(
    weight: torch.Tensor, kind: Initialisation, gain: float, generator: torch.Generator
) -> None:
    """He: N(0, 2 / fan-in), forward responses keep their size through ReLUs; or Glorot.

    ``gain`` is a factor on the standard deviation.
    """
    if kind == "xavier":
        nn.init.xavier_normal_(weight, generator=generator)
    elif kind == "xavier_uniform":
        nn.init.xavier_uniform_(weight, generator=generator)
    else:
        nn.init.kaiming_normal_(weight, nonlinearity="relu", generator=generator)
    if gain != 1:
        with torch.no_grad():
            weight.mul_(gain)
