"""Batch norm's statistics measured anew for each program.

A net with a unit deleted or moved feeds its later batch norms other inputs than in training.
Purpose: how much of the damage is only that? Each program's statistics are measured as a training
step would, on batches of training images, averaged over the batches; nothing is learned. Cost:
about one more evaluation of all programs on those images; shared prefixes are measured once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.measuring.engine import Engine, Precision, Step, Where, schedule
from explorer.measuring.select import some_images
from explorer.nets import Net
from explorer.nets.layers import scale_of

BATCH = 128  # training images, as He15 trains; fewer where their maps are large
FEWEST = 16
_BATCH_BYTES = 64 << 20  # of a unit's output


class Recalibrated(Engine):
    """An engine whose batch norms use each state's own statistics, once they are measured.

    Raises:
        NotApplicableError: The net has no batch norm, or a precision other than float32 is asked.
    """

    def __init__(
        self,
        net: Net,
        *,
        precision: Precision = "float32",
        mean_gates: Mapping[int, Tensor] | None = None,
    ) -> None:
        if precision != "float32":
            raise NotApplicableError(
                f"Batch norm is recalibrated in float32, not in {precision}: leave one of both out."
            )
        super().__init__(net, fold=False, mean_gates=mean_gates)
        self._norms = [
            (name, _StateNorm(module, self.where))
            for name, module in list(self._net.named_modules())
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d))
        ]
        if not self._norms:
            raise NotApplicableError(
                "This net has no batch norm whose statistics could be measured anew; leave the "
                "recalibration out."
            )
        for name, norm in self._norms:
            self._net.set_submodule(name, norm)
        self._known: dict[_Programs, list[_Statistics]] = {}

    @torch.inference_mode()
    def calibrate(
        self,
        programs: Sequence[tuple[Step, ...]],
        batches: Sequence[Tensor],
        *,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Measure the statistics of these programs on normalised images, batch by batch.

        Raises:
            Cancelled: ``cancelled`` said so.
        """
        planned = schedule(programs)
        for _, norm in self._norms:
            norm.statistics, norm.batches = {}, 0
        for batch in batches:
            for _, norm in self._norms:
                norm.batches += 1
            self._run(batch, planned, cancelled)
        self._known[tuple(programs)] = [norm.statistics for _, norm in self._norms]
        for _, norm in self._norms:
            norm.batches = 0

    @torch.inference_mode()
    def logits(
        self,
        images: Tensor,
        programs: Sequence[tuple[Step, ...]],
        *,
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Like the engine's; the same programs must have been given to :meth:`calibrate`."""
        for (_, norm), statistics in zip(self._norms, self._known[tuple(programs)], strict=True):
            norm.statistics = statistics
        return self._run(images, schedule(programs), cancelled)


_Programs = tuple[tuple[Step, ...], ...]
_Statistics = dict[tuple[int, int], Tensor]  # by place and state: (2, channels), mean and variance


class _StateNorm(nn.Module):
    """Batch norm that tells the states on the batch axis apart.

    Attributes:
        batches: Which batch is being measured, from 1; 0 uses what was measured.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, where: Where) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = scale_of(norm), norm.bias, norm.eps
        self.where = where
        self.statistics: _Statistics = {}
        self.batches = 0

    def forward(self, x: Tensor) -> Tensor:
        keys = [(self.where.place, state) for state in self.where.states]
        # (states, images, channels, …)
        grouped = x.view(len(keys), -1, *x.shape[1:])
        if self.batches:
            mean, var = self._measure(grouped, keys)
        else:
            mean, var = torch.stack([self.statistics[key] for key in keys], dim=1)
        ending = (1,) * (x.dim() - 2)
        scale = self.weight / (var + self.eps).sqrt()
        shift = self.bias - mean * scale
        scale, shift = (value.view(len(keys), 1, -1, *ending) for value in (scale, shift))
        return torch.addcmul(shift, grouped, scale).flatten(0, 1)

    def _measure(self, grouped: Tensor, keys: list[tuple[int, int]]) -> tuple[Tensor, Tensor]:
        """The batch's own mean and variance; the unbiased variance is what is remembered."""
        others = (1, *range(3, grouped.dim()))
        var, mean = torch.var_mean(grouped, dim=others, correction=0)
        n = grouped.numel() // (len(keys) * grouped.shape[2])
        now = torch.stack([mean, var * (n / max(1, n - 1))], dim=1)  # (states, 2, channels)
        for key, value in zip(keys, now, strict=True):
            before = self.statistics.get(key)
            self.statistics[key] = (
                value.clone() if before is None else before + (value - before) / self.batches
            )
        return mean, var


def calibration_batches(net: Net, dataset: Dataset, n: int) -> list[Tensor]:
    """About ``n`` training images, each class in its share, normalised, in batches of one size.

    The size depends on the net alone, so that every machine measures the same statistics.

    Raises:
        NotApplicableError: Too few images are asked for.
        DataError: The images do not fit the net.
    """
    if n < FEWEST:
        raise NotApplicableError(
            f"Batch norm's statistics need at least {FEWEST} training images, not {n}."
        )
    images, _ = some_images(net, dataset, n, train=True)
    largest = 4 * max(math.prod(unit.output_shape) for unit in net.blueprint.units)
    size = min(BATCH, max(FEWEST, _BATCH_BYTES // largest), len(images))
    return [dataset.normalise(part) for part in torch.split(images, size) if len(part) == size]
