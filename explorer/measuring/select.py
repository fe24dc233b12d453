"""Which images an instrument sees, and what its result calls the net and the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from explorer.data.order import spread
from explorer.errors import DataError
from explorer.structure.graph import shape_text
from explorer.structure.names import token_of

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset
    from explorer.nets import Net


def some_images(
    net: Net, dataset: Dataset, n: int | None, *, train: bool = False, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """A fixed choice of test (or training) images, each class in its share, in a fixed order.

    The order spreads every class evenly, so that the first images are a fair sample of all, and
    a partial result means something.

    Args:
        n: How many; None, or more than there are, takes all.
        seed: Another seed, another order, and for training images another choice.

    Returns:
        uint8 images (n, C, H, W) and labels (n,).

    Raises:
        DataError: The data's images or classes are not what the net was built for.
    """
    check_fit(net, dataset)
    images = dataset.train_images if train else dataset.test_images
    labels = dataset.train_labels if train else dataset.test_labels
    if n is not None and n < 1:
        raise DataError(f"An instrument needs at least 1 image, not {n}.")
    if n is None or n >= len(labels):
        chosen = torch.arange(len(labels), device=labels.device)
    else:
        chosen = dataset.some_train(n) if train else dataset.some_test(n)
    order = spread(labels[chosen].cpu().numpy(), seed)
    chosen = chosen[torch.from_numpy(order).to(chosen.device)]
    return images[chosen], labels[chosen]


def check_fit(net: Net, dataset: Dataset) -> None:
    """Refuse data that the net was not built for.

    Raises:
        DataError: Naming both shapes and the way on.
    """
    wanted = (tuple(net.spec.input_shape), net.spec.classes)
    given = (tuple(dataset.test_images.shape[1:]), len(dataset.info.classes))
    if wanted != given:
        raise DataError(
            f"The net is for images of {shape_text(wanted[0])} and {wanted[1]} classes, and "
            f"{data_name(dataset)} has {shape_text(given[0])} and {given[1]}; choose the data that "
            "it was trained on, or a net built for these."
        )


def data_name(dataset: Dataset) -> str:
    """``digits``, ``cifar10``, …; a folder goes by its own name."""
    spec = dataset.spec
    return dataset.info.title if spec.name == "folder" else spec.name


def net_name(net: Net) -> str:
    """The token of the net: ``resnet_v2_56``, ``highway_25;transform_bias=-3``."""
    return token_of(net.spec)
