"""End points: what flows out of every place in a net, by name, for a batch of images.

Purpose: take any inner value and go on with it: features for another model, a comparison with
another program's net. Cost: one forward pass; every end point of the whole batch is in memory.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor

from explorer.errors import DataError
from explorer.measuring.statistics import batch_statistics
from explorer.measuring.taps import eval_mode, tap
from explorer.nets import Net
from explorer.results.statistics import Statistics
from explorer.structure.end_point_names import LOGITS, PREDICTIONS, end_points_of, program_names
from explorer.structure.graph import shape_text


def end_points(
    net: Net, images: Tensor, *, statistics: Statistics = "running", names: str = "both"
) -> dict[str, Tensor]:
    """The outputs of all places in a net for a batch, without gradients.

    Under the net's own names, in forward order: the stem, every unit (``stages.0.units.1``), every
    stage (``stages.0``), every convolution or fully connected layer inside them, ``logits`` (N,
    classes) and ``predictions``, their softmax. Maps are (N, C, H, W). A net that is a program has
    its names, too (``resnet_v2_50/block1``), of the same tensors; see
    :func:`explorer.structure.end_point_names.program_names`. Units that a training passes by have
    no inner layers here.

    Args:
        images: (N, channels, height, width), normalised as in training.
        statistics: What batch norms use: ``running``, so that the logits are what the net answers
            in evaluation, untrained or not; or those of this ``batch``, as in a training step.
            Neither changes the net.
        names: ``own``, ``program`` or ``both``.

    Raises:
        DataError: The images do not fit the net.
    """
    plan = net.blueprint
    _check(net, images, names, statistics)
    points = end_points_of(plan)
    aliases = program_names(plan) if names != "own" else {}
    modules = dict(net.named_modules())
    wanted = [point.name for point in points if point.kind == "layer"]
    wanted += [place for place in aliases.values() if place in modules]
    weight = next(net.parameters())
    found: dict[str, Tensor] = {}
    how: AbstractContextManager[object] = (
        batch_statistics(net) if statistics == "batch" else eval_mode(net)
    )
    with torch.no_grad(), how, tap(net, dict.fromkeys(wanted)) as taps:
        x = found["stem"] = net.stem(images.to(weight.device, weight.dtype))
        for unit, module in zip(plan.units, net.units, strict=True):
            x = found[unit.name] = module(x)
        found[LOGITS] = net.head(x)
    found[PREDICTIONS] = found[LOGITS].softmax(1)
    for name, outputs in taps.outputs.items():
        found.setdefault(name, outputs[0])
    last = ""
    for point in points:  # a stage's output is its last unit's
        if point.kind == "stage":
            found[point.name] = found[last]
        last = point.name if point.kind == "unit" else last
    own = {point.name: found[point.name] for point in points if point.name in found}
    theirs = {alias: found[place] for alias, place in aliases.items() if place in found}
    if names == "own" or not theirs:
        return own
    ends = {LOGITS: own[LOGITS], PREDICTIONS: own[PREDICTIONS]}
    return {**own, **theirs} if names == "both" else {**theirs, **ends}


def _check(net: Net, images: Tensor, names: str, statistics: str) -> None:
    for what, given, allowed in (
        ("names", names, ("own", "program", "both")),
        ("statistics", statistics, ("running", "batch")),
    ):
        if given not in allowed:
            raise DataError(f"{what} must be {', '.join(allowed)}, not {given!r}.")
    shape = tuple(net.spec.input_shape)
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise DataError(
            "Images are given as a tensor of fractions, normalised as in training "
            "(Dataset.normalise makes it of whole pixels)."
        )
    if images.dim() != 4 or tuple(images.shape[1:]) != shape or not len(images):
        raise DataError(
            f"The net is for batches of images of {shape_text(shape)}, (N, "
            f"{', '.join(map(str, shape))}), and these are {shape_text(tuple(images.shape))}."
        )
