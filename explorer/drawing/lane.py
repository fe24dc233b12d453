"""One net in training, as figures and captions see it."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.instruments.gates.result import GateMeans
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.lesions.result import LesionCurve
from explorer.results import TrainingCurves
from explorer.structure.blueprint import Blueprint
from explorer.structure.cards import Trial


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What is known of a lane at one moment.

    Attributes:
        index: From 0; decides colour, dash and marker.
        progress: Share of the training done, in [0, 1].
        gradients, gates: As measured or recorded last.
        lesions_step: Step of the weights whose lesions are shown; None for shipped weights.
        clip: What clipping multiplied the gradient by, at the first step and at the one shown;
            None where nothing clips, or nothing is known.
        longer: Trainings of the same net with more steps, where some are known.
    """

    index: int
    name: str
    plan: Blueprint
    progress: float = 0.0
    curves: TrainingCurves | None = None
    gradients: LayerGradients | None = None
    gates: GateMeans | None = None
    lesions: LesionCurve | None = None
    lesions_step: int | None = None
    clip: tuple[float, float] | None = None
    longer: Trial | None = None

    @property
    def chance(self) -> float:
        """Accuracy of guessing: a net that does no better has nothing to lose."""
        return 1 / self.plan.spec.classes

    @property
    def unit_names(self) -> tuple[str, ...]:
        return tuple(unit.name for unit in self.plan.units)
