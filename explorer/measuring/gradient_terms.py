"""The gradient's two terms: by the shortcuts alone, and by the branches (He16 Eq 5 and 8).

Purpose: an identity shortcut hands ∂E/∂x_L on to every unit, however deep; a shortcut that
multiplies by λ hands on λ^(L−l) of it. Cost: about two forward and two backward passes on one
batch.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.instruments.gradient_terms.result import GradientTerms
from explorer.measuring import walk
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import batch_statistics
from explorer.nets import Net
from explorer.nets.layers import ZeroPad
from explorer.nets.residual import ResidualUnit
from explorer.structure.specs import NetSpec, ResidualSpec


def gradient_terms(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int = 128,
    name: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GradientTerms:
    """The direct and the residual term of ∂E/∂x_l at every unit, on one batch of training images.

    Exact: each unit's Jacobian is taken apart into that of its shortcut and that of its branch;
    the direct term is carried back through shortcuts alone, the residual term is all the rest,
    and both add up to the whole. What follows an addition (the ReLU of the original order) acts
    on both as it did in the forward pass. A layer that has no shortcut (between the stages of
    highway and dense nets) is on every way to the input, and both terms pass it.

    Batch norms normalise by the batch, as in :func:`explorer.measuring.gradients.layer_gradients`.

    Raises:
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each unit, said so.
    """
    images, labels = some_images(net, dataset, n_images, train=True)
    weight = next(net.parameters())
    x = dataset.normalise(images).to(weight.device, weight.dtype)
    rows: list[Tensor] = []
    scale = _scale_of(net.spec)
    with batch_statistics(net) as used:
        found = walk.states(net, x)
        direct = walk.loss_gradient(net, found[-1], labels.to(weight.device))
        residual, unscaled = torch.zeros_like(direct), direct
        end = _norm(direct, len(labels))
        for unit, x in zip(reversed(net.units), reversed(found[:-1]), strict=True):
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            direct, residual = _through(unit, x, direct, residual)
            if scale is not None:
                unscaled = _unscaled(unit, x, unscaled)
            rows.append(_numbers(direct, residual, unscaled, len(labels)))
    table = torch.stack(rows[::-1], dim=1).cpu().double().numpy()
    whole, by_shortcuts, by_branches, cosine, handed_on = table
    return GradientTerms(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(labels),
        units=net.unit_names,
        whole=whole,
        direct=by_shortcuts,
        residual=by_branches,
        cosine=cosine,
        end=float(end),
        shortcut_scale=scale,
        unscaled=None if scale is None else handed_on,
        statistics=used,
    )


def _scale_of(spec: NetSpec) -> float | None:
    """λ, where every shortcut is λ·x (or x, or option A)."""
    if not isinstance(spec, ResidualSpec) or spec.layout == "reference":
        return None
    if spec.shortcut not in ("A", "constant_scaling"):
        return None
    return spec.shortcut_scale if spec.shortcut == "constant_scaling" else 1.0


def _through(unit: nn.Module, x: Tensor, direct: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Both terms at a unit's input from those at its output."""
    grad = torch.autograd.grad
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        ways = walk.branches(unit, x)
        if ways is None:
            y = unit(x)
            return grad(y, x, direct, retain_graph=True)[0], grad(y, x, residual)[0]
        by_shortcut = walk.join(unit, ways.shortcut, ways.branch.detach())
        by_branch = walk.join(unit, ways.shortcut.detach(), ways.branch)
        passed = grad(by_shortcut, x, direct, retain_graph=True)[0]
        carried = grad(by_shortcut, x, residual, retain_graph=True)[0]
        return passed, carried + grad(by_branch, x, direct + residual)[0]


def _unscaled(unit: nn.Module, x: Tensor, gradient: Tensor) -> Tensor:
    """The gradient at a unit's input that its shortcut would hand on with λ = 1.

    What follows the addition acts as it did in the forward pass.
    """
    assert isinstance(unit, ResidualUnit)
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        passed = x
        for layer in unit.shortcut.modules():
            if isinstance(layer, ZeroPad):  # all that there is besides λ
                passed = layer(passed)
        ways = walk.branches(unit, x)
        assert ways is not None
        shortcut, branch = (way.detach() for way in ways)
        y = walk.join(unit, shortcut + (passed - passed.detach()), branch)
        return torch.autograd.grad(y, x, gradient)[0]


def _numbers(direct: Tensor, residual: Tensor, unscaled: Tensor, n: int) -> Tensor:
    """Norms of the whole and its terms, the cosine between these, and the unscaled norm."""
    whole, first, second = (_norm(value, n) for value in (direct + residual, direct, residual))
    inner = (walk.wide(direct) * walk.wide(residual)).sum() / n
    return torch.stack([whole, first, second, inner / (first * second), _norm(unscaled, n)])


def _norm(gradient: Tensor, n: int) -> Tensor:
    """√( (1/N) Σ_i ‖g_i‖² )."""
    return (walk.wide(gradient).square().sum() / n).sqrt()
