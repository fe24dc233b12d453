"""Gradients of fresh nets against depth, family by family (He15 §4.1; SGS15 §1)."""

from __future__ import annotations

import re
from itertools import product

import numpy as np

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled
from explorer.instruments import fresh_seeds
from explorer.instruments.contract import Job
from explorer.instruments.depths import nearest_depth
from explorer.instruments.gradients.result import LayerGradients
from explorer.instruments.gradients_at_init.ask import NORMS, Ask
from explorer.instruments.gradients_at_init.result import GradientsAtInit
from explorer.measuring.gradients import layer_gradients
from explorer.measuring.select import data_name
from explorer.nets import create_net
from explorer.structure.names import token_of
from explorer.structure.specs import NetSpec, fit, parse_net


def measure(data: Dataset, ask: Ask, job: Job) -> GradientsAtInit:
    """Gradient scales of each net at each depth, with and without batch norm, from each seed.

    Before any training: which nets hand a gradient on to their first layer, and what batch norm
    does about it.

    Cost: one net, one forward and one backward pass on a small batch for each family, depth,
    choice of norm and seed; the default sweep of 120 nets takes one core about half a minute on
    digits. Cheaper: fewer seeds.
    """
    shape, classes = data.info.input_shape, len(data.info.classes)
    bases = [fit(spec, shape, classes) for spec in ask.specs()]
    # Shallow nets first: the figure grows from the left, and is told apart soon.
    todo: dict[tuple[NetSpec, str, int], None] = {}
    norms = NORMS[ask.batch_norm]
    for depth, seed, norm, base in product(sorted(ask.depths), fresh_seeds.of(ask), norms, bases):
        todo[_variant(base, depth, norm), family_of(base), seed] = None
    measured: list[tuple[str, NetSpec, int, LayerGradients]] = []
    for spec, family, seed in todo:
        if job.cancelled():
            raise Cancelled("The measurement was stopped before its end.")
        net = create_net(spec, seed=seed).to(data.device)
        found = layer_gradients(net, data, n_images=ask.n_images)
        measured.append((family, spec, seed, found))
        result = _table(data_name(data), measured)
        job.tell(result, len(measured) / len(todo), f"{len(measured)} nets")
    return result


def _table(data: str, measured: list[tuple[str, NetSpec, int, LayerGradients]]) -> GradientsAtInit:
    families, specs, seeds, found = zip(*measured, strict=True)
    counted = [one.profile("parameters") for one in found]
    norms = tuple(spec.batch_norm for spec in specs)
    return GradientsAtInit(
        data=data,
        n_images=found[-1].n_images,
        family=families,
        depth=tuple(spec.depth for spec in specs),
        batch_norm=norms,
        seed=seeds,
        loss=np.asarray([one.loss for one in found], np.float64),
        first_layer=np.asarray([values[0] for values in counted], np.float64),
        last_layer=np.asarray([values[-1] for values in counted], np.float64),
        first_unit=np.asarray([one.output_rms[0] for one in found], np.float64),
        last_unit=np.asarray([one.output_rms[-1] for one in found], np.float64),
        statistics="batch" if any(norms) else None,
    )


def family_of(spec: NetSpec) -> str:
    """The net's token with N for its depth, whatever its batch norm: ``resnet_v2_N;width=8``."""
    token = token_of(spec)
    token = re.sub(r";batch_norm=(true|false)", "", token)
    return re.sub(rf"_{spec.depth}(?=[_;]|$)", "_N", token, count=1)


def _variant(spec: NetSpec, depth: int, batch_norm: bool) -> NetSpec:
    changes = {"depth": nearest_depth(spec, depth), "batch_norm": batch_norm}
    return parse_net({**spec.model_dump(), **changes})
