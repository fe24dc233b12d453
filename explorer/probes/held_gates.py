"""Accuracy with gates held at a value instead of looking at their input (SGS15; He16 §3.1).

Purpose: does a gate route each image its own way, or would a constant do? T = 0 deletes a highway
unit, T = 1 leaves a plain layer, and at its mean the gate no longer depends on the image. Cost:
as many programs as values · (units + 1), and for the means one forward pass of 1,000 training
images. Cheaper: fewer images (``n_images``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.nets.net import passed_by
from explorer.probes.programs import Precision, compile_program, gate_of
from explorer.probes.studies import Measured, study
from explorer.results import GateLesions
from explorer.results.lesion_studies import GateValue


def gate_lesions(
    net: Net,
    dataset: Dataset,
    *,
    values: Sequence[GateValue] = (0.0, 1.0, "mean"),
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[GateLesions, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GateLesions:
    """Hold the gate of each unit in turn, then of all units, and measure the accuracy.

    Args:
        values: Numbers in [0, 1], or ``"mean"``: each entry of the gate at its mean over training
            images of the intact net.
        n_images, train, name, precision, recalibrate, on_progress, cancelled: As of
            :func:`explorer.probes.lesions.lesion_curve`.

    Raises:
        NotApplicableError: The net has no gates, or a value is not possible.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    gates = {
        unit.name: gate
        for unit, module in zip(plan.units, net.units, strict=True)
        if (gate := gate_of(unit)) is not None and not passed_by(module)
    }
    if not gates:
        raise NotApplicableError(
            f"A {net.spec.family} net has no gates that could be held; delete its units instead, "
            "or choose a net with gates: digits_fc_highway_50, or "
            "'resnet_v1_20;shortcut=exclusive_gating'."
        )
    if not values:
        raise NotApplicableError("Give at least one value for the gates, from 0 to 1 or 'mean'.")
    every = range(len(plan.units))
    programs = [
        compile_program(plan, every, gates=dict.fromkeys(units, value))
        for value in values
        for units in [*([unit] for unit in gates), list(gates)]
    ]
    transform = any(gate.endswith("transform_gate") for gate in gates.values())

    def result(measured: Measured) -> GateLesions:
        return GateLesions(
            units=tuple(gates),
            values=tuple(values),
            gate="transform" if transform else "shortcut",
            **measured.fields(len(values), len(gates) + 1),
        )

    return study(
        net,
        dataset,
        programs,
        result,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )
