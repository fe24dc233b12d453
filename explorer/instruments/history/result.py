"""What was recorded of every layer or unit while a net trained: layer × step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from explorer.errors import RunError
from explorer.instruments.contract import Column, Result, grouped
from explorer.results.common import Floats, floats
from explorer.results.training import Record

Quantity = Literal["parameter_rms", "output_rms", "gate_mean", "response_sd"]
WORDS: Mapping[Quantity, str] = {
    "parameter_rms": "gradients of the weights",
    "output_rms": "gradients of block outputs",
    "response_sd": "responses",
    "gate_mean": "mean gates",
}
# kind of record, its key, and what it is called where there is none
RECORDED: dict[Quantity, tuple[str, str, str]] = {
    "parameter_rms": ("layers", "parameter_rms", "gradients by layer"),
    "output_rms": ("layers", "output_rms", "gradients by layer"),
    "gate_mean": ("gates", "mean", "gates"),
    "response_sd": ("responses", "sd", "responses by layer"),
}


@dataclass(frozen=True)
class LayerHistory(Result):
    """One number of each layer (or unit) at each recorded step of a training.

    Attributes:
        quantity: ``parameter_rms`` or ``output_rms`` (as in the gradients by layer; on the
            training batch of that step), ``gate_mean`` (mean of T(x) over that batch), or
            ``response_sd`` (as in layers' responses; on fixed training images).
        layers: Layers that count as depth, or units, in forward order.
        steps: Updates done when it was measured.
        values: (rows, steps); NaN where it was not finite.
    """

    columns = (Column("layer", of="layers"),)
    together = grouped("layers", "values", name="layers")

    net: str
    data: str
    n_images: int
    quantity: Quantity
    layers: tuple[str, ...]
    steps: NDArray[np.int64]
    values: Floats

    @classmethod
    def from_records(
        cls,
        records: Iterable[Record],
        quantity: Quantity,
        rows: Sequence[str],
        *,
        net: str,
        data: str,
        n_images: int,
        kept: Sequence[int] | None = None,
        most: int = 400,
    ) -> LayerHistory:
        """The history of one lane.

        Args:
            records: Of that lane, in order of step; those of other kinds are passed over.
            kept: Which of the recorded numbers the rows are; None takes them all.
            most: Longer histories keep every second (fourth, …) record, and the last.

        Raises:
            RunError: Nothing was recorded yet.
        """
        kind, key, words = RECORDED[quantity]
        found = [record for record in records if record.kind == kind]
        if not found:
            raise RunError(f"This training has no records of {words} yet: let it run a little.")
        stride = 1
        while len(found) > most * stride:
            stride *= 2
        last = found[-1]
        found = found[::stride] if stride > 1 else found
        found = found if found[-1] is last else [*found, last]
        table = np.stack([floats(record.values[key]) for record in found], axis=1)
        return cls(
            net=net,
            data=data,
            n_images=n_images,
            quantity=quantity,
            layers=tuple(rows),
            steps=np.asarray([record.step for record in found], np.int64),
            values=table if kept is None else table[list(kept)],
        )

    def ends(self, k: int = 3) -> tuple[Floats, Floats]:
        """(steps,) each: medians of the first ``k`` rows and of the last ``k``.

        Fewer where the rows are fewer than twice that.
        """
        k = max(1, min(k, len(self.layers) // 2))
        return np.median(self.values[:k], axis=0), np.median(self.values[-k:], axis=0)

    def more_columns(self) -> Mapping[str, Any]:
        """One a step."""
        return {f"step_{step}": self.values[:, i] for i, step in enumerate(self.steps)}
