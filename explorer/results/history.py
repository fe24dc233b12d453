"""What was recorded of every layer or unit while a net trained: layer × step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from explorer.errors import RunError
from explorer.results.common import Floats, floats
from explorer.results.training import Record

if TYPE_CHECKING:
    import pandas as pd

Quantity = Literal["parameter_rms", "output_rms", "gate_mean", "response_sd"]
# kind of record, its key, and what it is called where there is none
RECORDED: dict[Quantity, tuple[str, str, str]] = {
    "parameter_rms": ("layers", "parameter_rms", "gradients by layer"),
    "output_rms": ("layers", "output_rms", "gradients by layer"),
    "gate_mean": ("gates", "mean", "gates"),
    "response_sd": ("responses", "sd", "responses by layer"),
}


@dataclass(frozen=True)
class LayerHistory:
    """One number of each layer (or unit) at each recorded step of a training.

    Attributes:
        quantity: ``parameter_rms`` or ``output_rms`` (see :class:`LayerGradients`; on the
            training batch of that step), ``gate_mean`` (mean of T(x) over that batch), or
            ``response_sd`` (see :class:`LayerResponses`; on fixed training images).
        rows: Layers that count as depth, or units, in forward order.
        steps: Updates done when it was measured.
        values: (rows, steps); NaN where it was not finite.
    """

    net: str
    data: str
    n_images: int
    quantity: Quantity
    rows: tuple[str, ...]
    steps: Floats
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
            rows=tuple(rows),
            steps=np.asarray([record.step for record in found], np.float64),
            values=table if kept is None else table[list(kept)],
        )

    def ends(self, k: int = 3) -> tuple[Floats, Floats]:
        """(steps,) each: medians of the first ``k`` rows and of the last ``k``.

        Fewer where the rows are fewer than twice that.
        """
        k = max(1, min(k, len(self.rows) // 2))
        return np.median(self.values[:k], axis=0), np.median(self.values[-k:], axis=0)

    def to_frame(self) -> pd.DataFrame:
        """One column a step."""
        import pandas as pd

        table = pd.DataFrame(self.values, columns=[f"step_{int(step)}" for step in self.steps])
        table.insert(0, "layer", list(self.rows))
        return table

    def to_json(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "data": self.data,
            "n_images": self.n_images,
            "quantity": self.quantity,
            "steps": [int(step) for step in self.steps],
            "layers": [
                {"name": name, "values": row.tolist()}
                for name, row in zip(self.rows, self.values, strict=True)
            ],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LayerHistory:
        table = [floats(row["values"]) for row in value["layers"]]
        return cls(
            net=value["net"],
            data=value["data"],
            n_images=int(value["n_images"]),
            quantity=value["quantity"],
            rows=tuple(row["name"] for row in value["layers"]),
            steps=floats(value["steps"]),
            values=np.asarray(table, np.float64).reshape(len(table), len(value["steps"])),
        )
