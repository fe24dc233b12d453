"""Accuracy after deleting each unit (Veit16 Fig 3; SGS15 Fig 4).

Purpose: a plain net falls to chance whichever unit is missing, a residual net hardly notices.
Cost: n + 1 programs of n units on the engine, about n²/2 unit evaluations; on 360 digits about a
second. Cheaper: fewer images (``n_images``), or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from collections.abc import Callable

from explorer.data.dataset import Dataset
from explorer.nets import Net
from explorer.probes.programs import Precision, compile_program, without
from explorer.probes.studies import Measured, deletable_units, study
from explorer.results import LesionCurve


def lesion_curve(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[LesionCurve, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LesionCurve:
    """Delete each deletable unit in turn and measure the accuracy on test or training images.

    Args:
        n_images: A fixed, class-balanced choice of so many images; None takes all.
        train: Of training images (as SGS15 Fig 4), not of test images.
        name: What the result calls the net; None takes its token.
        recalibrate: Measure batch norm's statistics anew for each deletion, on so many training
            images; 0 leaves them as trained.
        on_progress: Called after each chunk of images with the curve so far (its ``n_images``
            counts those done) and the share done, in (0, 1].
        cancelled: Asked before each unit and chunk.

    Raises:
        NotApplicableError: No unit of this net can be deleted, or there is no batch norm to
            recalibrate.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    units = deletable_units(plan)

    def curve(measured: Measured) -> LesionCurve:
        return LesionCurve(units=units, **measured.fields(len(units)))

    return study(
        net,
        dataset,
        [compile_program(plan, without(plan, [unit])) for unit in units],
        curve,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )
