"""Gradients by path length: carried backwards through a net, all lengths at once.

A unit with two ways, y = h(x) + F(x), has the Jacobian P + J. In the product of all units'
Jacobians every choice of P or J is one path (Veit16 §3), and its length is how often it takes
J. Walking backwards with one vector for each length,

    v_k ← Pᵀ v_k + Jᵀ v_{k−1},

sums the gradients of all paths of each length exactly, in n(n + 1)/2 backward passes of a
unit instead of 2ⁿ of a net. Everything is taken at the intact net's own activations, in
evaluation mode, batch norm's statistics being constants, those that the net has. What both ways
share belongs to every path: an activation before the split, and the ReLU or batch norm after the
addition (He15's order), whose slope the whole sum decides.

Highway units have these ways too, x·(1 − T(x)) and H(x)·T(x), each with its own part of the
gate's gradient; so have dense units, with P the maps that are there and J the maps that are new.

Each vector keeps a power of two apart for every image: a path of 54 branches may be of 10⁻⁴⁰,
which float32 cannot hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from explorer.errors import Cancelled
from explorer.measuring.transposes import Diagonal, Transpose, then, transposed, unchanged
from explorer.nets import Net
from explorer.nets.dense import DenseUnit
from explorer.nets.fast import copied, fold_batch_norms
from explorer.nets.highway import HighwayUnit
from explorer.nets.net import passed_by
from explorer.nets.residual import ResidualUnit

_CALL_BYTES = 8 << 20  # of one call of a unit: enough to be efficient, few enough for a cache
_ACCELERATOR_CALL_BYTES = 256 << 20
_ROOM_BYTES = 256 << 20  # of all vectors and activations of one chunk of images
_ACCELERATOR_ROOM_BYTES = 4 << 30
_RESCALE_EVERY = 8  # units


@dataclass(frozen=True)
class Link:
    """A unit near one point: y = after(shortcut(split(x)) + residual(split(x))), transposed.

    Attributes:
        residual: None where there is one way only; it is then ``shortcut``, and adds no length.
        shape: Of one example of x.
    """

    shape: torch.Size
    after: Transpose
    shortcut: Transpose
    residual: Transpose | None
    split: Transpose


def has_two_ways(unit: nn.Module) -> bool:
    """Whether paths part at this unit; not where a training passes it by for good."""
    return isinstance(unit, (ResidualUnit, HighwayUnit, DenseUnit)) and not passed_by(unit)


@torch.no_grad()
def linked(unit: nn.Module, x: Tensor) -> Link:
    """The unit, in evaluation mode, at ``x``, (N, …)."""
    if passed_by(unit):
        return Link(x.shape[1:], unchanged, _past(unit, x), None, unchanged)
    if isinstance(unit, ResidualUnit):
        return _residual_link(unit, x)
    if isinstance(unit, HighwayUnit):
        (h, through_h), (t, through_t) = (
            transposed(unit.transform, x),
            transposed(unit.transform_gate, x),
        )
        carry = _product(1 - t, unchanged, x, _negative(through_t))
        return Link(x.shape[1:], unchanged, carry, _product(t, through_h, h, through_t), unchanged)
    if isinstance(unit, DenseUnit):
        old = x.shape[1]
        _, growth = transposed(unit.growth, x)
        return Link(
            x.shape[1:],
            unchanged,
            lambda vectors: vectors[:, :, :old],
            lambda vectors: growth(vectors[:, :, old:]),
            unchanged,
        )
    return Link(x.shape[1:], unchanged, transposed(unit, x)[1], None, unchanged)


def _past(unit: nn.Module, x: Tensor) -> Transpose:
    """Of the unit's ``bypass``."""
    if isinstance(unit, DenseUnit):
        old = x.shape[1]
        return lambda vectors: vectors[:, :, :old]
    if not isinstance(unit, ResidualUnit):
        return unchanged
    link = _residual_link(unit, x, deleted=True)
    return then(then(link.after, link.shortcut), link.split)


def _residual_link(unit: ResidualUnit, x: Tensor, *, deleted: bool = False) -> Link:
    shape = x.shape[1:]
    x, split = transposed(unit.split, x)
    carried, shortcut = transposed(unit.shortcut, x)
    added, residual = transposed(unit.residual, x)
    if unit.shortcut_gate is not None:
        gate, through_gate = transposed(unit.shortcut_gate, x)
        shortcut = _product(1 - gate, shortcut, carried, _negative(through_gate))
        carried = (1 - gate) * carried
        if unit.exclusive:
            residual = _product(gate, residual, added, through_gate)
            added = gate * added
    for module in (unit.residual_scale, unit.survival):
        added, scaled = transposed(module, added)
        residual = then(scaled, residual)
    _, after = transposed(unit.after, carried if deleted else carried + added)
    return Link(shape, after, shortcut, residual, split)


def _product(a: Tensor, through_b: Transpose, b: Tensor, through_a: Transpose) -> Transpose:
    """Of x ↦ a(x)·b(x): Bᵀ(a·v) + Aᵀ(b·v)."""
    first, second = then(Diagonal(a), through_b), then(Diagonal(b), through_a)
    return lambda vectors: first(vectors) + second(vectors)


def _negative(transpose: Transpose) -> Transpose:
    return lambda vectors: -transpose(vectors)


# ------------------------------------------------------------------------------------ vectors


@dataclass(frozen=True)
class Scaled:
    """Vectors v = values · 2^exponents.

    Attributes:
        values: (V, N, …).
        exponents: (V, N), whole numbers in double precision.
    """

    values: Tensor
    exponents: Tensor

    def norms(self) -> Tensor:
        """Euclidean norm of each, (V, N), in double precision on the CPU."""
        flat = self.values.flatten(2)
        norms: Tensor = torch.linalg.vector_norm(flat, dim=2)
        return norms.cpu().double() * 2.0**self.exponents

    def over(self, exponents: Tensor) -> Scaled:
        """The vectors divided by 2^exponents, (1, N) or (V, N)."""
        return Scaled(self.values, self.exponents - exponents)

    def plain(self) -> Tensor:
        """The vectors themselves; what float32 cannot hold becomes 0."""
        factor = (2.0**self.exponents).to(self.values)
        return self.values * _over_images(factor, self.values)


def _over_images(factor: Tensor, values: Tensor) -> Tensor:
    """(V, N) → (V, N, 1, …), to be multiplied with values."""
    return factor.view(*factor.shape, *(1 for _ in values.shape[2:]))


def loss_seeds(logits: Tensor, labels: Tensor) -> Scaled:
    """∂ℓ/∂logits of each example's own cross-entropy, (1, N, classes).

    In double precision and without 1 − p: where the net is sure, that difference is all there is.
    """
    exact = logits.cpu().double().softmax(-1)
    right = labels.cpu()[:, None]
    exact.scatter_(1, right, 0.0)
    exact.scatter_(1, right, -exact.sum(1, keepdim=True))
    _, exponents = torch.frexp(exact.abs().amax(1))
    exponents = exponents.double()
    values = (exact * 2.0 ** -exponents[:, None]).to(logits.dtype).to(logits.device)
    return Scaled(values[None], exponents[None])


@dataclass(frozen=True)
class Point:
    """A chunk of images in the net: what a walk back needs to know.

    Attributes:
        images: (N, C, H, W), normalised.
        inputs: Of every unit, (N, …).
        seeds: ∂ℓ/∂ of the last unit's output, ℓ the loss of each image: one vector an image.
    """

    images: Tensor
    inputs: tuple[Tensor, ...]
    seeds: Scaled

    def __len__(self) -> int:
        return len(self.images)


class Walk:
    """A net made ready to be walked backwards: a copy in evaluation mode, batch norms folded.

    Args:
        cancelled: Asked before each unit.

    Attributes:
        two_way: How many units have two ways; the longest path takes all of their branches.
    """

    def __init__(self, net: Net, *, cancelled: Callable[[], bool] | None = None) -> None:
        twin = copied(net).eval().requires_grad_(False)
        fold_batch_norms(twin)
        self._net = twin
        self._cancelled = cancelled
        weight = next(twin.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self._maps = len(net.blueprint.units[0].input_shape) == 3
        if self._maps:
            twin.to(memory_format=torch.channels_last)
        self.two_way = sum(has_two_ways(unit) for unit in twin.units)

    def images_at_once(self, lengths: int) -> int:
        """Images of one chunk, such that their vectors and activations fit the memory set aside."""
        plan = self._net.blueprint
        shapes = [*(unit.input_shape for unit in plan.units), plan.units[-1].output_shape]
        entries = [math.prod(shape) for shape in shapes]
        held = sum(entries) + 2 * lengths * max(entries)
        room = _ROOM_BYTES if self.device.type == "cpu" else _ACCELERATOR_ROOM_BYTES
        return max(1, room // (held * self.dtype.itemsize))

    @torch.no_grad()
    def at(self, images: Tensor, labels: Tensor) -> Point:
        """One forward pass: images (N, C, H, W), normalised, and labels (N,)."""
        with _full_precision():
            images = images.to(self.device, self.dtype)
            if self._maps:
                images = images.contiguous(memory_format=torch.channels_last)
            x = self._net.stem(images)
            inputs = []
            for unit in self._net.units:
                self._ask()
                inputs.append(x)
                x = unit(x)
            logits, head = transposed(self._net.head, x)
            seeds = loss_seeds(logits, labels)
            return Point(images, tuple(inputs), Scaled(head(seeds.values), seeds.exponents))

    @torch.no_grad()
    def gradient(self, point: Point) -> Scaled:
        """∂ℓ/∂image, whole, by autograd: (1, N, C, H, W)."""
        with _full_precision(), torch.enable_grad():
            x = images = point.images.detach().clone().requires_grad_()
            for part in (self._net.stem, *self._net.units):
                self._ask()
                x = part(x)
            (gradient,) = torch.autograd.grad(x, images, point.seeds.values[0])
        return Scaled(gradient[None], point.seeds.exponents)

    @torch.no_grad()
    def by_length(
        self, point: Point, *, longest: int | None = None, signs: Tensor | None = None
    ) -> Scaled:
        """∂ℓ/∂image by path length, 0 to ``longest``: (longest + 1, N, C, H, W).

        Args:
            longest: None takes all lengths.
            signs: (N, two_way), ±1: what each image's residual branches are multiplied with. A
                path's gradient then has the product of its branches' signs. Where these are
                drawn at random, the squared norm of each length's sum is an unbiased estimate of
                Σ‖g_path‖², because all mixed terms vanish on average.
        """
        limit = self.two_way if longest is None else min(longest, self.two_way)
        front = _Front(point.seeds, 1, limit + 1)
        turn = self.two_way
        with _full_precision():
            for done, link in enumerate(self._links(point)):
                if link.residual is None:
                    front.through(link.shortcut, link.shape)
                else:
                    turn -= 1
                    front.lengthen(link, None if signs is None else signs[:, turn])
                if done % _RESCALE_EVERY == 0:
                    front.rescale()
            _, stem = transposed(self._net.stem, point.images)
            front.through(stem, point.images.shape[1:])
        return front.scaled()

    @torch.no_grad()
    def along(self, point: Point, taken: Tensor) -> Scaled:
        """∂ℓ/∂image along single paths: (V, N, C, H, W).

        Args:
            taken: (V, N, two_way), True where a path of an image takes the residual branch.
        """
        front = _Front(point.seeds, len(taken), len(taken) + 1)
        turn = self.two_way
        with _full_precision():
            for done, link in enumerate(self._links(point)):
                if link.residual is None:
                    front.through(link.shortcut, link.shape)
                else:
                    turn -= 1
                    front.part(link, taken[:, :, turn])
                if done % (_RESCALE_EVERY // 2) == 0:  # a path may take every branch
                    front.rescale()
            _, stem = transposed(self._net.stem, point.images)
            front.through(stem, point.images.shape[1:])
        return front.scaled()

    def _links(self, point: Point) -> Iterator[Link]:
        """From the last unit to the first; each is computed anew, and forgotten after its use."""
        for unit, x in zip(reversed(self._net.units), reversed(point.inputs), strict=True):
            self._ask()
            yield linked(unit, x)

    def _ask(self) -> None:
        if self._cancelled is not None and self._cancelled():
            raise Cancelled("The measurement was stopped before its end.")


class _Front:
    """All vectors at one place of the net, on their way back.

    They are worked on in parts of a few rows, so that the memory of a call stays in a cache, and
    from the last row to the first, so that v_k can take the place of its predecessor.
    """

    def __init__(self, seeds: Scaled, count: int, room: int) -> None:
        self._count, self._room = count, room
        self._exponents = seeds.exponents.repeat(count, 1)
        self._nothing = torch.zeros_like(self._exponents, dtype=torch.bool)  # vectors that are 0
        self._buffer = self._zeros(seeds.values.shape[2:], seeds.values)
        self._buffer[:count] = seeds.values

    def scaled(self) -> Scaled:
        return Scaled(self._buffer[: self._count], self._exponents)

    def rescale(self, first: int = 0) -> None:
        """Bring the greatest entry of every vector from ``first`` on into [½, 1)."""
        values = self._buffer[first : self._count]
        dims = tuple(range(2, values.dim()))
        peak = torch.linalg.vector_norm(values, ord=math.inf, dim=dims).cpu().double()
        _, exponents = torch.frexp(peak)
        values *= _over_images((2.0**-exponents).to(values), values)
        self._exponents[first:] += exponents
        self._nothing[first:] = peak == 0

    def through(self, transpose: Transpose, shape: torch.Size) -> None:
        """Every vector through a map that all paths take, to the shape of one example."""
        if transpose is unchanged:
            return
        old, target = self._buffer, self._at(shape)
        for rows in self._parts(self._count, shape):
            target[rows] = transpose(old[rows])
        self._buffer = target

    def lengthen(self, link: Link, signs: Tensor | None) -> None:
        """v_k ← Pᵀ v_k ± Jᵀ v_{k−1}: afterwards there is one length more, if there is room."""
        assert link.residual is not None
        self.through(link.after, self._buffer.shape[2:])
        old, target, before = self._buffer, self._at(link.shape), self._count
        if before < self._room:
            self._count += 1
            self._exponents = torch.cat([self._exponents, self._exponents[-1:]])
            self._nothing = torch.cat([self._nothing, torch.ones_like(self._nothing[-1:])])
        for k in range(1, self._count):  # 0 may have any exponent: the one of what is added to it
            own, next_to = self._exponents[k], self._exponents[k - 1]
            self._exponents[k] = torch.where(self._nothing[k], next_to, own)
        for rows in self._parts(self._count, link.shape):
            longer = slice(max(rows.start, 1), rows.stop)  # every length but 0
            shorter = slice(longer.start - 1, longer.stop - 1)
            taken = link.residual(old[shorter])
            kept = slice(rows.start, min(rows.stop, before))
            if link.shortcut is not unchanged and kept.start < kept.stop:
                target[kept] = link.shortcut(old[kept])
            factor = 2.0 ** (self._exponents[shorter] - self._exponents[longer])
            factor = torch.where(self._nothing[shorter], 0.0, factor)
            if signs is not None:
                factor = factor * signs
            target[longer].addcmul_(taken, _over_images(factor.to(taken), taken))
        self._buffer = target
        self._nothing[1:] = self._nothing[1:] & self._nothing[:-1]
        self.through(link.split, link.shape)
        if self._count > before:
            self.rescale(before)  # the new vector, which may be fainter by any factor

    def part(self, link: Link, taken: Tensor) -> None:
        """v ← Jᵀ v where ``taken``, (V, N), else Pᵀ v."""
        assert link.residual is not None
        self.through(link.after, self._buffer.shape[2:])
        old = target = self._buffer
        if link.shortcut is not unchanged:
            target = self._zeros(link.shape, old)
            for rows in self._parts(self._count, link.shape):
                target[rows] = link.shortcut(old[rows])
        # Row j holds each image's j-th vector that takes the branch; where an image has fewer
        # than another, the spare row at the end stands in.
        each = taken.sum(0)
        row = torch.arange(int(each.max()))[:, None]
        chosen = taken.to(torch.uint8).argsort(dim=0, descending=True)[: len(row)]
        chosen = torch.where(row < each, chosen, self._count).to(old.device)
        image = torch.arange(taken.shape[1], device=old.device)
        source, goal = old.movedim(2, -1), target.movedim(2, -1)  # keeps channels last
        for rows in self._parts(len(row), link.shape):
            vectors = source[chosen[rows], image].movedim(-1, 2)
            goal[chosen[rows], image] = link.residual(vectors).movedim(2, -1)
        self._buffer = target
        self.through(link.split, link.shape)

    def _at(self, shape: torch.Size) -> Tensor:
        """The buffer itself where its examples have this shape, else one that is empty."""
        if self._buffer.shape[2:] == shape:
            return self._buffer
        return self._zeros(shape, self._buffer)

    def _zeros(self, shape: torch.Size, like: Tensor) -> Tensor:
        """(room, N, *shape), channels last where there are images."""
        n = self._exponents.shape[1]
        if len(shape) == 3:
            channels, height, width = shape
            return like.new_zeros(self._room, n, height, width, channels).movedim(-1, 2)
        return like.new_zeros(self._room, n, *shape)

    def _parts(self, count: int, shape: torch.Size) -> Iterator[slice]:
        entries = max(shape.numel(), self._buffer.shape[2:].numel())
        size = self._exponents.shape[1] * entries * self._buffer.itemsize
        room = _CALL_BYTES if self._buffer.device.type == "cpu" else _ACCELERATOR_CALL_BYTES
        step = max(1, room // size)
        for stop in range(count, 0, -step):
            yield slice(max(0, stop - step), stop)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Convolutions on a GPU in float32 as it is, not rounded to TF32's eleven bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
