"""How much each unit changes its input, and which way (Jastrzebski18; He16 §4.2)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.instruments.branches.ask import Ask
from explorer.instruments.branches.result import BranchResponses
from explorer.instruments.contract import Job
from explorer.measuring import walk
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net
from explorer.nets.highway import HighwayUnit
from explorer.nets.residual import ResidualUnit


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> BranchResponses:
    """Size and direction of each unit's F, and what the ReLU after the addition cuts.

    ‖F(h)‖ / ‖h‖ and cos(F(h), ∂ℓ/∂h) for each test image, then their means (Jastrzebski18); in
    nets of the original order the share of negative values before the last ReLU (He16 §4.2).
    """
    units = {
        i: unit for i, unit in enumerate(net.units) if isinstance(unit, (ResidualUnit, HighwayUnit))
    }
    chosen = some_images(net, data, ask.n_images)
    ratios: list[Tensor] = []
    cosines: list[Tensor] = []
    cut = torch.zeros(len(units), 2, dtype=torch.float64)
    with measuring(net, data, chosen[0], cancelled=job.cancelled) as used:
        for x, truth in walk.chunks(
            net, data, chosen, kept=len(units) + 12, most=128, cancelled=job.cancelled
        ):
            found = walk.states(net, x)
            rows = {
                i: _branch(units[i], found[i], gradient)
                for i, gradient in walk.carried_to_each(net, found, truth, job.cancelled)
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
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(chosen[1]),
        statistics=used,
        units=tuple(net.unit_names[i] for i in units),
        ratio=ratio.mean(1),
        ratio_sd=ratio.std(1),
        cosine=cosine.mean(1),
        cosine_sd=cosine.std(1),
        cut=shares,
    )


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
