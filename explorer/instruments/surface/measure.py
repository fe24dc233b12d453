"""The loss around the weights, along filter-normalised random directions (Li18).

Purpose: is the way down smooth? Shortcuts keep the surface of a deep net smooth. Cost: one
forward pass of all images for each point, on a copy of the net whose batch norms are folded into
its convolutions: 51 × 51 points of a 56-layer net with 256 digits take minutes on two cores. So
points come from coarse to fine, and what was measured can be continued, even more finely.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, NotApplicableError
from explorer.instruments.contract import Job
from explorer.instruments.surface.ask import Ask
from explorer.instruments.surface.result import LossSurface, SurfaceNorm, grids
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import batch_statistics, measuring, statistics_of
from explorer.nets import Net
from explorer.nets.fast import copied, fold_batch_norms
from explorer.nets.net import passed_by
from explorer.results.common import Floats

_TOLD_EVERY = 0.5  # seconds between partial results
_CHUNK_BYTES = 64 << 20


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> LossSurface:
    """Mean cross-entropy at θ + α·δ + β·η for α and β in [-span, span].

    Each filter of δ and η is a random direction as long as the filter of θ that it moves; twins
    with and without shortcuts draw the same before that. Biases and what batch norm learned stay
    as they are, as in the paper. The net itself is left alone. Points that ``job.known`` has are
    taken from it, whatever its resolution, so that the outcome is the same as that of one call.

    Raises:
        NotApplicableError: ``job.known`` is of other weights, images or directions.
    """
    images, labels = some_images(net, data, ask.n_images, train=True)
    alphas = _axis(ask.resolution, ask.span)
    used = statistics_of(net)
    surface = LossSurface(
        net=job.name or net_name(net),
        data=data_name(data),
        n_images=len(labels),
        seed=ask.direction,
        norm=ask.norm,
        weights=fingerprint(net),
        alphas=alphas,
        betas=np.zeros(1) if ask.line else alphas,
        points=(),
        statistics="batch" if ask.norm == "batch" and used else used,
    )
    loss, accuracy = surface.loss.copy(), surface.accuracy.copy()
    if job.known is not None:
        assert isinstance(job.known, LossSurface)
        _take_over(job.known, surface, loss, accuracy)
    ready = measuring(net, data, images)
    with ready if ask.norm == "running" else nullcontext():
        plane = _Plane(net, data.normalise(images), labels, seed=ask.direction, norm=ask.norm)
    told = time.monotonic()
    for row, column, last in _order(loss):
        if job.cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        loss[row, column], right = plane.at(float(alphas[column]), float(surface.betas[row]))
        accuracy[row, column] = right / len(labels)
        if last or time.monotonic() - told > _TOLD_EVERY:
            part = surface.with_points(loss, accuracy)
            share = len(part.points) / loss.size
            job.tell(part, share, f"{len(part.points)} points")
            told = time.monotonic()
    return surface.with_points(loss, accuracy)


def question(net: Net, data: Dataset, ask: Ask) -> tuple[object, ...]:
    """Everything that a point depends on, but where it is: so surfaces of any resolution go on."""
    images, labels = some_images(net, data, ask.n_images, train=True)
    pixels = images.cpu().contiguous().numpy().tobytes()  # a folder's images may have changed since
    digest = hashlib.blake2b(pixels, digest_size=8).hexdigest()
    asked = (fingerprint(net), digest, len(labels), ask.direction, ask.norm)
    # What is kept of earlier days had no statistics of the batch.
    return (*asked, "batch") if statistics_of(net) == "batch" else asked


def fingerprint(net: Net) -> str:
    """Of every parameter and buffer, the net's choices, and the units that are passed by for good.

    The same for the same net, on every machine. Nets that differ in nothing but the scale of their
    shortcuts have the same values.
    """
    digest = hashlib.blake2b(repr(net.spec).encode(), digest_size=8)
    for name, unit in zip(net.unit_names, net.units, strict=True):
        if passed_by(unit):
            digest.update(name.encode())
    for key, value in net.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def filter_normalised(weight: Tensor, draw: torch.Generator) -> Tensor:
    """A random direction with the shape of ``weight``, each of whose filters is as long as its.

    A filter is what one output map, or feature, is computed by: ``weight[i]``.
    """
    direction = torch.randn(weight.shape, generator=draw).to(weight)
    flat, given = direction.flatten(1), weight.detach().flatten(1)
    flat *= given.norm(dim=1, keepdim=True) / flat.norm(dim=1, keepdim=True).clamp(min=1e-10)
    return direction


class _Plane:
    """A copy of the net that can be moved along the two directions."""

    def __init__(
        self, net: Net, images: Tensor, labels: Tensor, *, seed: int, norm: SurfaceNorm
    ) -> None:
        # In evaluation mode a batch norm multiplies a convolution's output by a constant, so that
        # folding the weights, and the directions likewise, changes no answer.
        fold = norm == "running"
        self._twin = _ready(copied(net), fold=fold)
        self._weights = _weights(self._twin)
        self._base = [weight.clone() for weight in self._weights]
        draw = torch.Generator().manual_seed(seed)
        self._delta, self._eta = (
            _weights(_ready(_direction(net, draw), fold=fold)) for _ in range(2)
        )
        self._norm = norm
        device = self._base[0].device
        at_once = _images_at_once(net) if fold else len(labels)
        parts = torch.split(images, at_once), torch.split(labels, at_once)
        self._batches = [
            (_shaped(part.to(device)), truth.to(device)) for part, truth in zip(*parts, strict=True)
        ]

    @torch.no_grad()
    def at(self, alpha: float, beta: float) -> tuple[float, int]:
        """Mean loss (infinite where it overflows) and right answers at one point."""
        torch._foreach_copy_(self._weights, self._base)
        torch._foreach_add_(self._weights, self._delta, alpha=alpha)
        torch._foreach_add_(self._weights, self._eta, alpha=beta)
        total, right, n = 0.0, 0, 0
        for x, labels in self._batches:
            if self._norm == "batch":
                with batch_statistics(self._twin):
                    logits = self._twin(x)
            else:
                logits = self._twin(x)
            total += F.cross_entropy(logits, labels, reduction="sum").item()
            right += int(((logits.argmax(1) == labels) & logits.isfinite().all(1)).sum())
            n += len(labels)
        return (total / n if math.isfinite(total) else math.inf), right


def _weights(net: nn.Module) -> list[Tensor]:
    """What moves: weights of more than one dimension, in order. Biases and norms do not."""
    return [value for value in net.parameters() if value.dim() > 1]


def _ready(twin: Net, *, fold: bool) -> Net:
    """For answers alone, in evaluation mode; see :mod:`explorer.nets.fast`."""
    twin.eval().requires_grad_(False)
    if fold:
        fold_batch_norms(twin)
    return twin.to(memory_format=torch.channels_last)


def _direction(net: Net, draw: torch.Generator) -> Net:
    """A copy whose weights are a filter-normalised direction."""
    twin = copied(net).requires_grad_(False)
    for weight in _weights(twin):
        weight.copy_(filter_normalised(weight, draw))
    return twin


def _shaped(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=torch.channels_last)


def _images_at_once(net: Net) -> int:
    shapes = [s for unit in net.blueprint.units for s in (unit.input_shape, unit.output_shape)]
    return max(1, _CHUNK_BYTES // (4 * max(math.prod(shape) for shape in shapes)))


def _axis(resolution: int, span: float) -> Floats:
    """Symmetric about an exact 0 where the resolution is odd."""
    half = (resolution - 1) / 2
    return np.asarray(span * (np.arange(resolution) - half) / half, dtype=np.float64)


def _order(loss: Floats) -> Iterator[tuple[int, int, bool]]:
    """(row, column, whether the level ends with it) of what is missing, coarse grids first."""
    for rows, columns in grids(*loss.shape):
        missing = [(r, c) for r in rows for c in columns if np.isnan(loss[r, c])]
        for i, (row, column) in enumerate(missing):
            yield int(row), int(column), i == len(missing) - 1


def _take_over(known: LossSurface, surface: LossSurface, loss: Floats, accuracy: Floats) -> None:
    """Copy what ``known`` has at the points of ``surface`` into its grids."""
    for what, of in (
        ("weights", "of other weights than the net has"),
        ("data", "measured on other data"),
        ("n_images", "measured on another number of images"),
        ("seed", "along other directions"),
        ("norm", "measured with batch norm in another mode"),
    ):
        if getattr(known, what) != getattr(surface, what):
            raise NotApplicableError(
                f"The surface to continue is {of} ({getattr(known, what)} instead of "
                f"{getattr(surface, what)}): start a new one, or choose what it was begun with."
            )
    if surface.norm == "running" and surface.statistics == "batch" != known.statistics:
        raise NotApplicableError(  # of the days when an untrained net's batch norms did nothing
            "The surface to continue is of an untrained net whose batch norms had no statistics: "
            "start a new one."
        )
    rows = {_key(beta): i for i, beta in enumerate(known.betas)}
    columns = {_key(alpha): i for i, alpha in enumerate(known.alphas)}
    for row, beta in enumerate(surface.betas):
        for column, alpha in enumerate(surface.alphas):
            place = rows.get(_key(beta)), columns.get(_key(alpha))
            if place[0] is not None and place[1] is not None:
                loss[row, column] = known.loss[place]
                accuracy[row, column] = known.accuracy[place]


def _key(coordinate: float) -> float:
    return round(float(coordinate), 9)
