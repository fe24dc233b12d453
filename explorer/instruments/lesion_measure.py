"""What all lesions do: measure programs beside the intact net, and tell how far it got."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.lesion_options import Ask
from explorer.instruments.lesion_results import ByClass, LesionStudy
from explorer.measuring.engine import Step
from explorer.measuring.programs import Counts, compile_program, count_correct
from explorer.measuring.select import data_name, net_name
from explorer.nets import Net
from explorer.structure.blueprint import Blueprint

R = TypeVar("R", bound=LesionStudy)


def study(
    net: Net,
    data: Dataset,
    ask: Ask,
    job: Job,
    programs: Sequence[tuple[Step, ...]],
    shape: tuple[int, ...],
    make: Callable[..., R],
) -> R:
    """The result of these programs; partial ones are told as they come.

    Args:
        shape: Of the accuracies, one per program.
        make: Of the fields that all lesions' results have, the result.

    Raises:
        NotApplicableError: There is no batch norm to recalibrate, or not in bfloat16.
        DataError: The images do not fit the net.
        Cancelled: The job was stopped.
    """
    intact = compile_program(net.blueprint, range(len(net.blueprint.units)))
    classes = tuple(data.info.classes)

    def made(counts: Counts) -> R:
        accuracy, per_class = counts.accuracy, counts.per_class
        return make(
            net=job.name or net_name(net),
            data=data_name(data),
            n_images=counts.n_images,
            baseline_accuracy=float(accuracy[0]),
            accuracy=accuracy[1:].reshape(shape),
            recalibrated=counts.recalibrated,
            by_class=ByClass(
                classes=classes,
                n_images=counts.of_class.astype(np.int64),
                baseline=per_class[0],
                accuracy=per_class[1:].reshape(*shape, len(classes)),
            ),
            images="train" if ask.train else "test",
            statistics=counts.statistics,
        )

    counts = count_correct(
        net,
        data,
        [intact, *programs],
        n_images=ask.n_images,
        train=ask.train,
        precision=ask.precision,
        recalibrate=ask.recalibrate_on if ask.recalibrate else 0,
        on_progress=lambda so_far: job.tell(
            made(so_far), so_far.share_done, f"{so_far.n_images:,} images"
        ),
        cancelled=job.cancelled,
    )
    return made(counts)


def deletable_units(plan: Blueprint) -> tuple[str, ...]:
    """Names of the units that can be deleted, in forward order."""
    return tuple(unit.name for unit in plan.units if unit.deletable)


def swap_groups(plan: Blueprint) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Positions of the units that may change places with each other, group by group."""
    groups: dict[str, list[int]] = {}
    for place, unit in enumerate(plan.units):
        if unit.swap_group is not None:
            groups.setdefault(unit.swap_group, []).append(place)
    return [np.asarray(group) for group in groups.values() if len(group) > 1]
