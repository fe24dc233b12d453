"""What a net answers without some units, or with them in another order, image by image.

Purpose: a lesion is not only a number; which images change their answer, and which class suffers?
Cost: the intact net and the program on every image, the units before the first change shared; on
360 digits a 56-layer net answers in well under a second on one core. Cheaper: fewer images.
"""

from __future__ import annotations

import numpy as np
import torch

from explorer.data.dataset import Dataset
from explorer.instruments.by_hand.ask import Ask
from explorer.instruments.by_hand.result import Flip, ProgramAnswers
from explorer.instruments.contract import Job
from explorer.measuring.programs import Engine, compile_program
from explorer.measuring.select import data_name, net_name, some_images
from explorer.measuring.statistics import measuring
from explorer.nets import Net

SHOWN = 12  # images whose answer changed
_AT_ONCE = 256


def measure(net: Net, data: Dataset, ask: Ask, job: Job) -> ProgramAnswers:
    """Answers to test images, intact and with a program, in evaluation mode.

    Batch norm's statistics are the intact net's; see :mod:`explorer.measuring.statistics`.
    """
    plan = net.blueprint
    intact = compile_program(plan, range(len(plan.units)))
    steps = intact if ask.program is None else compile_program(plan, ask.program)
    applied = tuple(plan.units[step.unit].name for step in steps if not step.bypass)
    deleted = tuple(unit.name for unit in plan.units if unit.name not in applied)
    images, labels = some_images(net, data, ask.n_images)
    with measuring(net, data, images, cancelled=job.cancelled) as used:
        engine = Engine(net, fold=False)
    at_once = max(1, min(_AT_ONCE, engine.images_at_once([intact, steps])))
    classes = plan.spec.classes
    counts = np.zeros((3, classes), np.int64)  # images, right intact, right with the program
    broken: list[Flip] = []
    others: list[Flip] = []
    n_broken = n_mended = n_changed = done = 0

    def answers() -> ProgramAnswers:
        return ProgramAnswers(
            net=job.name or net_name(net),
            data=data_name(data),
            program=applied,
            deleted=deleted,
            of_class=counts[0].copy(),
            intact=counts[1].copy(),
            right=counts[2].copy(),
            broken=n_broken,
            mended=n_mended,
            changed=n_changed,
            flips=tuple([*broken, *others][:SHOWN]),
            statistics=used,
        )

    with torch.inference_mode():
        for pixels, true in zip(
            torch.split(images, at_once), torch.split(labels, at_once), strict=True
        ):
            logits = engine.logits(
                data.normalise(pixels).to(engine.device), [intact, steps], cancelled=job.cancelled
            )
            before, after = logits.argmax(-1).cpu()
            sure = logits[1].float().softmax(-1).amax(-1).cpu()
            truth = true.cpu()
            for row, group in enumerate((truth, truth[before == truth], truth[after == truth])):
                counts[row] += np.bincount(group.numpy(), minlength=classes)
            lost = (before == truth) & (after != truth)
            n_broken += int(lost.sum())
            n_mended += int(((before != truth) & (after == truth)).sum())
            n_changed += int((before != after).sum())
            for i in torch.nonzero(before != after).flatten().tolist():
                row_of = broken if lost[i] else others
                if len(row_of) < SHOWN:
                    row_of.append(
                        Flip(
                            picture=pixels[i].permute(1, 2, 0).cpu().numpy(),
                            true=int(truth[i]),
                            before=int(before[i]),
                            after=int(after[i]),
                            confidence=float(sure[i]),
                        )
                    )
            done += len(truth)
            job.tell(answers(), done / len(labels), f"{done:,} images")
    return answers()
