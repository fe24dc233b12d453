"""What the maps of units look like for one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.instruments.activations.ask import Ask, Channels, Part
from explorer.instruments.activations.result import ActivationMaps, UnitMaps
from explorer.instruments.contract import Job, OneImage
from explorer.measuring.opened import OpenedNet
from explorer.measuring.picture import picture
from explorer.measuring.programs import unit_index
from explorer.measuring.select import check_fit, data_name, net_name
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.nets import Net
from explorer.structure.blueprint import Blueprint

MOST_PIXELS = 64  # a side of a map that is kept


def measure(net: Net, data: Dataset, image: OneImage, ask: Ask, job: Job) -> ActivationMaps:
    """Maps of some units, in evaluation mode: what each makes of an image, adds, or lets pass.

    ``branch`` is what the unit's own layers add: F(x), H(x)·T(x), the new maps of a dense unit;
    ``shortcut`` what passes them by.

    Cost: one forward pass of one image.
    """
    plan = net.blueprint
    chosen = _chosen(plan, ask.units)
    check_fit(net, data)
    seen = picture(data, image.image)
    with measuring(net, data, seen.pixels[None]) as used:
        opened = OpenedNet(net, image.deleted)
    _check_part(opened, plan, chosen, ask.part)
    weight = next(net.parameters())
    inner = "" if ask.part == "output" else f".{ask.part}"
    names = [f"units.{i}{inner}" for i in chosen]
    with torch.inference_mode(), tap(opened, names) as taps:
        opened(data.normalise(seen.pixels[None]).to(weight.device, weight.dtype))
    return ActivationMaps(
        net=job.name or net_name(net),
        data=data_name(data),
        image=seen.name,
        part=ask.part,
        deleted=opened.deleted,
        picture=seen.array(),
        units=tuple(
            _maps(plan.units[i].name, taps.outputs[path][0][0], ask.channels, ask.k)
            for i, path in zip(chosen, names, strict=True)
        ),
        statistics=used,
    )


def _chosen(plan: Blueprint, units: Sequence[str | int] | None) -> list[int]:
    """Positions in forward order."""
    if units is None:
        last = {unit.stage: i for i, unit in enumerate(plan.units) if unit.kind != "transition"}
        return sorted(last.values())
    if not units:
        raise NotApplicableError("Name at least one unit, or leave the units out.")
    return sorted({unit_index(plan, unit) for unit in units})


def _check_part(opened: OpenedNet, plan: Blueprint, chosen: Sequence[int], part: Part) -> None:
    for i in chosen:
        unit = plan.units[i]
        if part == "branch" and opened.unit(i).deleted:
            raise NotApplicableError(
                f"Unit {unit.name!r} is deleted, so its own layers add nothing: look at its output."
            )
        one_way = unit.kind in ("plain", "transition") and not opened.unit(i).deleted
        if part == "shortcut" and one_way:
            raise NotApplicableError(
                f"Nothing passes unit {unit.name!r} by, as it has no shortcut: look at its output."
            )


def _maps(name: str, values: Tensor, channels: Channels, k: int) -> UnitMaps:
    """Of one unit's activations (C, H, W)."""
    magnitude = values.abs().mean((1, 2))
    if channels == "first":
        kept = torch.arange(min(k, len(values)), device=values.device)
    else:
        kept = magnitude.argsort(descending=True, stable=True)[:k]
    count, height, width = values.shape
    return UnitMaps(
        name=name,
        shape=(count, height, width),
        channels=tuple(kept.tolist()),
        maps=np.asarray(_small(values[kept]).double().cpu(), dtype=np.float64),
        magnitude=np.asarray(magnitude.double().cpu(), dtype=np.float64),
        negative=float((values < 0).float().mean()),
    )


def _small(maps: Tensor) -> Tensor:
    """Means of blocks, such that no side has more than ``MOST_PIXELS``."""
    block = -(-max(maps.shape[-2:]) // MOST_PIXELS)
    return maps if block == 1 else F.avg_pool2d(maps[None], block, ceil_mode=True)[0]
