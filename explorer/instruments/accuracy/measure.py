"""How often a net is right.

Purpose: the one number that a paper or a checkpoint's maker prints, measured here. Cost: one
forward pass of the images. Cheaper: fewer images.
"""

from __future__ import annotations

import numpy as np
import torch

from explorer.data.dataset import Dataset
from explorer.instruments.accuracy.ask import Ask
from explorer.instruments.accuracy.result import Accuracy
from explorer.instruments.contract import Job
from explorer.measuring.programs import Engine, compile_program
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net

TOP = 5
_AT_ONCE = 256


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> Accuracy:
    """Right answers in evaluation mode; the data's classes are the net's."""
    images, labels = some_images(net, data, ask.n_images, train=ask.train)
    plan = net.blueprint
    whole = compile_program(plan, range(len(plan.units)))
    with measuring(net, data, images, cancelled=job.cancelled) as used:
        engine = Engine(net, fold=False)
    at_once = max(1, min(_AT_ONCE, engine.images_at_once([whole])))
    counts = np.zeros((3, plan.spec.classes), np.int64)

    def so_far() -> Accuracy:
        return Accuracy(
            net=job.name or net_name(net),
            data=data_name(data),
            images="train" if ask.train else "test",
            of_class=counts[0].copy(),
            right=counts[1].copy(),
            right_of_five=counts[2].copy(),
            statistics=used,
        )

    done = 0
    with torch.inference_mode():
        for pixels, true in zip(
            torch.split(images, at_once), torch.split(labels, at_once), strict=True
        ):
            x = data.normalise(pixels).to(engine.device)
            (logits,) = engine.logits(x, [whole], cancelled=job.cancelled)
            truth = true.cpu()
            answers = logits.float().topk(min(TOP, plan.spec.classes)).indices.cpu()
            hit = answers == truth[:, None]
            for row, group in enumerate((truth, truth[hit[:, 0]], truth[hit.any(1)])):
                counts[row] += np.bincount(group.numpy(), minlength=plan.spec.classes)
            done += len(truth)
            job.tell(so_far(), done / len(labels), f"{done:,} images")
    return so_far()
