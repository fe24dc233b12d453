"""Which pixels, and which units, carried a decision; by Captum.

Purpose: hold the evidence of nets side by side, intact or with units deleted. What is explained
is always the logit of one class. Cost, in forward and backward passes of one image: saliency and
Grad-CAM 1, occlusion one forward pass a window, integrated gradients and conductance one a step,
doubled until they add up or ``MAX_STEPS`` is reached. Cheaper: fix ``steps``, or take Grad-CAM.

- ``saliency``: max over channels of |∂f/∂x| (Simonyan et al. 2013).
- ``integrated_gradients``: (x − x′)·∫∂f/∂x from the baseline x′ to the image, summed over channels
  (Sundararajan et al. 2017). The map adds up to f(x) − f(x′), but for the error that is stated.
- ``grad_cam``: a unit's maps weighted by their mean gradient (Selvaraju et al. 2017, Eq 1 and 2).
  The sign is kept; the paper keeps what is positive.
- ``occlusion``: by how much f falls when a window is filled with the baseline (Zeiler & Fergus
  2013), averaged where windows overlap.
- :func:`unit_conductance`: the part of f(x) − f(x′) that flows through each unit's own layers, and
  the part that passes it by (Dhamdhere et al. 2018, Eq 3). The two are a full cut and add up to the
  whole; in a plain net all of it goes through every unit.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from captum.attr import IntegratedGradients, LayerGradCam, Occlusion, Saliency
from torch import Tensor

from explorer.blueprint import Blueprint
from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, DataError, NotApplicableError
from explorer.nets import Net
from explorer.probes.opened import OpenedNet
from explorer.probes.picture import Image, Picture, picture
from explorer.probes.programs import unit_index
from explorer.probes.select import check_fit, data_name, net_name
from explorer.probes.statistics import measuring
from explorer.results import (
    METHODS,
    Attribution,
    Baseline,
    Decision,
    Floats,
    Method,
    UnitConductance,
)

Target = int | str  # a class by its name or position, ``"predicted"`` or ``"true"``
FIRST_STEPS, MAX_STEPS = 64, 1024
TOLERANCE = 0.01  # of |f(x) − f(x′)|, or of one logit where that is more
_BYTES = 256 << 20  # of activations kept for one backward pass
_ACCELERATOR_BYTES = 4 << 30
_AT_ONCE = 128


def attribute(
    net: Net,
    dataset: Dataset,
    image: Image,
    *,
    method: Method = "integrated_gradients",
    unit: str | int | None = None,
    deleted: Sequence[str | int] = (),
    target: Target = "predicted",
    baseline: Baseline = "black",
    steps: int | None = None,
    window: int | None = None,
    name: str | None = None,
    on_progress: Callable[[Attribution, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Attribution:
    """A map of evidence for one class over one image.

    Args:
        image: Position among the test images, a path, or an image file's bytes.
        unit: Of Grad-CAM: at whose output; None is the last that has maps.
        deleted: Units to leave out, as in a lesion.
        target: A class by name or position, ``"predicted"`` (by this net, with what was deleted)
            or ``"true"``.
        baseline: The image without evidence: black, white, or the training images' mean colour;
            of integrated gradients and occlusion.
        steps: Of integrated gradients; None doubles them from 64 to at most 1024 until the map
            adds up to within 1 % of f(x) − f(x′), or 0.01 logits.
        window: Side of the occluded square in pixels; None is a quarter of the image in small
            ones, an eighth in large.
        name: What the result calls the net; None takes its token.
        on_progress: Called with each refinement of integrated gradients, and the share done.
        cancelled: Asked before each pass.

    Raises:
        NotApplicableError: Grad-CAM at a unit without maps; an unknown or undeletable unit.
        DataError: No such image or class, or the image does not fit the net.
        Cancelled: ``cancelled`` said so.
    """
    if method not in METHODS:
        raise NotApplicableError(
            f"There is no method {method!r} of attribution: choose {', '.join(METHODS[:-1])} or "
            f"{METHODS[-1]}."
        )
    if unit is not None and method != "grad_cam":
        raise NotApplicableError(
            f"A unit is chosen for grad_cam alone, and {method} looks at the pixels: leave the "
            "unit out, or take grad_cam."
        )
    case = _Case.of(net, dataset, image, deleted, target, name, cancelled)
    fixed = case.filled(baseline)
    if method == "saliency":
        scores = Saliency(case.logits).attribute(case.x, target=case.target, abs=True)
        return case.result(method, scores[0].amax(0))
    if method == "grad_cam":
        index = _with_maps(net.blueprint, unit)
        layer = case.opened.unit(index)
        weighted = LayerGradCam(case.logits, layer).attribute(case.x, target=case.target)
        return replace(case.result(method, weighted[0, 0]), unit=net.blueprint.units[index].name)
    if method == "occlusion":
        return _occlusion(case, fixed, baseline, window)
    return _integrated_gradients(case, fixed, baseline, steps, on_progress)


def unit_conductance(
    net: Net,
    dataset: Dataset,
    image: Image,
    *,
    deleted: Sequence[str | int] = (),
    target: Target = "predicted",
    baseline: Baseline = "black",
    steps: int | None = None,
    name: str | None = None,
    on_progress: Callable[[UnitConductance, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> UnitConductance:
    """How much of f(x) − f(x′) flows through each unit, and how much around it.

    What Captum's ``LayerConductance`` does layer by layer is done for all units in one pass, by
    the trapezoidal rule: the mean of Captum's sums from x′ to x and from x to x′.

    Args:
        steps: None doubles them from 64 to at most 1024 until every unit's two parts add up to
            within 1 % of the whole, or 0.01 logits. See :func:`attribute` for the rest.
    """
    case = _Case.of(net, dataset, image, deleted, target, name, cancelled)
    start = case.filled(baseline)
    low = case.logit(start)
    for n_steps, last in _refinements(steps):
        branch, shortcut = _conductance(case, start, n_steps)
        result = UnitConductance(
            decision=case.decision,
            baseline=baseline,
            baseline_logit=low,
            n_steps=n_steps,
            units=net.unit_names,
            branch=branch,
            shortcut=shortcut,
        )
        if last or float(np.abs(result.errors()).max()) <= TOLERANCE * max(1, abs(result.whole)):
            break
        if on_progress is not None:
            on_progress(result, n_steps / (2 * MAX_STEPS))
    return result


# ----------------------------------------------------------------------------- one decision


@dataclass(frozen=True, eq=False)
class _Case:
    """One net (a copy, with units deleted), one image, one class.

    Attributes:
        x: (1, C, H, W), normalised.
    """

    opened: OpenedNet
    dataset: Dataset
    seen: Picture
    x: Tensor
    target: int
    decision: Decision
    at_once: int
    cancelled: Callable[[], bool] | None

    @staticmethod
    def of(
        net: Net,
        dataset: Dataset,
        image: Image,
        deleted: Sequence[str | int],
        target: Target,
        name: str | None,
        cancelled: Callable[[], bool] | None,
    ) -> _Case:
        check_fit(net, dataset)
        seen = picture(dataset, image)
        with measuring(net, dataset, seen.pixels[None], cancelled=cancelled) as used:
            opened = OpenedNet(net, deleted)
        weight = next(net.parameters())
        x = dataset.normalise(seen.pixels[None]).to(weight.device, weight.dtype)
        with torch.no_grad():
            logits = opened(x)[0].double()
        if not bool(logits.isfinite().all()):
            raise DataError(
                "The net's answer for this image is not a number, so nothing can be attributed; "
                "choose weights of a training that did not diverge."
            )
        classes = dataset.info.classes
        predicted = int(logits.argmax())
        chosen = _class(target, predicted, seen.true_class, classes)
        decision = Decision(
            net=net_name(net) if name is None else name,
            data=data_name(dataset),
            image=seen.name,
            deleted=opened.deleted,
            target=chosen,
            target_name=classes[chosen],
            predicted=predicted,
            predicted_name=classes[predicted],
            true_class=seen.true_class,
            logit=float(logits[chosen]),
            probability=float(logits.softmax(-1)[chosen]),
            statistics=used,
        )
        # Activations of one image that a backward pass needs, with as much again for gradients.
        entries = sum(math.prod(layer.output_shape) for layer in net.blueprint.layers)
        room = _BYTES if x.device.type == "cpu" else _ACCELERATOR_BYTES
        at_once = max(1, min(_AT_ONCE, room // (8 * entries)))
        x.requires_grad_()
        return _Case(opened, dataset, seen, x, chosen, decision, at_once, cancelled)

    def logits(self, x: Tensor) -> Tensor:
        """Of the net, asking first whether to go on."""
        if self.cancelled is not None and self.cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        return cast(Tensor, self.opened(x))

    def logit(self, x: Tensor) -> float:
        """f(x)."""
        with torch.no_grad():
            return float(self.logits(x)[0, self.target])

    def filled(self, baseline: Baseline) -> Tensor:
        """x′, (1, C, H, W): one colour, normalised."""
        if baseline == "mean":
            return torch.zeros_like(self.x)
        if baseline not in ("black", "white"):
            raise NotApplicableError(
                f"There is no baseline {baseline!r}: choose black, white or mean."
            )
        level = 0 if baseline == "black" else 255
        filled = self.dataset.normalise(torch.full_like(self.seen.pixels[None], level))
        return filled.to(self.x.device, self.x.dtype)

    def result(self, method: Method, values: Tensor) -> Attribution:
        return Attribution(
            decision=self.decision,
            method=method,
            picture=np.ascontiguousarray(self.seen.pixels.cpu().numpy().transpose(1, 2, 0)),
            values=np.asarray(values.detach().double().cpu(), dtype=np.float64),
        )


def _class(target: Target, predicted: int, true_class: int | None, classes: Sequence[str]) -> int:
    if target == "predicted":
        return predicted
    if target == "true":
        if true_class is None:
            raise DataError(
                "The true class of your own image is not known: choose a class by name, or the "
                "predicted one."
            )
        return true_class
    if isinstance(target, str):
        if target in classes:
            return classes.index(target)
        if not (target.isascii() and target.isdigit()):
            near = difflib.get_close_matches(target, classes, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"the first is {classes[0]!r}."
            raise DataError(f"There is no class {target[:60]!r} among {len(classes)}: {hint}")
        target = int(target[:12])
    if 0 <= target < len(classes):
        return target
    raise DataError(
        f"There is no class {target}: this data has {len(classes)}, 0 to {len(classes) - 1}."
    )


def _with_maps(plan: Blueprint, unit: str | int | None) -> int:
    """The unit at whose output Grad-CAM looks."""
    maps = [i for i, u in enumerate(plan.units) if len(u.output_shape) == 3]
    index = (maps or [0])[-1] if unit is None else unit_index(plan, unit)
    if index not in maps:
        raise NotApplicableError(
            "Grad-CAM weighs maps, and the units of a fully connected net have none: take "
            "integrated_gradients or occlusion for its pixels, or conductance for its units."
        )
    return index


# ------------------------------------------------------------------------------- the methods


def _refinements(steps: int | None) -> Iterator[tuple[int, bool]]:
    """Numbers of steps to try in turn, and whether that is the last."""
    if steps is not None:
        if steps < 1:
            raise NotApplicableError(f"An integral needs at least 1 step, not {steps}.")
        yield steps, True
        return
    n = FIRST_STEPS
    while n < MAX_STEPS:
        yield n, False
        n *= 2
    yield MAX_STEPS, True


def _integrated_gradients(
    case: _Case,
    start: Tensor,
    baseline: Baseline,
    steps: int | None,
    on_progress: Callable[[Attribution, float], None] | None,
) -> Attribution:
    low = case.logit(start)
    for n_steps, last in _refinements(steps):
        scores = IntegratedGradients(case.logits).attribute(
            case.x,
            start,
            target=case.target,
            n_steps=n_steps,
            method="riemann_middle",
            internal_batch_size=case.at_once,
        )
        result = replace(
            case.result("integrated_gradients", scores[0].double().sum(0)),
            baseline=baseline,
            baseline_logit=low,
            n_steps=n_steps,
        )
        whole = case.decision.logit - low
        if last or abs(result.error() or 0) <= TOLERANCE * max(1, abs(whole)):
            break
        if on_progress is not None:
            on_progress(result, n_steps / (2 * MAX_STEPS))
    return result


def _occlusion(case: _Case, start: Tensor, baseline: Baseline, window: int | None) -> Attribution:
    channels, height, width = case.x.shape[1:]
    side = min(height, width)
    if window is None:
        window = max(1, side // (4 if side <= _SMALL else 8))
    if not 1 <= window <= side:
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
        case.result("occlusion", scores[0, 0]),  # the same in every channel
        baseline=baseline,
        baseline_logit=case.logit(start),
        window=window,
    )


_SMALL = 64  # pixels a side


def _conductance(case: _Case, start: Tensor, n_steps: int) -> tuple[Floats, Floats]:
    """Σ ½ (∂f/∂y at both ends) · Δy over the steps from x′ to x, summed over each cut's entries.

    Of each unit's ``branch`` and ``shortcut``; 0 where it has none.
    """
    units = [case.opened.unit(i) for i in range(len(case.opened.units))]
    cuts = [cut for unit in units for cut in (unit.branch, unit.shortcut)]
    given: dict[int, Tensor] = {}

    def keep(place: int) -> Callable[[object, object, Tensor], None]:
        def after(_module: object, _inputs: object, output: Tensor) -> None:
            given[place] = output

        return after

    handles = [cut.register_forward_hook(keep(i)) for i, cut in enumerate(cuts)]
    wide = torch.float32 if case.x.device.type == "mps" else torch.float64
    total = torch.zeros(len(cuts), dtype=wide, device=case.x.device)
    alphas = torch.linspace(0, 1, n_steps + 1, dtype=case.x.dtype, device=case.x.device)
    alphas = alphas[:, None, None, None]
    chunk = max(2, case.at_once)
    try:
        for first in range(0, n_steps, chunk - 1):  # neighbours share a point
            share = alphas[first : first + chunk]
            x = (start + share * (case.x.detach() - start)).requires_grad_()
            given.clear()
            with torch.enable_grad():
                f = case.logits(x)[:, case.target].sum()
            places = sorted(given)
            gradients = torch.autograd.grad(f, [given[i] for i in places])
            for place, gradient in zip(places, gradients, strict=True):
                y = given[place].detach()
                mean = (gradient[1:] + gradient[:-1]) / 2
                total[place] += (mean * (y[1:] - y[:-1])).sum(dtype=wide)
    finally:
        for handle in handles:
            handle.remove()
    sums = np.asarray(total.cpu(), dtype=np.float64)
    return sums[0::2], sums[1::2]
