"""The gradient of all path lengths, measured in forward and backward passes.

The plain pass is one forward and one backward pass as a step of training has them, gradients of
all weights included, in float32 and the net's own layout. Ours is the whole of what the
instrument does for a chunk of images: the forward pass, the exact vectors of all n + 1 lengths
carried back to the images, and their norms; or the same for random signs, or for one random path
of each length. ``passes`` is ours ÷ plain: how many passes all lengths cost. ``mismatch`` is the
greatest difference between the sum over lengths and autograd's gradient, relative to the latter.
The weights are fresh, batch norms have the statistics of the images, and these are noise: none
of it changes the arithmetic.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.bench import conditions, in_turns, row
from explorer.errors import NotApplicableError
from explorer.measuring.pathwalk import Point, Walk, has_two_ways
from explorer.nets import Net


def bench_paths(
    net: Net, *, images: int, repeats: int, device: str, seed: int = 0
) -> dict[str, Any]:
    """Rows for the exact vectors, random signs and random paths, and the conditions.

    Args:
        images: In one batch of random images of the net's shape; ours cuts it to its memory.

    Raises:
        NotApplicableError: The net has no unit with two ways.
    """
    net = net.to(device).eval()
    n = sum(has_two_ways(unit) for unit in net.units)
    if n == 0:
        raise NotApplicableError(
            f"A {net.spec.family} net has a single path: choose a residual, highway or dense net."
        )
    random = torch.Generator().manual_seed(seed)
    x = torch.randn(images, *net.spec.input_shape, generator=random).to(device)
    labels = torch.randint(net.spec.classes, (images,), generator=random).to(device)
    _measure_statistics(net, x)
    walk = Walk(net)
    signs = 2.0 * torch.randint(2, (images, n), generator=random) - 1
    ranks = torch.rand(n + 1, images, n, generator=random).argsort(-1).argsort(-1)
    taken = ranks < torch.arange(n + 1)[:, None, None]
    size = walk.images_at_once(n + 1)
    parts = [slice(i, i + size) for i in range(0, images, size)]

    def plain() -> None:
        weights = list(net.parameters())
        torch.autograd.grad(F.cross_entropy(net(x), labels), weights)

    def at(part: slice) -> Point:
        return walk.at(x[part], labels[part])

    def exact() -> list[Tensor]:
        return [walk.by_length(at(part)).norms() for part in parts]

    def signed() -> list[Tensor]:
        return [walk.by_length(at(part), signs=signs[part]).norms() for part in parts]

    def sampled() -> list[Tensor]:
        return [walk.along(at(part), taken[:, part]).norms() for part in parts]

    cases: dict[str, Callable[[], object]] = {
        "plain": plain,
        "exact": exact,
        "random signs": signed,
        "random paths": sampled,
    }
    seconds = in_turns(cases, repeats, device)
    apart = max(_mismatch(walk, at(part)) for part in parts)
    rows = []
    for case in list(cases)[1:]:
        title = f"{n + 1} path lengths, {case}"
        passes = statistics.median(seconds[case]) / statistics.median(seconds["plain"])
        more = {"mismatch": apart} if case == "exact" else {}
        rows.append(row(title, seconds["plain"], seconds[case], passes=passes, **more))
    shape = list(net.spec.input_shape)
    return {
        "rows": rows,
        "conditions": conditions(
            device,
            n=images,
            input_shape=shape,
            repeats=repeats,
            dtype=str(walk.dtype).removeprefix("torch."),
        ),
    }


@torch.no_grad()
def _measure_statistics(net: Net, x: Tensor) -> None:
    """Without them a fresh net's signal doubles with every unit, and its loss has no gradient."""
    for module in net.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = 1.0
    net.train()(x)
    net.eval()


def _mismatch(walk: Walk, point: Point) -> float:
    scale = point.seeds.exponents
    whole = walk.gradient(point).over(scale).plain()[0].cpu().flatten(1)
    total = walk.by_length(point).over(scale).plain().cpu().double().sum(0).flatten(1)
    return float(((total - whole).norm(dim=1) / whole.norm(dim=1)).max())
