"""Layer × unit tables of gates (SGS15 Fig 2 and 3)."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import DataError
from explorer.instruments.contract import Job, OneImage
from explorer.instruments.gate_maps.ask import Ask
from explorer.instruments.gate_maps.result import GateMaps, Rows
from explorer.measuring import walk
from explorer.measuring.gates import numbers, run_through, unit_gates
from explorer.measuring.picture import picture
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.nets import Net


def measure(net: Net, data: Dataset, image: OneImage, ask: Ask, job: Job) -> GateMaps:
    """Layer × unit tables: biases before and after training, means, one sample, one class.

    SGS15 Fig 2 shows the biases, the mean over the training set, the gates of one sample and the
    outputs of the blocks for it; Fig 3 the mean over a class less the mean over all.

    Cost: one forward pass over the images.
    """
    kind, gates = unit_gates(net)
    wanted = None if ask.of_class is None else class_index(data, ask.of_class)
    images, labels = some_images(net, data, ask.n_images, train=ask.train)
    sample = picture(data, image.image)
    names, units = [gate.name for gate in gates], [gate.unit for gate in gates]
    with measuring(net, data, images, cancelled=job.cancelled) as used, torch.inference_mode():
        total, inside, of = _channel_sums(net, data, (images, labels), names, wanted, job)
        with tap(net, [*names, *units], reduce=_by_channel) as taps:
            run_through(net, data, sample.pixels[None])
    mean = tuple(numbers(value) / len(labels) for value in total)
    difference = None
    if wanted is not None:
        if not of:
            raise DataError(
                f"None of these {len(labels)} images is of the class "
                f"{data.info.classes[wanted]!r}; take more images."
            )
        pairs = zip(inside, mean, strict=True)
        difference = tuple(numbers(value) / of - middle for value, middle in pairs)
    return GateMaps(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(labels),
        images="train" if ask.train else "test",
        gate=kind,
        units=tuple(units),
        bias_before=tuple(np.full_like(gate.bias, gate.module.initial_bias) for gate in gates),
        bias=tuple(gate.bias for gate in gates),
        mean=mean,
        class_name=None if wanted is None else data.info.classes[wanted],
        class_difference=difference,
        sample_name=sample.name,
        sample=_of_sample(taps.outputs, names),
        output=_of_sample(taps.outputs, units),
        statistics=used,
    )


def class_index(data: Dataset, of_class: int | str) -> int:
    """Position of a class by its name or position.

    Raises:
        DataError: There is none; the sentence says which there are.
    """
    names = data.info.classes
    if isinstance(of_class, str) and of_class in names:
        return names.index(of_class)
    try:
        index = int(of_class)
    except ValueError:
        index = -1
    if 0 <= index < len(names):
        return index
    near = [] if str(of_class).isdigit() else difflib.get_close_matches(str(of_class), names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {_some(names)}."
    raise DataError(f"{data.info.title} has no class {str(of_class)!r}: {hint}")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 12 else f"{len(names)}, 0 to {len(names) - 1}"


def _channel_sums(
    net: Net,
    data: Dataset,
    chosen: tuple[Tensor, Tensor],
    names: Sequence[str],
    wanted: int | None,
    job: Job,
) -> tuple[list[Tensor], list[Tensor], int]:
    """Sums by channel over all images and over those of one class, gate by gate; that class's n."""
    total: list[Tensor] = []
    inside: list[Tensor] = []
    of = 0
    with tap(net, list(names), reduce=_by_channel) as taps:
        for part, truth in walk.chunks(net, data, chosen, kept=6, cancelled=job.cancelled):
            net(part)
            values = [taps.outputs[name].pop() for name in names]  # (N, channels) each
            mine = truth == (-1 if wanted is None else wanted)
            of += int(mine.sum())
            sums = [value.sum(0) for value in values]
            shares = [value[mine].sum(0) for value in values]
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
            inside = [a + b for a, b in zip(inside, shares, strict=True)] if inside else shares
    return total, inside, of


def _by_channel(value: Tensor) -> Tensor:
    """(N, channels): means over positions, where there are any."""
    return walk.wide(value).flatten(2).mean(2) if value.dim() > 2 else walk.wide(value).clone()


def _of_sample(outputs: dict[str, list[Tensor]], names: Sequence[str]) -> Rows:
    return tuple(numbers(outputs[name][0][0]) for name in names)
