"""Accuracy with several units deleted: k at random (Veit16 Fig 5a), and whole stages.

Purpose: does damage grow smoothly with the number of missing units, as in an ensemble, or does
one missing unit break everything? Cost: trials · K programs, of which each shares the prefix of
the one before it up to the unit that went last. Cheaper: fewer trials or images, or
``precision="bfloat16"`` for a quick look.
"""

from __future__ import annotations

from collections.abc import Callable

from explorer.data.dataset import Dataset
from explorer.data.order import permutation
from explorer.nets import Net
from explorer.probes.programs import Precision, compile_program, without
from explorer.probes.studies import Measured, at_least, deletable_units, study
from explorer.results import LesionBand, StageLesions

MOST_TRIALS = 1000
USUAL_K = 20  # as Veit16 Fig 5a


def lesion_band(
    net: Net,
    dataset: Dataset,
    *,
    k: int | None = None,
    trials: int = 10,
    seed: int = 0,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[LesionBand, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> LesionBand:
    """Delete 1, 2, … k units at random and measure the accuracy on test images (Veit16 Fig 5a).

    Each trial draws one random order of the deletable units and deletes the first, the first
    two, and so on: within a trial the deleted sets are nested, across trials independent.

    Args:
        k: Most units deleted; None takes 20, or all where there are fewer.
        seed: Decides the orders, the same on every machine.
        n_images, train, name, precision, recalibrate, on_progress, cancelled: As of
            :func:`explorer.probes.lesions.lesion_curve`.

    Raises:
        NotApplicableError: No unit of this net can be deleted, or fewer than ``k``.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    units = deletable_units(plan)
    most = min(USUAL_K, len(units)) if k is None else k
    at_least(f"k, the units deleted of the {len(units)} that can be,", most, 1, len(units))
    at_least("The number of trials", trials, 1, MOST_TRIALS)
    deleted = tuple(
        tuple(units[i] for i in permutation(len(units), seed, trial)[:most])
        for trial in range(trials)
    )

    def band(measured: Measured) -> LesionBand:
        return LesionBand(deleted=deleted, **measured.fields(trials, most))

    return study(
        net,
        dataset,
        [
            compile_program(plan, without(plan, gone[:n]))
            for gone in deleted
            for n in range(1, most + 1)
        ],
        band,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )


def stage_lesions(
    net: Net,
    dataset: Dataset,
    *,
    n_images: int | None = None,
    train: bool = False,
    name: str | None = None,
    precision: Precision = "float32",
    recalibrate: int = 0,
    on_progress: Callable[[StageLesions, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> StageLesions:
    """Delete all units of a stage that can be deleted, stage by stage.

    What changes the shape and has no shortcut must stay, and the result names it.

    Args:
        n_images, train, name, precision, recalibrate, on_progress, cancelled: As of
            :func:`explorer.probes.lesions.lesion_curve`.

    Raises:
        NotApplicableError: No unit of this net can be deleted.
        DataError: The images do not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    plan = net.blueprint
    deletable_units(plan)
    stages, deleted, kept = [], [], []
    for stage, title in enumerate(plan.stage_names):
        inside = [unit for unit in plan.units if unit.stage == stage]
        gone = tuple(unit.name for unit in inside if unit.deletable)
        if gone:
            stages.append(title)
            deleted.append(gone)
            kept.append(tuple(unit.name for unit in inside if not unit.deletable))

    def result(measured: Measured) -> StageLesions:
        return StageLesions(
            stages=tuple(stages),
            deleted=tuple(deleted),
            kept=tuple(kept),
            **measured.fields(len(stages)),
        )

    return study(
        net,
        dataset,
        [compile_program(plan, without(plan, gone)) for gone in deleted],
        result,
        n_images=n_images,
        train=train,
        name=name,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=on_progress,
        cancelled=cancelled,
    )
