"""What the maps of units look like for one image.

Purpose: see what each block makes of an image, and what its own layers add to what passes by.
Cost: one forward pass. The gates of a convolutional highway net over an image:
:func:`explorer.probes.gates.gate_image`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.blueprint import Blueprint
from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.probes.opened import OpenedNet
from explorer.probes.picture import Image, picture
from explorer.probes.programs import unit_index
from explorer.probes.select import check_fit, data_name, net_name
from explorer.probes.statistics import measuring
from explorer.probes.taps import tap
from explorer.results import CHANNELS, PARTS, ActivationMaps, Channels, Part, UnitMaps

MOST_PIXELS = 64  # a side of a map that is kept


def activation_maps(
    net: Net,
    dataset: Dataset,
    image: Image,
    *,
    units: Sequence[str | int] | None = None,
    part: Part = "output",
    channels: Channels = "strongest",
    k: int = 16,
    deleted: Sequence[str | int] = (),
    name: str | None = None,
) -> ActivationMaps:
    """Maps of some units, in evaluation mode; statistics: :mod:`explorer.probes.statistics`.

    Args:
        image: Position among the test images, a path, or an image file's bytes.
        units: Names or positions; None takes the last of each stage.
        part: ``output``; ``branch``, what the unit's own layers add: F(x), H(x)·T(x), the new maps
            of a dense unit; or ``shortcut``, what passes them by.
        channels: ``strongest`` takes those of the greatest mean magnitude, ``first`` the first.
        k: How many channels of each unit.
        deleted: Units to leave out, as in a lesion.
        name: What the result calls the net; None takes its token.

    Raises:
        NotApplicableError: The net has no maps, a unit has no such part, or is unknown.
        DataError: No such image, or it does not fit the net.
    """
    plan = net.blueprint
    if part not in PARTS or channels not in CHANNELS:
        raise NotApplicableError(
            f"Maps are of {', '.join(PARTS)}, and channels {' or '.join(CHANNELS)}; not of "
            f"{part!r} and {channels!r}."
        )
    if k < 1:
        raise NotApplicableError(f"At least 1 channel must be looked at, not {k}.")
    chosen = _chosen(plan, units)
    check_fit(net, dataset)
    seen = picture(dataset, image)
    with measuring(net, dataset, seen.pixels[None]) as used:
        opened = OpenedNet(net, deleted)
    _check_part(opened, plan, chosen, part)
    weight = next(net.parameters())
    inner = "" if part == "output" else f".{part}"
    names = [f"units.{i}{inner}" for i in chosen]
    with torch.inference_mode(), tap(opened, names) as taps:
        opened(dataset.normalise(seen.pixels[None]).to(weight.device, weight.dtype))
    return ActivationMaps(
        net=net_name(net) if name is None else name,
        data=data_name(dataset),
        image=seen.name,
        part=part,
        deleted=opened.deleted,
        picture=np.ascontiguousarray(seen.pixels.cpu().numpy().transpose(1, 2, 0)),
        units=tuple(
            _maps(plan.units[i].name, taps.outputs[path][0][0], channels, k)
            for i, path in zip(chosen, names, strict=True)
        ),
        statistics=used,
    )


def _chosen(plan: Blueprint, units: Sequence[str | int] | None) -> list[int]:
    """Positions in forward order."""
    if len(plan.units[-1].output_shape) != 3:
        raise NotApplicableError(
            "The units of a fully connected net give features, not maps: look at one image's gates "
            "and outputs in a highway net, or at the responses' size by unit."
        )
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
