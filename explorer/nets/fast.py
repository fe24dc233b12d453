"""The quick way forward: a copy of a net made for answers alone.

Batch norms are folded into the convolutions before them, activations work in place, and images
are channels_last; in bfloat16 where the processor computes faster in it. Not for looking inside:
what is folded or overwritten cannot be tapped.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from explorer.nets.layers import scale_of
from explorer.nets.net import Net
from explorer.structure.blueprint import Blueprint, Layer, LayerKind

Precision = Literal["auto", "float32", "bfloat16"]
# Whose output nobody else reads.
_FRESH: tuple[LayerKind, ...] = ("conv", "linear", "batch_norm", "add", "gate")


class FastNet:
    """A net for forward passes: (N, C, H, W) normalised float images → float32 logits.

    The net it was made from is left alone, and may go to another device or be trained on.

    Args:
        net: Its running statistics are what batch norms will use.
        precision: ``auto`` takes bfloat16 where :func:`bfloat16_pays`. Batch norms that cannot be
            folded keep float32 values either way.
        channels_last: None takes it for every net of images.

    Attributes:
        dtype: What convolutions compute in.
    """

    def __init__(
        self, net: Net, *, precision: Precision = "auto", channels_last: bool | None = None
    ) -> None:
        device = next(net.parameters()).device
        if precision == "auto":
            precision = "bfloat16" if bfloat16_pays(device.type) else "float32"
        self.dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        of_images = len(net.blueprint.units[0].input_shape) == 3
        self.channels_last = of_images if channels_last is None else channels_last and of_images
        self.device = device
        self._net = copied(net).eval().requires_grad_(False)
        fold_batch_norms(self._net)
        activate_in_place(self._net)
        for module in self._net.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                module.to(self.dtype)
        if self.channels_last:
            self._net.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Tensor:
        x = images.to(self.device, self.dtype)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        logits: Tensor = self._net(x)
        return logits.float()


def copied(net: Net) -> Net:
    """A copy of the net that shares its blueprint and spec, which never change."""
    shared: dict[int, object] = {id(net.blueprint): net.blueprint, id(net.spec): net.spec}
    return copy.deepcopy(net, shared)


@lru_cache(maxsize=8)
def bfloat16_pays(device: str) -> bool:
    """Whether a convolution is faster in bfloat16 on ``cpu``, ``cuda`` or ``mps``, by a quick try.

    Processors without instructions for it emulate bfloat16, several times slower. Takes about
    0.1 s, once for each kind of device.
    """
    try:
        float32, bfloat16 = _seconds(device, (torch.float32, torch.bfloat16))
    except (RuntimeError, TypeError):  # a device without the type
        return False
    return bfloat16 < 0.8 * float32


@torch.inference_mode()
def _seconds(device: str, dtypes: Sequence[torch.dtype]) -> list[float]:
    """The quickest of a few short convolutions in each type.

    On a CPU by this thread's own time, so that what else the machine computes does not count.
    """
    form = torch.channels_last
    x = torch.ones(8, 64, 28, 28, device=device).contiguous(memory_format=form)
    layer = nn.Conv2d(64, 64, 3, padding=1, bias=False, device=device).to(memory_format=form)
    tries = [(copy.deepcopy(layer).to(dtype), x.to(dtype)) for dtype in dtypes]
    clock = time.thread_time if device == "cpu" else time.perf_counter
    best = [float("inf")] * len(tries)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for _ in range(6):
            for i, (made, images) in enumerate(tries):
                start = clock()
                made(images).sum().item()  # waits for the device
                best[i] = min(best[i], clock() - start)
    finally:
        torch.set_num_threads(threads)
    return best


def fold_batch_norms(net: Net) -> int:
    """Merge, in place, every batch norm that takes just a convolution's or linear map's output.

    In evaluation mode batch norm is an affine map, so W' = γ/√(σ²+ε)·W, and the norm becomes an
    identity. Returns how many were merged. The first norm of a pre-activation unit follows the
    addition and stays.
    """
    merged = 0
    for before, after in _neighbours(net.blueprint):
        if after.kind != "batch_norm" or before.kind not in ("conv", "linear"):
            continue
        weight, norm = net.get_submodule(before.name), net.get_submodule(after.name)
        assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
        norm.weight = nn.Parameter(scale_of(norm))  # which torch's functions need
        if isinstance(weight, nn.Conv2d):
            net.set_submodule(before.name, fuse_conv_bn_eval(weight, norm))
        elif isinstance(weight, nn.Linear):
            net.set_submodule(before.name, fuse_linear_bn_eval(weight, norm))
        net.set_submodule(after.name, nn.Identity())
        merged += 1
    return merged


def activate_in_place(net: Net, *, after: Sequence[LayerKind] = _FRESH) -> None:
    """Let ReLUs overwrite what a layer before them has just made; never a unit's input.

    Args:
        after: Kinds of that layer; leave the joins out where units may be passed by, because
            then what follows a join takes the unit's input itself.
    """
    for before, layer in _neighbours(net.blueprint):
        if layer.kind == "activation" and before.kind in after:
            module = net.get_submodule(layer.name)
            if isinstance(module, nn.ReLU):
                module.inplace = True


def _neighbours(plan: Blueprint) -> Iterator[tuple[Layer, Layer]]:
    """Layers of which the second takes just what the first gives."""
    for part in (plan.stem, *(unit.layers for unit in plan.units), plan.head):
        branches: dict[str, list[Layer]] = {}
        for layer in part:
            branches.setdefault(layer.branch, []).append(layer)
        for layers in branches.values():
            yield from (pair for pair in pairwise(layers) if all(one.chained for one in pair))
