"""One decision: a net (a copy, with units deleted), an image, a class whose logit is explained.

In evaluation mode, batch norm's statistics as :mod:`explorer.measuring.statistics` has them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.errors import Cancelled, DataError
from explorer.instruments.contract import Job, OneImage
from explorer.instruments.decisions import Baseline, Decision
from explorer.measuring.opened import OpenedNet
from explorer.measuring.picture import Picture, picture
from explorer.measuring.select import check_fit, data_name, net_name
from explorer.measuring.statistics import measuring
from explorer.nets import Net

Target = int | str  # a class by its name or position, ``"predicted"`` or ``"true"``
FIRST_STEPS, MAX_STEPS = 64, 1024
TOLERANCE = 0.01  # of |f(x) − f(x′)|, or of one logit where that is more
_BYTES = 256 << 20  # of activations kept for one backward pass
_ACCELERATOR_BYTES = 4 << 30
_AT_ONCE = 128


@dataclass(frozen=True, eq=False)
class Case:
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
    cancelled: Callable[[], bool]

    @staticmethod
    def of(
        net: Net,
        dataset: Dataset,
        image: OneImage,
        target: Target,
        job: Job,
    ) -> Case:
        check_fit(net, dataset)
        seen = picture(dataset, image.image)
        with measuring(net, dataset, seen.pixels[None], cancelled=job.cancelled) as used:
            opened = OpenedNet(net, image.deleted)
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
            net=job.name or net_name(net),
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
        return Case(opened, dataset, seen, x, chosen, decision, at_once, job.cancelled)

    def logits(self, x: Tensor) -> Tensor:
        """Of the net, asking first whether to go on."""
        if self.cancelled():
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
        level = 0 if baseline == "black" else 255
        filled = self.dataset.normalise(torch.full_like(self.seen.pixels[None], level))
        return filled.to(self.x.device, self.x.dtype)


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


def refinements(steps: int | None) -> Iterator[tuple[int, bool]]:
    """Numbers of steps to try in turn, and whether that is the last."""
    if steps is not None:
        yield steps, True
        return
    n = FIRST_STEPS
    while n < MAX_STEPS:
        yield n, False
        n *= 2
    yield MAX_STEPS, True
