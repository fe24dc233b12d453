"""Which units carried a decision (Dhamdhere et al. 2018)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.instruments.conductance.ask import Ask
from explorer.instruments.conductance.result import UnitConductance
from explorer.instruments.contract import Job, OneImage
from explorer.measuring.decision import MAX_STEPS, TOLERANCE, Case, refinements
from explorer.nets import Net
from explorer.results.common import Floats


def measure(net: Net, data: Dataset, image: OneImage, ask: Ask, job: Job) -> UnitConductance:
    """How much of f(x) − f(x′) flows through each unit's own layers, and how much around them.

    The two are a full cut and add up to the whole (Dhamdhere et al. 2018, Eq 3); in a plain net
    all of it goes through every unit. What Captum's ``LayerConductance`` does layer by layer is
    done for all units in one pass, by the trapezoidal rule: the mean of Captum's sums from x′ to x
    and from x to x′. Steps are doubled from 64 to at most 1024 until every unit's two parts add up
    to within 1 % of the whole, or 0.01 logits.

    Cost: a forward and a backward pass of one image a step.
    """
    case = Case.of(net, data, image, ask.target, job)
    start = case.filled(ask.baseline)
    low = case.logit(start)
    for n_steps, last in refinements(ask.steps):
        branch, shortcut = _conductance(case, start, n_steps)
        result = UnitConductance(
            decision=case.decision,
            baseline=ask.baseline,
            baseline_logit=low,
            n_steps=n_steps,
            units=net.unit_names,
            branch=branch,
            shortcut=shortcut,
        )
        if last or float(np.abs(result.errors()).max()) <= TOLERANCE * max(1, abs(result.whole)):
            break
        job.tell(result, n_steps / (2 * MAX_STEPS), f"{n_steps} steps")
    return result


def _conductance(case: Case, start: Tensor, n_steps: int) -> tuple[Floats, Floats]:
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
