"""Many programs at once on one net: shared prefixes once, states side by side on the batch axis.

A program is a sequence of steps, one for each unit (:mod:`explorer.measuring.programs`). Programs
form a trie: each shared prefix is computed once a chunk of images, and states that take the same
step next ride together in one batch. All n single deletions cost about n²/2 unit evaluations
instead of n². The net itself is never touched: the engine works on a copy, in evaluation mode,
with batch norms folded where that is legal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from explorer.errors import Cancelled
from explorer.nets import Net, Unit
from explorer.nets.dense import DenseUnit
from explorer.nets.fast import activate_in_place, copied, fold_batch_norms
from explorer.nets.layers import scale_of
from explorer.nets.net import passed_by
from explorer.structure.blueprint import Shape

Precision = Literal["float32", "bfloat16"]
GateValue = float | Literal["mean"]


class Step(NamedTuple):
    """One unit of the net, applied or passed by; or applied with its gate held at a value."""

    unit: int
    bypass: bool = False
    gate: GateValue | None = None


class Engine:
    """A net made ready for programs.

    Args:
        precision: ``float32`` computes as the net is; ``bfloat16`` is for a quick look.
        fold: Merge each batch norm that directly follows a convolution or linear map into it, make
            of the others one multiplication and addition a channel, and of convolutions whose map
            is no larger than their kernel one matrix.
        mean_gates: By position of the unit, what ``Step(gate="mean")`` holds its gate at: a tensor
            of the gate's shape for one image.
    """

    def __init__(
        self,
        net: Net,
        *,
        precision: Precision = "float32",
        fold: bool = True,
        mean_gates: Mapping[int, Tensor] | None = None,
    ) -> None:
        self.plan = net.blueprint
        twin = copied(net).eval().requires_grad_(False)
        if fold:
            fold_batch_norms(twin)
            _norms_to_affine(twin)
            activate_in_place(twin, after=("conv", "linear", "batch_norm"))
            _small_maps_to_matrices(twin)
            _pad_new_maps(twin)
        if precision == "bfloat16":
            twin.to(torch.bfloat16)
        self._maps = len(self.plan.units[0].input_shape) == 3
        if self._maps:
            twin.to(memory_format=torch.channels_last)
        weight = next(twin.parameters())
        self.device, self.dtype = weight.device, weight.dtype
        self._net, self._units = twin, cast(tuple[Unit, ...], twin.units)
        self._mean_gates = mean_gates or {}
        self._held: dict[tuple[int, GateValue], Unit] = {}
        self._gone = {i for i, unit in enumerate(twin.units) if passed_by(unit)}
        self._widths = _dense_widths(self._units, [u.output_shape[0] for u in self.plan.units])
        self._entries = [self._alive(place) for place in range(len(self._units))]
        self.where = Where()

    @torch.inference_mode()
    def logits(
        self,
        images: Tensor,
        programs: Sequence[tuple[Step, ...]],
        *,
        cancelled: Callable[[], bool] | None = None,
    ) -> Tensor:
        """Logits of each program, (programs, N, classes), of one chunk of images.

        Args:
            images: (N, C, H, W), normalised.
            programs: From :func:`explorer.measuring.programs.compile_program`.
            cancelled: Asked before each unit.

        Raises:
            Cancelled: As soon as ``cancelled`` says so.
        """
        return self._run(images, schedule(programs), cancelled)

    def images_at_once(self, programs: Sequence[tuple[Step, ...]]) -> int:
        """Images of one chunk, such that all states alive at once fit the memory set aside.

        0 where not even one image's states do.
        """
        room = _STATE_BYTES if self.device.type == "cpu" else _ACCELERATOR_STATE_BYTES
        return room // self.bytes_per_image(schedule(programs))

    def bytes_per_image(self, planned: Schedule) -> int:
        """Most memory that the states of one image take: before and after some unit."""
        entries = max(
            planned.states[place] * given + planned.states[place + 1] * made
            for place, (given, made) in enumerate(self._entries)
        )
        return entries * self.dtype.itemsize

    def _alive(self, place: int) -> tuple[int, int]:
        """Entries of a state of one image before a unit, and of the memory that the unit takes."""
        unit, width = self.plan.units[place], self._widths[place]
        given, made = math.prod(unit.input_shape), math.prod(unit.output_shape)
        if not width:
            return given, made
        made = width * math.prod(unit.output_shape[1:])
        opens = place == 0 or not self._widths[place - 1]
        return (given if opens else 0), made  # a dense unit writes into the state itself

    def _states_at_once(self, place: int, images: int) -> int:
        """States in one call of a unit: enough to be efficient, few enough to stay in cache."""
        room = _CALL_BYTES if self.device.type == "cpu" else _ACCELERATOR_CALL_BYTES
        return max(1, room // (images * max(self._entries[place]) * self.dtype.itemsize))

    def _run(
        self, images: Tensor, planned: Schedule, cancelled: Callable[[], bool] | None = None
    ) -> Tensor:
        n = len(images)
        x = images.to(self.device, self.dtype)
        if self._maps:
            x = x.contiguous(memory_format=torch.channels_last)
        self.where.move(-1, (0,))
        blocks = [_Block(self._net.stem(x), (0,))]
        for place, moves in enumerate(planned.levels):
            if cancelled is not None and cancelled():
                raise Cancelled("The measurement was stopped before its end.")
            at_once = self._states_at_once(place, n)
            blocks = [
                self._take(move.step, place, block)
                for move in moves
                for block in _gather(blocks, move, n, at_once)
            ]
        answers: dict[int, Tensor] = {}
        for block in blocks:
            self.where.move(len(planned.levels), block.states)
            logits = self._net.head(block.x)
            for k, state in enumerate(block.states):
                answers[state] = logits[k * n : (k + 1) * n]
        stacked = torch.stack([answers[leaf] for leaf in planned.leaves])
        return stacked.float() if stacked.dtype == torch.bfloat16 else stacked

    def _take(self, step: Step, place: int, block: _Block) -> _Block:
        """The block after a step; its states are the children already."""
        self.where.move(place, block.states)
        if step.unit in self._gone:
            step = Step(step.unit, bypass=True)
        if self._widths[place]:
            return _Block(self._grow(step, place, block.x), block.states)
        unit = self._units[step.unit] if step.gate is None else self._held_open(step)
        y = unit.bypass(block.x) if step.bypass else unit(block.x)
        if self._maps:
            y = y.contiguous(memory_format=torch.channels_last)
        return _Block(y, block.states)

    def _grow(self, step: Step, place: int, x: Tensor) -> Tensor:
        """A dense unit on states that are as wide as their dense block will be at its end.

        New maps are written where they belong, so that nothing is concatenated. A state that is
        passed by gets memory of its own, because another may go on from where it stood.
        """
        unit = cast(DenseUnit, self._units[place])
        start, width = self.plan.units[place].input_shape[0], self._widths[place]
        if step.bypass or x.shape[1] < width:
            wide = torch.empty(
                (len(x), width, *x.shape[2:]),
                dtype=x.dtype,
                device=x.device,
                memory_format=torch.channels_last,
            )
            wide[:, :start] = x[:, :start]
            x = wide
        new = x[:, start : start + unit.growth_rate]
        if step.bypass:
            new.zero_()
        else:
            new.copy_(unit.growth(x[:, :start])[:, : unit.growth_rate])
        return x

    def _held_open(self, step: Step) -> Unit:
        """The unit with its gate held at the step's value; its other layers are shared."""
        assert step.gate is not None
        key = (step.unit, step.gate)
        if key not in self._held:
            given = self._mean_gates[step.unit] if step.gate == "mean" else step.gate
            value = torch.as_tensor(given, dtype=self.dtype, device=self.device)
            whole = cast(nn.Module, self._units[step.unit])
            unit = copy.copy(whole)
            unit._modules = dict(whole._modules)
            gate = self.plan.units[step.unit].gate
            assert gate is not None  # the program was checked
            setattr(unit, gate.rpartition(".")[2], _Held(value))
            self._held[key] = cast(Unit, unit)
        return self._held[key]


_CALL_BYTES = 4 << 20
_ACCELERATOR_CALL_BYTES = 256 << 20
_STATE_BYTES = 128 << 20
_ACCELERATOR_STATE_BYTES = 4 << 30


# ---------------------------------------------------------------------------------- the trie


class Move(NamedTuple):
    """All states that take the same step: state ``parents[k]`` becomes state ``children[k]``."""

    step: Step
    parents: tuple[int, ...]
    children: tuple[int, ...]


@dataclass(frozen=True)
class Schedule:
    """The trie of programs, level by level.

    Attributes:
        levels: The moves at each place; those of most states first.
        states: How many there are before each place, and at the end.
        leaves: Each program's last state.
    """

    levels: tuple[tuple[Move, ...], ...]
    states: tuple[int, ...]
    leaves: tuple[int, ...]


def schedule(programs: Sequence[tuple[Step, ...]]) -> Schedule:
    """The same programs give the same schedule."""
    at = [0] * len(programs)  # the state that each program is in
    levels: list[tuple[Move, ...]] = []
    counts = [1]
    for place in range(len(programs[0])):
        children: dict[tuple[int, Step], int] = {}
        for i, steps in enumerate(programs):
            edge = (at[i], steps[place])
            at[i] = children.setdefault(edge, len(children))
        by_step: dict[Step, list[tuple[int, int]]] = {}
        for (parent, step), child in children.items():
            by_step.setdefault(step, []).append((parent, child))
        moves = [
            Move(step, tuple(p for p, _ in edges), tuple(c for _, c in edges))
            for step, edges in by_step.items()
        ]
        # What most states do comes first, so that blocks of states stay as they are packed.
        levels.append(tuple(sorted(moves, key=lambda move: -len(move.children))))
        counts.append(len(children))
    return Schedule(tuple(levels), tuple(counts), tuple(at))


class _Block(NamedTuple):
    """Several states of one chunk of images, one after the other on the batch axis."""

    x: Tensor  # (states · images, …)
    states: tuple[int, ...]


def _gather(blocks: list[_Block], move: Move, n: int, at_once: int) -> Iterator[_Block]:
    """The states that take this step, packed into blocks of at most ``at_once`` states.

    A block that goes on whole is not copied; the states of the blocks returned are the children.
    """
    child_of = dict(zip(move.parents, move.children, strict=True))
    pack: list[Tensor] = []
    states: list[int] = []
    for block in blocks:
        places = [k for k, state in enumerate(block.states) if state in child_of]
        while places:
            room = at_once - len(states)
            if room == 0:
                yield _packed(pack, states)
                pack, states, room = [], [], at_once
            taken, places = places[:room], places[room:]
            pack.append(_rows(block.x, taken, n))
            states += [child_of[block.states[k]] for k in taken]
    if states:
        yield _packed(pack, states)


def _packed(pack: list[Tensor], states: list[int]) -> _Block:
    return _Block(pack[0] if len(pack) == 1 else torch.cat(pack), tuple(states))


def _rows(x: Tensor, places: list[int], n: int) -> Tensor:
    """States ``places`` of a block: a view where they stand side by side."""
    if places[-1] - places[0] == len(places) - 1:
        return x[places[0] * n : (places[-1] + 1) * n]
    return torch.cat([x[k * n : (k + 1) * n] for k in places])


# ----------------------------------------------------------------------------------- modules


class Where:
    """At which place the engine is, and with which states: for layers that must tell them apart.

    Attributes:
        place: Of the unit; −1 in the stem, the number of units in the head.
        states: One after the other on the batch axis.
    """

    def __init__(self) -> None:
        self.move(-1, (0,))

    def move(self, place: int, states: tuple[int, ...]) -> None:
        self.place, self.states = place, states


class _Held(nn.Module):
    """A gate that does not look at its input."""

    value: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        self.register_buffer("value", value)

    def forward(self, x: Tensor) -> Tensor:
        return self.value


class _Affine(nn.Module):
    """Batch norm with its statistics as they are: one factor and one summand a channel.

    Unlike torch's own it is quick on some of the channels of a wider tensor.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        ending = (1, 1) if isinstance(norm, nn.BatchNorm2d) else ()
        weight, bias, mean, var = (  # in double precision, which not every device has
            value.detach().cpu().double()
            for value in (scale_of(norm), norm.bias, norm.running_mean, norm.running_var)
        )
        scale = weight / (var + norm.eps).sqrt()
        shift = bias - mean * scale
        self.register_buffer("scale", scale.view(-1, *ending).to(norm.bias))
        self.register_buffer("shift", shift.view(-1, *ending).to(norm.bias))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, x, self.scale)


def _norms_to_affine(net: Net) -> None:
    for layer in net.blueprint.layers:
        if layer.kind == "batch_norm" and layer.chained:
            module = net.get_submodule(layer.name)
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                net.set_submodule(layer.name, _Affine(module))


class _MapMatrix(nn.Module):
    """A convolution of a map no larger than its kernel: one matrix, all pixels to all pixels.

    As few multiplications as the convolution, most of whose kernel would lie on the padding.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, given: Shape, output: Shape) -> None:
        super().__init__()
        self.output = output
        (down, across), (up, left) = conv.stride, cast(tuple[int, int], conv.padding)
        inputs, maps = given[0], output[0]
        weight = conv.weight.new_zeros(*given[1:], inputs, *output[1:], maps)
        for y, x, i, j in product(*(range(side) for side in (*given[1:], *output[1:]))):
            row, column = y - i * down + up, x - j * across + left
            if 0 <= row < conv.kernel_size[0] and 0 <= column < conv.kernel_size[1]:
                weight[y, x, :, i, j] = conv.weight[:, :, row, column].T
        self.register_buffer("weight", weight.view(math.prod(given), math.prod(output)))
        bias = None if conv.bias is None else conv.bias.repeat(math.prod(output[1:]))
        self.register_buffer("bias", bias)

    def forward(self, x: Tensor) -> Tensor:
        maps, height, width = self.output
        flat = x.permute(0, 2, 3, 1).reshape(len(x), -1)  # no copy: x is channels_last
        y = flat @ self.weight if self.bias is None else torch.addmm(self.bias, flat, self.weight)
        return y.view(len(x), height, width, maps).permute(0, 3, 1, 2)


def _small_maps_to_matrices(net: Net) -> None:
    for layer in net.blueprint.layers:
        if layer.kind != "conv" or not layer.chained:
            continue
        conv = net.get_submodule(layer.name)
        if (
            isinstance(conv, nn.Conv2d)
            and 1 < math.prod(conv.kernel_size) >= math.prod(layer.input_shape[1:])
            and conv.groups == 1
            and set(conv.dilation) == {1}
            and not isinstance(conv.padding, str)
            and conv.padding_mode == "zeros"
        ):
            matrix = _MapMatrix(conv, layer.input_shape, layer.output_shape)
            net.set_submodule(layer.name, matrix)


_LANES = 16  # float32 values in a vector register; convolutions of other numbers of maps are slow


def _pad_new_maps(net: Net) -> None:
    """Dense units whose last convolution gives maps of zeros too, up to a multiple of 16.

    A convolution to 12 maps takes up to twice as long as one to 16; :meth:`Engine._grow` takes
    the first maps alone.
    """
    for unit in net.units:
        if not isinstance(unit, DenseUnit) or not isinstance(unit.growth, nn.Sequential):
            continue
        conv, missing = unit.growth[-1], -unit.growth_rate % _LANES
        if missing and isinstance(conv, nn.Conv2d) and conv.groups == 1:
            wide = copy.copy(conv)
            wide._parameters = {
                name: None
                if values is None
                else nn.Parameter(
                    torch.cat([values, values.new_zeros(missing, *values.shape[1:])]),
                    requires_grad=False,
                )
                for name, values in conv._parameters.items()
            }
            wide.out_channels += missing
            unit.growth[-1] = wide


def _dense_widths(units: Sequence[object], outputs: Sequence[int]) -> list[int]:
    """For each dense unit the maps at the end of its run of dense units; 0 for other units."""
    widths = [0] * len(units)
    for place in reversed(range(len(units))):
        if isinstance(units[place], DenseUnit):
            goes_on = place + 1 < len(units) and widths[place + 1]
            widths[place] = widths[place + 1] if goes_on else outputs[place]
    return widths
