"""Another library's net and a person's images: the same classes, the same normalisation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch

from explorer.data.dataset import Dataset
from explorer.errors import DataError
from explorer.nets import Net
from explorer.nets.adapters import AdaptedNet
from explorer.probes.select import data_name


def matched(net: Net, dataset: Dataset) -> tuple[Net, Dataset]:
    """A net and data that the instruments take together; nets of ours are left as they are.

    Images are normalised as those that the net was trained on. Where the data has only some of
    the net's classes, by name, the net tells only these apart.

    Raises:
        DataError: The data has classes that the net does not know.
    """
    if not isinstance(net, AdaptedNet):
        return net, dataset
    return (
        telling_apart(net, dataset.info.classes, data_name(dataset)),
        normalised_for(net, dataset),
    )


def normalised_for(net: Net, dataset: Dataset) -> Dataset:
    """The data with its images normalised as those that an adapted net was trained on."""
    if not isinstance(net, AdaptedNet) or not net.external.mean:
        return dataset
    mean, std = torch.tensor(net.external.mean), torch.tensor(net.external.std)
    return replace(dataset, mean=mean.to(dataset.device), std=std.to(dataset.device))


def telling_apart(net: AdaptedNet, names: Sequence[str], data: str) -> AdaptedNet:
    """The net with answers for these classes alone, where it knows more of them by name.

    Args:
        data: What the data is called in an error.

    Raises:
        DataError: A class that the net does not know.
    """
    external = net.external
    if not external.class_names or len(names) >= external.classes:
        return net
    counts = Counter(map(_plain, external.class_names))
    places = {_plain(name): i for i, name in enumerate(external.class_names)}
    unknown = [name for name in names if counts[_plain(name)] != 1]
    if unknown:
        raise DataError(
            f"{data} has the class {unknown[0]!r}, which {external.name} does not "
            "know by that name: name the folders as ImageNet names its classes, such as "
            f"{external.class_names[0]!r}, or give all {external.classes}."
        )
    return net.for_classes([places[_plain(name)] for name in names])


def _plain(name: str) -> str:
    """``Great_white_shark`` is ``great white shark``."""
    return name.lower().replace("_", " ").strip()
