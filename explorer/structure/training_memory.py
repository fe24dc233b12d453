"""How much memory a training step takes, from the blueprint alone.

What a step holds at its peak is the weights, their gradients, the optimiser's own values, and what
the forward pass keeps for the backward pass: a convolution, a linear map and a batch norm keep
their input, an activation its output, a gate what it multiplies. Depth is paid for in the latter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from explorer.structure.blueprint import Blueprint, Layer
from explorer.structure.specs import TrainSpec

_FLOAT = 4  # bytes; the weights stay float32 under autocast, too
_INDEX = 8
_KEEPS_INPUT = {"conv", "linear", "batch_norm", "max_pool", "average_pool"}
_KEEPS_OUTPUT = {"activation", "sigmoid"}
# Values of its own that an optimiser keeps for each weight.
_SLOTS = {"sgd": 1, "nesterov": 1, "adam": 2, "adamw": 2}


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes at the peak of one float32 training step, without what the libraries themselves need.

    Attributes:
        weights: Parameters, their gradients and the optimiser's values.
        kept: What the forward pass keeps for the backward pass, for the whole batch.
    """

    weights: int
    kept: int

    @property
    def total(self) -> int:
        return self.weights + self.kept


def training_memory(plan: Blueprint, training: TrainSpec) -> TrainingMemory:
    """Of one lane with this recipe's batch size and optimiser."""
    slots = _SLOTS[training.optimizer]
    if slots == 1 and training.momentum == 0:
        slots = 0
    return TrainingMemory(
        weights=plan.parameters * _FLOAT * (2 + slots),
        kept=kept_bytes(plan) * training.batch_size,
    )


def kept_bytes(plan: Blueprint) -> int:
    """Bytes that the forward pass of one image keeps for the backward pass."""
    walk = _Walk()
    walk.through(plan.stem)
    for unit in plan.units:
        walk.through(unit.layers)
    walk.through(plan.head)
    return walk.total


def _padded(layer: Layer) -> int:
    """Values of a convolution's input with its margin."""
    margin = 2 * (int(layer.detail.partition("×")[0]) // 2)
    channels, height, width = layer.input_shape
    return channels * (height + margin) * (width + margin)


class _Walk:
    """Follows the tensors through the layers; each is counted once, however many keep it."""

    def __init__(self) -> None:
        self.total = 0
        self._tensor = 0  # the present one's number
        self._kept: set[int] = set()
        self._made = 0

    def through(self, layers: tuple[Layer, ...]) -> None:
        """The layers of a stem, a unit or a head, whose branches begin at the same tensor."""
        start, ends = self._tensor, dict[str, tuple[int, int]]()
        branch = layers[0].branch if layers else "main"
        for layer in layers:
            if layer.branch != branch:
                branch = layer.branch
                if branch != "join":
                    # A branch goes on where the common layers before the split ended.
                    self._tensor = ends["main"][0] if "main" in ends else start
            if layer.kind == "conv" and layer.detail.count(" padding"):
                self._keep_size(self._new(), _padded(layer))  # its input's copy with a margin
            elif layer.kind in _KEEPS_INPUT:
                self._keep(self._tensor, layer.input_shape)
            if layer.kind == "gate":  # y = T · H + (1 − T) · x keeps T, H, 1 − T and x
                for tensor, size in ends.values():
                    self._keep_size(tensor, size)
                self._keep_size(self._new(), math.prod(layer.output_shape))
                self._keep(start, layer.output_shape)
            self._tensor = (
                self._new() if layer.kind not in ("identity", "flatten") else self._tensor
            )
            if layer.kind in _KEEPS_OUTPUT:
                self._keep(self._tensor, layer.output_shape)
            if layer.kind == "max_pool":
                self.total += _INDEX * math.prod(layer.output_shape)
            ends[branch] = (self._tensor, math.prod(layer.output_shape))

    def _new(self) -> int:
        self._made += 1
        return self._made

    def _keep(self, tensor: int, shape: tuple[int, ...]) -> None:
        self._keep_size(tensor, math.prod(shape))

    def _keep_size(self, tensor: int, entries: int) -> None:
        if tensor not in self._kept:
            self._kept.add(tensor)
            self.total += _FLOAT * entries
