"""Accuracy without all the blocks of a stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from explorer.instruments.contract import Column, grouped
from explorer.instruments.lesion_results import ACCURACY, LesionStudy


@dataclass(frozen=True, kw_only=True)
class StageLesions(LesionStudy):
    """Accuracy after deleting all units of a stage that can be deleted.

    Attributes:
        stages: Names of the stages that were deleted; those without a deletable unit are not.
        deleted: Of each the units that went.
        kept: Of each the units that had to stay, because they change the shape.
        accuracy: (stages,).
    """

    columns = (
        Column("stage"),
        Column("deleted", "blocks deleted"),
        Column("kept", "blocks kept"),
        *ACCURACY,
    )
    together = grouped("stages", "deleted", "kept", name="stages")

    stages: tuple[str, ...]
    deleted: tuple[tuple[str, ...], ...]
    kept: tuple[tuple[str, ...], ...]

    def programs(self) -> Iterator[tuple[Any, ...]]:
        return zip(self.stages, map(len, self.deleted), map(len, self.kept), strict=True)
