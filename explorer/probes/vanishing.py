"""Why does the gradient vanish? Activation, weight scale and padding apart, against depth.

Purpose: of fresh nets that differ in one thing each, which ones lose their gradient with depth,
and what batch norm and shortcuts do about it. Plain and residual twins start from the same
weights. Cost: one small net, one forward and one backward pass for each of five causes, with and
without batch norm and shortcuts, at each depth, from each seed. The default, 240 nets of up to 56
layers on digits, takes one core about 25 s, and the first of the three seeds is all there after a
third of that. Fully connected nets take a quarter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, SpecError
from explorer.mean_field import gradient_factor
from explorer.names import token_of
from explorer.nets import create_net
from explorer.probes.gradients import layer_gradients
from explorer.probes.gradients_at_init import nearest_depth
from explorer.probes.select import data_name
from explorer.results import VanishingCauses, VanishingRow
from explorer.results.vanishing import PANELS, Cause, Layers
from explorer.specs import NetSpec, Order, PlainSpec, fit, parse_net

DEPTHS = (8, 20, 32, 56)
GAIN = 0.8
CAUSES: dict[Layers, tuple[Cause, ...]] = {
    "conv": ("none", "sigmoid", "scale", "zeros", "tanh"),
    "fc": ("none", "sigmoid", "scale", "tanh"),
}


def vanishing_causes(
    dataset: Dataset,
    *,
    layers: Layers = "conv",
    depths: Sequence[int] = DEPTHS,
    seeds: Sequence[int] = (0, 1, 2),
    gain: float = GAIN,
    width: int | None = None,
    order: Order = "full_preact",
    n_images: int = 32,
    on_progress: Callable[[VanishingCauses, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> VanishingCauses:
    """First layer's gradient of each net at each depth, from each seed.

    Args:
        layers: ``conv``: He15's nets for small images, as plain and as residual nets; ``fc``:
            fully connected ones, which have no padding.
        depths: The nearest possible ones are taken.
        gain: Factor on the initial weights' standard deviation where that is the cause.
        width: Filters of the first stage, or units of a layer; None takes 16, or 71.
        order: Of the residual nets: ``full_preact`` has nothing but the addition between two
            units, ``original`` an activation after each; for ``conv``.
        on_progress: Called after each net with what there is so far and the share done.
        cancelled: Asked before each net.

    Raises:
        SpecError: Nets that are not possible, or none at all.
        DataError: The images do not fit.
        Cancelled: ``cancelled`` said so.
    """
    if not (depths and seeds):
        raise SpecError("Give at least one depth and one seed.")
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)

    def spec_of(cause: Cause, shortcuts: bool, batch_norm: bool, depth: int) -> NetSpec:
        changes = {**_shared(layers, width), **_change(cause, gain), "batch_norm": batch_norm}
        family = {"family": "residual", "order": order} if shortcuts else {"family": "plain"}
        if layers == "fc":
            family.pop("order", None)
        net = fit(parse_net({**family, **changes, "depth": 8}), shape, classes)
        return parse_net({**net.model_dump(), "depth": nearest_depth(net, depth)})

    causes = CAUSES[layers]
    # A seed's whole figure before the next seed's, shallow nets first: it is told apart soon.
    todo = [
        (seed, cause, *panel, spec_of(cause, *panel, depth))
        for seed in seeds
        for depth in sorted(set(depths))
        for panel in PANELS
        for cause in causes
    ]
    todo = list(dict.fromkeys(todo))
    expected = dict(_expected([spec for *_, spec in todo], causes, spec_of))
    rows: list[VanishingRow] = []
    images = 0

    def result() -> VanishingCauses:
        return VanishingCauses(data_name(dataset), images, layers, gain, tuple(rows), expected)

    for seed, cause, shortcuts, batch_norm, spec in todo:
        if cancelled is not None and cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        net = create_net(spec, seed=seed).to(dataset.device)
        found = layer_gradients(net, dataset, n_images=n_images)
        images = found.n_images
        rows.append(
            VanishingRow(
                cause=cause,
                shortcuts=shortcuts,
                batch_norm=batch_norm,
                depth=spec.depth,
                seed=seed,
                net=token_of(spec),
                first_layer=float(found.profile("parameters")[0]),
                first_unit=float(found.output_rms[0]),
                last_unit=float(found.output_rms[-1]),
            )
        )
        if on_progress is not None:
            on_progress(result(), len(rows) / len(todo))
    return result()


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
) -> Iterator[tuple[tuple[Cause, bool], float]]:
    """Slope over the depths of what is derived for plain nets, as that of what is measured."""
    depths = sorted({spec.depth for spec in specs})
    if len(depths) < 2:
        return
    for cause in causes:
        for norm in (False, True):
            plain = [spec_of(cause, False, norm, depth) for depth in depths]
            logs = [np.log(gradient_factor(net)) for net in plain if isinstance(net, PlainSpec)]
            yield (cause, norm), float(np.exp(np.polyfit(depths, logs, 1)[0]))
