"""Biases, batch norms without scale and "same" padding, as the blueprint has them.

What a library settles in its own way (:mod:`explorer.structure.conventions`) is no part of how the
families are built: the modules are made as is usual in PyTorch, and then follow the blueprint.
"""

from __future__ import annotations

from itertools import pairwise

from torch import nn

from explorer.nets.layers import SamePad, ShiftNorm1d, ShiftNorm2d
from explorer.structure.blueprint import Blueprint, Layer
from explorer.structure.conventions import kernel_and_stride, same_padding, strides_over


def follow(net: nn.Module, plan: Blueprint) -> None:
    """Give the modules of ``net`` what the blueprint says that they have."""
    spec = plan.spec
    asymmetric = spec.asymmetric_padding != "none"
    for before, layer in pairwise((None, *plan.layers)):
        assert layer is not None
        if layer.kind in ("conv", "linear"):
            module = net.get_submodule(layer.name)
            assert isinstance(module, (nn.Conv2d, nn.Linear))
            if module.bias is None and layer.parameters > module.weight.numel():
                module.bias = nn.Parameter(module.weight.new_empty(layer.output_shape[0]))
            if before is not None and before.kind == "pad":
                assert isinstance(module, nn.Conv2d)
                mode = "constant" if spec.padding == "zeros" else spec.padding
                _pad_before(net, before, module, SamePad(*kernel_and_stride(layer), mode))
        elif layer.kind == "batch_norm":
            _normalise(net, layer, scale=spec.norm_scale, eps=spec.norm_eps, keep=spec.norm_decay)
        elif layer.kind == "max_pool" and strides_over(layer) and asymmetric:
            _pool(net.get_submodule(layer.name), layer)


def _pad_before(net: nn.Module, layer: Layer, conv: nn.Conv2d, pad: SamePad) -> None:
    """A module of its own before the convolution, which then pads nothing."""
    path, _, name = layer.name.rpartition(".")
    chain = net.get_submodule(path)
    children = dict(chain.named_children())
    for child in children:
        delattr(chain, child)
    for child, module in children.items():
        if module is conv:
            chain.add_module(name, pad)
        chain.add_module(child, module)
    conv.padding = (0, 0)
    conv._reversed_padding_repeated_twice = [0, 0, 0, 0]  # which torch keeps beside it


def _normalise(net: nn.Module, layer: Layer, *, scale: bool, eps: float, keep: float) -> None:
    norm = net.get_submodule(layer.name)
    assert isinstance(norm, (nn.BatchNorm1d, nn.BatchNorm2d))
    if not scale:
        kind = ShiftNorm2d if isinstance(norm, nn.BatchNorm2d) else ShiftNorm1d
        norm = kind(norm.num_features, device=norm.bias.device)
        net.set_submodule(layer.name, norm)
    norm.eps = eps
    norm.momentum = 1 - keep  # torch counts what is replaced


def _pool(pool: nn.Module, layer: Layer) -> None:
    """Pad an even size at its end alone, which is where ``ceil_mode`` looks beyond it."""
    assert isinstance(pool, nn.MaxPool2d)
    sides = kernel_and_stride(layer)
    down, across = (same_padding(size, *sides)[0] for size in layer.input_shape[1:])
    pool.padding = down if down == across else (down, across)
    pool.ceil_mode = True
