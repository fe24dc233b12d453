"""Gradients of fresh nets against depth, family by family (He15 §4.1; SGS15 §1).

Purpose: before any training, which nets hand a gradient on to their first layer, and what batch
norm does about it. Cost: one net, one forward and one backward pass on a small batch for each
family, depth, choice of norm and seed; the default sweep of 120 nets takes one core about half a
minute on digits. Cheaper: fewer seeds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import product

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, SpecError
from explorer.names import spec_of, token_of
from explorer.nets import create_net
from explorer.probes.gradients import layer_gradients
from explorer.probes.select import data_name
from explorer.results import GradientsAtInit, InitGradient
from explorer.specs import MAX_DEPTH, NetSpec, fit, parse_net

# Circular padding, so that depth alone acts: zeros at the edges of small maps take a share of the
# gradient at every layer.
FAMILIES = tuple(
    f"{name};padding=circular"
    for name in ("plain_20", "resnet_v2_20", "highway_19", "densenet_40_k12")
)
DEPTHS = (8, 20, 32, 44, 56)


def gradients_at_init(
    dataset: Dataset,
    nets: Sequence[str | NetSpec] = FAMILIES,
    *,
    depths: Sequence[int] = DEPTHS,
    batch_norm: Sequence[bool] = (True, False),
    seeds: Sequence[int] = (0, 1, 2),
    n_images: int = 64,
    on_progress: Callable[[GradientsAtInit, float], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> GradientsAtInit:
    """Gradient scales of each net at each depth, with and without batch norm, from each seed.

    Args:
        nets: Names or specs; their depth is replaced by the possible one that is nearest to each
            of ``depths``, and they are fitted to the data.
        on_progress: Called after each net with the sweep so far and the share done.
        cancelled: Asked before each net.

    Raises:
        SpecError: A net that is not possible, or a sweep of nothing.
        DataError: The images do not fit.
        Cancelled: ``cancelled`` said so.
    """
    if not (nets and depths and batch_norm and seeds):
        raise SpecError("Give at least one net, one depth, one choice of batch norm and one seed.")
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)
    bases = [fit(spec_of(n) if isinstance(n, str) else n, shape, classes) for n in nets]
    # Shallow nets first: the figure grows from the left, and is told apart soon.
    todo: dict[tuple[NetSpec, str, int], None] = {}
    for depth, seed, norm, base in product(sorted(depths), seeds, batch_norm, bases):
        todo[_variant(base, depth, norm), family_of(base), seed] = None
    rows: list[InitGradient] = []
    images = 0
    for spec, family, seed in todo:
        if cancelled is not None and cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        net = create_net(spec, seed=seed).to(dataset.device)
        found = layer_gradients(net, dataset, n_images=n_images)
        images = found.n_images
        counted = found.profile("parameters")
        rows.append(
            InitGradient(
                family=family,
                depth=spec.depth,
                batch_norm=spec.batch_norm,
                seed=seed,
                loss=found.loss,
                first_layer=float(counted[0]),
                last_layer=float(counted[-1]),
                first_unit=float(found.output_rms[0]),
                last_unit=float(found.output_rms[-1]),
            )
        )
        if on_progress is not None:
            on_progress(
                GradientsAtInit(data_name(dataset), images, tuple(rows)), len(rows) / len(todo)
            )
    return GradientsAtInit(data_name(dataset), images, tuple(rows))


def family_of(spec: NetSpec) -> str:
    """The net's token with N for its depth, whatever its batch norm: ``resnet_v2_N;width=8``."""
    token = token_of(spec)
    token = re.sub(r";batch_norm=(true|false)", "", token)
    return re.sub(rf"_{spec.depth}(?=[_;]|$)", "_N", token, count=1)


def nearest_depth(spec: NetSpec, depth: int) -> int:
    """The depth nearest to ``depth`` that the net's family has."""
    table, rule = spec.depth_table(), spec.depth_rule()
    if table is not None:
        return min(table, key=lambda possible: abs(possible - depth))
    step, offset, least = rule or (1, 0, 2)
    most = offset + (MAX_DEPTH - offset) // step * step
    nearest = offset + round((depth - offset) / step) * step
    return max(least, min(most, nearest))


def _variant(spec: NetSpec, depth: int, batch_norm: bool) -> NetSpec:
    changes = {"depth": nearest_depth(spec, depth), "batch_norm": batch_norm}
    return parse_net({**spec.model_dump(), **changes})
