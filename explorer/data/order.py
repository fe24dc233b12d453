"""Deterministic orders: the same on every machine, with every version of every library.

Splits, subsets, the shuffling of an epoch and the draws of augmentation all come
from one counter-based generator, SplitMix64 (Steele, Lea & Flood 2014), in plain NumPy integers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = 2**64 - 1


def _mix(state: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's output function, elementwise."""
    z = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def random_bits(n: int, *key: int) -> NDArray[np.uint64]:
    """``n`` values of 64 random bits: a pure function of ``key`` and position.

    Keys of different length, or that differ anywhere, give unrelated streams.
    """
    state = np.zeros(1, dtype=np.uint64)
    for part in (*key, len(key)):
        state = _mix(state + np.uint64(((part + 1) * _GOLDEN) & _MASK))
    steps = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(_GOLDEN)
    return _mix(state + steps)


def permutation(n: int, *key: int) -> Indices:
    """A random order of 0 … n−1 that depends on ``key`` alone."""
    return np.argsort(random_bits(n, *key), kind="stable").astype(np.int64)


def balanced(labels: Indices, limit: int, *key: int) -> Indices:
    """Positions of ``limit`` examples, sorted, with as equal class counts as there are examples.

    A smaller limit gives a subset of a larger one.
    """
    if limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    shuffled = permutation(len(labels), *key)
    # Rank of each example within its class, in shuffled order: taking by rank takes turns.
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.unique(labels, return_counts=True)[1]
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    rank = np.arange(len(labels)) - starts
    turn = np.lexsort((labels[by_class], rank))
    return np.sort(by_class[turn[:limit]])


def equally_many(labels: Indices) -> int:
    """How many examples there are at most if every class that has some has equally many."""
    counts = np.unique(labels, return_counts=True)[1]
    return int(counts.min() * len(counts)) if len(counts) else 0


# Classes whose numbers of examples differ by no more than this share are equally many: then taking
# turns draws each in its share, to within rounding.
_ALIKE = 0.3


def in_shares(labels: Indices, limit: int, *key: int) -> Indices:
    """Positions of ``limit`` examples, sorted, each class in its own share, to within one.

    So an accuracy measured on them is one of the whole. Classes that are about equally many take
    turns, as in :func:`balanced`. A smaller limit gives a subset of a larger one.
    """
    if limit >= len(labels):
        return np.arange(len(labels), dtype=np.int64)
    if not is_skewed(labels):
        return balanced(labels, limit, *key)
    return np.sort(spread(labels, *key)[:limit])


def is_skewed(labels: Indices) -> bool:
    """Whether some classes have clearly more examples than others."""
    counts = np.unique(labels, return_counts=True)[1]
    return bool(len(counts) and counts.min() < (1 - _ALIKE) * counts.max())


def spread(labels: Indices, *key: int) -> Indices:
    """A random order in which every beginning has each class in its share, to within one.

    Where classes have equally many examples they take turns.
    """
    shuffled = permutation(len(labels), *key)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.unique(labels, return_counts=True)[1]
    sizes = np.repeat(counts, counts)
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    # The k-th of a class of n stands at (k + ½)/n of the way; shuffled, so that ties are random.
    place = np.empty(len(labels))
    place[by_class] = (rank + 0.5) / sizes
    return shuffled[np.argsort(place[shuffled], kind="stable")]
