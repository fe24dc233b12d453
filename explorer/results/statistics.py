"""Which statistics batch norm normalised by, as results keep it and all doors say it."""

from __future__ import annotations

from typing import Any, Literal, cast, get_args

Statistics = Literal["running", "batch"]
FEWEST = 16  # images that are a batch of their own


def kept_statistics(value: dict[str, Any]) -> Statistics | None:
    """Of a result's JSON; None where the net has no batch norm, or an old result does not say."""
    found = value.get("statistics")
    return cast(Statistics, found) if found in get_args(Statistics) else None


def statistics_said(
    statistics: Statistics | None, n_images: int | None, *, step: bool = False
) -> str:
    """In words, as the end of a list of conditions; empty where there is nothing to say.

    Args:
        n_images: How many were measured; None of a single one.
        step: Whether a training step was measured, which normalises by its batch in any net.
    """
    if statistics is None:
        return ""
    if statistics == "running":
        return "batch norm by its running statistics"
    if step:
        return "batch norm by the batch itself"
    few = n_images is None or n_images < FEWEST
    of = "a batch of training images" if few else "these images"
    return f"untrained, so batch norm by the statistics of {of}"
