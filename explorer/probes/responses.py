"""What layers and branches answer (He15 Fig 7; Jastrzebski18; Greff17).

Purpose: in nets with shortcuts each layer changes the signal a little, the more layers the less;
units refine one estimate instead of computing a new one. Cost: one forward pass over the images;
:func:`branch_responses` also one backward pass, computing each unit twice. Which statistics batch
norms use, :mod:`explorer.probes.statistics` decides, and the result says.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.blueprint import Layer, UnitPlan
from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.nets.highway import HighwayUnit
from explorer.nets.net import passed_by
from explorer.nets.residual import ResidualUnit
from explorer.probes import walk
from explorer.probes.select import data_name, net_name, some_images
from explorer.probes.statistics import measuring
from explorer.probes.taps import tap
from explorer.results import (
    BranchResponses,
    ClassifierByUnit,
    EstimationError,
    Floats,
    LayerResponses,
)

Cancel = Callable[[], bool] | None


def layer_responses(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 1000,
    name: str | None = None,
    cancelled: Cancel = None,
) -> LayerResponses:
    """Standard deviation of each layer's response over test images and entries (He15 Fig 7).

    The response is the layer's output after its batch norm, before activation and addition. In
    pre-activation and dense nets the batch norm that follows a unit's last convolution belongs to
    what comes next, behind the addition: there the convolution's own output is the response.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.

    Raises:
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    chosen = some_images(net, dataset, n_images)
    observed = response_modules(net, acting=True)
    names = [module for _, module in observed]
    with (
        measuring(net, dataset, chosen[0], cancelled=cancelled) as used,
        torch.inference_mode(),
        tap(net, names, reduce=_moments) as taps,
    ):
        for x, _ in walk.chunks(net, dataset, chosen, kept=4, cancelled=cancelled):
            net(x)
    sums = [torch.stack(taps.outputs[module]).sum(0) for module in names]
    _, sd = _mean_and_sd(torch.stack(sums))
    return LayerResponses(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(chosen[1]),
        statistics=used,
        layers=tuple(layer.name for layer, _ in observed),
        depth_index=tuple(layer.depth_index or 0 for layer, _ in observed),
        sd=sd,
    )


def response_modules(net: Net, *, acting: bool = False) -> list[tuple[Layer, str]]:
    """Every layer that counts as depth but the classifier, and the module whose output it is.

    Args:
        acting: Without those of units that a training passes by for good, which answer nothing.
    """
    plan = net.blueprint
    units = [
        unit.layers
        for unit, module in zip(plan.units, net.units, strict=True)
        if not (acting and passed_by(module))
    ]
    found = []
    for layers in (plan.stem, *units):
        for i, layer in enumerate(layers):
            if layer.depth_index is None or layer.kind not in ("conv", "linear"):
                continue
            after = layers[i + 1] if i + 1 < len(layers) else None
            normed = after is not None and (after.kind, after.branch) == (
                "batch_norm",
                layer.branch,
            )
            found.append((layer, after.name if after is not None and normed else layer.name))
    return found


def branch_responses(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 256,
    name: str | None = None,
    cancelled: Cancel = None,
) -> BranchResponses:
    """Size and direction of each unit's F, and what the ReLU after the addition cuts.

    ‖F(h)‖ / ‖h‖ and cos(F(h), ∂ℓ/∂h) for each test image, then their means (Jastrzebski18); in
    nets of the original order the share of negative values before the last ReLU (He16 §4.2).

    Raises:
        NotApplicableError: The net has no shortcuts that a branch is added to.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each unit, said so.
    """
    units = {
        i: unit for i, unit in enumerate(net.units) if isinstance(unit, (ResidualUnit, HighwayUnit))
    }
    if not units:
        raise NotApplicableError(
            f"In a {net.spec.family} net nothing is added to what passes by, so there is no F to "
            "compare; look at its layers' responses, or at the branches of digits_resnet_v2_56."
        )
    chosen = some_images(net, dataset, n_images)
    ratios: list[Tensor] = []
    cosines: list[Tensor] = []
    cut = torch.zeros(len(units), 2, dtype=torch.float64)
    with measuring(net, dataset, chosen[0], cancelled=cancelled) as used:
        for x, truth in walk.chunks(
            net, dataset, chosen, kept=len(units) + 12, most=128, cancelled=cancelled
        ):
            found = walk.states(net, x)
            rows = {
                i: _branch(units[i], found[i], gradient)
                for i, gradient in walk.carried_to_each(net, found, truth, cancelled)
                if i in units
            }
            ratios.append(torch.stack([rows[i][0] for i in units]).cpu())
            cosines.append(torch.stack([rows[i][1] for i in units]).cpu())
            cut += torch.stack([rows[i][2] for i in units]).cpu()
    ratio, cosine = torch.cat(ratios, 1).double().numpy(), torch.cat(cosines, 1).double().numpy()
    negative, of = cut.numpy().T
    with np.errstate(invalid="ignore"):
        shares = negative / of  # 0 / 0: NaN where no ReLU follows
    return BranchResponses(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(chosen[1]),
        statistics=used,
        units=tuple(net.unit_names[i] for i in units),
        ratio=ratio.mean(1),
        ratio_sd=ratio.std(1),
        cosine=cosine.mean(1),
        cosine_sd=cosine.std(1),
        cut=shares,
    )


def classifier_by_unit(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = None,
    name: str | None = None,
    cancelled: Cancel = None,
) -> ClassifierByUnit:
    """Accuracy and loss of the classifier on each unit's output of the last stage.

    The head is applied as it is, its own batch norm and activation included (Jastrzebski18).

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.

    Raises:
        NotApplicableError: The classifier takes the last unit's output alone.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    plans = net.blueprint.units
    shape = plans[-1].output_shape
    first = len(plans)
    while first and plans[first - 1].output_shape == shape:
        first -= 1
    if len(plans) - first < 2:
        raise NotApplicableError(
            "The classifier of this net takes the last unit's output alone, for no other has its "
            "shape: delete its units instead, or choose a plain, residual or highway net, such as "
            "digits_resnet_v2_56."
        )
    chosen = some_images(net, dataset, n_images)
    sums = torch.zeros(len(plans) - first, 2, dtype=torch.float64)
    with measuring(net, dataset, chosen[0], cancelled=cancelled) as used, torch.inference_mode():
        for x, truth in walk.chunks(net, dataset, chosen, kept=6, cancelled=cancelled):
            x = net.stem(x)
            for i, unit in enumerate(net.units):
                x = unit(x)
                if i >= first:
                    sums[i - first] += _answers(walk.wide(net.head(x)), truth).cpu()
    accuracy, loss = (sums / len(chosen[1])).numpy().T
    return ClassifierByUnit(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(chosen[1]),
        statistics=used,
        units=net.unit_names[first:],
        accuracy=accuracy,
        loss=loss,
    )


def estimation_error(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = 256,
    name: str | None = None,
    cancelled: Cancel = None,
) -> EstimationError:
    """Mean and spread of y_i − y_end within each stage (Greff17).

    y_i is a unit's output and y_end that of its stage's last unit, both of one shape; the layers
    between stages are no units of theirs.

    Raises:
        NotApplicableError: No stage has two units of one shape.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled``, asked before each chunk of images, said so.
    """
    stages = _stages(net.blueprint.units)
    if not stages:
        raise NotApplicableError(
            f"No two units of a stage of this {net.spec.family} net have one shape, so none "
            "estimates another's output: look at its layers' responses, or choose a residual or "
            "highway net, such as digits_resnet_v2_56."
        )
    chosen = some_images(net, dataset, n_images)
    order = [i for stage in stages for i in stage]
    sums = torch.zeros(len(order), 3, dtype=torch.float64)
    ends = torch.zeros(len(order), 3, dtype=torch.float64)
    kept = max(map(len, stages)) + 6
    with measuring(net, dataset, chosen[0], cancelled=cancelled) as used, torch.inference_mode():
        for x, _ in walk.chunks(net, dataset, chosen, kept=kept, cancelled=cancelled):
            x = net.stem(x)
            place = 0
            inside: list[Tensor] = []
            for i, unit in enumerate(net.units):
                x = unit(x)
                stage = next((s for s in stages if i in s), None)
                if stage is None:
                    continue
                inside.append(x)
                if i == stage[-1]:
                    for k, value in enumerate(inside):
                        sums[place + k] += _moments(value - x).cpu()
                        ends[place + k] += _moments(x).cpu()
                    place += len(inside)
                    inside = []
    mean, sd = _mean_and_sd(sums)
    count, _, squares = ends.numpy().T
    plans = net.blueprint.units
    return EstimationError(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        n_images=len(chosen[1]),
        statistics=used,
        units=tuple(plans[i].name for i in order),
        stage=tuple(plans[i].stage for i in order),
        mean=mean,
        sd=sd,
        scale=np.sqrt(squares / count),
    )


# ----------------------------------------------------------------------------------- helpers


@torch.no_grad()
def _branch(unit: nn.Module, h: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """‖F‖ / ‖h‖ (N,), cos(F, ∂ℓ/∂h) (N,), and (negative, all) entries before the last ReLU."""
    ways = walk.branches(unit, h)
    assert ways is not None
    total = ways.shortcut + ways.branch
    f = total - h if isinstance(unit, HighwayUnit) else ways.branch
    norms = [walk.wide(value).flatten(1).norm(dim=1) for value in (f, h, gradient)]
    ratio = norms[0] / norms[1]
    if f.shape == h.shape:
        inner = (walk.wide(f) * walk.wide(gradient)).flatten(1).sum(1)
        cosine = inner / (norms[0] * norms[2])
    else:
        cosine = torch.full_like(ratio, torch.nan)
    return ratio, cosine, _cut(unit, total)


def _cut(unit: nn.Module, total: Tensor) -> Tensor:
    """(negative entries, all entries) at the ReLU after the addition; zeros without one."""
    after = unit.after if isinstance(unit, ResidualUnit) else nn.Identity()
    counts = torch.zeros(2, device=total.device, dtype=walk.wide(total).dtype)
    for layer in after.children():
        if isinstance(layer, nn.ReLU):
            counts[0] += (total < 0).sum()
            counts[1] += total.numel()
        total = layer(total)
    return counts


def _answers(logits: Tensor, truth: Tensor) -> Tensor:
    """(right answers, sum of losses); an answer that is not finite is wrong."""
    right = (logits.argmax(1) == truth) & logits.isfinite().all(1)
    return torch.stack([right.sum(), F.cross_entropy(logits, truth, reduction="sum")])


def _stages(plans: tuple[UnitPlan, ...]) -> list[list[int]]:
    """By stage the units of its last one's shape, where there are at least two."""
    found = []
    for stage in sorted({plan.stage for plan in plans}):
        inside = [
            (i, p) for i, p in enumerate(plans) if p.stage == stage and p.kind != "transition"
        ]
        shape = inside[-1][1].output_shape if inside else None
        alike = [i for i, plan in inside if plan.output_shape == shape]
        if len(alike) > 1:
            found.append(alike)
    return found


def _moments(value: Tensor) -> Tensor:
    """Count, sum and sum of squares."""
    value = walk.wide(value)
    count = torch.full((), value.numel(), dtype=value.dtype, device=value.device)
    return torch.stack([count, value.sum(), value.square().sum()])


def _mean_and_sd(sums: Tensor) -> tuple[Floats, Floats]:
    """From moments (rows, 3)."""
    count, total, squares = sums.double().cpu().numpy().T
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 0))
