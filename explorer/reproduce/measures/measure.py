"""Measures a figure: trains what it names, or asks an instrument, and says how that was done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from explorer.errors import RunError
from explorer.instruments import instrument
from explorer.instruments.contract import OneImage
from explorer.instruments.doors.calling import Work, measured
from explorer.nets import create_net
from explorer.reproduce.contract import (
    Arm,
    Asks,
    Counts,
    Ends,
    Figure,
    LaneResult,
    Measurement,
    Trains,
)
from explorer.reproduce.kept import ends_of
from explorer.reproduce.measures.trained import (
    Curve,
    Trained,
    images,
    together,
    trained,
    training_of,
)
from explorer.structure.cards import shipped
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, fit_to_data
from explorer.system.machine import processor
from explorer.system.versions import versions

Tell = Callable[[float, str], None]
DATA = "digits"
IMAGE = 0  # test image of instruments that look at one
FAILED = 0.2  # test error that He16 calls a failure
DIGITS = 5  # significant, of a kept number


def can_measure(figure: Figure) -> bool:
    """Whether there is anything to train or to ask."""
    return isinstance(figure.how, Asks) or (
        isinstance(figure.how, Trains) and bool(figure.how.arms)
    )


def measure(
    figure: Figure, tell: Tell = lambda share, text: None, most: int | None = None
) -> Measurement:
    """Measure it again, on the embedded digits.

    Ctrl-C ends a comparison of trainings: those that are over are kept, and the figure says how
    many of how many they are.

    Args:
        most: At most so many seeds of each net.

    Raises:
        RunError: Nothing is to be measured: it is counted, or was not attempted.
    """
    start = time.perf_counter()
    figure = figure if most is None else _fewer(figure, most)
    if isinstance(figure.how, Trains) and can_measure(figure):
        found: dict[str, Any] = {"arms": _arms(figure.how, tell)}
        n = len(images(DATA).test_labels)
    elif isinstance(figure.how, Asks):
        lanes = _lanes(figure.how, tell)
        found = {"lanes": lanes, "instrument": figure.how.instrument}
        n = max((lane.result.get("n_images") or 0 for lane in lanes), default=0)
    else:
        raise RunError(f"{figure.key} has nothing to measure: {_reason(figure)}")
    return Measurement(
        figure=figure.key,
        data=DATA,
        images=n,
        **found,
        hardware=processor(),
        threads=torch.get_num_threads(),
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        seconds=round(time.perf_counter() - start, 1),
        command=f"skipscope reproduce {figure.key} --measure"
        + (f" --seeds {most}" if most is not None else ""),
    )


def _fewer(figure: Figure, most: int) -> Figure:
    def few(arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        return tuple(arm.model_copy(update={"seeds": min(arm.seeds, most)}) for arm in arms)

    how = figure.how
    if isinstance(how, Trains):
        how = replace(how, arms=few(how.arms))
    if isinstance(how, Asks):
        how = replace(how, nets=few(how.nets), fresh=few(how.fresh))
    return replace(figure, how=how)


def _reason(figure: Figure) -> str:
    if isinstance(figure.how, Counts):
        return "its numbers are counted whenever it is shown."
    if figure.on_cards:
        return "it is read from the cards of shipped nets."
    return f"it was not attempted. {figure.why_not}"


# ------------------------------------------------------------------------------------ trainings


def _arms(how: Trains, tell: Tell) -> list[Ends]:
    made = []
    try:
        for place, arm in enumerate(how.arms):
            tell(place / len(how.arms), arm.label)
            ends = _known(arm) or _trained_now(arm, arm.training)
            if arm.again and _failed(ends):
                longer = _trained_now(arm, {**arm.training, "steps": 3 * ends.steps})
                made += [ends, longer]
            else:
                made.append(ends)
    except KeyboardInterrupt:
        if len(made) < 2:  # nothing to compare yet
            raise
    return made


def _trained_now(arm: Arm, changes: dict[str, Any]) -> Ends:
    training, seeds = training_of(changes), _seeds(arm)
    if spec_of(arm.net).layout == "fc":
        curves = together(arm.net, training, seeds, DATA)
    else:
        nets = [trained(arm.net, training, seed, DATA) for seed in seeds]
        # Of a training that diverged nothing is told but that it did.
        curves = [{} if net.diverged else net.curve for net in nets]
    return _ends(arm, training.steps, seeds, curves)


def _seeds(arm: Arm) -> range:
    return range(arm.first_seed, arm.first_seed + arm.seeds)


def _known(arm: Arm) -> Ends | None:
    """What the card of a shipped net of this training says of as many seeds."""
    spec = training_of(arm.training)
    net = fit_to_data(spec_of(arm.net), DataSpec.model_validate({"name": DATA}))
    for card in shipped().values():
        if (card.spec, card.data.name) == (net, DATA):
            for trial in card.trials:
                same = card.recipe.model_copy(update={"steps": trial.steps}) == spec
                if same and len(trial.seeds) >= arm.seeds:
                    return ends_of(card, arm.label, trial.steps)
    return None


def _of_arm(arm: Arm) -> list[tuple[int, Trained]]:
    training = training_of(arm.training)
    return [(seed, trained(arm.net, training, seed, DATA)) for seed in _seeds(arm)]


def _ends(arm: Arm, steps: int, seeds: range, curves: list[Curve]) -> Ends:
    def last(curve: Curve, name: str) -> float | None:
        return curve[name][-1] if curve.get(name) else None

    names = ("train_loss", "train_error", "test_error")
    return Ends(
        label=arm.label,
        net=arm.net,
        steps=steps,
        seeds=tuple(seeds),
        **{name: tuple(last(curve, name) for curve in curves) for name in names},
        curve=tuple(curves) if all(curves) else (),
    )


def _failed(ends: Ends) -> bool:
    errors = sorted(1.0 if error is None else error for error in ends.test_error)
    return errors[len(errors) // 2] > FAILED


# ---------------------------------------------------------------------------------- instruments


def _lanes(how: Asks, tell: Tell) -> list[LaneResult]:
    one = instrument(how.instrument)
    ask = one.asked(how.ask)
    if one.ask.subject in ("data", "none"):
        data = images(DATA) if one.ask.subject == "data" else None
        result = measured(one, ask, Work(), data=data)
        return [LaneResult(label="", net="", seed=None, result=_short(result.to_json()))]
    whole = sum(arm.seeds for arm in (*how.nets, *how.fresh))
    made: list[LaneResult] = []
    for arm in how.nets:
        for seed, each in _of_arm(arm):
            tell(len(made) / whole, f"{arm.label}, seed {seed}")
            result = measured(
                one, ask, Work(name=arm.net), net=each.net, data=images(DATA), image=OneImage(IMAGE)
            )
            made.append(
                LaneResult(
                    label=arm.label,
                    net=arm.net,
                    seed=seed,
                    steps=training_of(arm.training).steps,
                    accuracy=each.accuracy,
                    shipped=each.shipped,
                    result=_short(result.to_json()),
                )
            )
    for arm in how.fresh:
        for seed in range(arm.first_seed, arm.first_seed + arm.seeds):
            tell(len(made) / whole, f"{arm.label}, seed {seed}")
            spec = fit_to_data(spec_of(arm.net), DataSpec.model_validate({"name": DATA}))
            net = create_net(spec, seed=seed).eval()
            result = measured(one, ask, Work(name=arm.net), net=net, data=images(DATA))
            made.append(
                LaneResult(label=arm.label, net=arm.net, seed=seed, result=_short(result.to_json()))
            )
    return made


def _short(value: Any) -> Any:
    """Numbers with as many digits as are read."""
    if isinstance(value, dict):
        return {key: _short(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_short(inner) for inner in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
