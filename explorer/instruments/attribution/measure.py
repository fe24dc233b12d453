"""Which pixels carried a decision, by Captum."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion, Saliency
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import NotApplicableError
from explorer.instruments.attribution.ask import Ask, Method
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.contract import Job, OneImage
from explorer.instruments.decisions import Baseline
from explorer.measuring.decision import MAX_STEPS, TOLERANCE, Case, refinements
from explorer.measuring.programs import unit_index
from explorer.nets import Net
from explorer.structure.blueprint import Blueprint

_SMALL = 64  # pixels a side


def measure(net: Net, data: Dataset, image: OneImage, ask: Ask, job: Job) -> Attribution:
    """A map of evidence for one class over one image; what is explained is that class's logit.

    - ``saliency``: max over channels of |∂f/∂x| (Simonyan et al. 2013).
    - ``integrated_gradients``: (x − x′)·∫∂f/∂x from the baseline x′ to the image, summed over
      channels (Sundararajan et al. 2017). The map adds up to f(x) − f(x′), but for the error that
      is stated; steps are doubled from 64 to at most 1024 until it is within 1 %, or 0.01 logits.
    - ``grad_cam``: a unit's maps weighted by their mean gradient (Selvaraju et al. 2017, Eq 1 and
      2). The sign is kept; the paper keeps what is positive.
    - ``occlusion``: by how much f falls when a window is filled with the baseline (Zeiler & Fergus
      2013), averaged where windows overlap; its side is a quarter of small images, an eighth of
      large ones.

    Cost, in forward and backward passes of one image: saliency and Grad-CAM 1, occlusion one
    forward pass a window, integrated gradients one a step.
    """
    case = Case.of(net, data, image, ask.target, job)
    if ask.method == "saliency":
        scores = Saliency(case.logits).attribute(case.x, target=case.target, abs=True)
        return _result(case, ask.method, scores[0].amax(0))
    if ask.method == "grad_cam":
        index = _with_maps(net.blueprint, ask.unit)
        layer = case.opened.unit(index)
        weighted = LayerGradCam(case.logits, layer).attribute(case.x, target=case.target)
        found = _result(case, ask.method, weighted[0, 0])
        return replace(found, unit=net.blueprint.units[index].name)
    start = case.filled(ask.baseline)
    if ask.method == "occlusion":
        return _occlusion(case, start, ask.baseline, ask.window)
    return _integrated_gradients(case, start, ask.baseline, ask.steps, job)


def _result(case: Case, method: Method, values: Tensor) -> Attribution:
    return Attribution(
        decision=case.decision,
        method=method,
        picture=case.seen.array(),
        values=np.asarray(values.detach().double().cpu(), dtype=np.float64),
    )


def _with_maps(plan: Blueprint, unit: str | int | None) -> int:
    """The unit at whose output Grad-CAM looks."""
    maps = [i for i, u in enumerate(plan.units) if len(u.output_shape) == 3]
    index = (maps or [0])[-1] if unit is None else unit_index(plan, unit)
    if index not in maps:
        raise NotApplicableError(
            "Grad-CAM weighs maps, and these units give features or tokens instead: take "
            "integrated_gradients or occlusion for its pixels, or conductance for its units."
        )
    return index


def _integrated_gradients(
    case: Case,
    start: Tensor,
    baseline: Baseline,
    steps: int | None,
    job: Job,
) -> Attribution:
    low = case.logit(start)
    for n_steps, last in refinements(steps):
        scores = IntegratedGradients(case.logits).attribute(
            case.x,
            start,
            target=case.target,
            n_steps=n_steps,
            method="riemann_middle",
            internal_batch_size=case.at_once,
        )
        result = replace(
            _result(case, "integrated_gradients", scores[0].double().sum(0)),
            baseline=baseline,
            baseline_logit=low,
            n_steps=n_steps,
        )
        whole = case.decision.logit - low
        if last or abs(result.error() or 0) <= TOLERANCE * max(1, abs(whole)):
            break
        job.tell(result, n_steps / (2 * MAX_STEPS), f"{n_steps} steps")
    return result


def _occlusion(case: Case, start: Tensor, baseline: Baseline, window: int | None) -> Attribution:
    channels, height, width = case.x.shape[1:]
    side = min(height, width)
    if window is None:
        window = max(1, side // (4 if side <= _SMALL else 8))
    if window > side:
        raise NotApplicableError(
            f"A window of {window} pixels does not fit an image of {height}×{width}: choose 1 to "
            f"{side}."
        )
    step = max(1, window // 2)
    with torch.no_grad():
        scores = Occlusion(case.logits).attribute(
            case.x,
            sliding_window_shapes=(channels, window, window),
            strides=(channels, step, step),
            baselines=start,
            target=case.target,
            perturbations_per_eval=case.at_once,
        )
    return replace(
        _result(case, "occlusion", scores[0, 0]),  # the same in every channel
        baseline=baseline,
        baseline_logit=case.logit(start),
        window=window,
    )
