"""Accuracy after deleting each unit (Veit16 Fig 3; SGS15 Fig 4).

Purpose: a plain net falls to chance whichever unit is missing, a residual net hardly notices.
Cost: n + 1 programs of n units on the engine, about n²/2 unit evaluations; on 360 digits about a
second. Cheaper: fewer images (``n_images``), or ``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.probes.programs import Precision, compile_program, count_correct, without
from explorer.probes.select import data_name, net_name
from explorer.results import Floats, LesionCurve


def lesion_curve(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = None,
    name: str | None = None,
    precision: Precision = "float32",
    on_progress: Callable[[LesionCurve, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LesionCurve:
    """Delete each deletable unit in turn and measure the accuracy on test images.

    Args:
        n_images: A fixed, class-balanced choice of so many test images; None takes all.
        name: What the result calls the net; None takes its token.
        on_progress: Called after each chunk of images with the curve so far (its ``n_images``
            counts those done) and the share done, in (0, 1].
        cancelled: Asked before each unit and chunk.

    Raises:
        NotApplicableError: No unit of this net can be deleted.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    units = tuple(unit.name for unit in plan.units if unit.deletable)
    if not units:
        raise NotApplicableError(
            "No unit of this net can be deleted, because each changes the shape; "
            "look at its gradients by layer instead."
        )
    intact = compile_program(plan, range(len(plan.units)))
    programs = [intact, *(compile_program(plan, without(plan, [unit])) for unit in units)]
    label, data = net_name(net) if name is None else name, data_name(dataset)

    def curve(n: int, correct: Floats) -> LesionCurve:
        accuracy = correct.sum(1) / n
        return LesionCurve(label, data, n, float(accuracy[0]), units, accuracy[1:])

    def tell(done: int, total: int, correct: Floats) -> None:
        if on_progress is not None:
            on_progress(curve(done, correct), done / total)

    correct, of_class = count_correct(
        net,
        dataset,
        programs,
        n_images=n_images,
        precision=precision,
        on_progress=tell,
        cancelled=cancelled,
    )
    return curve(int(np.sum(of_class)), correct)
