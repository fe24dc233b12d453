"""Several nets in one command, loaded for the same images."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from explorer.cli.choices import Loaded, load
from explorer.errors import DataError, SpecError, WeightsError
from explorer.system.bounded import MOST_INDEX, local_path, whole_number

T = TypeVar("T")


def load_all(args: argparse.Namespace) -> list[Loaded]:
    """Every net of ``args.nets``, on the same data.

    Raises:
        SkipscopeError: One sentence; also where the nets would see different images.
    """
    refuse_shared_weights(args)
    nets = [load(argparse.Namespace(**{**vars(args), "net": name})) for name in args.nets]
    for net in nets[1:]:
        if net.dataset.spec != nets[0].dataset.spec:
            ours, theirs = nets[0].dataset.info.title, net.dataset.info.title
            raise DataError(
                f"{nets[0].name} goes with {ours} and {net.name} with {theirs}: say with --data "
                "which images all of them are to see."
            )
    return nets


def refuse_shared_weights(args: argparse.Namespace) -> None:
    """Refuse ``--weights`` for more than one net."""
    if args.weights is not None and len(args.nets) > 1:
        raise WeightsError(
            "--weights are of one net: to compare several, give each as a .safetensors file with "
            "its card."
        )


def image_of(given: str) -> int | Path:
    """The position of a test image, or a path."""
    if given.isascii() and given.isdigit():
        return whole_number(given, "the number of a test image", 0, MOST_INDEX)
    return local_path(given, DataError)


def names_of(given: str | None) -> tuple[str, ...]:
    """Units of a list with commas; none where nothing was said."""
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


def for_each(given: Sequence[T] | None, n: int, option: str) -> list[T | None]:
    """What was said once for all nets, or once for each, in order."""
    if not given:
        return [None] * n
    if len(given) == 1:
        return [given[0]] * n
    if len(given) != n:
        raise SpecError(
            f"{option} was given {len(given)} times for {n} nets: give it once for all of them, "
            "or once for each, in their order."
        )
    return [*given]


def deleted_units(args: argparse.Namespace) -> list[tuple[str, ...]]:
    """What ``--delete`` leaves out of each net."""
    return [names_of(names) for names in for_each(args.delete, len(args.nets), "--delete")]
