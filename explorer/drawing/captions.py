"""The sentences above the charts. Each says only what the data on the screen shows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.drawing.lane import Lane
from explorer.results.common import only_guesses
from explorer.writing.wording import listed, times

HIGH_ERROR = 0.3  # share of wrong answers that we call high
LATE = 0.25  # share of a training after which a high error is worth a word
LEARNT = 0.5  # training error below which a net has begun to answer
LATER = 2.0  # times as many steps to get there that we call later
OPEN_GATE = 0.1


def error_caption(lanes: Sequence[Lane]) -> str:
    """What the training curves show, and on how many images they were measured."""
    measured = [v for v in lanes if v.curves is not None and len(v.curves.eval_step)]
    if not measured:
        begun = any(v.curves is not None and len(v.curves.step) for v in lanes)
        return "Dotted: training batches." if begun else ""
    n = measured[0].curves.n_test if measured[0].curves else 0
    text = f"Solid: {n:,} test images. Dotted: training batches."
    stuck = [v for v in measured if _stuck(v)]
    if stuck:
        text += f" {listed([v.name for v in stuck])}: high on training images too, so this is not "
        text += f"overfitting. {' '.join(_with_more_steps(stuck))}"
    return text + _later(measured)


def _with_more_steps(stuck: Sequence[Lane]) -> list[str]:
    """What longer trainings of these nets came to; or that this one does not tell."""
    said, unknown = [], []
    for view in stuck:
        if view.longer is None:
            unknown.append(view.name)
            continue
        said.append(
            f"{view.name} with more steps: training error {view.longer.words('train_error')}."
        )
    if unknown:
        said.append(f"Whether more steps would mend {listed(unknown)}, this training does not say.")
    return said


def _later(measured: Sequence[Lane]) -> str:
    """Which nets took twice the steps of the quickest, or more, to answer half of it rightly."""
    steps = {}
    for view in measured:
        curves = view.curves
        assert curves is not None
        reached = curves.eval_step[curves.train_error < LEARNT]
        if len(reached) and reached[0] > 0:
            steps[view.name] = int(reached[0])
    if len(steps) < 2:
        return ""
    first = min(steps, key=lambda name: steps[name])
    late = [f"{name} ({at:,})" for name, at in steps.items() if at >= LATER * steps[first]]
    if not late:
        return ""
    return (
        f" Later below {LEARNT:.0%} training error than {first} (at step {steps[first]:,}): "
        f"{listed(late)}."
    ).replace("50%", "50 %")


def _stuck(view: Lane) -> bool:
    curves = view.curves
    if curves is None or not len(curves.eval_step) or view.progress < LATE:
        return False
    if curves.eval_step[-1] == 0:  # it diverged before it was evaluated again
        return False
    return bool(curves.train_error[-1] > HIGH_ERROR and curves.test_error[-1] > HIGH_ERROR)


def gradient_caption(lanes: Sequence[Lane], of: str) -> str:
    """How the first layers' gradients compare with the last ones', as a ratio."""
    if all(view.gradients is None for view in lanes):
        return ""
    if of == "parameters":
        text = "Root mean square of ∂L/∂W over each layer's weights, log scale."
    else:
        text = "Root mean square of ∂ℓ/∂y over each block's output y, per image, log scale."
    parts = []
    for view in lanes:
        if view.gradients is None:
            continue
        values = (
            view.gradients.parameter_rms[np.asarray(view.gradients.depth_index) > 0]
            if of == "parameters"
            else view.gradients.output_rms
        )
        if len(values) < 6 or not np.all(np.isfinite(values)):
            continue
        first, last = float(np.median(values[:3])), float(np.median(values[-3:]))
        if first > 0 and last > 0:
            parts.append(f"{view.name} {times(first / last)}")
    text += f" First three against last three: {'; '.join(parts)}." if parts else ""
    return text + _clipped(lanes)


def _clipped(lanes: Sequence[Lane]) -> str:
    """What the recipe's clipping did to the first step, and does to the one shown."""
    acted = [v for v in lanes if v.clip is not None and min(v.clip) < 1]
    if not acted:
        return ""
    parts = []
    for view in acted:
        assert view.clip is not None
        first, now = (f"{factor:.2g}" for factor in view.clip)
        parts.append(f"{view.name} {first}" + (f", here {now}" if now != first else ""))
    return f" Clipping multiplied the first step's gradient by: {'; '.join(parts)}."


def gate_caption(lanes: Sequence[Lane]) -> str:
    """How many gates are nearly shut."""
    gated = [v for v in lanes if v.gates is not None]
    if not gated:
        return ""
    parts = []
    for view in gated:
        assert view.gates is not None
        shut = int(np.sum(view.gates.mean < OPEN_GATE))
        parts.append(f"{view.name}: {shut} of {len(view.gates.units)} blocks below {OPEN_GATE:g}")
    n = gated[0].gates.n_images if gated[0].gates else 0
    return f"Mean over {n:,} images; near 0 a block passes its input on. {'; '.join(parts)}."


def lesion_caption(lanes: Sequence[Lane]) -> str:
    """What deleting one block costs in the middle case, lane by lane."""
    measured = [v for v in lanes if v.lesions is not None and len(v.lesions.units)]
    if not measured:
        return ""
    n = measured[0].lesions.n_images if measured[0].lesions else 0
    parts = []
    for view in measured:
        curve = view.lesions
        assert curve is not None
        done = curve.accuracy[np.isfinite(curve.accuracy)]
        if not len(done):
            continue
        cost = (curve.baseline_accuracy - float(np.median(done))) * 100
        if only_guesses(curve.baseline_accuracy, curve.n_images, view.chance):
            parts.append(f"{view.name} only guesses, with all blocks too")
            continue
        when = f" (weights of step {view.lesions_step:,})" if view.lesions_step is not None else ""
        lost = f"{cost:.1f}".replace("-", "−") if abs(cost) >= 0.05 else "0"
        parts.append(f"{view.name} {lost}{when}")
    text = f"{n:,} test images; each dot is one deleted block, 95 % interval."
    return text + (f" Median loss in points: {'; '.join(parts)}." if parts else "")
