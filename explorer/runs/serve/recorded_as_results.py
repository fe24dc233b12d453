"""What a training recorded last, as instruments' results; and the names of what it recorded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.instruments.gates.result import GateMeans
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.lesions.result import LesionCurve
from explorer.results import Floats, Record
from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import ExperimentSpec


def places(plan: Blueprint, kind: str, quantity: str) -> tuple[str, ...]:
    """What the numbers of a recorded list are of (see :class:`Record`), in its order."""
    match kind, quantity:
        case "layers", "parameter_rms":
            return tuple(layer.name for layer in plan.weight_layers)
        case "layers", _:
            return tuple(unit.name for unit in plan.units)
        case "gates", _:
            return tuple(unit.name for unit in plan.gated_units)
        case "responses", _:
            inner = [*plan.stem, *(layer for unit in plan.units for layer in unit.layers)]
            weights = plan.weight_layers
            return tuple(layer.name for layer in inner if layer.depth_index and layer in weights)
        case "lesions", _:
            return tuple(unit.name for unit in plan.units if unit.deletable)
        case _:
            return ()


def notes(
    plan: Blueprint, message: str | None, origin: str | None, deleted: Sequence[str]
) -> tuple[str, ...]:
    """What was done to a net while it trained, in sentences; units by their number, from 1.

    Args:
        message: How it ended, where it did by itself.
        origin: What it was duplicated from.
        deleted: Names of the units that its training passes by.
    """
    names = [unit.name for unit in plan.units]
    gone = ", ".join(str(names.index(name) + 1) for name in deleted)
    passed = f"Trains without block{'s' * (len(deleted) > 1)} {gone}." if deleted else None
    return tuple(sentence for sentence in (message, origin, passed) if sentence)


def gradients_of(
    plan: Blueprint, spec: ExperimentSpec, record: Record | None
) -> LayerGradients | None:
    """Gradients by layer on the training batch of that step."""
    if record is None:
        return None
    return LayerGradients(
        net="",
        data=spec.data.name,
        n_images=spec.training.batch_size,
        loss=float("nan"),
        layers=places(plan, "layers", "parameter_rms"),
        depth_index=tuple(layer.depth_index or 0 for layer in plan.weight_layers),
        parameter_rms=_floats(record.values["parameter_rms"]),
        units=places(plan, "layers", "output_rms"),
        output_rms=_floats(record.values["output_rms"]),
    )


def clip_of(first: Record | None, now: Record | None) -> tuple[float, float] | None:
    """What clipping multiplied the gradient by, at the first step and at this one."""
    if first is None or now is None or "clip" not in first.values or "clip" not in now.values:
        return None
    return float(first.values["clip"]), float(now.values["clip"])


def gates_of(plan: Blueprint, spec: ExperimentSpec, record: Record | None) -> GateMeans | None:
    """Gates on the training batch of that step."""
    if record is None:
        return None
    mean = _floats(record.values["mean"])
    return GateMeans(
        net="",
        data=spec.data.name,
        n_images=spec.training.batch_size,
        units=places(plan, "gates", "mean"),
        mean=mean,
        sd=_floats(record.values.get("sd", [0.0] * len(mean))),
        bias=_floats(record.values.get("bias", [float("nan")] * len(mean))),
        gate=plan.gate_kind or "transform",
    )


def lesions_of(plan: Blueprint, spec: ExperimentSpec, record: Record | None) -> LesionCurve | None:
    """Accuracy after each deletion, where the training itself measured it."""
    if record is None:
        return None
    return LesionCurve(
        net="",
        data=spec.data.name,
        n_images=int(record.values["n"]),
        baseline_accuracy=float(record.values["baseline"]),
        units=places(plan, "lesions", "accuracy"),
        accuracy=_floats(record.values["accuracy"]),
    )


def _floats(values: list[float | None]) -> Floats:
    return np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
