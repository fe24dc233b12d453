"""What is fetched from other machines, and whether it is here: no torch, so the server may ask.

Nothing is fetched by a link, or by looking at something: a person asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.data.catalog import data_home
from explorer.errors import MissingError
from explorer.structure.specs import DataSpec

WORDS = "must be downloaded first"


@dataclass(frozen=True)
class Source:
    """Where torchvision keeps a data set under its root, and how much it downloads.

    Attributes:
        loader: Class in ``torchvision.datasets``.
        archives: Relative to the root; used when a person placed them there.
        files: What it reads, in ``folder``.
    """

    loader: str
    folder: str
    archives: tuple[str, ...]
    files: tuple[str, ...]
    megabytes: float


_MNIST_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def _of_mnists_shape(name: str, megabytes: float) -> Source:
    folder = f"{name}/raw"
    archives = tuple(f"{folder}/{file}" for file in _MNIST_FILES)
    files = tuple(file.removesuffix(".gz") for file in _MNIST_FILES)
    return Source(name, folder, archives, files, megabytes)


SOURCES = {
    "mnist": _of_mnists_shape("MNIST", 11.6),
    "fashion_mnist": _of_mnists_shape("FashionMNIST", 30.9),
    "cifar10": Source(
        "CIFAR10",
        "cifar-10-batches-py",
        ("cifar-10-python.tar.gz",),
        (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta"),
        170.5,
    ),
    "cifar100": Source(
        "CIFAR100",
        "cifar-100-python",
        ("cifar-100-python.tar.gz",),
        ("train", "test", "meta"),
        169.0,
    ),
}


def is_here(spec: DataSpec) -> bool:
    """Whether a data set needs no download, as far as its files' names tell."""
    source = SOURCES.get(spec.name)
    if source is None:
        return True
    folder = data_home() / source.folder
    return all((folder / file).is_file() for file in source.files)


def missing(what: str, megabytes: float | None = None) -> MissingError:
    """The sentence for what somebody must ask for, as looking at it does not fetch it.

    Args:
        megabytes: Of a data set.
    """
    if megabytes is None:
        return MissingError(f"{what} {WORDS}: press Download on the Instruments page.")
    return MissingError(
        f"{what} ({megabytes:.0f} MB) {WORDS}: press Download on the Instruments page, or Play on "
        "Compare."
    )


def is_missing(sentence: str | None) -> bool:
    """Whether a failed measurement's sentence is one of :func:`missing`."""
    return sentence is not None and WORDS in sentence
