"""Veit et al. 2016: residual nets as ensembles of paths."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from explorer.claims import says
from explorer.instruments.lesions.result import LesionCurve
from explorer.instruments.paths.result import PathGradients
from explorer.instruments.random_lesions.result import LesionBand
from explorer.instruments.shuffle_lesions.result import ShuffleLesions
from explorer.reproduce import compare as c
from explorer.reproduce.common import OTHER_RECIPE, by, counted, counted_lines
from explorer.reproduce.contract import (
    Arm,
    Asks,
    Counts,
    Figure,
    Holds,
    LaneResult,
    Line,
    Measurement,
    Number,
    Protocol,
    Trains,
    Verdict,
)
from explorer.results.common import Floats
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.path_combinatorics import binomial, toy

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.instruments.contract import Style

UNITS = 54  # of ResNet-110
_RESIDUAL = ("residual",)
_DEEP = 50  # layers: of 9 blocks, as 20 layers have them, the paper's questions are others
PROTOCOL = Protocol("cifar10", depth=110, trainings=1, steps=64_000, images=10_000)
PLAIN = Arm(label="plain 20", net="plain_20")
RESIDUAL = Arm(label="ResNet-110, pre-activation", net="resnet_v2_110")
# As long as the plain net of this depth takes to learn, from this seed.
TWINS = tuple(
    Arm(label=label, net=net, training={"steps": 990}, seeds=1)
    for label, net in (("plain 56", "plain_56"), ("ResNet-56, pre-activation", "resnet_v2_56"))
)
RESIDUALS = (
    RESIDUAL.model_copy(update={"seeds": 1}),
    TWINS[1],
    Arm(label="ResNet-56, original", net="resnet_v1_56", seeds=2),
)
SMALL_COST = 0.02  # accuracy that a deletion costs at most to have hardly changed the net


# --------------------------------------------------------------------------------- one deleted


def _curves(lanes: Sequence[LaneResult]) -> list[LesionCurve]:
    return [LesionCurve.from_json(lane.result) for lane in lanes]


def _cost(curve: LesionCurve) -> float:
    return float(curve.baseline_accuracy - np.median(curve.accuracy))


def _left(curve: LesionCurve) -> float:
    return float(np.median(curve.accuracy))


def _down(lane: LaneResult) -> list[bool]:
    """Of each deleted unit, whether it changes the shape."""
    plan = {unit.name: unit for unit in blueprint(spec_of(lane.net)).units}
    return [
        plan[u["name"]].input_shape != plan[u["name"]].output_shape for u in lane.result["units"]
    ]


def _at_down(lanes: Sequence[LaneResult]) -> tuple[list[float], list[float]]:
    """Mean cost of deleting units that change the shape, and of the others, lane by lane."""
    changing, others = [], []
    for lane, curve in zip(lanes, _curves(lanes), strict=True):
        cost = curve.baseline_accuracy - curve.accuracy
        down = np.asarray(_down(lane))
        if down.any() and not down.all():
            changing.append(float(cost[down].mean()))
            others.append(float(np.median(cost[~down])))
    return changing, others


def _fig3_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("accuracy without one block", "curves only")]
    made = []
    for label in c.labels(m):
        lanes = m.lanes_of(label)
        curves = _curves(lanes)
        plain = spec_of(lanes[0].net).family == "plain"
        made.append(
            Line(
                f"{label}: accuracy without the middle one of its blocks, in order of cost",
                "chance" if plain else "hardly changed",
                c.spread([_left(curve) for curve in curves]),
            )
        )
        made.append(
            Line(
                f"{label}: accuracy intact",
                "–",
                c.spread([curve.baseline_accuracy for curve in curves]),
            )
        )
        changing, others = _at_down(lanes)
        if changing and not plain:
            made.append(
                Line(
                    f"{label}: cost of a block that changes the shape; of the others (median)",
                    "a little more",
                    f"{c.spread(changing)}; {c.spread(others)}",
                )
            )
    return made


def _fig3(row: Figure, m: Measurement) -> Verdict:
    plain, residual = c.by_family(m, "plain"), c.by_family(m, "residual")
    if not plain or not residual:
        told = "; ".join(f"{line.what}: {line.ours}" for line in _fig3_lines(row, m)[:1])
        return Verdict("open", f"A plain net and a residual one are needed. {told}.", c.sure(m))
    left = [_left(curve) for curve in _curves(plain)]
    cost = [_cost(curve) for curve in _curves(residual)]
    falls = max(left) <= c.NEAR_CHANCE
    keeps = max(cost) <= SMALL_COST
    holds: Holds = "yes" if falls and keeps else "no" if min(cost) > max(left) else "open"
    holds = c.of_enough(holds, left, cost)
    changing, others = _at_down(residual)
    more = c.ordered(others, changing)
    word = {
        "yes": "more than the others, as in the paper",
        "no": "less than the others",
        "open": "not clearly more than the others",
    }
    return Verdict(
        holds,
        f"Without the middle one of its blocks, put in order of cost, the plain net keeps "
        f"{c.spread(left)} and the residual one loses {c.spread(cost)}; blocks that change "
        "the shape "
        f"cost {c.spread(changing)}, {word[more]}.",
        c.sure(m, share=statistics.median(lane.result["baseline_accuracy"] for lane in residual)),
    )


# ----------------------------------------------------------------------------- several, shuffled


def _bands(m: Measurement) -> list[LesionBand]:
    return [LesionBand.from_json(lane.result) for lane in c.by_family(m, "residual")]


def _error_at(band: LesionBand, k: int) -> float:
    """Median error over the draws with k blocks deleted."""
    return float(1 - np.median(band.accuracy[:, min(k, band.accuracy.shape[1]) - 1]))


def _fig5a_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for label in c.labels(m) if m else [""]:
        bands = [LesionBand.from_json(x.result) for x in m.lanes_of(label)] if m else []
        for k in (1, 5, 10, 15, 20):
            number = row.numbers.get(f"{k} deleted")
            ours = c.spread([_error_at(band, k) for band in bands])
            name = f"{label}: error with {k} deleted" if label else f"error with {k} deleted"
            made.append(Line(name, str(number or "curve only"), ours))
    return made


def _fig5a(row: Figure, m: Measurement) -> Verdict:
    bands = _bands(m)
    ten, twenty = ([_error_at(band, k) for band in bands] for k in (10, 20))
    jumps = []
    for band in bands:
        path = np.concatenate([[band.baseline_accuracy], np.median(band.accuracy, axis=0)])
        whole = path[0] - path[-1]
        jumps.append(float(np.max(-np.diff(path)) / whole) if whole > 0 else np.inf)
    smooth = max(jumps) < 1 / 3
    grows = c.ordered(ten, twenty)
    return Verdict(
        c.all_of("yes" if smooth else "no" if min(jumps) > 0.5 else "open", grows),
        f"The median error is {c.spread(ten)} with 10 blocks deleted and {c.spread(twenty)} with "
        "20 (paper, of 54 blocks: about 20 %, and severe); "
        + (
            "it grows smoothly, the largest step being"
            if smooth
            else "it does not grow smoothly in every net: the largest step is"
        )
        + f" {100 * max(jumps):.0f} % of the way.",
        c.sure(m, f"{bands[0].accuracy.shape[0]} random orders of deletion in each"),
    )


def _shuffles(m: Measurement) -> list[ShuffleLesions]:
    return [ShuffleLesions.from_json(lane.result) for lane in c.by_family(m, "residual")]


def _rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's, ties by their order."""
    ranks = [np.argsort(np.argsort(values)) for values in (x, y)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _at_tau(study: ShuffleLesions, low: float, high: float) -> float | None:
    inside = (study.tau >= low) & (study.tau < high)
    return float(1 - study.accuracy[inside].mean()) if inside.any() else None


_TAUS = ((0.95, 1.01), (0.85, 0.95), (0.75, 0.85), (0.0, 0.75))


def _fig5b_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for label in c.labels(m) if m else [""]:
        studies = [ShuffleLesions.from_json(x.result) for x in m.lanes_of(label)] if m else []
        for low, high in _TAUS:
            values = [v for study in studies if (v := _at_tau(study, low, high)) is not None]
            name = f"mean error, τ from {low:g} to {min(high, 1):g}"
            made.append(
                Line(f"{label}: {name}" if label else name, "scatter only", c.spread(values))
            )
    return made


def _fig5b(row: Figure, m: Measurement) -> Verdict:
    studies = _shuffles(m)
    rank = [_rank_correlation(s.tau.ravel(), s.accuracy.ravel()) for s in studies]
    low = [float(1 - s.accuracy.ravel()[np.argmin(s.tau)]) for s in studies]
    least = [float(s.tau.min()) for s in studies]
    return Verdict(
        c.of_enough("yes" if min(rank) > 0.7 else "no" if max(rank) < 0.3 else "open", rank),
        f"The further blocks of one shape are reordered, the larger the error: rank correlation of "
        f"τ and accuracy {c.spread(rank, c.plain)}; at the lowest τ "
        f"({c.spread(least, c.plain)}) the "
        f"error is {c.spread(low)}.",
        c.sure(m, f"{studies[0].tau.size} orders of each net"),
    )


# ------------------------------------------------------------------------------------- counted


def _unravelled() -> dict[str, float]:
    return {f"paths of n = {n}": float(2**n) for n in (1, 2, 3, 4)}


def _fig6a() -> dict[str, object]:
    shares = binomial(UNITS)
    return {
        "share of paths of 19 to 35 modules": 100 * float(shares[19:36].sum()),
        "shares": shares.tolist(),
    }


def _toy() -> dict[str, object]:
    shares = toy(UNITS, 0.25)
    return {
        "share of the gradient on 5 to 17 modules, r = 0.25": 100 * float(shares[5:18].sum()),
        "shares": shares.tolist(),
    }


def _draw_shares(low: int, high: int, y: str) -> Callable[[Figure, Measurement, Style], go.Figure]:
    def draw(row: Figure, m: Measurement, style: Style) -> go.Figure:
        from explorer.reproduce import drawing

        return drawing.shares(m.numbers["shares"], low, high, y, style)

    return draw


def _shares_lines(row: Figure, m: Measurement | None) -> list[Line]:
    return [
        Line(name, str(number), "–" if m is None else f"{m.numbers[name]:.2f} %")
        for name, number in row.numbers.items()
    ]


def _fig6a_judged(row: Figure, m: Measurement) -> Verdict:
    share = m.numbers["share of paths of 19 to 35 modules"]
    return Verdict(
        "yes" if share > 95 else "no",
        f"By the binomial formula {share:.2f} % of the paths have 19 to 35 modules, more than the "
        "paper's 95 %."
        if share > 95
        else f"Only {share:.2f} % have 19 to 35 modules.",
        "Counted: nothing is drawn at random.",
    )


# --------------------------------------------------------------------------------------- paths


def _paths(m: Measurement) -> list[PathGradients]:
    return [PathGradients.from_json(lane.result) for lane in c.by_family(m, "residual")]


def _ratios(m: Measurement) -> list[float]:
    """What one module more multiplies the gradient of a path by."""
    return [found.ratio(found.leading()) for found in _paths(m)]


def _by_label(m: Measurement) -> dict[str, list[PathGradients]]:
    found: dict[str, list[PathGradients]] = {}
    for lane in c.by_family(m, "residual"):
        found.setdefault(lane.label, []).append(PathGradients.from_json(lane.result))
    return found


def _fig6b_lines(row: Figure, m: Measurement | None) -> list[Line]:
    name, paper = "factor of one module more on a path", "below 1 (curve on a log axis)"
    if m is None:
        return [Line(name, paper)]
    return [
        Line(f"{label}: {name}", paper, c.spread([x.ratio(x.leading()) for x in found], c.plain))
        for label, found in _by_label(m).items()
    ]


def _fig6b(row: Figure, m: Measurement) -> Verdict:
    ratios = _ratios(m)
    one = _paths(m)[0]
    return Verdict(
        c.of_enough("yes" if max(ratios) < 0.9 else "no" if min(ratios) > 1 else "open", ratios),
        f"One module more multiplies the mean gradient of a path by {c.spread(ratios, c.plain)}, "
        + ("so it decays with length." if max(ratios) < 0.9 else "so it does not clearly decay."),
        c.sure(
            m,
            f"{one.leading().draws} random paths of every length for each image; fitted "
            "where most of the gradient is",
        ),
    )


def _fig6c_lines(row: Figure, m: Measurement | None) -> list[Line]:
    lengths, share = row.numbers["lengths"], row.numbers["of all paths"]
    if m is None:
        return [
            Line("lengths that hold nearly all gradient", str(lengths)),
            Line("of all paths", str(share)),
        ]
    made = []
    for label, found in _by_label(m).items():
        known = [(x.two_way, x.effective(x.leading())) for x in found]
        ranges = [(n, r) for n, r in known if r is not None]
        told = ", ".join(dict.fromkeys(f"{r.low} to {r.high} of {n}" for n, r in ranges))
        made.append(Line(f"{label}: lengths that hold 95 % of the gradient", str(lengths), told))
        paths = c.spread([r.paths for _, r in ranges], _small)
        made.append(Line(f"{label}: their share of all paths", str(share), paths))
    return made


def _small(share: float) -> str:
    return f"{100 * share:.2g} %"


def _fig6c(row: Figure, m: Measurement) -> Verdict:
    known = [(x.two_way, x.effective(x.leading())) for x in _paths(m)]
    ranges = [(n, r) for n, r in known if r is not None]
    ends = [r.high / n for n, r in ranges]
    paths = [r.paths for _, r in ranges]
    short = max(ends) < 0.5 and max(paths) < 0.05
    long = min(r.low / n for n, r in ranges) > 0.25
    holds: Holds = "yes" if short else "no" if long else "open"
    return Verdict(
        c.of_enough(holds, ends),
        f"95 % of the gradient lies on paths that end at {c.spread(ends)} of the net's modules, "
        f"and these are {c.spread(paths, _small)} of all paths"
        + (": short ones, as in the paper." if short else ": not only short ones."),
        c.sure(m, "by the paper's curve, C(n, k) times the mean norm of sampled paths"),
    )


# ------------------------------------------------------------------------------------ trainings

_FULL = Arm(label="all 54 modules", net="resnet_v2_110")
_SOME = Arm(
    label="23 of 54 modules in each batch", net="resnet_v2_110", training={"units_per_batch": 23}
)


def _some_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for label, number in row.numbers.items():
        arm = m.arm(label) if m else None
        ours = (
            "–"
            if arm is None
            else f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)}, {arm.steps:,} steps)"
        )
        made.append(Line(label, str(number), ours))
    return made


def _some(row: Figure, m: Measurement) -> Verdict:
    full, some = (c.test_errors(m.arm(label)) for label in row.numbers)
    worse = c.ordered(full, some)
    better = c.ordered(some, full)
    as_good = better == "yes" or _close(full, some)
    holds: Holds = "no" if worse == "yes" else "yes" if as_good else "open"
    word = "cannot be ranked beside the other with so few trainings"
    if min(len(full), len(some)) >= 3:
        word = "differs by less than the seeds do"
    if worse == "yes":
        word = "is higher, other than in the paper"
    if better == "yes":
        word = "is lower, as in the paper"
    return Verdict(
        holds,
        f"Trained with 23 modules in each batch, the test error ({c.spread(some)}) {word} (all "
        f"modules: {c.spread(full)}).",
        c.sure(m, share=1 - statistics.median(full)),
    )


def _close(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the medians differ by less than a point and the ranges overlap, of three or more."""
    if min(len(one), len(other)) < 3:
        return False
    overlap = min(one) <= max(other) and min(other) <= max(one)
    return overlap and abs(statistics.median(one) - statistics.median(other)) < 0.01


# --------------------------------------------------------------------------------------- Fig 7

_DROPPED = Arm(label="ResNet-110, stochastic depth", net="resnet_v2_110;survival_prob=0.5")


def _fig7_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("error with several deleted", "curves only")]
    return [
        Line(
            f"{label}: error with 10 blocks deleted, and intact",
            "curve only",
            c.spread([_error_at(LesionBand.from_json(x.result), 10) for x in m.lanes_of(label)])
            + "; "
            + c.spread([1 - x.result["baseline_accuracy"] for x in m.lanes_of(label)]),
        )
        for label in c.labels(m)
    ]


def _fig7(row: Figure, m: Measurement) -> Verdict:
    lost = {
        label: [
            _error_at(LesionBand.from_json(x.result), 10) - (1 - x.result["baseline_accuracy"])
            for x in m.lanes_of(label)
        ]
        for label in c.labels(m)
    }
    usual, dropped = lost.get(RESIDUAL.label, []), lost.get(_DROPPED.label, [])
    if not usual or not dropped:
        return Verdict(
            "open", "Nets trained with and without stochastic depth are needed.", c.sure(m)
        )
    holds = c.ordered(dropped, usual)
    word = {
        "yes": "less, as in the paper",
        "no": "more, other than in the paper",
        "open": "about as much; the seeds do not tell",
    }
    return Verdict(
        holds,
        f"With 10 blocks deleted at random the net trained with stochastic depth loses "
        f"{c.spread(dropped)}, the usual one {c.spread(usual)}: {word[holds]}.",
        c.sure(m, "10 random orders of deletion in each"),
    )


ROWS = (
    Figure(
        key="veit16_fig1",
        paper="Veit16",
        item="Fig 1",
        title="The unravelled view",
        shows="A net of n modules is a sum over 2ⁿ paths.",
        numbers={f"paths of n = {n}": Number(2**n, "", "Fig 1") for n in (1, 2, 3, 4)},
        how=Counts(_unravelled),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="veit16_fig3",
        paper="Veit16",
        item="Fig 3",
        title="One block deleted",
        shows=says("veit16.delete_one"),
        protocol=PROTOCOL,
        how=Asks(
            "lesions",
            nets=(PLAIN, TWINS[0], *RESIDUALS),
            families=("plain", "residual"),
            layers=_DEEP,
        ),
        lines=_fig3_lines,
        judge=_fig3,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
        brief=True,
    ),
    Figure(
        key="veit16_fig5a",
        paper="Veit16",
        item="Fig 5a",
        title="Several blocks deleted",
        shows=says("veit16.delete_several"),
        numbers={
            "10 deleted": Number(0.2, "", "Fig 5a", "about 20 %"),
            "20 deleted": Number(None, "", "Fig 5a", "severe"),
        },
        protocol=PROTOCOL,
        how=Asks(
            "random_lesions",
            {"k": 20, "trials": 10},
            nets=RESIDUALS,
            families=_RESIDUAL,
            layers=_DEEP,
        ),
        lines=_fig5a_lines,
        judge=_fig5a,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="veit16_fig5b",
        paper="Veit16",
        item="Fig 5b",
        title="Blocks reordered",
        shows=says("veit16.shuffle"),
        protocol=PROTOCOL,
        how=Asks("shuffle_lesions", {}, nets=RESIDUALS, families=_RESIDUAL, layers=_DEEP),
        lines=_fig5b_lines,
        judge=_fig5b,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="veit16_fig6a",
        paper="Veit16",
        item="Fig 6a",
        title="How long paths are",
        shows="The lengths of the paths of 54 modules follow a binomial distribution; more than "
        "95 % have 19 to 35 modules.",
        numbers={"share of paths of 19 to 35 modules": Number(95, "%", "Fig 6a", "more than 95 %")},
        how=Counts(_fig6a),
        lines=_shares_lines,
        judge=_fig6a_judged,
        draw=_draw_shares(19, 35, "share of all paths, %"),
    ),
    Figure(
        key="veit16_fig6b",
        paper="Veit16",
        item="Fig 6b",
        title="The gradient of one path",
        shows="The norm of the input gradient along a single path decays about exponentially with "
        "the path's length (CIFAR-10, ResNet-110 of 54 modules).",
        protocol=PROTOCOL,
        how=Asks(
            "paths", {"n_images": 32, "draws": 2}, nets=RESIDUALS, families=_RESIDUAL, layers=_DEEP
        ),
        lines=_fig6b_lines,
        judge=_fig6b,
        draw=by("instrument"),
        show={"show": "per_path"},
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="veit16_fig6c",
        paper="Veit16",
        item="Fig 6c",
        title="Which paths carry the gradient",
        shows=says("veit16.effective", "veit16.sampled"),
        numbers={
            "lengths": Number(None, "", "Fig 6c", "5 to 17 of 54"),
            "of all paths": Number(0.45, "%", "Fig 6c"),
        },
        protocol=PROTOCOL,
        how=Asks(
            "paths", {"n_images": 32, "draws": 2}, nets=RESIDUALS, families=_RESIDUAL, layers=_DEEP
        ),
        kept_in="veit16_fig6b",
        lines=_fig6c_lines,
        judge=_fig6c,
        draw=by("instrument"),
        show={"show": "curves"},
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="veit16_toy",
        paper="Veit16",
        item="Fig 6, as a formula",
        title="A toy of the gradient by length",
        shows="If every module multiplies the gradient by r, that of length k is ∝ C(54, k)·rᵏ; "
        "r of about 0.25 puts nearly all of it on the paper's 5 to 17 modules.",
        numbers={
            "share of the gradient on 5 to 17 modules, r = 0.25": Number(
                97, "%", "recomputed from the formula"
            )
        },
        how=Counts(_toy),
        lines=_shares_lines,
        judge=counted,
        draw=_draw_shares(5, 17, "share of the gradient, %"),
    ),
    Figure(
        key="veit16_23_of_54",
        paper="Veit16",
        item="§4.3",
        title="Training with 23 of 54 modules",
        shows="With exactly 23 of the 54 modules in each batch, so that paths have 11.5 modules on "
        "average, CIFAR-10 test error is no worse.",
        numbers={
            _FULL.label: Number(6.10, "%", "§4.3"),
            _SOME.label: Number(5.96, "%", "§4.3"),
        },
        protocol=PROTOCOL,
        how=Trains((_FULL, _SOME)),
        lines=_some_lines,
        judge=_some,
        draw=by("ends"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="veit16_fig7",
        paper="Veit16",
        item="Fig 7",
        title="Deletion after stochastic depth",
        shows="Nets trained with stochastic depth are slightly more resilient to deleted blocks "
        "(CIFAR-10).",
        protocol=PROTOCOL,
        how=Asks("random_lesions", {"k": 20, "trials": 10}, nets=(RESIDUAL, _DROPPED)),
        lines=_fig7_lines,
        judge=_fig7,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
    ),
)
