"""Others worth a panel: shattered gradients, loss surfaces, and what blocks estimate."""

from __future__ import annotations

import numpy as np

from explorer.claims import says
from explorer.instruments.branches.result import BranchResponses
from explorer.instruments.classifier_by_unit.result import ClassifierByUnit
from explorer.instruments.estimation_error.result import EstimationError
from explorer.instruments.shattering.result import ShatteredGradients, Shattering
from explorer.instruments.surface.result import LossSurface
from explorer.reproduce import compare as c
from explorer.reproduce.common import OTHER_RECIPE, by
from explorer.reproduce.contract import (
    Arm,
    Asks,
    Figure,
    Holds,
    Line,
    Measurement,
    Number,
    Protocol,
    Trains,
    Verdict,
)
from explorer.reproduce.he15 import BY_DEPTH
from explorer.results.common import Floats
from explorer.structure.names import spec_of

CIFAR = Protocol("cifar10", depth=110, trainings=1, steps=64_000, images=10_000)
NETS = (
    Arm(label="ResNet-110, pre-activation", net="resnet_v2_110"),
    Arm(label="ResNet-56, original", net="resnet_v1_56"),
    Arm(label="highway 50", net="fc_highway_50;transform_bias=-4"),
)

# ------------------------------------------------------------------------------------ Balduzzi17


def _families(m: Measurement) -> dict[str, ShatteredGradients]:
    found = Shattering.from_json(m.lanes[0].result)
    return {one.family: one for one in found.families}


def _factor(one: ShatteredGradients) -> float:
    """What one layer more multiplies the mean cosine of dh/dx by, from 1 layer to 6."""
    return float(max(one.pair_cosine[5, 0] / one.pair_cosine[0, 0], 0.0) ** (1 / 5))


def _shattering_lines(row: Figure, m: Measurement | None) -> list[Line]:
    paper = str(row.numbers["plain"])
    if m is None:
        return [Line("plain, factor of one layer more", paper)]
    families = _families(m)
    made = [
        Line(
            "plain: factor of one layer more, 1 to 6 layers",
            paper,
            f"{_factor(families['plain']):.3g}",
        )
    ]
    for name, one in families.items():
        made.append(
            Line(
                f"{name}: mean cosine of dh/dx, 10 layers (10 to 90 % of the seeds)",
                "near 0" if name == "plain" else "–",
                "{:.2g} ({:.2g} to {:.2g})".format(*one.pair_cosine[9]),
            )
        )
    return made


def _shattering(row: Figure, m: Measurement) -> Verdict:
    families = _families(m)
    plain, residual = families["plain"], families["residual"]
    factor = _factor(plain)
    left = residual.pair_cosine[9]
    slower = float(left[1]) > float(plain.pair_cosine[9][2])
    near = 0.4 < factor < 0.6
    return Verdict(
        "yes" if near and slower else "no" if not slower else "open",
        f"A layer more multiplies the likeness of two inputs' gradients in plain nets by "
        f"{factor:.2g} (paper: about ½); after 10 layers residual nets have {left[0]:.2g} of "
        "it left, "
        f"plain ones {plain.pair_cosine[9][0]:.2g}.",
        f"n = {plain.seeds} fresh nets of each kind, width {plain.width}, {len(plain.inputs)} "
        "inputs; the "
        "band is 10 to 90 % of the seeds.",
    )


# ----------------------------------------------------------------------------------------- Li18


def _rough(surface: LossSurface) -> float:
    """Share of interior points of the grid at which the loss is not convex in α or in β.

    Of the log of the loss, bounded as in the figure.
    """
    grid: Floats = np.log(np.clip(np.nan_to_num(surface.loss, nan=1e3, posinf=1e3), 1e-3, 10))
    second = [np.diff(grid, 2, axis=axis) for axis in (0, 1)]
    return float(np.mean([np.mean(each < -1e-3) for each in second]))


def _high(surface: LossSurface) -> float:
    """Share of the points with a loss above ln 10: worse than guessing."""
    loss = np.nan_to_num(surface.loss, nan=np.inf, posinf=np.inf)
    return float(np.mean(loss > np.log(10)))


def _surfaces(m: Measurement) -> dict[str, list[LossSurface]]:
    return {
        label: [LossSurface.from_json(lane.result) for lane in m.lanes_of(label)]
        for label in c.labels(m)
    }


def _surface_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("loss around the weights", "surfaces only")]
    return [
        Line(f"{label}: {words}", "surface only", c.spread([measure(s) for s in found]))
        for label, found in _surfaces(m).items()
        for words, measure in (
            ("points with a loss worse than guessing", _high),
            ("points at which the log loss is not convex", _rough),
        )
    ]


def _surface(row: Figure, m: Measurement) -> Verdict:
    found = _surfaces(m)
    plain = next((f for label, f in found.items() if label.startswith("plain")), [])
    deep = next((f for label, f in found.items() if label.startswith("ResNet")), [])
    if not plain or not deep:
        return Verdict("open", "Nets with and without shortcuts are needed.", c.sure(m))
    holds = c.ordered([_high(s) for s in deep], [_high(s) for s in plain])
    word = {
        "yes": "less of the plane is worse than guessing with shortcuts",
        "no": "more of the plane is worse than guessing with shortcuts",
        "open": "the two cannot be told apart by the share that is worse than guessing",
    }
    n = deep[0]
    return Verdict(
        holds,
        f"Around the weights {word[holds]} ({c.spread([_high(s) for s in deep])}, without "
        f"{c.spread([_high(s) for s in plain])}).",
        c.sure(m, f"{len(n.alphas)} × {len(n.betas)} points, one pair of random directions a net"),
    )


def _errors_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for depth in (20, 56, 110):
        for label, words in ((f"residual {depth}", "with"), (f"plain {depth}", "without")):
            arm = (m.arm(label) or m.arm(label.replace("residual", "residual v2"))) if m else None
            ours = (
                "–"
                if arm is None
                else f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)}, {arm.steps:,} steps)"
            )
            number = row.numbers[f"{depth} layers, {words} shortcuts"]
            made.append(Line(f"{depth} layers, {words} shortcuts", str(number), ours))
    return made


def _errors(row: Figure, m: Measurement) -> Verdict:
    told, verdicts = [], []
    for depth in (20, 56, 110):
        plain = m.arm(f"plain {depth}")
        deep = m.arm(f"residual {depth}") or m.arm(f"residual v2 {depth}")
        if plain is None or deep is None:
            continue
        holds = c.ordered(c.test_errors(deep), c.test_errors(plain))
        verdicts.append(holds)
        words = {"yes": "lower", "no": "higher", "open": "no different beyond the seeds' spread"}
        told.append(f"{depth} layers {words[holds]}")
    if not verdicts:
        return Verdict("open", "No depth was trained with and without shortcuts.", c.sure(m))
    return Verdict(
        c.all_of(*verdicts),
        f"Test error with shortcuts beside that without: {c.listed(told)}.",
        c.sure(m),
    )


# --------------------------------------------------------------------------------------- Greff17


def _estimates(m: Measurement, label: str) -> list[EstimationError]:
    return [EstimationError.from_json(lane.result) for lane in m.lanes_of(label)]


def _bias(found: EstimationError) -> float:
    """Greatest |mean error| over the end's root mean square, over all units."""
    return float(np.max(np.abs(found.mean) / np.maximum(found.scale, 1e-12)))


def _shrinks(found: EstimationError) -> float:
    """Of neighbouring units of a stage, in how many the spread gets smaller."""
    stage = np.asarray(found.stage)
    steps = np.concatenate([np.diff(found.sd[stage == s]) for s in np.unique(stage)])
    return float(np.mean(steps < 0))


def _greff_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("mean estimation error", "about 0"), Line("its spread", "shrinks")]
    return [
        Line(f"{label}: {words}", paper, c.spread([measure(x) for x in _estimates(m, label)], say))
        for label in c.labels(m)
        for words, paper, measure, say in (
            ("greatest mean error over the end's RMS", "about 0", _bias, c.plain),
            ("blocks after which the spread is smaller", "shrinking", _shrinks, c.percent),
        )
    ]


def _greff(row: Figure, m: Measurement) -> Verdict:
    every = [x for label in c.labels(m) for x in _estimates(m, label)]
    shrink, bias = [_shrinks(x) for x in every], [_bias(x) for x in every]
    narrows: Holds = "yes" if min(shrink) > 0.9 else "no" if max(shrink) < 0.6 else "open"
    centred: Holds = "yes" if max(bias) < 0.1 else "no" if min(bias) > 0.25 else "open"
    return Verdict(
        c.of_enough(c.all_of(narrows, centred), shrink),
        f"Within a stage the spread of a block's output about the stage's end shrinks after "
        f"{c.spread(shrink)} of the blocks; its mean is off by at most "
        f"{c.spread(bias, c.plain)} of "
        "the end's size.",
        c.sure(
            m,
            "the spread of untrained residual nets shrinks, too, since each output is a part "
            "of the sum that the stage ends with",
        ),
    )


# --------------------------------------------------------------------------------- Jastrzebski18


def _branches(m: Measurement, label: str) -> list[BranchResponses]:
    return [BranchResponses.from_json(lane.result) for lane in m.lanes_of(label)]


def _negative(found: BranchResponses) -> float:
    known = found.cosine[np.isfinite(found.cosine)]
    return float(np.mean(known < 0))


def _halves(found: BranchResponses, values: Floats) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    half = len(known) // 2
    return float(np.mean(known[:half])), float(np.mean(known[half:]))


def _cosine_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("cos(F, ∂L/∂h)", "negative, more so late"), Line("‖F‖/‖h‖", "curve only")]
    made = []
    for label in c.labels(m):
        found = _branches(m, label)
        cosines = [_halves(x, x.cosine) for x in found]
        ratios = [_halves(x, x.ratio) for x in found]
        made += [
            Line(
                f"{label}: blocks with a negative mean cosine",
                "most",
                c.spread([_negative(x) for x in found]),
            ),
            Line(
                f"{label}: mean cosine, first and second half of the blocks",
                "more negative late",
                f"{c.spread([a for a, _ in cosines], c.plain)}; "
                f"{c.spread([b for _, b in cosines], c.plain)}",
            ),
            Line(
                f"{label}: ‖F‖/‖h‖, first and second half",
                "–",
                f"{c.spread([a for a, _ in ratios], c.plain)}; "
                f"{c.spread([b for _, b in ratios], c.plain)}",
            ),
        ]
    return made


def _cosine(row: Figure, m: Measurement) -> Verdict:
    told, verdicts = [], []
    for label in c.labels(m):
        found = _branches(m, label)
        halves = [_halves(x, x.cosine) for x in found]
        late = c.ordered([b for _, b in halves], [a for a, _ in halves])
        negative = [_negative(x) for x in found]
        verdicts.append(
            c.all_of(
                "yes" if min(negative) > 0.5 else "no" if max(negative) < 0.3 else "open", late
            )
        )
        means = [c.spread([half[i] for half in halves], c.plain) for i in (0, 1)]
        told.append(
            f"{label}: in {c.spread(negative)} of the blocks, with a mean cosine of {means[0]} in "
            f"the first half of them and {means[1]} in the second"
        )
    return Verdict(
        c.all_of(*verdicts),
        f"F points down the loss (negative mean cosine) – {'; '.join(told)}.",
        c.sure(m),
    )


def _readouts(m: Measurement, label: str) -> list[ClassifierByUnit]:
    return [ClassifierByUnit.from_json(lane.result) for lane in m.lanes_of(label)]


def _classifier_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("accuracy after each block of the last stage", "refined step by step")]
    return [
        Line(
            f"{label}: after the first, the middle and the last block of the stage",
            "refined step by step",
            "; ".join(
                c.spread([float(x.accuracy[place(len(x.accuracy))]) for x in _readouts(m, label)])
                for place in (lambda n: 0, lambda n: n // 2, lambda n: n - 1)
            ),
        )
        for label in c.labels(m)
    ]


def _classifier(row: Figure, m: Measurement) -> Verdict:
    told, verdicts = [], []
    for label in c.labels(m):
        found = _readouts(m, label)
        first = [float(x.accuracy[0]) for x in found]
        last = [float(x.accuracy[-1]) for x in found]
        rises = [float(np.mean(np.diff(x.accuracy) > -0.02)) for x in found]
        verdicts.append(c.all_of(c.ordered(first, last), "yes" if min(rises) > 0.8 else "open"))
        told.append(f"{label} from {c.spread(first)} to {c.spread(last)}")
    return Verdict(
        c.all_of(*verdicts),
        f"Accuracy of the final classifier after the first and the last block of the last stage: "
        f"{'; '.join(told)}.",
        c.sure(m),
    )


def _highway_free(net: str) -> bool:
    return spec_of(net).family == "residual"


RESIDUALS = tuple(arm for arm in NETS if _highway_free(arm.net))

ROWS = (
    Figure(
        key="balduzzi17_fig1",
        paper="Balduzzi17",
        item="autocorrelation",
        title="Shattered gradients",
        shows=says("balduzzi17.shattering"),
        numbers={"plain": Number(0.5, "", "autocorrelation of plain nets", "½ a layer (1/2ᴸ)")},
        protocol=Protocol(),
        how=Asks("shattering", {}),
        lines=_shattering_lines,
        judge=_shattering,
        draw=by("instrument"),
        show={"show": "depth"},
        brief=True,
    ),
    Figure(
        key="li18_surface",
        paper="Li18",
        item="Fig 1 and 5",
        title="The loss around the weights",
        shows=says("li18.surface"),
        protocol=CIFAR,
        how=Asks(
            "surface",
            {"resolution": 13, "n_images": 64},
            nets=(
                Arm(label="plain 20", net="plain_20"),
                Arm(label="ResNet-20", net="resnet_v1_20"),
            ),
            families=("plain", "residual"),
        ),
        lines=_surface_lines,
        judge=_surface,
        draw=by("instrument"),
        differs=(OTHER_RECIPE, "13 × 13 points on 64 images instead of 51 × 51"),
    ),
    Figure(
        key="li18_errors",
        paper="Li18",
        item="test errors",
        title="Test error with and without shortcuts",
        shows="CIFAR-10 test error of nets of 20, 56 and 110 layers, with and without shortcuts.",
        numbers={
            f"{depth} layers, {words} shortcuts": Number(percent, "%", "test errors")
            for depth, with_, without in ((20, 7.37, 8.18), (56, 5.89, 13.31), (110, 5.79, 16.44))
            for words, percent in (("with", with_), ("without", without))
        },
        protocol=CIFAR,
        how=Trains(()),
        on_cards=BY_DEPTH,
        lines=_errors_lines,
        judge=_errors,
        draw=by("ends"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="greff17_fig",
        paper="Greff17",
        item="estimation error",
        title="Blocks estimate their stage's end",
        shows=says("greff17.estimates"),
        protocol=Protocol("imagenet", depth=50, trainings=1),
        how=Asks("estimation_error", {}, nets=NETS),
        lines=_greff_lines,
        judge=_greff,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="jastrzebski18_cosine",
        paper="Jastrzebski18",
        item="cosine and ratio",
        title="Blocks step down the loss",
        shows=says("jastrzebski18.negative"),
        protocol=CIFAR,
        how=Asks("branches", {}, nets=RESIDUALS, families=("residual",)),
        lines=_cosine_lines,
        judge=_cosine,
        draw=by("instrument"),
        show={"of": "cosine"},
        differs=(OTHER_RECIPE,),
        brief=True,
    ),
    Figure(
        key="jastrzebski18_classifier",
        paper="Jastrzebski18",
        item="intermediate classifier",
        title="The classifier after each block",
        shows=says("jastrzebski18.refine"),
        protocol=CIFAR,
        how=Asks("classifier_by_unit", {}, nets=RESIDUALS, families=("residual",)),
        lines=_classifier_lines,
        judge=_classifier,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
        brief=True,
    ),
)
