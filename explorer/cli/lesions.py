"""``skipscope lesions``: units deleted, moved, swapped, gates held, and what accuracy is left."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer.cli import text
from explorer.cli.choices import Loaded
from explorer.cli.gradients import title_of, together, weights_of
from explorer.cli.outputs import deliver
from explorer.cli.several import load_all
from explorer.errors import SpecError
from explorer.results.common import IMAGES

if TYPE_CHECKING:
    from explorer.results import (
        GateLesions,
        LesionBand,
        LesionCurve,
        ShuffleLesions,
        StageLesions,
        SwapLesions,
    )

RECALIBRATION_IMAGES = 512
# Options that mean something for one kind, or two.
OWN_OPTIONS = {
    "k": ("random",),
    "trials": ("random", "shuffle"),
    "points": ("shuffle",),
    "moves": ("shuffle",),
    "stage": ("swap",),
    "hold": ("gates",),
}
_TITLES = {
    "one": "Accuracy without one unit",
    "random": "Accuracy without units drawn at random",
    "shuffle": "Accuracy with units reordered",
    "swap": "Accuracy with two units swapped",
    "stages": "Accuracy without whole stages",
    "gates": "Accuracy with gates held",
}


def run_lesions(args: argparse.Namespace) -> None:
    """One kind of lesion on each net."""
    for option, kinds in OWN_OPTIONS.items():
        if getattr(args, option) is not None and args.kind not in kinds:
            raise SpecError(
                f"--{option} is for --kind {' or '.join(kinds)}; leave it out, or take that kind."
            )
    nets = load_all(args)
    results = [_measured(args, net) for net in nets]
    if args.of_class is not None:
        from explorer.results.lesions import of_class

        results = [of_class(result, args.of_class) for result in results]
    on = ", training images" if args.train else ""
    title = title_of(results, _TITLES[args.kind] + on + _norms(results[0].recalibrated))
    also = weights_of(nets)
    if deliver(
        args, together(results), lambda: _figure(args, nets, results), title=title, also=also
    ):
        return
    pages: dict[str, Callable[[Any, Loaded], None]] = {
        "one": _one,
        "random": _random,
        "shuffle": _shuffle,
        "swap": _swap,
        "stages": _stages,
        "gates": _gates,
    }
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        pages[args.kind](result, net)


def _measured(args: argparse.Namespace, net: Loaded) -> Any:
    from explorer.probes.deletions import lesion_band, stage_lesions
    from explorer.probes.held_gates import gate_lesions
    from explorer.probes.lesions import lesion_curve
    from explorer.probes.shuffles import shuffle_lesions, swap_lesions

    own: dict[str, Any] = {
        option: getattr(args, option)
        for option, kinds in OWN_OPTIONS.items()
        if args.kind in kinds and getattr(args, option) is not None
    }
    if "hold" in own:
        own["values"] = own.pop("hold")
    if "stage" in own:
        stages = net.net.blueprint.stage_names
        if own["stage"] > len(stages):
            raise SpecError(
                f"There is no stage {own['stage']}: {net.name} has {len(stages)}, from 1."
            )
        own["stage"] -= 1
    if args.kind in ("random", "shuffle"):
        own["seed"] = args.seed
    measures: dict[str, Callable[..., Any]] = {
        "one": lesion_curve,
        "random": lesion_band,
        "shuffle": shuffle_lesions,
        "swap": swap_lesions,
        "stages": stage_lesions,
        "gates": gate_lesions,
    }
    with text.progress("lesions") as bar:
        return measures[args.kind](
            net.net,
            net.dataset,
            n_images=args.n,
            train=args.train,
            name=net.name,
            precision=args.precision,
            recalibrate=RECALIBRATION_IMAGES if args.recalibrate else 0,
            on_progress=lambda part, share: bar(share, f"{part.n_images} images"),
            **own,
        )


def _figure(args: argparse.Namespace, nets: list[Loaded], results: list[Any]) -> Any:
    from explorer import charts

    lanes = [(i, result.net, result) for i, result in enumerate(results)]
    by_unit = [
        (i, result.net, net.net.unit_names, result)
        for i, (net, result) in enumerate(zip(nets, results, strict=True))
    ]
    # Among the images of one class the share of a guess is no longer 1/classes.
    chance = None if args.of_class else 1 / len(nets[0].dataset.info.classes)
    if args.kind == "one":
        return charts.lesion_figure(by_unit, chance=chance)
    if args.kind == "random":
        return charts.lesion_band_figure(lanes, chance=chance)
    if args.kind == "shuffle":
        return charts.shuffle_figure(lanes, chance=chance)
    if args.kind == "swap":
        return charts.swap_figure(lanes)
    if args.kind == "stages":
        return charts.stage_figure(lanes, chance=chance)
    return charts.gate_lesion_figure(by_unit, chance=chance)


# --------------------------------------------------------------------------------- text pages


def _norms(recalibrated: int) -> str:
    return f", batch norm recalibrated on {recalibrated} images" if recalibrated else ""


def _said(what: str, result: Any) -> None:
    norms = (
        f"batch norm's statistics measured anew on {result.recalibrated} training images for each"
        if result.recalibrated
        else "nothing is retrained"
    )
    text.write(f"{what} ({norms})")
    by = "" if result.recalibrated else text.norms(result)
    text.write(
        f"Measured on {result.n_images} {IMAGES[result.images]} of {result.data}; 95 % interval "
        f"beside{by}.\n"
    )


def _row(name: str, accuracy: float, bounds: Any) -> list[str]:
    return [name, text.percent(accuracy), _interval(bounds), text.bar(accuracy)]


def _interval(bounds: Any) -> str:
    low, high = bounds
    return f"{100 * low:.1f} – {100 * high:.1f}"


def _intact(result: Any) -> list[str]:
    from explorer.results import wilson_interval

    share = result.baseline_accuracy
    return _row("(intact)", share, wilson_interval(share, result.n_images))


def _one(curve: LesionCurve, net: Loaded) -> None:
    _said("Accuracy after deleting each unit, the others stay", curve)
    rows = [_intact(curve)]
    for unit, accuracy, bounds in zip(curve.units, curve.accuracy, curve.intervals(), strict=True):
        rows.append(_row(unit, accuracy, bounds))
    text.write(text.table(["deleted unit", "accuracy", "interval", ""], rows, " rr"))
    kept = [unit.name for unit in net.net.blueprint.units if not unit.deletable]
    text.write(
        f"\nNot deletable, because they change the shape: {', '.join(kept)}.\n" if kept else ""
    )


def _random(band: LesionBand, net: Loaded) -> None:
    from explorer.results.lesions import intervals

    trials = len(band.deleted)
    _said(f"Accuracy after deleting k units at random, {trials} draws", band)
    low, middle, high = band.quantiles(0, 0.5, 1)
    rows = [["0", *_intact(band)[1:3], "", _intact(band)[3]]]
    for k, least, half, most, bounds in zip(
        band.k, low, middle, high, intervals(middle, band.n_images), strict=True
    ):
        spread = f"{100 * least:.1f} – {100 * most:.1f}"
        rows.append([f"{k:.0f}", text.percent(half), _interval(bounds), spread, text.bar(half)])
    header = ["k", "median", "interval", "draws, from – to", ""]
    text.write(text.table(header, rows, "rrrr") + "\n")


def _shuffle(shuffled: ShuffleLesions, net: Loaded) -> None:
    from explorer.results.lesions import intervals

    trials, _ = shuffled.accuracy.shape
    _said(f"Accuracy after reordering units of one shape, {trials} walks away from order", shuffled)
    middle = np.median(shuffled.accuracy, axis=0)
    rows = [["1.00", "0", *_intact(shuffled)[1:3], "", _intact(shuffled)[3]]]
    for tau, swaps, half, column, bounds in zip(
        np.median(shuffled.tau, axis=0),
        np.median(shuffled.swaps, axis=0),
        middle,
        shuffled.accuracy.T,
        intervals(middle, shuffled.n_images),
        strict=True,
    ):
        spread = f"{100 * column.min():.1f} – {100 * column.max():.1f}"
        numbers = [f"{tau:.2f}", f"{swaps:.0f}", text.percent(half), _interval(bounds), spread]
        rows.append([*numbers, text.bar(half)])
    header = ["Kendall's τ", "changes", "median", "interval", "walks, from – to", ""]
    text.write(text.table(header, rows, "rrrrr"))
    text.write(f"\nτ cannot be below {shuffled.lowest_tau:.2f}: units of other shapes stay.\n")


def _swap(swaps: SwapLesions, net: Loaded) -> None:
    _said(f"Accuracy after swapping two units of one shape, {len(swaps.first)} pairs", swaps)
    apart = np.subtract(swaps.second, swaps.first)
    bounds = swaps.intervals()
    rows = [["", "", *_intact(swaps)]]
    for distance in sorted(set(apart.tolist())):
        inside = np.flatnonzero(apart == distance)
        worst = inside[int(np.argmin(swaps.accuracy[inside]))]
        pair = f"{swaps.units[swaps.first[worst]]} and {swaps.units[swaps.second[worst]]}"
        middle = text.percent(float(np.median(swaps.accuracy[inside])))
        rows.append(
            [str(distance), middle, *_row(pair, float(swaps.accuracy[worst]), bounds[worst])]
        )
    header = ["units apart", "median", "worst pair", "accuracy", "interval", ""]
    text.write(text.table(header, rows, "rr rr") + "\n")


def _stages(stages: StageLesions, net: Loaded) -> None:
    _said("Accuracy after deleting every unit of a stage that can be deleted", stages)
    rows = [["(intact)", "", *_intact(stages)[1:]]]
    for name, gone, accuracy, bounds in zip(
        stages.stages, stages.deleted, stages.accuracy, stages.intervals(), strict=True
    ):
        rows.append([name, str(len(gone)), *_row("", accuracy, bounds)[1:]])
    text.write(text.table(["stage", "deleted", "accuracy", "interval", ""], rows, " rrr"))
    stay = [unit for units in stages.kept for unit in units]
    text.write(
        f"\nNot deletable, because they change the shape: {', '.join(stay)}." if stay else ""
    )
    untouched = set(net.net.blueprint.stage_names) - set(stages.stages)
    if untouched:
        text.write(f"Without a unit that can be deleted: {', '.join(sorted(untouched))}.")


def _gates(gates: GateLesions, net: Loaded) -> None:
    sign = "T" if gates.gate == "transform" else "g"
    _said("Accuracy with the gate of one unit held, and with all of them", gates)
    names = [f"{sign} = {v if v == 'mean' else f'{v:g}'}" for v in gates.values]
    bounds = gates.intervals()
    rows = [["(none held)", *(cell for _ in names for cell in _intact(gates)[1:3])]]
    for column, unit in enumerate([*gates.units, "(all held)"]):
        cells = [
            cell
            for value in range(len(names))
            for cell in _row("", gates.accuracy[value, column], bounds[value, column])[1:3]
        ]
        rows.append([unit, *cells])
    header = ["unit", *(cell for name in names for cell in (name, "interval"))]
    text.write(text.table(header, rows, " " + "r" * (2 * len(names))))
    if "mean" in gates.values:
        text.write("\nmean: each entry of the gate at its mean over 1,000 training images at most.")
    text.write("")
