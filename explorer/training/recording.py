"""What an evaluation keeps besides losses and errors: responses and a lesion curve by unit.

Both on fixed images, so that moments of a training can be compared, and on so few that they take
about a tenth of the training's time at most. Of several seeds the first one's net is recorded.
"""

from __future__ import annotations

import math

import torch

from explorer.data.dataset import Dataset
from explorer.instruments.doors.calling import Work
from explorer.instruments.lesions.ask import Ask
from explorer.instruments.lesions.measure import measure
from explorer.measuring.responses import response_modules
from explorer.measuring.statistics import measuring
from explorer.measuring.taps import tap
from explorer.results import Record
from explorer.training.lane import Lane, short

IMAGES = 100  # each class in its share
LESIONS_SHARE = 0.1  # of the training's time, about
# Of the passes that a curve counts: units are shared by programs, batch norms folded. Measured on
# digits, one CPU thread: 0.35 (fully connected) to 0.75 (plain, 56 layers).
_ENGINE_GAIN = 0.5


@torch.inference_mode()
def responses(lane: Lane, dataset: Dataset, step: int) -> Record:
    """Standard deviation of each layer's response (He15 Fig 7) on fixed training images."""
    names = [module for _, module in response_modules(lane.net)]
    chosen = dataset.train_images[dataset.some_train(IMAGES)]
    with measuring(lane.net, dataset, chosen), tap(lane.net, names, reduce=torch.std) as taps:
        lane.net(dataset.normalise(chosen))
    # A unit that is passed by does not answer.
    nothing = torch.full((), math.nan, device=chosen.device)
    sd = torch.stack([taps.outputs.get(name, [nothing])[0].float() for name in names])
    return Record("responses", lane.index, step, {"sd": [short(x) for x in sd.tolist()]})


def lesions(lane: Lane, dataset: Dataset, step: int) -> Record:
    """Accuracy after deleting each unit, on fixed test images (Veit16 Fig 3)."""
    curve = measure(lane.net, dataset, Ask(n_images=IMAGES), Work())
    accuracy = [short(x) for x in curve.accuracy.tolist()]
    values = {"accuracy": accuracy, "baseline": curve.baseline_accuracy, "n": curve.n_images}
    return Record("lesions", lane.index, step, values)


def lesions_every(lane: Lane, dataset: Dataset, steps: int) -> int | None:
    """Of how many evaluations one has a lesion curve; None where no unit can be deleted.

    By counting, not by the clock, so that a training repeated records the same.

    Args:
        steps: Between two evaluations.
    """
    units = sum(unit.deletable for unit in lane.net.blueprint.units)
    if units == 0:
        return None
    passes = min(IMAGES, len(dataset.test_labels)) * (units / 2 + 1) * _ENGINE_GAIN
    # A step goes forward once and backward at twice the price.
    return math.ceil(passes / (3 * steps * lane.spec.batch_size * LESIONS_SHARE))
