"""The sentences above Compare's charts: they claim nothing that is not drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explorer.charts.captions import (
    error_caption,
    gate_caption,
    gradient_caption,
    lesion_caption,
)
from explorer.results import GateMeans, LayerGradients, LesionCurve, Prediction, TrainingCurves
from explorer.ui.predictions import Seen


@dataclass(frozen=True)
class Lane:
    name: str = "Plain 8"
    progress: float = 1.0
    curves: TrainingCurves | None = None
    gradients: LayerGradients | None = None
    gates: GateMeans | None = None
    lesions: LesionCurve | None = None
    lesions_step: int | None = None


def curves(steps: list[int], evals: list[int], error: float) -> TrainingCurves:
    batch, high = np.ones(len(steps)), np.full(len(evals), error)
    return TrainingCurves(
        name="Plain 8",
        step=np.asarray(steps, float),
        batch_loss=batch,
        batch_error=batch,
        eval_step=np.asarray(evals, float),
        train_loss=high,
        train_error=high,
        test_loss=high,
        test_error=high,
        n_train=500,
        n_test=360,
    )


def lesions(accuracy: list[float]) -> LesionCurve:
    names = tuple(f"stages.0.units.{i}" for i in range(len(accuracy)))
    return LesionCurve("plain_8", "digits", 360, 0.5, names, np.asarray(accuracy))


def test_nothing_drawn_is_nothing_said() -> None:
    fresh = [Lane(), Lane(curves=curves([], [], 0.0))]
    assert error_caption(fresh) == ""
    assert gradient_caption(fresh, "parameters") == gradient_caption(fresh, "outputs") == ""
    assert gate_caption(fresh) == lesion_caption(fresh) == ""


def test_a_high_training_error_is_no_overfitting_once_it_was_trained() -> None:
    assert error_caption([Lane(curves=curves([0, 1], [], 0.0))]) == "Dotted: training batches."
    said = "Plain 8: high on training images too, so this is not overfitting."
    assert error_caption([Lane(curves=curves([0, 9], [0, 10], 0.9))]).endswith(said)
    untrained = Lane(curves=curves([0, 1], [0], 0.9))  # it diverged at its second step
    early = Lane(curves=curves([0, 9], [0, 10], 0.9), progress=0.1)
    good = Lane(curves=curves([0, 9], [0, 10], 0.1))
    for lane in (untrained, early, good):
        assert error_caption([lane]) == "Solid: 360 test images. Dotted: training batches."


def test_the_median_loss_is_told_of_what_was_measured() -> None:
    start = "360 test images; each dot is one deleted block, 95 % interval."
    assert lesion_caption([Lane(lesions=lesions([0.1, 0.2, 0.4]))]) == (
        f"{start} Median loss in points: Plain 8 30.0."
    )
    better = Lane(lesions=lesions([0.6]), lesions_step=40)
    assert lesion_caption([better]).endswith("Plain 8 −10.0 (weights of step 40).")
    assert lesion_caption([Lane(lesions=lesions([np.nan]))]) == start


def test_an_answer_that_is_no_number_is_not_called_one() -> None:
    lost = Prediction("a", np.full(3, np.nan))
    sure = Prediction("b", np.asarray([0.0, 1.0, 0.0]))
    seen = Seen(1, classes=("x", "y", "z"), predictions=(lost, sure))
    assert seen.words(["A", "B"]) == "A: no answer, its numbers are not finite; B: y (100 %)."
