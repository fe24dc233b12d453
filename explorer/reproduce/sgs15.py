"""Srivastava et al. 2015: highway layers, and their gates."""

from __future__ import annotations

import math
import statistics

import numpy as np

from explorer.claims import says
from explorer.instruments.gate_maps.result import GateMaps
from explorer.reproduce import compare as c
from explorer.reproduce.common import OTHER_RECIPE, by, paper_error
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
from explorer.structure.names import NETS

DEPTHS = (10, 20, 50, 100)
NO_EFFECT = 0.01  # error that a layer's absence costs at most to do "almost nothing"
MNIST = Protocol("mnist", depth=50, trainings=1, images=60_000)
HIGHWAY = Arm(label="highway 50", net="fc_highway_50;transform_bias=-4")


# -------------------------------------------------------------------------------------- Fig 1


def _bias(depth: int) -> int:
    """Of the gates at the start: the deeper, the lower, for only so the deepest begin to learn."""
    return -2 if depth <= 20 else -4


def _fig1_arms() -> tuple[Arm, ...]:
    made = []
    for depth in DEPTHS:
        highway = f"fc_highway_{depth};transform_bias={_bias(depth)}"
        for kind, net in (("plain", f"fc_plain_{depth}"), ("highway", highway)):
            made.append(Arm(label=f"{kind} {depth}", net=net, training={"recipe": "sgs15"}))
    return tuple(made)


def _losses(m: Measurement, kind: str) -> dict[int, list[float]]:
    return {depth: c.train_losses(m.arm(f"{kind} {depth}")) for depth in DEPTHS}


def _fig1_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for kind in ("plain", "highway"):
        for depth in DEPTHS:
            arm = m.arm(f"{kind} {depth}") if m else None
            ours = "–" if arm is None else f"loss {c.spread(c.train_losses(arm), c.plain)}"
            made.append(Line(f"{kind}, {depth} layers", "curve only", ours))
    ratio = row.numbers["plain 100 ÷ highway 100"]
    ours = "–" if m is None else f"{_orders(m):.1f} orders of magnitude, {_deepest(m)} layers"
    return [*made, Line("plain-100's training loss over highway-100's", str(ratio), ours)]


def _deepest(m: Measurement) -> int:
    """Of the depths at which both kinds were trained."""
    return max(d for d in DEPTHS if m.arm(f"plain {d}") and m.arm(f"highway {d}"))


def _orders(m: Measurement) -> float:
    deepest = _deepest(m)
    plain, gated = _losses(m, "plain")[deepest], _losses(m, "highway")[deepest]
    return math.log10(_middle(plain) / _middle(gated)) if plain and gated else math.nan


def _middle(values: list[float]) -> float:
    return statistics.median(values) if values else math.nan


def _fig1(row: Figure, m: Measurement) -> Verdict:
    plain, gated = _losses(m, "plain"), _losses(m, "highway")
    first, deepest, orders = min(DEPTHS), _deepest(m), _orders(m)
    degrades = c.ordered(plain[first], plain[deepest])
    learns = c.ordered(gated[deepest], plain[deepest])
    word = {"yes": "rises with depth", "no": "falls with depth", "open": "does not clearly rise"}
    below: Holds = "yes" if orders > 2 else "no" if orders < 1 else "open"
    if deepest < max(DEPTHS):  # the paper speaks of the deepest
        below = "open" if below == "yes" else below
    return Verdict(
        c.all_of(degrades, learns, below),
        f"The training loss of plain nets {word[degrades]} (median "
        f"{_middle(plain[first]):.2g} with "
        f"{first} layers, {_middle(plain[deepest]):.2g} with {deepest}); highway-{deepest} ends at "
        f"{c.spread(gated[deepest], c.plain)}, {orders:.1f} orders of magnitude below.",
        c.sure(
            m,
            "rates and biases are ours, and were not searched net by net as in the paper; the loss "
            "is on a class-balanced choice of training images",
        ),
    )


# ---------------------------------------------------------------------------------- Fig 2 and 3


def _maps(m: Measurement) -> list[GateMaps]:
    return [GateMaps.from_json(lane.result) for lane in m.lanes]


def _closed(maps: GateMaps) -> float:
    """Share of layers whose gates have a mean below 0.1."""
    return float(np.mean([float(np.mean(row)) < 0.1 for row in maps.mean]))


def _selective(maps: GateMaps) -> float:
    """Of one sample's gates: share of units above 0.5 in a layer whose mean is below 0.1."""
    assert maps.sample is not None
    return float(np.mean([float(np.max(row)) > 0.5 for row in maps.sample]))


def _fig2_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("gates and biases", "heat maps only")]
    found = _maps(m)
    return [
        Line(
            "bias at the start",
            str(row.numbers["bias"]),
            f"{float(np.mean(found[0].bias_before[0])):g}",
        ),
        Line(
            "mean bias after training",
            "heat map only",
            c.spread([float(np.mean([np.mean(r) for r in maps.bias])) for maps in found], c.plain),
        ),
        Line(
            "layers with a mean gate below 0.1",
            "heat map only",
            c.spread([_closed(x) for x in found]),
        ),
        Line(
            "layers in which some gate is above 0.5 for one image",
            "heat map only",
            c.spread([_selective(x) for x in found]),
        ),
    ]


def _fig2(row: Figure, m: Measurement) -> Verdict:
    found = _maps(m)
    closed = [_closed(maps) for maps in found]
    moved = [
        float(
            np.mean(
                [
                    np.mean(now) - np.mean(then)
                    for now, then in zip(x.bias, x.bias_before, strict=True)
                ]
            )
        )
        for x in found
    ]
    word = "fell" if max(moved) < 0 else "rose" if min(moved) > 0 else "rose and fell"
    return Verdict(
        "open",
        f"The paper's heat maps print no number to set beside ours; here {c.spread(closed)} of the "
        f"layers keep a mean gate below 0.1, and over training the biases {word} (by "
        f"{c.spread([abs(each) for each in moved], c.plain)} on average).",
        c.sure(m, "one image is shown; the means are over all training images"),
    )


def _difference(maps: GateMaps) -> float:
    """Greatest |class mean − mean| of a gate, over all layers."""
    assert maps.class_difference is not None
    return float(max(np.max(np.abs(row)) for row in maps.class_difference))


def _fig3_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("class mean less mean", "heat map only")]
    found = _maps(m)
    return [
        Line(
            f"class {found[0].class_name}: greatest difference of a gate's mean",
            "heat map only",
            c.spread([_difference(maps) for maps in found], c.plain),
        )
    ]


def _fig3(row: Figure, m: Measurement) -> Verdict:
    found = _maps(m)
    most = [_difference(maps) for maps in found]
    holds: Holds = "yes" if min(most) > 0.1 else "no" if max(most) < 0.02 else "open"
    return Verdict(
        c.of_enough(holds, most),
        f"For class {found[0].class_name} some gate's mean differs from its mean over all "
        "images by "
        f"{c.spread(most, c.plain)}, of a gate that goes from 0 to 1.",
        c.sure(m, "one class is shown, and the largest difference of all gates is told"),
    )


# -------------------------------------------------------------------------------------- Fig 4


def _costs(m: Measurement) -> list[np.ndarray]:
    """Error with each layer's T set to 0, less the intact net's, seed by seed."""
    return [
        np.asarray(
            [lane.result["baseline_accuracy"] - unit["accuracy"] for unit in lane.result["units"]]
        )
        for lane in m.lanes
        if c.by_family(m, "highway")
    ]


def _fig4_lines(row: Figure, m: Measurement | None) -> list[Line]:
    idle = str(row.numbers["layers that do almost nothing"])
    if m is None:
        return [Line("layers that do almost nothing", idle)]
    shares = [float(np.mean(cost <= NO_EFFECT)) for cost in _costs(m)]
    worst = [float(cost.max()) for cost in _costs(m)]
    return [
        Line(
            f"layers whose absence costs at most {100 * NO_EFFECT:g} point", idle, c.spread(shares)
        ),
        Line(
            "points that the costliest layer costs",
            "curve only",
            c.spread([100 * w for w in worst], c.plain),
        ),
    ]


def _fig4(row: Figure, m: Measurement) -> Verdict:
    costs = _costs(m)
    idle = [float(np.mean(cost <= NO_EFFECT)) for cost in costs]
    early = [float(cost[: len(cost) // 2].mean()) for cost in costs]
    late = [float(cost[len(cost) // 2 :].mean()) for cost in costs]
    first = c.ordered(late, early)
    most = min(idle) > 0.5
    word = {
        "yes": "more than the second half",
        "no": "less than the second half, other than in the paper",
        "open": "about what the second half costs",
    }
    return Verdict(
        c.all_of(first, "yes" if most else "no" if max(idle) < 0.3 else "open"),
        f"{c.spread(idle)} of the layers cost at most {100 * NO_EFFECT:g} point of training error "
        f"when their T is set to 0; a layer of the first half costs "
        f"{c.spread([100 * e for e in early], c.plain)} points on average, {word[first]} "
        f"({c.spread([100 * e for e in late], c.plain)}).",
        c.sure(m),
    )


# ------------------------------------------------------------------------------------- Table 2


def _table2_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for net, label in row.on_cards.items():
        arm = m.arm(label) if m else None
        ours = "–" if arm is None else f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)})"
        made.append(Line(label, paper_error(net), ours))
    return made


def _table2(row: Figure, m: Measurement) -> Verdict:
    apart = []
    for net, label in row.on_cards.items():
        arm = m.arm(label)
        printed = NETS[net].errors[0].percent
        if arm is not None and printed is not None:
            apart.append((label, 100 * statistics.median(c.test_errors(arm)) - printed))
    told = "; ".join(f"{label} {value:+.2f} points".replace("-", "−") for label, value in apart)
    near = all(abs(value) < 1 for _, value in apart)
    return Verdict("yes" if near else "no", f"Test error less the paper's: {told}.", c.sure(m))


ROWS = (
    Figure(
        key="sgs15_fig1",
        paper="SGS15",
        item="Fig 1",
        title="Plain and highway nets by depth",
        shows="MNIST, fully connected nets of 10, 20, 50 and 100 layers, about 5,000 parameters a "
        "layer: the training loss of plain nets rises with depth, that of highway nets does not.",
        numbers={
            "plain 100 ÷ highway 100": Number(
                2, "orders", "Fig 1", "more than 2 orders of magnitude"
            ),
        },
        protocol=Protocol("mnist", depth=100, trainings=1, images=60_000),
        how=Trains(_fig1_arms()),
        lines=_fig1_lines,
        judge=_fig1,
        draw=by("train_loss"),
        differs=("660 steps of one recipe, not searched at random net by net",),
    ),
    Figure(
        key="sgs15_fig2",
        paper="SGS15",
        item="Fig 2",
        title="Gates of a trained highway net",
        shows=says("sgs15.maps"),
        numbers={"bias": Number(None, "", "Fig 2", "−2 (MNIST), −4 (CIFAR-100)")},
        protocol=MNIST,
        how=Asks("gate_maps", {"train": True, "of_class": "8"}, nets=(HIGHWAY,)),
        lines=_fig2_lines,
        judge=_fig2,
        draw=by("instrument"),
        show={"show": "fig2"},
        brief=True,
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="sgs15_fig3",
        paper="SGS15",
        item="Fig 3",
        title="Gates by class",
        shows="Mean of T over the images of a class less its mean over all: the gates depend "
        "on the class.",
        protocol=MNIST,
        how=Asks("gate_maps", {"train": True, "of_class": "8"}, nets=(HIGHWAY,)),
        kept_in="sgs15_fig2",
        lines=_fig3_lines,
        judge=_fig3,
        draw=by("instrument"),
        show={"show": "classes"},
        brief=True,
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="sgs15_fig4",
        paper="SGS15",
        item="Fig 4",
        title="A highway layer's T set to 0",
        shows=says("sgs15.delete_one"),
        numbers={
            "layers that do almost nothing": Number(60, "%", "Fig 4", "about 60 % (MNIST)"),
        },
        protocol=MNIST,
        how=Asks("lesions", {"train": True}, nets=(HIGHWAY,)),
        lines=_fig4_lines,
        judge=_fig4,
        draw=by("instrument"),
        brief=True,
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="sgs15_table2",
        paper="SGS15",
        item="Table 2",
        title="Convolutional highway nets",
        shows="CIFAR-10 accuracy of convolutional highway nets: 89.18 % with 11 layers (236K "
        "parameters), 92.46 % with 19 (2.3M), 91.20 % with 32 (1.25M); as errors below.",
        protocol=Protocol("cifar10", depth=32, trainings=1, images=10_000),
        how=Trains(()),
        on_cards={f"highway_fitnet_{d}": f"highway {d}" for d in (11, 19, 32)},
        lines=_table2_lines,
        judge=_table2,
        draw=by("ends"),
        why_not="No highway net trained on CIFAR-10 ships: on two cores it takes days. "
        "`skipscope train highway_fitnet_19 --data cifar10 --augment` trains one.",
        differs=("our schedule, not the authors'",),
    ),
)
