"""Paths of a few units switched off in the unravelled view (Veit16 §3.1, Fig 1).

Purpose: which of the 2ⁿ paths through n ≤ 4 units does the output need? A residual net's output
is no sum over paths, because its units are not linear; so the unravelled net itself is computed,
copy by copy, each on what reaches it (``graph.py`` says what switching off means).
Cost: copies that get the same are computed once, so the intact net costs what it costs, and every
single path off at most n copies more, and the rest of the net.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.instruments.contract import Job
from explorer.instruments.unravelled.ask import Ask
from explorer.instruments.unravelled.graph import all_paths, checked_paths, unravelled_units
from explorer.instruments.unravelled.result import PathEffect, UnravelledView
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.measuring.walk import branches
from explorer.nets import Net
from explorer.nets.dense import DenseUnit
from explorer.nets.fast import copied
from explorer.nets.residual import ResidualUnit

_CHUNK = 128  # images, at most: what is seen of a sweep before its end
_ROOM_BYTES = 256 << 20
_ACCELERATOR_ROOM_BYTES = 4 << 30

Paths = frozenset[str]


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> UnravelledView:
    """What switching these paths off does to test images' answers; and each single path.

    The units that are not unravelled stay as they are.

    Raises:
        NotApplicableError: The units cannot be unravelled.
        SpecError: A path that is none, or all of them.
    """
    chosen = unravelled_units(net.blueprint, ask.units)
    paths = all_paths(len(chosen))
    off = checked_paths(len(chosen), ask.off)
    whole = frozenset(paths)
    asked = [whole, whole - set(off), *(whole - {path} for path in paths)]
    images, labels = some_images(net, data, ask.n_images)
    with measuring(net, data, images, cancelled=job.cancelled) as used:
        unravelled = Unravelled(net, chosen, cancelled=job.cancelled)
    sums = np.zeros((len(asked), 3))  # right, changed, shift

    def view(n: int) -> UnravelledView:
        right, changed, shift = (sums / n).T
        effects = [
            PathEffect(path, float(a), float(b), float(c))
            for path, a, b, c in zip(("", "", *paths), right, changed, shift, strict=True)
        ]
        return UnravelledView(
            net=job.name or net_name(net),
            data=data_name(data),
            n_images=n,
            units=chosen,
            off=off,
            intact_accuracy=effects[0].accuracy,
            without=effects[1],
            single=tuple(effects[2:]),
            statistics=used,
        )

    size = unravelled.images_at_once(asked)
    for start in range(0, len(labels), size):
        truth = labels[start : start + size]
        logits = unravelled.logits(data.normalise(images[start : start + size]), asked)
        sums += _effects(logits, truth.to(logits.device))
        done = start + len(truth)
        job.tell(view(done), done / len(labels), f"{done:,} images")
    return view(len(labels))


def _effects(logits: Tensor, labels: Tensor) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Sums over images of (answer right, answer changed, logits shifted), for each row."""
    answers = logits.argmax(-1)
    centred = logits - logits.mean(-1, keepdim=True)  # what softmax sees
    shift = (centred - centred[0]).norm(dim=-1) / centred[0].norm(dim=-1)
    columns = [answers == labels, answers != answers[0], shift]
    summed = torch.stack([column.float().sum(1) for column in columns], dim=1)
    return cast(np.ndarray[tuple[int, int], np.dtype[np.float64]], summed.cpu().double().numpy())


class Unravelled:
    """A net whose chosen units are unravelled: a copy in evaluation mode.

    Args:
        units: Names, in forward order.
        cancelled: Asked before each unit.
    """

    def __init__(
        self, net: Net, units: Sequence[str], *, cancelled: Callable[[], bool] | None = None
    ) -> None:
        self._net = copied(net).eval().requires_grad_(False)
        self._parting = tuple(name in units for name in net.unit_names)
        self._cancelled = cancelled
        weight = next(self._net.parameters())
        self._device, self._dtype = weight.device, weight.dtype

    def images_at_once(self, asked: Sequence[Paths]) -> int:
        """Images of one chunk, such that their copies fit the memory set aside."""
        shapes = [unit.input_shape for unit in self._net.blueprint.units]
        most = max(len(copies) for copies in self._levels(asked))
        held = 3 * most * max(math.prod(shape) for shape in shapes) * self._dtype.itemsize
        room = _ROOM_BYTES if self._device.type == "cpu" else _ACCELERATOR_ROOM_BYTES
        return min(_CHUNK, max(1, room // held))

    @torch.inference_mode()
    def logits(self, images: Tensor, asked: Sequence[Paths]) -> Tensor:
        """(rows, N, classes): with only the paths of each row on; none is empty.

        Args:
            images: (N, C, H, W), normalised.
        """
        x = self._net.stem(images.to(self._device, self._dtype))
        copies: dict[Paths, Tensor] = {frozenset([""]): x}
        for unit, parting, wanted in zip(
            self._net.units, self._parting, self._levels(asked)[1:], strict=True
        ):
            if self._cancelled is not None and self._cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            if parting:
                copies = {
                    paths: joined(unit, *(copies.get(ways) for ways in _parted(paths)))
                    for paths in wanted
                }
            else:
                copies = {paths: unit(copies[paths]) for paths in wanted}
        answers = {paths: self._net.head(state) for paths, state in copies.items()}
        return torch.stack([answers[paths] for paths in asked])

    def _levels(self, asked: Sequence[Paths]) -> list[list[Paths]]:
        """What is needed before each unit, and at the end, told by the paths through it.

        Copies through which the same paths go are the same, and are computed once.
        """
        levels = [list(dict.fromkeys(asked))]
        for parting in reversed(self._parting):
            after = levels[0]
            every = [ways for paths in after for ways in _parted(paths)] if parting else after
            levels.insert(0, [paths for paths in dict.fromkeys(every) if paths])
        return levels


def _parted(paths: Paths) -> tuple[Paths, Paths]:
    """Those by the last unit's shortcut and those through its branch, without its digit."""
    by = frozenset(path[:-1] for path in paths if path[-1] == "0")
    through = frozenset(path[:-1] for path in paths if path[-1] == "1")
    return by, through


def joined(unit: nn.Module, by: Tensor | None, through: Tensor | None) -> Tensor:
    """A unit whose shortcut sees one state and whose branch another; None leaves an addend out.

    A residual unit gives after(h(by) + F(through)); a highway unit by·(1 − T(by)) +
    H(through)·T(through), so that without ``through`` its carry gate stays, where deleting it
    would open it; a dense unit [by, growth(through)], with zeros for what is left out.
    """
    if by is through:
        return cast(Tensor, unit(by))
    if isinstance(unit, DenseUnit):
        return _concatenated(unit, by, through)
    addends = []
    for state, way in ((by, 0), (through, 1)):
        if state is None:
            continue
        ways = branches(unit, state)
        assert ways is not None
        addends.append(ways[way])
    total = addends[0] if len(addends) == 1 else addends[0] + addends[1]
    return cast(Tensor, unit.after(total)) if isinstance(unit, ResidualUnit) else total


def _concatenated(unit: DenseUnit, by: Tensor | None, through: Tensor | None) -> Tensor:
    if through is None:
        assert by is not None
        return unit.bypass(by)
    old = torch.zeros_like(through) if by is None else by
    ways = branches(unit, through)
    assert ways is not None
    return torch.cat((old, ways.branch), dim=1)
