"""Loss and error of a net in evaluation mode."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.dataset import Dataset

EVAL_CHUNK = 500  # images at a time
TRAIN_SUBSET = 1000  # training images of an evaluation, at most; a quarter of a small set


def training_subset(dataset: Dataset) -> Tensor:
    """Positions of the training images that every evaluation uses, class-balanced."""
    n, classes = len(dataset.train_labels), len(dataset.info.classes)
    return dataset.balanced_train(min(TRAIN_SUBSET, max(n // 4, classes)))


@torch.no_grad()
def evaluate(
    net: nn.Module, dataset: Dataset, images: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Mean loss and share of wrong answers in evaluation mode, float32, one transfer.

    An answer that is not a number is wrong. The net's mode is as before afterwards.

    Args:
        images: uint8 (N, C, H, W), not normalised.
    """
    training = net.training
    net.eval()
    sums = []
    for start in range(0, len(labels), EVAL_CHUNK):
        wanted = labels[start : start + EVAL_CHUNK]
        logits = net(dataset.normalise(images[start : start + EVAL_CHUNK])).float()
        top, answer = logits.max(1)
        wrong = ((answer != wanted) | ~top.isfinite()).sum()
        sums.append(torch.stack([F.cross_entropy(logits, wanted, reduction="sum"), wrong.float()]))
    net.train(training)
    losses, mistakes = zip(*torch.stack(sums).tolist(), strict=True)
    return sum(losses) / len(labels), sum(mistakes) / len(labels)
