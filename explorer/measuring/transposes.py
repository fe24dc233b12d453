"""Jacobians of layers, transposed: many vectors carried backwards through one point at a time.

Purpose: autograd carries one vector for each forward pass; an instrument that carries hundreds
through the same point needs the forward pass once. Near one point every layer is a linear map:
a convolution its transpose, an activation or a batch norm in evaluation mode a diagonal. Cost:
the backward pass of the inputs for each vector, nothing for weights. A layer that is not known
here goes through autograd, one vector after the other: right, and slower.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from explorer.nets.layers import SamePad, Scale, Survival
from explorer.structure.conventions import same_padding

Transpose = Callable[[Tensor], Tensor]
"""Vectors (V, N, …) at the output, for the same N examples each → (V, N, …) at the input."""
_Vjp = tuple[Tensor, Callable[[Tensor], tuple[Tensor]]]

_ELEMENTWISE = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.Tanh,
    nn.Sigmoid,
)


def unchanged(vectors: Tensor) -> Tensor:
    """The transpose of the identity."""
    return vectors


@dataclass(frozen=True)
class Diagonal:
    """The transpose of an elementwise product with ``scale``, (N, …) or broadcast to it."""

    scale: Tensor

    def __call__(self, vectors: Tensor) -> Tensor:
        return vectors * self.scale


@dataclass(frozen=True)
class _Convolution:
    """The transpose of a convolution; ``run`` takes all vectors as one batch."""

    run: Transpose

    def __call__(self, vectors: Tensor) -> Tensor:
        made = self.run(vectors.flatten(0, 1))
        return made.view(*vectors.shape[:2], *made.shape[1:])


@dataclass(frozen=True)
class _Chain:
    """One after the other; a diagonal changes in place what the step before it has just made."""

    steps: tuple[Transpose, ...]

    def __call__(self, vectors: Tensor) -> Tensor:
        own = False
        for step in self.steps:
            if own and isinstance(step, Diagonal):
                vectors.mul_(step.scale)
            else:
                vectors = step(vectors)
            own = isinstance(step, (Diagonal, _Convolution))
        return vectors


def then(first: Transpose, second: Transpose) -> Transpose:
    """One transpose after the other; ``first`` is the one nearer the net's output."""
    *head, last = _steps(first) or (unchanged,)
    opening, *tail = _steps(second) or (unchanged,)
    if isinstance(last, Diagonal) and isinstance(opening, Diagonal):
        joined: tuple[Transpose, ...] = (Diagonal(last.scale * opening.scale),)
    else:
        joined = tuple(step for step in (last, opening) if step is not unchanged)
    steps = (*head, *joined, *tail)
    if not steps:
        return unchanged
    return steps[0] if len(steps) == 1 else _Chain(steps)


def _steps(transpose: Transpose) -> tuple[Transpose, ...]:
    if isinstance(transpose, _Chain):
        return transpose.steps
    return () if transpose is unchanged else (transpose,)


@torch.no_grad()
def transposed(module: nn.Module, x: Tensor) -> tuple[Tensor, Transpose]:
    """A layer's output at ``x``, (N, …), and its transposed Jacobian there.

    The module is in evaluation mode and treats every example alone.
    """
    match module:
        case nn.Sequential():
            whole: Transpose = unchanged
            for layer in module:
                x, transpose = transposed(layer, x)
                whole = then(transpose, whole)
            return x, whole
        case nn.Identity() | nn.Dropout():
            return x, unchanged
        case nn.Conv2d() if isinstance(module.padding, tuple):
            return module(x), _of_convolution(module, x)
        case nn.Linear(weight=weight):
            return module(x), lambda vectors: vectors @ weight
        case nn.BatchNorm1d() | nn.BatchNorm2d() if module.running_var is not None:
            return module(x), Diagonal(_norm_scale(module, x))
        case nn.Flatten():
            shape = x.shape
            return module(x), lambda vectors: vectors.reshape(-1, *shape)
        case SamePad(mode="constant", kernel=kernel, stride=stride):
            above, left = (same_padding(size, kernel, stride)[0] for size in x.shape[2:])
            rows, columns = slice(above, above + x.shape[2]), slice(left, left + x.shape[3])
            return module(x), lambda vectors: vectors[..., rows, columns]
        case Scale(factor=factor) | Survival(prob=factor):
            return module(x), lambda vectors: factor * vectors
        case _ if isinstance(module, _ELEMENTWISE):
            return _elementwise(module, x)
    return _by_autograd(module, x)


def _norm_scale(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """γ / √(σ² + ε), shaped for the channels of ``x``."""
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    return scale.view(-1, *(1 for _ in x.shape[2:]))


def _elementwise(module: nn.Module, x: Tensor) -> tuple[Tensor, Transpose]:
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        y = module(at.clone())  # a leaf cannot be changed in place
        (slope,) = torch.autograd.grad(y.sum(), at)
    return y.detach(), Diagonal(slope)


def _of_convolution(module: nn.Conv2d, x: Tensor) -> _Convolution:
    """Of one that pads with something else than zeros: the padding's, after the others'."""
    if module.padding_mode == "zeros":
        return _of_zero_padded(module, x, module.padding)
    around, mode = module._reversed_padding_repeated_twice, module.padding_mode
    inner = _of_zero_padded(module, F.pad(x, around, mode), (0, 0))

    def unpadded(flat: Tensor) -> Tensor:
        def pad(t: Tensor) -> Tensor:
            return F.pad(t, around, mode)

        _, back = cast(_Vjp, torch.func.vjp(pad, flat.new_zeros(len(flat), *x.shape[1:])))
        (folded,) = back(inner.run(flat))
        return folded

    return _Convolution(unpadded)


def _of_zero_padded(module: nn.Conv2d, x: Tensor, padding: str | tuple[int, ...]) -> _Convolution:
    weight, shape = module.weight, x.shape
    assert isinstance(padding, tuple)
    pads = tuple(
        dilation * (kernel - 1) - own
        for dilation, kernel, own in zip(module.dilation, module.kernel_size, padding, strict=True)
    )
    convolve: Callable[[Tensor], Tensor]
    if module.stride == (1, 1) and module.groups == 1 and min(pads) >= 0:
        # The transpose of a convolution of stride 1 is a convolution, and that is a faster call.
        last = x.is_contiguous(memory_format=torch.channels_last)
        form = torch.channels_last if last else torch.contiguous_format
        turned = weight.flip(2, 3).transpose(0, 1).contiguous(memory_format=form)

        def convolve(flat: Tensor) -> Tensor:
            return F.conv2d(flat, turned, padding=pads, dilation=module.dilation)
    else:

        def convolve(flat: Tensor) -> Tensor:
            gradient: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
                (len(flat), *shape[1:]),
                weight,
                flat,
                stride=module.stride,
                padding=padding,
                dilation=module.dilation,
                groups=module.groups,
            )
            return gradient

    return _Convolution(convolve)


def _by_autograd(module: nn.Module, x: Tensor) -> tuple[Tensor, Transpose]:
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        y = module(at.clone())

    def transpose(vectors: Tensor) -> Tensor:
        rows = [torch.autograd.grad(y, at, one, retain_graph=True)[0] for one in vectors]
        return torch.stack(rows) if rows else vectors.new_zeros(0, *x.shape)

    return y.detach(), transpose
