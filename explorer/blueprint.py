"""What a spec amounts to: every unit's name, layers, shapes, parameters and multiply-adds.

No torch: the server draws graphs and counts from blueprints; tests hold them equal to the nets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from explorer.specs import NetSpec

Shape = tuple[int, ...]  # (channels, height, width), or (features,)
LayerKind = Literal[
    "conv",
    "linear",
    "batch_norm",
    "activation",
    "max_pool",
    "average_pool",
    "flatten",
    "identity",
    "zero_pad",  # option A: subsample and pad channels with zeros
    "scale",
    "dropout",
    "sigmoid",
    "add",
    "gate",  # join of a highway or gated unit
    "concatenate",
    "multiply",
]
Branch = Literal["main", "residual", "shortcut", "transform_gate", "join"]


@dataclass(frozen=True)
class Layer:
    """One operation inside the stem, a unit, or the head.

    Attributes:
        name: Path of the torch module relative to the net, such as ``stages.0.units.1.conv1``;
            a join has the name of its unit and its kind, and no module.
        branch: Which side of the unit it stands on.
        parameters: Trainable values (batch norm: scale and shift).
        multiply_adds: For one image; convolutions and linear maps only.
        depth_index: 1-based position among the layers that the paper counts as depth; None for
            projections, gates, batch norm and everything without weights.
    """

    name: str
    kind: LayerKind
    branch: Branch
    input_shape: Shape
    output_shape: Shape
    parameters: int = 0
    multiply_adds: int = 0
    depth_index: int | None = None
    detail: str = ""  # "3×3, stride 2, 16→32"


@dataclass(frozen=True)
class UnitPlan:
    """One unit: what can be deleted, shuffled, clicked.

    Attributes:
        name: ``stages.1.units.3``: the torch module's path and the graph's node id.
        kind: ``plain``, ``residual``, ``highway``, ``dense`` or ``transition``.
        deletable: Whether the net still computes with this unit passed by.
        swap_group: Units with the same group (not None) may change places: they map the same
            shape to the same shape.
        shortcut: ``identity``, ``projection``, ``zero_pad``, ``gated``, ``scaled``, ``dropout``,
            ``concatenate`` or ``none``: how the graph draws it.
    """

    name: str
    kind: Literal["plain", "residual", "highway", "dense", "transition"]
    stage: int
    input_shape: Shape
    output_shape: Shape
    layers: tuple[Layer, ...]
    deletable: bool
    swap_group: str | None
    shortcut: str

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


@dataclass(frozen=True)
class Blueprint:
    """A whole net, in forward order: ``stem`` layers, ``units``, ``head`` layers."""

    spec: NetSpec
    stem: tuple[Layer, ...]
    units: tuple[UnitPlan, ...]
    head: tuple[Layer, ...]
    stage_names: tuple[str, ...] = field(default=())

    @property
    def layers(self) -> tuple[Layer, ...]:
        inner = tuple(layer for unit in self.units for layer in unit.layers)
        return self.stem + inner + self.head

    @property
    def weight_layers(self) -> tuple[Layer, ...]:
        """Convolutions and linear maps in forward order, projections and gates included."""
        return tuple(layer for layer in self.layers if layer.kind in ("conv", "linear"))

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)


def blueprint(spec: NetSpec) -> Blueprint:
    """The blueprint of a spec."""
    raise NotImplementedError
