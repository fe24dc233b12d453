"""What a net answers: class probabilities, of the intact net or of one with units deleted.

Cost: one forward pass.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from explorer.measuring.programs import Engine, Program, compile_program
from explorer.measuring.statistics import measuring_these
from explorer.nets import Net
from explorer.results import Floats


def predict(net: Net, images: Tensor, *, program: Program | None = None) -> Floats:
    """Softmax of the logits: (N, classes), each row sums to 1.

    In a net that never trained, batch norms take the statistics of these images; where those are
    few, call it inside of :func:`explorer.measuring.statistics.measuring`.

    Args:
        images: (N, C, H, W), normalised as the net was trained.
        program: Units to apply, in this order; None is the intact net.

    Raises:
        NotApplicableError: A program that is not possible.
    """
    plan = net.blueprint
    steps = compile_program(plan, range(len(plan.units)) if program is None else program)
    with measuring_these(net, images.to(next(net.parameters()).device)):
        engine = Engine(net, fold=False)
    logits = engine.logits(images, [steps])[0]
    return np.asarray(logits.double().softmax(-1).cpu(), dtype=np.float64)
