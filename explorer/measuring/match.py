"""A net and a person's images: the same classes, the same normalisation. One rule for all doors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from explorer.data.dataset import Dataset
from explorer.errors import DataError
from explorer.measuring.select import data_name, net_name
from explorer.nets import Net


def matched(net: Net, dataset: Dataset) -> tuple[Net, Dataset]:
    """A net and data that the instruments take together.

    Images are normalised as those that the net was trained on, where that is known. Where the
    data has only some of the net's classes, by name, or has them in another order, the net tells
    these apart, in the data's order.

    Raises:
        DataError: The data has classes that the net does not know.
    """
    return (
        telling_apart(net, dataset.info.classes, data_name(dataset)),
        normalised_for(net, dataset),
    )


def normalised_for(net: Net, dataset: Dataset) -> Dataset:
    """The data with its images normalised as those that the net was trained on."""
    known = net.trained_on
    return dataset if known is None else dataset.normalised_by(known.mean, known.std)


def telling_apart(net: Net, names: Sequence[str], data: str) -> Net:
    """The net with answers for these classes, where it knows them by name.

    As many classes under other names are taken by their places.

    Args:
        data: What the data is called in an error.

    Raises:
        DataError: A class that the net does not know.
    """
    own = () if net.trained_on is None else net.trained_on.classes
    counts = Counter(map(_plain, own))
    places = {_plain(name): i for i, name in enumerate(own)}
    unknown = [name for name in names if counts[_plain(name)] != 1]
    if len(own) != net.spec.classes or (unknown and len(names) >= len(own)):
        return net
    if unknown:
        raise DataError(
            f"{data} has the class {unknown[0]!r}, which {net_name(net)} does not "
            f"know by that name: name the folders as its classes are named, such as {own[0]!r}, "
            f"or give all {len(own)}."
        )
    chosen = [places[_plain(name)] for name in names]
    return net if chosen == list(range(len(own))) else net.for_classes(chosen)


def _plain(name: str) -> str:
    """``Great_white_shark`` is ``great white shark``."""
    return name.lower().replace("_", " ").strip()
