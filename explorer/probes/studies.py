"""What all lesion studies do: measure programs beside the intact net, and tell how far it got."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from explorer.blueprint import Blueprint
from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.nets import Net
from explorer.probes.engine import Precision, Step
from explorer.probes.programs import Counts, compile_program, count_correct
from explorer.probes.select import data_name, net_name
from explorer.results import ByClass, Floats, Statistics
from explorer.results.common import Split

R = TypeVar("R")


@dataclass(frozen=True)
class Measured:
    """Programs beside the intact net, as far as they are measured.

    Attributes:
        accuracy: (programs,), the intact net not among them.
    """

    net: str
    data: str
    n_images: int
    baseline_accuracy: float
    accuracy: Floats
    recalibrated: int
    statistics: Statistics | None
    by_class: ByClass
    images: Split = "test"

    def fields(self, *shape: int) -> dict[str, Any]:
        """What every study's result begins with; ``shape`` is that of its programs."""
        classes = self.by_class
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "baseline_accuracy": self.baseline_accuracy,
            "accuracy": self.accuracy.reshape(shape),
            "recalibrated": self.recalibrated,
            "images": self.images,
            "statistics": self.statistics,
            "by_class": ByClass(
                classes.names,
                classes.n_images,
                classes.baseline,
                classes.accuracy.reshape(*shape, len(classes.names)),
            ),
        }


def study(
    net: Net,
    dataset: Dataset,
    programs: Sequence[tuple[Step, ...]],
    make: Callable[[Measured], R],
    *,
    n_images: int | None,
    train: bool,
    name: str | None,
    precision: Precision,
    recalibrate: int,
    on_progress: Callable[[R, float], None] | None,
    cancelled: Callable[[], bool] | None,
) -> R:
    """The result that ``make`` builds; partial ones go to ``on_progress`` with the share done."""
    intact = compile_program(net.blueprint, range(len(net.blueprint.units)))
    label, data = net_name(net) if name is None else name, data_name(dataset)

    def made(counts: Counts) -> R:
        accuracy, per_class = counts.accuracy, counts.per_class
        names = tuple(dataset.info.classes)
        return make(
            Measured(
                label,
                data,
                counts.n_images,
                float(accuracy[0]),
                accuracy[1:],
                counts.recalibrated,
                counts.statistics,
                ByClass(names, counts.of_class, per_class[0], per_class[1:]),
                "train" if train else "test",
            )
        )

    def tell(counts: Counts) -> None:
        if on_progress is not None:
            on_progress(made(counts), counts.share_done)

    counts = count_correct(
        net,
        dataset,
        [intact, *programs],
        n_images=n_images,
        train=train,
        precision=precision,
        recalibrate=recalibrate,
        on_progress=tell,
        cancelled=cancelled,
    )
    return made(counts)


def deletable_units(plan: Blueprint) -> tuple[str, ...]:
    """Names of the units that can be deleted, in forward order.

    Raises:
        NotApplicableError: There are none.
    """
    units = tuple(unit.name for unit in plan.units if unit.deletable)
    if not units:
        raise NotApplicableError(
            "No unit of this net can be deleted, because each changes the shape; "
            "look at its gradients by layer instead."
        )
    return units


def swap_groups(plan: Blueprint) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    """Positions of the units that may change places with each other, group by group.

    Raises:
        NotApplicableError: No two units keep one and the same shape.
    """
    groups: dict[str, list[int]] = {}
    for place, unit in enumerate(plan.units):
        if unit.swap_group is not None:
            groups.setdefault(unit.swap_group, []).append(place)
    several = [np.asarray(group) for group in groups.values() if len(group) > 1]
    if not several:
        raise NotApplicableError(
            "No two units of this net keep one and the same shape, so none can change places: "
            "delete its units instead, or choose a plain, residual or highway net with more than "
            "one unit a stage, such as digits_resnet_v2_56."
        )
    return several


def at_least(what: str, given: int, least: int, most: int) -> None:
    """Refuse a number outside its range.

    Raises:
        NotApplicableError: Naming the range.
    """
    if not least <= given <= most:
        raise NotApplicableError(f"{what} is from {least} to {most}, not {given}.")
