"""The sentences above Compare's charts: they claim nothing that is not drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from explorer.drawing.captions import (
    error_caption,
    gate_caption,
    gradient_caption,
    lesion_caption,
)
from explorer.instruments.gates.result import GateMeans
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.lesions.result import LesionCurve
from explorer.pages.compare.predictions import Seen
from explorer.results import Prediction, TrainingCurves
from explorer.structure.cards import Trial
from explorer.writing import wording


@dataclass(frozen=True)
class Lane:
    name: str = "Plain 8"
    progress: float = 1.0
    curves: TrainingCurves | None = None
    gradients: LayerGradients | None = None
    gates: GateMeans | None = None
    lesions: LesionCurve | None = None
    lesions_step: int | None = None
    clip: tuple[float, float] | None = None
    longer: Trial | None = None
    chance: float = 0.1


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
    return LesionCurve(
        net="plain_8",
        data="digits",
        n_images=360,
        baseline_accuracy=0.5,
        units=names,
        accuracy=np.asarray(accuracy),
    )


def test_nothing_drawn_is_nothing_said() -> None:
    fresh = [Lane(), Lane(curves=curves([], [], 0.0))]
    assert error_caption(fresh) == ""
    assert gradient_caption(fresh, "parameters") == gradient_caption(fresh, "outputs") == ""
    assert gate_caption(fresh) == lesion_caption(fresh) == ""


def test_a_high_training_error_is_no_overfitting_once_it_was_trained() -> None:
    assert error_caption([Lane(curves=curves([0, 1], [], 0.0))]) == "Dotted: training batches."
    said = (
        "Plain 8: high on training images too, so this is not overfitting. Whether more steps "
        "would mend Plain 8, this training does not say."
    )
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


def test_what_more_steps_come_to_is_said_where_it_is_known() -> None:
    errors = (0.02, 0.5, 0.04)
    longer = Trial(
        steps=990, seeds=(7, 8, 9), train_loss=errors, train_error=errors, test_error=errors
    )
    said = error_caption([Lane(curves=curves([0, 9], [0, 10], 0.9), longer=longer)])
    assert said.endswith(
        "Plain 8 with more steps: training error median 4.0 %, 2.0 to 50.0 % (3 seeds, 990 steps)."
    )
    assert "does not say" not in said
    assert "990" not in error_caption([Lane(curves=curves([0, 9], [0, 10], 0.1), longer=longer)])


def test_a_net_that_learns_later_is_said_to_do_so() -> None:
    def reaching(name: str, at: int) -> Lane:
        steps = list(range(0, 101, 10))
        drawn = curves(steps, steps, 0.9)
        return Lane(
            name, curves=replace(drawn, train_error=np.where(drawn.eval_step < at, 0.9, 0.1))
        )

    said = error_caption([reaching("Plain 8", 60), reaching("ResNet 8", 20), reaching("C", 30)])
    assert said.endswith(
        "Later below 50 % training error than ResNet 8 (at step 20): Plain 8 (60)."
    )
    assert "Later" not in error_caption([reaching("Plain 8", 30), reaching("ResNet 8", 20)])


def test_clipping_is_said_where_it_acts() -> None:
    rms = np.asarray([8.0, 4.0, 4.0, 1.0, 1.0, 1.0])
    names = tuple("abcdef")
    gradients = LayerGradients("p", "digits", 9, 1.0, names, (1, 2, 3, 4, 5, 6), rms, names, rms)
    shown = [
        Lane("Plain 8", gradients=gradients, clip=(0.0016, 0.5)),
        Lane("ResNet 8", gradients=gradients, clip=(0.29, 0.29)),
        Lane("Dense", gradients=gradients, clip=(1.0, 1.0)),
    ]
    assert gradient_caption(shown, "outputs").endswith(
        " Clipping multiplied the first step's gradient by: Plain 8 0.0016, here 0.5; "
        "ResNet 8 0.29."
    )
    assert "Clipping" not in gradient_caption(shown[2:], "outputs")


def test_a_net_that_only_guesses_has_nothing_to_lose() -> None:
    guessing = replace(lesions([0.1, 0.12, 0.09]), baseline_accuracy=0.092)
    said = lesion_caption([Lane("Plain 110", lesions=guessing), Lane(lesions=lesions([0.1, 0.2]))])
    assert said.endswith(
        "Median loss in points: Plain 110 only guesses, with all blocks too; Plain 8 35.0."
    )


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1_703_185.2, "1.7·10⁶ ×"),
        (92_308_586, "9.2·10⁷ ×"),
        (1789.3, "1,790 ×"),
        (100.2, "100 ×"),
        (24.04, "24 ×"),
        (0.57, "0.57 ×"),
        (1 / 17_545, "1/17,500"),
        (1.658e-10, "1.7·10⁻¹⁰ ×"),
    ],
)
def test_ratios_have_the_digits_that_are_known(ratio: float, words: str) -> None:
    assert wording.times(ratio) == words


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("loss 9.41e+06 at the most", "loss 9.41·10⁶ at the most"),
        ("1.86e+03 at the image, 1e-05", "1,860 at the image, 10⁻⁵"),
        ("Plain 110 4.7e-07, here 1", "Plain 110 4.7·10⁻⁷, here 1"),
        ("by 28.3 %: 97.8 % right", "by 28.3\u00a0%: 97.8\u00a0% right"),
        ("tanh (× 1.05), 24 × as", "tanh (×\u00a01.05), 24\u00a0× as"),
        ("b_T = -2, from -1 to 1", "b_T = −2, from −1 to 1"),
        ("ResNet-110, 51 × 51 points", "ResNet-110, 51\u00a0×\u00a051 points"),
        ("stages.0.units.1e2 of scale-3", "stages.0.units.1e2 of scale-3"),
    ],
)
def test_sentences_are_printed_as_people_write_numbers(text: str, printed: str) -> None:
    assert wording.typeset(text) == printed
