"""By which statistics batch norm normalises while a net is measured: one rule for all instruments.

A batch norm that never saw a batch remembers a mean of 0 and a variance of 1, which are statistics
of nothing: in evaluation mode it would do nothing, and the net would be another one than the net
that a training starts from. So

- a net that has trained is measured with the running statistics that it has,
- a net whose batch norms never saw a batch with those of the images that it is measured on: of all
  of them together, taken once, before anything else, and then held fixed.

Held fixed, they are constants as the running ones are: an image's answer and gradient are its own
and no matter of how the images are cut into chunks. A training step is otherwise: there a batch's
statistics move with each of its images, and gradients flow through them too; instruments that
measure such a step use :func:`batch_statistics`, whatever the net has seen.

Where fewer than ``FEWEST`` images are measured (one, for a map of its pixels), they are no batch,
and the statistics are those of ``REFERENCE`` training images, each class in its share.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.measuring import walk
from explorer.measuring.select import some_images
from explorer.measuring.taps import eval_mode
from explorer.nets import Net
from explorer.results.statistics import FEWEST, Statistics

REFERENCE = 128  # images of a training batch, as He15 trains
_BYTES = 1 << 30  # of all images' states at one place of the net
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
Cancel = Callable[[], bool] | None


@contextmanager
def measuring(
    net: Net, dataset: Dataset, images: Tensor, *, cancelled: Cancel = None
) -> Iterator[Statistics | None]:
    """Evaluation mode, with the statistics that the rule above says; yields which.

    Copies of the net that are made inside keep them; the net itself has its own back afterwards.
    Cost: of an untrained net two to three forward passes over the images (each batch norm waits
    for those before it), one where they fit one chunk; of others nothing. Where the images'
    states at some unit take more than 1 GiB, evenly chosen ones of them must do.

    Args:
        images: All that are going to be measured, uint8 (N, C, H, W).
        cancelled: Asked before each unit.

    Yields:
        ``running``, ``batch``, or None of a net without batch norm.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    used = statistics_of(net)
    if used != "batch":
        with eval_mode(net):
            yield used
        return
    if len(images) < FEWEST:
        images, _ = some_images(net, dataset, REFERENCE, train=True)
    shapes = [s for unit in net.blueprint.units for s in (unit.input_shape, unit.output_shape)]
    most = max(FEWEST, _BYTES // (4 * max(math.prod(shape) for shape in shapes)))
    if len(images) > most:
        images = images[torch.arange(most, device=images.device) * len(images) // most]
    unlabelled = torch.zeros(len(images), dtype=torch.int64)
    batches = walk.chunks(net, dataset, (images, unlabelled), kept=6, cancelled=cancelled)
    with held_at(net, [x for x, _ in batches], cancelled=cancelled):
        yield used


@contextmanager
def measuring_these(net: Net, x: Tensor) -> Iterator[Statistics | None]:
    """The same for images that are normalised already; few of them must be their own batch.

    Args:
        x: (N, C, H, W), on the net's device.
    """
    used = statistics_of(net)
    with held_at(net, [x]) if used == "batch" else eval_mode(net):
        yield used


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[Statistics | None]:
    """Batch norms normalise by the batch, as in a training step, and remember nothing of it.

    Everything else is in evaluation mode (no dropout, no dropped units), so that a measurement
    inside is deterministic. Running statistics and modes are as before after the block. Yields
    ``batch``, or None where there is no batch norm.
    """
    norms = [module for module in net.modules() if isinstance(module, _BATCH_NORMS)]
    tracked = [module.track_running_stats for module in norms]
    with eval_mode(net):
        try:
            for module in norms:
                module.train()
                module.track_running_stats = False  # train() then neither reads nor writes them
            yield "batch" if norms else None
        finally:
            for module, track in zip(norms, tracked, strict=True):
                module.track_running_stats = track


def statistics_of(net: nn.Module) -> Statistics | None:
    """Which the rule takes: ``batch`` where there are batch norms and none has seen a batch."""
    norms = _tracking(net)
    if not norms:
        return None
    # The first one that has seen a batch decides, so that a trained net is told at once.
    fresh = all(not bool(mean.any()) and bool((var == 1).all()) for _, mean, var in norms)
    return "batch" if fresh else "running"


@contextmanager
def held_at(net: Net, batches: Sequence[Tensor], *, cancelled: Cancel = None) -> Iterator[None]:
    """Evaluation mode with the statistics of all these images together, held fixed.

    The variance is the one that a training step divides by (÷ N, not ÷ (N − 1)).

    Args:
        batches: Chunks (N, C, H, W), normalised; how they are cut makes no difference.
    """
    kept = _tracking(net)
    with eval_mode(net):
        try:
            _measure(net, list(batches), cancelled)
            yield
        finally:
            for norm, mean, var in kept:
                norm.running_mean, norm.running_var = mean, var


# ----------------------------------------------------------------------------------- helpers

_Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d


def _tracking(net: nn.Module) -> list[tuple[_Norm, Tensor, Tensor]]:
    """Batch norms that remember statistics, with these."""
    return [
        (module, module.running_mean, module.running_var)
        for module in net.modules()
        if isinstance(module, _BATCH_NORMS)
        and module.running_mean is not None
        and module.running_var is not None
    ]


def _measure(net: Net, states: list[Tensor], cancelled: Cancel) -> None:
    """Give every batch norm the statistics of what reaches it; ``states`` is used up."""
    known: set[nn.Module] = set()
    # Not inference tensors: gradients may be taken through a norm that holds them.
    with torch.inference_mode(False), torch.no_grad(), _nothing_in_place(net):
        for part in (net.stem, *net.units, net.head):
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            _through(part, states, known)


class _Waits(Exception):
    """No error: a pass ends at a norm that must see all chunks first."""


def _through(part: nn.Module, states: list[Tensor], known: set[nn.Module]) -> None:
    """Replace all states by what a part of the net makes of them.

    All chunks come to its first batch norm, and then, with its statistics known, to the next.
    """
    sums: dict[_Norm, _Moments] = {}

    def arrives(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(norm, _BATCH_NORMS)
        if norm in known:
            return
        sums[norm] = sums[norm].and_of(inputs[0]) if norm in sums else _Moments.of(inputs[0])
        if sums[norm].chunks < len(states):
            raise _Waits
        sums[norm].give(norm)
        known.add(norm)
        if len(states) > 1:
            raise _Waits

    handles = [norm.register_forward_pre_hook(arrives) for norm, _, _ in _tracking(part)]
    try:
        done = 0
        while done < len(states):
            for i, x in enumerate(states):
                with suppress(_Waits):
                    states[i] = part(x)
                    done += 1
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class _Moments:
    """Of some chunks: (channels,) mean and variance over images and positions."""

    chunks: int
    entries: int
    mean: Tensor
    var: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Moments:
        var, mean = torch.var_mean(x, dim=[0, *range(2, x.dim())], correction=0)
        return cls(1, x.numel() // x.shape[1], walk.wide(mean), walk.wide(var))

    def and_of(self, x: Tensor) -> _Moments:
        """With one more chunk: its own spread, and that of its mean against the others'."""
        new = _Moments.of(x)
        entries = self.entries + new.entries
        share = new.entries / entries
        apart = new.mean - self.mean
        var = (1 - share) * self.var + share * new.var + share * (1 - share) * apart.square()
        return _Moments(self.chunks + 1, entries, self.mean + share * apart, var)

    def give(self, norm: _Norm) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean = self.mean.to(norm.running_mean)
        norm.running_var = self.var.to(norm.running_var)


@contextmanager
def _nothing_in_place(net: nn.Module) -> Iterator[None]:
    """A part that is computed again needs its input as it was."""
    found = [module for module in net.modules() if getattr(module, "inplace", False) is True]
    try:
        for module in found:
            setattr(module, "inplace", False)  # noqa: B010 — mypy cannot know which have it
        yield
    finally:
        for module in found:
            setattr(module, "inplace", True)  # noqa: B010
