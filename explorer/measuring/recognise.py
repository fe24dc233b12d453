"""Which net a checkpoint is of, where shapes cannot tell: tried on images.

Option A's zeros stand at the end in He15's own net and on both sides in a public re-implementation;
weights have the same names and shapes, and the wrong side answers about as well as guessing. Cost:
one forward pass of a few hundred images for each candidate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from explorer.data.dataset import Dataset
from explorer.errors import WeightsError
from explorer.measuring.match import matched
from explorer.measuring.select import data_name, some_images
from explorer.nets import Net
from explorer.nets.layouts import fits, said_of
from explorer.nets.weight_files import stored_tensors
from explorer.nets.weights import is_foreign, net_with_weights, spec_in_header
from explorer.structure.names import token_of
from explorer.structure.specs import NetSpec, ResidualSpec, fit
from explorer.structure.trained_on import TrainedOn

TRIED = 256  # images
_CHUNK = 64


def candidates(path: Path, spec: NetSpec | None = None) -> list[NetSpec]:
    """The nets that a file's weights fit.

    Args:
        spec: What a person says; then only what shapes cannot tell is open.

    Raises:
        WeightsError: There is none.
    """
    stored = stored_tensors(path)
    if spec is not None:
        return pads(spec) if is_foreign(spec, stored) else [spec]
    known = spec_in_header(stored)
    found = fits(stored.shapes) if known is None else [known]
    if not found:
        raise WeightsError(f"{said_of(stored.file, stored.shapes)}")
    return found


def pads(spec: NetSpec) -> list[NetSpec]:
    """The spec, and where option A adds zeros, the spec with these on the other side."""
    if not isinstance(spec, ResidualSpec) or spec.shortcut in ("B", "C", "conv1x1"):
        return [spec]
    sides = ("end", "both") if spec.shortcut_pad == "end" else ("both", "end")
    return [spec.model_copy(update={"shortcut_pad": side}) for side in sides]


def recognise(
    path: Path,
    specs: Sequence[NetSpec],
    dataset: Dataset | None,
    *,
    given: TrainedOn | None = None,
) -> tuple[Net, str]:
    """The net of these that the weights are of, and how that was told; empty where shapes did.

    Args:
        dataset: Tried on its test images where there are several; None: that is refused.
        given: What is known of the weights, where a person says more than their file.

    Raises:
        WeightsError: One sentence: several fit and cannot be told apart, or what differs.
    """
    if dataset is not None:
        info = dataset.info
        specs = [fit(spec, info.input_shape, spec.classes) for spec in specs]

    def opened(spec: NetSpec) -> Net:
        net = net_with_weights(spec, path).eval()
        net.trained_on = net.trained_on if given is None else given
        return net

    if len(specs) == 1:
        return opened(specs[0]), ""
    names = [token_of(spec) for spec in specs]
    listed = f"{', '.join(names[:-1])} and {names[-1]}"
    if dataset is None:
        raise WeightsError(
            f"The shapes in {path.name} fit {listed}, which compute different things: say which, "
            "or give images to try them on."
        )
    nets = [opened(spec).to(dataset.device) for spec in specs]
    right = [_right(net, dataset) for net in nets]
    n = len(right[0])
    best, *others = sorted(range(len(nets)), key=lambda i: -int(right[i].sum()))
    shares = ", ".join(
        f"{name} {100 * float(one.double().mean()):.1f} %"
        for name, one in zip(names, right, strict=True)
    )
    told = f"right of {n} test images of {data_name(dataset)}: {shares}"
    if not all(_clearly(right[best], right[other]) for other in others):
        raise WeightsError(
            f"The shapes in {path.name} fit {listed}, and images cannot tell them apart ({told}): "
            "say which it is by its name."
        )
    said = f"Shapes fit {len(nets)} nets, so that each was tried; {told}. Taken: {names[best]}."
    return nets[best], said


def _right(net: Net, dataset: Dataset) -> torch.Tensor:
    """Which of some test images a net gets right."""
    net, dataset = matched(net, dataset)
    images, labels = some_images(net, dataset, TRIED)
    found = []
    with torch.inference_mode():
        for start in range(0, len(labels), _CHUNK):
            answers = net(dataset.normalise(images[start : start + _CHUNK])).argmax(1)
            found.append(answers == labels[start : start + _CHUNK])
    return torch.cat(found)


def _clearly(more: torch.Tensor, less: torch.Tensor) -> bool:
    """Whether one net is right so much oftener than another that chance would not do it.

    McNemar's test on the images that only one of both gets right, at three standard deviations.
    """
    only = int((more & ~less).sum()), int((less & ~more).sum())
    return only[0] - only[1] > 3 * math.sqrt(sum(only))
