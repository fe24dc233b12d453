"""Loss and error of a net in evaluation mode.

Of one that never trained batch norms take the statistics of the evaluated images, by the rule of
all instruments (:mod:`explorer.measuring.statistics`): with running statistics of 0 and 1 the loss
before the first step would be that of a net whose batch norms do nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from explorer.data.dataset import Dataset
from explorer.measuring.statistics import measuring
from explorer.nets import Net
from explorer.results import Statistics

EVAL_CHUNK = 500  # images at a time
TRAIN_SUBSET = 1000  # training images of an evaluation, at most; a quarter of a small set


def training_subset(dataset: Dataset) -> Tensor:
    """Positions of the training images that every evaluation uses, each class in its share."""
    n, classes = len(dataset.train_labels), len(dataset.info.classes)
    return dataset.some_train(min(TRAIN_SUBSET, max(n // 4, classes)))


@torch.no_grad()
def evaluate(
    net: Net, dataset: Dataset, images: Tensor, labels: Tensor
) -> tuple[float, float, Statistics | None]:
    """Mean loss and share of wrong answers, float32, one transfer; and by which statistics.

    An answer that is not a number is wrong. The net's mode and statistics are as before
    afterwards. Cost: one forward pass; two to four of a net with batch norm that never trained.

    Args:
        images: uint8 (N, C, H, W), not normalised.
    """
    sums = []
    with measuring(net, dataset, images) as used:
        for start in range(0, len(labels), EVAL_CHUNK):
            wanted = labels[start : start + EVAL_CHUNK]
            logits = net(dataset.normalise(images[start : start + EVAL_CHUNK])).float()
            top, answer = logits.max(1)
            wrong = ((answer != wanted) | ~top.isfinite()).sum()
            loss = F.cross_entropy(logits, wanted, reduction="sum")
            sums.append(torch.stack([loss, wrong.float()]))
    losses, mistakes = zip(*torch.stack(sums).tolist(), strict=True)
    return sum(losses) / len(labels), sum(mistakes) / len(labels), used
