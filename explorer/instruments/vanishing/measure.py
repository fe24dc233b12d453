"""Why does the gradient vanish? Activation, weight scale and padding apart, against depth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.instruments import fresh_seeds
from explorer.instruments.contract import Job
from explorer.instruments.depths import nearest_depth
from explorer.instruments.vanishing.ask import Ask
from explorer.instruments.vanishing.result import (
    PANELS,
    Cause,
    Expected,
    Layers,
    VanishingCauses,
)
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.select import data_name
from explorer.nets import create_net
from explorer.structure.mean_field import gradient_factor
from explorer.structure.names import token_of
from explorer.structure.specs import NetSpec, PlainSpec, fit, parse_net

CAUSES: dict[Layers, tuple[Cause, ...]] = {
    "conv": ("none", "sigmoid", "scale", "zeros", "tanh"),
    "fc": ("none", "sigmoid", "scale", "tanh"),
}


def measure(data: Dataset, ask: Ask, job: Job) -> VanishingCauses:
    """First layer's gradient of each net at each depth, from each seed.

    Of fresh nets that differ in one thing each: which ones lose their gradient with depth, and
    what batch norm and shortcuts do about it. Plain and residual twins start from the same
    weights.

    ``conv`` are He15's nets for small images, as plain and as residual nets; ``fc`` fully
    connected ones. Residual nets of the order ``full_preact`` have nothing but the addition
    between two units, of ``original`` an activation after each.

    Cost: one small net, one forward and one backward pass for each of five causes, with and
    without batch norm and shortcuts, at each depth, from each seed. The default, 240 nets of up to
    56 layers on digits, takes one core about 25 s, and the first of the three seeds is all there
    after a third of that. Fully connected nets take a quarter.
    """
    shape, classes = data.info.input_shape, len(data.info.classes)

    def spec_of(cause: Cause, shortcuts: bool, batch_norm: bool, depth: int) -> NetSpec:
        changes = {
            **_shared(ask.layers, ask.width),
            **_change(cause, ask.gain),
            "batch_norm": batch_norm,
        }
        family = {"family": "residual", "order": ask.order} if shortcuts else {"family": "plain"}
        if ask.layers == "fc":
            family.pop("order", None)
        net = fit(parse_net({**family, **changes, "depth": 8}), shape, classes)
        return parse_net({**net.model_dump(), "depth": nearest_depth(net, depth)})

    causes = CAUSES[ask.layers]
    # A seed's whole figure before the next seed's, shallow nets first: it is told apart soon.
    todo = [
        (seed, cause, *panel, spec_of(cause, *panel, depth))
        for seed in fresh_seeds.of(ask)
        for depth in sorted(set(ask.depths))
        for panel in PANELS
        for cause in causes
    ]
    todo = list(dict.fromkeys(todo))
    expected = tuple(_expected([spec for *_, spec in todo], causes, spec_of))
    seeds, changed, shortcuts, norms, specs = zip(*todo, strict=True)
    tokens = tuple(map(token_of, specs))
    scales: list[tuple[float, float, float]] = []
    for done, (seed, spec) in enumerate(zip(seeds, specs, strict=True), start=1):
        if job.cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        net = create_net(spec, seed=seed).to(data.device)
        found = layer_gradients(net, data, n_images=ask.n_images)
        first_layer = found.profile("parameters")[0]
        scales.append((first_layer, found.output_rms[0], found.output_rms[-1]))
        of_layer, of_first, of_last = np.asarray(scales, np.float64).T
        result = VanishingCauses(
            data=data_name(data),
            n_images=found.n_images,
            layers=ask.layers,
            gain=ask.gain,
            cause=changed[:done],
            shortcuts=shortcuts[:done],
            batch_norm=norms[:done],
            depth=tuple(one.depth for one in specs[:done]),
            seed=seeds[:done],
            net=tokens[:done],
            first_layer=of_layer,
            first_unit=of_first,
            last_unit=of_last,
            expected=expected,
            statistics="batch" if any(norms[:done]) else None,
        )
        job.tell(result, done / len(todo), f"{done} nets")
    return result


def _shared(layers: Layers, width: int | None) -> dict[str, Any]:
    """What all nets of a figure have: nothing but depth acts on their gradient."""
    if layers == "fc":
        return {"layout": "fc", "width": width or 71}
    return {"layout": "cifar", "width": width or 16, "padding": "circular"}


def _change(cause: Cause, gain: float) -> dict[str, Any]:
    changes: dict[Cause, dict[str, Any]] = {
        "none": {},
        "tanh": {"activation": "tanh"},
        "sigmoid": {"activation": "sigmoid"},
        "scale": {"init_gain": gain},
        "zeros": {"padding": "zeros"},
    }
    return changes[cause]


def _expected(
    specs: Sequence[NetSpec],
    causes: Sequence[Cause],
    spec_of: Callable[[Cause, bool, bool, int], NetSpec],
) -> Iterator[Expected]:
    """Slope over the depths of what is derived for plain nets, as that of what is measured."""
    depths = sorted({spec.depth for spec in specs})
    if len(depths) < 2:
        return
    for cause in causes:
        for norm in (False, True):
            plain = [spec_of(cause, False, norm, depth) for depth in depths]
            logs = [np.log(gradient_factor(net)) for net in plain if isinstance(net, PlainSpec)]
            yield Expected(cause, norm, float(np.exp(np.polyfit(depths, logs, 1)[0])))
