"""Gradient at the input by path length (Veit16 §4.2 and Fig 6).

Purpose: of all 2ⁿ paths through a net of n residual units, which carry the gradient? Three
curves answer, and are not each other: see ``PathGradients``. Cost: for all
n + 1 lengths n(n + 1)/2 backward passes of a unit, about n/2 of the net's inputs alone: at n = 54
less than 10 forward and backward passes; each draw of signs and paths costs twice that. Cheaper:
``longest``, fewer images, or no draws. How it is done: :mod:`explorer.measuring.pathwalk`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.instruments.contract import Job
from explorer.instruments.paths.ask import Ask
from explorer.instruments.paths.result import CurveKind, PathCurve, PathGradients
from explorer.measuring.pathwalk import Point, Walk
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring, measuring_these
from explorer.nets import Net
from explorer.results.common import Floats
from explorer.results.statistics import Statistics
from explorer.structure.path_combinatorics import log_counts

_CHUNK = 64  # images, at most: what is seen of a sweep before its end
_SIGNS, _PATHS = 1, 2  # streams of random numbers


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> PathGradients:
    """The exact curve, and with ``draws`` the two that need chance, on test images.

    Evaluation mode; in a net that never trained, batch norms hold the statistics of the measured
    images (:mod:`explorer.measuring.statistics`), as constants, so that each image's gradient is
    its own. A path of an original residual unit goes through the ReLU after the addition, whose
    slope is the intact net's; see :mod:`explorer.measuring.pathwalk`. Told are first the exact
    curve, chunk of images by chunk, then draw by draw the others.
    """
    images, labels = some_images(net, data, ask.n_images)
    with measuring(net, data, images, cancelled=job.cancelled) as used:
        walk = Walk(net, cancelled=job.cancelled)
    longest = walk.two_way if ask.longest is None else min(ask.longest, walk.two_way)
    sums = _Sums(walk.two_way, 1 + longest, len(labels), used)
    size = min(_CHUNK, walk.images_at_once(1 + longest))
    chunks = [slice(i, min(i + size, len(labels))) for i in range(0, len(labels), size)]
    steps = [(chunk, turn) for turn in range(-1, ask.draws) for chunk in chunks]
    label, of = job.name or net_name(net), data_name(data)
    for done, (chunk, turn) in enumerate(steps, 1):
        point = walk.at(data.normalise(images[chunk]), labels[chunk])
        if turn < 0:
            sums.add_exact(walk, point, chunk)
        else:
            sums.add_draw(walk, point, chunk, (ask.seed, turn))
        part = sums.result(label, of)
        job.tell(part, done / len(steps), f"{part.n_images:,} images")
    return sums.result(label, of)


def gradients_by_length(net: Net, images: Tensor, labels: Tensor) -> Tensor:
    """∂ℓ/∂image by path length, (n + 1, N, C, H, W); their sum is the gradient.

    For a look at the vectors themselves; what float32 cannot hold is 0. All images at once, and
    of a net that never trained with their statistics, held fixed.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,), classes; ℓ is each image's own cross-entropy.

    Raises:
        NotApplicableError: The net has no unit with two ways.
    """
    why = Ask.not_for(net.blueprint)
    if why is not None:
        raise NotApplicableError(why)
    with measuring_these(net, images.to(next(net.parameters()).device)):
        walk = Walk(net)
    return walk.by_length(walk.at(images, labels)).plain()


class _Sums:
    """What has been measured, image by image; (lengths, images)."""

    def __init__(self, two_way: int, lengths: int, n: int, used: Statistics | None) -> None:
        self._two_way, self._used = two_way, used
        self._norms = np.zeros((lengths, n))
        self._gradient_norm = np.zeros(n)
        self._mismatch = np.zeros(n) if lengths == two_way + 1 else None
        self._exact = 0  # images done
        self._squares = np.zeros((lengths, n))
        self._path_norms = np.zeros((lengths, n))
        self._draws = np.zeros(n, dtype=np.int64)

    def add_exact(self, walk: Walk, point: Point, chunk: slice) -> None:
        lengths = len(self._norms)
        vectors, whole = walk.by_length(point, longest=lengths - 1), walk.gradient(point)
        self._norms[:, chunk] = vectors.norms().numpy()
        norm = whole.norms()[0]
        self._gradient_norm[chunk] = norm.numpy()
        if self._mismatch is not None:
            # Both relative to the images' own powers of two, so that nothing is lost as 0.
            scale = point.seeds.exponents
            total = vectors.over(scale).plain().cpu().double().sum(0)
            apart = (total - whole.over(scale).plain()[0].cpu()).flatten(1).norm(dim=1)
            self._mismatch[chunk] = (apart / (norm * 2.0 ** -scale[0])).numpy()
        self._exact = chunk.stop

    def add_draw(self, walk: Walk, point: Point, chunk: slice, seed: tuple[int, int]) -> None:
        lengths, n = len(self._norms), self._two_way
        members = range(chunk.start, chunk.stop)
        signs = np.stack([_random(seed, _SIGNS, i).choice([-1.0, 1.0], n) for i in members])
        signed = walk.by_length(point, longest=lengths - 1, signs=torch.from_numpy(signs))
        self._squares[:, chunk] += signed.norms().numpy() ** 2
        taken = np.stack([_paths(_random(seed, _PATHS, i), lengths, n) for i in members], axis=1)
        along = walk.along(point, torch.from_numpy(taken))
        self._path_norms[:, chunk] += along.norms().numpy()
        self._draws[chunk] += 1

    def result(self, net: str, data: str) -> PathGradients:
        known = slice(0, self._exact)
        exact = self._norms[:, known]
        mismatch = None if self._mismatch is None else float(self._mismatch[known].max())
        curves = [_curve("coherent", exact, 0)]
        drawn = self._draws > 0
        if drawn.any():
            draws = self._draws[drawn]
            squares = self._squares[:, drawn] / draws
            path_norms = self._path_norms[:, drawn] / draws
            counts = np.exp(log_counts(self._two_way)[: len(self._norms), None])
            least = int(draws.min())
            curves.append(_curve("incoherent", np.sqrt(squares), least))
            curves.append(_curve("sampled", counts * path_norms, least))
        return PathGradients(
            net=net,
            data=data,
            n_images=exact.shape[1],
            two_way=self._two_way,
            gradient_norm=float(self._gradient_norm[known].mean()),
            mismatch=mismatch,
            curves=tuple(curves),
            statistics=self._used,
        )


def _curve(kind: CurveKind, values: Floats, draws: int) -> PathCurve:
    """Mean over images and its standard error, of (lengths, images)."""
    n = values.shape[1]
    with np.errstate(invalid="ignore"):  # of a net that gives numbers without end
        error = values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values), np.nan)
    return PathCurve(kind, values.mean(axis=1), error, n, draws)


def _random(seed: tuple[int, int], stream: int, image: int) -> np.random.Generator:
    """Numbers that are an image's own: no matter how the images are cut into chunks."""
    return np.random.default_rng([*seed, stream, image])


def _paths(
    random: np.random.Generator, lengths: int, n: int
) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    """(lengths, n): for each length k, k branches out of n, drawn evenly."""
    ranks = random.random((lengths, n)).argsort(axis=1).argsort(axis=1)
    return ranks < np.arange(lengths)[:, None]
