"""What differs between two protocols, the mark that follows, and words for what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from explorer.data.catalog import data_info
from explorer.errors import SkipscopeError
from explorer.reproduce.contract import (
    Asks,
    Counts,
    Ends,
    Figure,
    Holds,
    LaneResult,
    Mark,
    Measurement,
    Protocol,
    Trains,
)
from explorer.results.common import wilson_interval
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec
from explorer.writing.wording import count, listed

NEAR_CHANCE = 0.2  # accuracy of a net of ten classes that we call near chance
ENOUGH = 3  # nets or trainings, from which on a verdict is given
FAILED = 0.2  # test error that He16 calls a failure


def protocol_of(row: Figure, measurement: Measurement) -> Protocol:
    """Ours, read from what was measured."""
    nets = [*(arm.net for arm in measurement.arms), *(lane.net for lane in measurement.lanes)]
    seeds = [len(arm.seeds) for arm in measurement.arms]
    for label in {lane.label for lane in measurement.lanes}:
        seeds.append(len(measurement.lanes_of(label)))
    steps = [arm.steps for arm in measurement.arms]
    steps += [lane.steps for lane in measurement.lanes if lane.steps]
    return Protocol(
        data=measurement.data if row.protocol.data else "",
        depth=max((depth for depth in map(depth_of, nets) if depth), default=None),
        trainings=min(seeds, default=None),
        steps=max(steps, default=None),
        images=measurement.images or None,
    )


def depth_of(net: str) -> int | None:
    return getattr(spec_of(net), "depth", None) if net else None


def smaller(row: Figure, measurement: Measurement) -> list[str]:
    """What is smaller or other here than in the paper, part by part; empty: nothing is."""
    if isinstance(row.how, Counts):
        return list(row.differs)
    ours, theirs = protocol_of(row, measurement), row.protocol
    said = []
    if ours.data != theirs.data:
        said.append(f"{_images(ours.data)} instead of {_images(theirs.data)}")
    for name, words in (
        ("depth", "{ours:,} layers at most instead of {theirs:,}"),
        ("trainings", "{ours:,} training{s} of a net instead of {theirs:,}"),
        ("steps", "{ours:,} training steps instead of {theirs:,}"),
    ):
        one, other = getattr(ours, name), getattr(theirs, name)
        if one is not None and other is not None and one < other:
            s = "" if one == 1 else "s"
            said.append(words.format(ours=one, theirs=other, s=s))
    if isinstance(row.how, (Trains, Asks)) and not measurement.cards:
        how = row.how
        arms = how.arms if isinstance(how, Trains) else (*how.nets, *how.fresh)
        wanted, have = {arm.label for arm in arms}, set(labels(measurement))
        if arms and not wanted <= have:
            said.append(f"{len(wanted & have)} of the {len(wanted)} nets that we compare")
    if ours.data == theirs.data and (ours.images or 0) < (theirs.images or 0):
        said.append(f"{ours.images:,} images instead of {theirs.images:,}")
    return [*said, *row.differs]


def _images(name: str) -> str:
    try:
        info = data_info(DataSpec.model_validate({"name": name}))
    except (SkipscopeError, ValueError):
        return {"imagenet": "ImageNet", "mnist": "MNIST"}.get(name, name)
    side = "×".join(map(str, info.input_shape[1:]))
    return f"{info.title} of {side}" if info.input_shape[1] < 28 else info.title


def mark(row: Figure, found: Sequence[Measurement]) -> Mark:
    """Of the first of what was measured."""
    if not found:
        return "not attempted"
    return "smaller" if smaller(row, found[0]) else "reproduced"


# ---------------------------------------------------------------------------------------- words


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def spread(values: Sequence[float], say: Callable[[float], str] = percent) -> str:
    """ "1.4 % (1.1 to 1.7 %)": median, least and greatest; of one value that."""
    if not values:
        return "–"
    middle, least, most = statistics.median(values), min(values), max(values)
    low, high = say(least), say(most)
    if len(values) == 1 or low == high:
        return say(middle)
    unit = high.partition(" ")[2]
    low = low.removesuffix(f" {unit}") if unit else low
    return f"{say(middle)} ({low} to {high})"


def plain(value: float) -> str:
    return f"{value:.3g}"


def test_errors(arm: Ends | None) -> list[float]:
    """Of the seeds; a training that diverged has all wrong."""
    return [] if arm is None else [1.0 if e is None else e for e in arm.test_error]


def train_errors(arm: Ends | None) -> list[float]:
    return [] if arm is None else [1.0 if e is None else e for e in arm.train_error]


def train_losses(arm: Ends | None) -> list[float]:
    """Of the seeds that did not diverge."""
    return [] if arm is None else [e for e in arm.train_loss if e is not None]


def ordered(less: Sequence[float], more: Sequence[float]) -> Holds:
    """Whether all of one group are below all of another, by half their spread at the least.

    With fewer than three of each, nothing can be told.
    """
    if min(len(less), len(more)) < ENOUGH:
        return "open"
    gap = (max(less) - min(less) + max(more) - min(more)) / 4
    if max(less) + gap < min(more):
        return "yes"
    return "no" if max(more) + gap < min(less) else "open"


def of_enough(holds: Holds, *groups: Sequence[float]) -> Holds:
    """That verdict where each group has three nets or more; else it cannot be told."""
    return holds if groups and min(map(len, groups)) >= ENOUGH else "open"


def all_of(*verdicts: Holds) -> Holds:
    """Yes where all are, no where one is not, else it cannot be told."""
    if "no" in verdicts:
        return "no"
    return "yes" if verdicts and all(one == "yes" for one in verdicts) else "open"


def seeds_said(measurement: Measurement) -> str:
    """ "3 trainings of each net", or "3 to 11 trainings of each net"."""
    groups = [len(arm.seeds) for arm in measurement.arms]
    for label in {lane.label for lane in measurement.lanes}:
        groups.append(len(measurement.lanes_of(label)))
    least, most = min(groups, default=0), max(groups, default=0)
    fresh = measurement.lanes and not any(lane.steps for lane in measurement.lanes)
    what = "fresh net" if fresh else "training"
    if least == most:
        return f"{count(most, what)} of each kind"
    return f"{least} to {count(most, what)} of each kind"


def sure(measurement: Measurement, more: str = "", share: float | None = None) -> str:
    """The second sentence: how many trainings, on how many images, and the interval.

    Args:
        share: An accuracy whose 95 % interval by the choice of the images is told.
    """
    parts = [f"n = {seeds_said(measurement)}"]
    if measurement.images:
        parts.append(count(measurement.images, "image"))
    text = ", ".join(parts)
    if share is not None and measurement.images:
        low, high = wilson_interval(share, measurement.images)
        text += (
            f"; the choice of the images alone gives {percent(share)} a 95 % interval of "
            f"{100 * low:.1f} to {100 * high:.1f} %"
        )
    return f"{text}{'; ' + more if more else ''}."


def labels(measurement: Measurement) -> list[str]:
    """Of arms or lanes, each once, in order."""
    found = [arm.label for arm in measurement.arms] or [lane.label for lane in measurement.lanes]
    return list(dict.fromkeys(found))


def by_family(measurement: Measurement, *families: str) -> list[LaneResult]:
    """Lanes of nets of these families."""
    return [lane for lane in measurement.lanes if spec_of(lane.net).family in families]


__all__ = [
    "FAILED",
    "NEAR_CHANCE",
    "all_of",
    "by_family",
    "labels",
    "listed",
    "mark",
    "of_enough",
    "ordered",
    "percent",
    "plain",
    "protocol_of",
    "seeds_said",
    "smaller",
    "spread",
    "sure",
    "test_errors",
    "train_errors",
    "train_losses",
]
