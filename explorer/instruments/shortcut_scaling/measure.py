"""∂E/∂x_0 in fresh nets whose shortcuts are λ·x (He16 Eq 8)."""

from __future__ import annotations

import numpy as np

from explorer.data.dataset import Dataset
from explorer.instruments.contract import Job
from explorer.instruments.shortcut_scaling.ask import Ask
from explorer.instruments.shortcut_scaling.result import ShortcutScaling, by_eq_8
from explorer.measuring.gradient_terms import gradient_terms
from explorer.nets import Net, create_net
from explorer.results.common import Floats
from explorer.structure.names import token_of
from explorer.structure.specs import NetSpec, ResidualSpec, fit, parse_net


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> ShortcutScaling:
    """∂E/∂x_0 against ∂E/∂x_L in fresh nets whose shortcuts are λ·x, for each λ (He16 Eq 8).

    They have the net's structure, but that their shortcuts are ``constant_scaling``, and their
    branches as they are (factor 1).

    Cost: about two forward and two backward passes on one batch for each λ.
    """
    shape, classes = data.info.input_shape, len(data.info.classes)
    spec = fit(net.spec, shape, classes)
    assert isinstance(spec, ResidualSpec)  # Ask.not_for refuses the others
    scales = list(dict.fromkeys((ask.scale, *ask.scales)))
    direct: list[float] = []
    whole: list[float] = []
    for done, scale in enumerate(scales, start=1):
        scaled = create_net(with_scale(spec, scale), seed=ask.seed).to(data.device)
        terms = gradient_terms(scaled, data, n_images=ask.n_images, cancelled=job.cancelled)
        assert terms.unscaled is not None
        direct.append(terms.direct[0] / terms.unscaled[0])
        whole.append(terms.whole[0] / terms.unscaled[0])
        measured: Floats = np.asarray(scales[:done], np.float64)
        result = ShortcutScaling(
            net=job.name or token_of(spec),
            data=terms.data,
            n_images=terms.n_images,
            n_units=len(terms.units),
            scale=measured,
            theory=by_eq_8(measured, len(terms.units)),
            direct=np.asarray(direct, np.float64),
            whole=np.asarray(whole, np.float64),
            statistics=terms.statistics,
        )
        job.tell(result, done / len(scales), f"λ = {scale:g}")
    return result


def with_scale(spec: ResidualSpec, scale: float) -> NetSpec:
    """The same net with shortcuts λ·x, and branches as they are."""
    changes = {"shortcut": "constant_scaling", "shortcut_scale": scale, "residual_scale": 1.0}
    return parse_net({**spec.model_dump(), **changes})
