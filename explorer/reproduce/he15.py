"""He et al. 2015: plain nets degrade with depth, residual ones do not."""

from __future__ import annotations

import math
import statistics

import numpy as np

from explorer.claims import says
from explorer.instruments.gradients.result import LayerGradients
from explorer.reproduce import compare as c
from explorer.reproduce.common import OTHER_RECIPE, by, counted, counted_lines, paper_error
from explorer.reproduce.contract import (
    Arm,
    Asks,
    Counts,
    Figure,
    Line,
    Measurement,
    Number,
    Protocol,
    Trains,
    Verdict,
)
from explorer.reproduce.reported import reported
from explorer.structure.blueprint import blueprint
from explorer.structure.names import NETS, spec_of
from explorer.writing.wording import times

DEPTHS = (20, 32, 44, 56, 110, 1202)
PROTOCOL = Protocol("cifar10", depth=110, trainings=1, steps=64_000, images=10_000)


# ------------------------------------------------------------------------------------- counted


def _parameters() -> dict[str, int]:
    return {str(depth): blueprint(spec_of(f"resnet_v1_{depth}")).parameters for depth in DEPTHS}


_COUNTED = (269_722, 464_154, 658_586, 853_018, 1_727_962, 19_421_274)


def _adds(net: str) -> float:
    return blueprint(spec_of(net)).multiply_adds


def _costs() -> dict[str, float]:
    """Multiply-adds in G, and what projecting every shortcut of a bottleneck net multiplies."""
    depths = {"34": "imagenet_resnet_34_option_a"}
    depths |= {d: f"imagenet_resnet_{d}_stride_1x1" for d in ("50", "152")}
    counted = {f"{depth} layers": _adds(net) / 1e9 for depth, net in depths.items()}
    unit = blueprint(spec_of("imagenet_resnet_50_stride_1x1")).units[1]
    wide, narrow = unit.output_shape[0], unit.output_shape[0] // 4
    own = wide * narrow + 9 * narrow**2 + narrow * wide  # 1×1, 3×3, 1×1
    return {**counted, "projection": (own + wide * wide) / own}


def _cost_lines(row: Figure, m: Measurement | None) -> list[Line]:
    lines = []
    for name, number in row.numbers.items():
        ours = "–" if m is None else f"{m.numbers[name]:.2f} {number.unit or '×'}"
        lines.append(Line(name, str(number), ours))
    return lines


def _costs_judged(row: Figure, m: Measurement) -> Verdict:
    apart = {
        name: m.numbers[name] / number.value - 1
        for name, number in row.numbers.items()
        if number.value is not None
    }
    worst = max(apart, key=lambda name: abs(apart[name]))
    grows = m.numbers["projection"]
    holds = "yes" if abs(apart[worst]) < 0.1 and 1.8 < grows < 2.2 else "no"
    return Verdict(
        "yes" if holds == "yes" else "no",
        f"Counted by the blueprint, multiply-adds are within {100 * abs(apart[worst]):.0f} % "
        "of the "
        f"paper's (farthest: {worst}), and a projection multiplies an identity bottleneck's "
        "size by "
        f"{grows:.2f}.",
        "Nothing is drawn at random; the paper rounds to 0.1 G, and does not say whether "
        "projections and the classifier are in its number, which ours counts.",
    )


# ----------------------------------------------------------------------------------- trainings


# Nets of shipped cards that show error against depth.
BY_DEPTH = {
    **{f"plain_{d}": f"plain {d}" for d in DEPTHS},
    **{f"resnet_v1_{d}": f"residual {d}" for d in DEPTHS},
    **{f"resnet_v2_{d}": f"residual v2 {d}" for d in DEPTHS},
}


def _layers(label: str) -> int:
    return int(label.rsplit(" ", 1)[1])


def _fig6_lines(row: Figure, m: Measurement | None) -> list[Line]:
    labels = (
        sorted(c.labels(m), key=lambda label: (label.rsplit(" ", 1)[0], _layers(label)))
        if m
        else []
    )
    lines = []
    for label in labels:
        assert m is not None
        arm = m.arm(label)
        assert arm is not None
        paper = row.numbers.get(label)
        net = arm.net
        said = (
            str(paper)
            if paper
            else paper_error(net)
            if net in NETS and NETS[net].errors
            else "curve only"
        )
        ours = f"test {c.spread(c.test_errors(arm))}, training {c.spread(c.train_errors(arm))}"
        ours += f" ({len(arm.seeds)} seed{'s' if len(arm.seeds) > 1 else ''}, {arm.steps:,} steps)"
        lines.append(Line(label, said, ours, reported(net)))
    return lines or [Line(label, str(number)) for label, number in row.numbers.items()]


def _fig6(row: Figure, m: Measurement) -> Verdict:
    plain = {
        int(label.split()[-1]): m.arm(label) for label in c.labels(m) if label.startswith("plain")
    }
    deep = {
        int(label.split()[-1]): m.arm(label)
        for start in (
            "residual v2",
            "residual ",
        )  # the paper's own order stands where there are both
        for label in c.labels(m)
        if label.startswith(start)
    }
    if len(plain) < 2 or not deep:
        known = "; ".join(f"{line.what}: {line.ours}" for line in _fig6_lines(row, m))
        return Verdict(
            "open",
            f"A degradation shows in plain nets of two depths beside a residual one. {known}.",
            c.sure(m),
        )
    low, high = min(plain), max(plain)
    worse = c.ordered(c.train_errors(plain[low]), c.train_errors(plain[high]))
    worse_test = c.ordered(c.test_errors(plain[low]), c.test_errors(plain[high]))
    top = max(deep)
    better = c.ordered(c.train_errors(deep[top]), c.train_errors(plain[high]))
    holds = c.all_of(worse, worse_test, better)
    order = c.ordered(c.test_errors(deep[top]), c.test_errors(deep[min(deep)]))
    reversal = {
        "yes": "and the deeper residual nets have the lower test error, as in the paper",
        "no": "but the deeper residual nets have the higher test error, other than in the paper",
        "open": "while residual nets of all depths come out too alike to be ranked, so that the "
        "paper's reversal (deeper is better) is not shown here",
    }[order]
    return Verdict(
        holds,
        f"Training error of plain nets: {c.spread(c.train_errors(plain[low]))} with {low} layers, "
        f"{c.spread(c.train_errors(plain[high]))} with {high}; residual nets of {top} layers: "
        f"{c.spread(c.train_errors(deep[top]))}, {reversal}.",
        c.sure(
            m,
            "medians with least and greatest seed; where longer trainings were tried from three "
            "seeds or more, those count",
        ),
    )


def _table6_lines(row: Figure, m: Measurement | None) -> list[Line]:
    lines = []
    for depth in DEPTHS:
        net, label = f"resnet_v1_{depth}", f"ResNet-{depth}"
        arm = m.arm(label) if m else None
        ours = "–" if arm is None else f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)})"
        lines.append(Line(label, paper_error(net), ours, reported(net)))
    if m:
        for label in c.labels(m):
            if label.startswith("pre-activation"):
                arm = m.arm(label)
                lines.append(
                    Line(
                        label,
                        "–",
                        f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds) if arm else 0})",
                    )
                )
    return lines


def _table6(row: Figure, m: Measurement) -> Verdict:
    arms = [(label, m.arm(label)) for label in c.labels(m)]
    known = [(label, arm) for label, arm in arms if arm is not None]
    own = [pair for pair in known if pair[0].startswith("ResNet")]
    told = ", ".join(f"{label} {c.spread(c.test_errors(arm))}" for label, arm in known)
    if len(own) < 2:
        return Verdict(
            "open",
            f"Test error: {told}; depths are ranked where the paper's own order of layers was "
            "trained at two.",
            c.sure(m),
        )
    first, last = own[0][1], own[-1][1]
    holds = c.ordered(c.test_errors(last), c.test_errors(first))
    word = {
        "yes": "deeper is better, as in the paper",
        "no": "deeper is worse, other than in the paper",
        "open": "which depth is better cannot be told",
    }[holds]
    return Verdict(
        holds,
        f"Test error on {m.data}: {told}: {word}.",
        c.sure(m, share=1 - statistics.median(c.test_errors(last))),
    )


# ------------------------------------------------------------------------------------ responses


def _sd(m: Measurement, label: str) -> list[float]:
    """Mean over the layers of a response's standard deviation, seed by seed."""
    return [
        float(np.mean([layer["sd"] for layer in lane.result["layers"]]))
        for lane in m.lanes_of(label)
    ]


def _fig7_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("mean response of the layers", "curves only")]
    return [Line(label, "curve only", c.spread(_sd(m, label), c.plain)) for label in c.labels(m)]


def _fig7(row: Figure, m: Measurement) -> Verdict:
    values = {label: _sd(m, label) for label in c.labels(m)}
    families = {label: spec_of(m.lanes_of(label)[0].net).family for label in values}
    residual = [label for label, family in families.items() if family == "residual"]
    plain = [label for label, family in families.items() if family == "plain"]
    told = ", ".join(f"{label} {c.spread(each, c.plain)}" for label, each in values.items())
    if len(residual) < 2 or not plain:
        return Verdict(
            "open", f"Mean standard deviation of the layers' responses: {told}.", c.sure(m)
        )
    smaller = c.ordered(values[residual[0]], values[plain[0]])
    deeper = c.ordered(values[residual[-1]], values[residual[0]])
    word = {"yes": "are", "no": "are not", "open": "cannot be told to be"}
    return Verdict(
        c.all_of(smaller, deeper),
        f"Mean standard deviation of the layers' responses: {told}; residual nets "
        f"{word[smaller]} smaller than plain ones, deeper ones {word[deeper]} smaller still.",
        c.sure(
            m,
            "after a few hundred steps a batch norm's scale has hardly left the 1 at which "
            "it starts, so a short training can neither bear nor refute the figure"
            if max(arm.steps for arm in m.lanes) < 5000
            else "",
        ),
    )


# ------------------------------------------------------------------------------------ gradients


_DEEP = Arm(label="plain 56", net="plain_56", training={"steps": 990}, seeds=1)
_START = Arm(label="plain 56, before training", net="plain_56")
_BARE = Arm(label="plain 56 without batch norm, before training", net="plain_56;batch_norm=false")
HEALTHY = (0.01, 100.0)  # first layers' gradient over the last ones', that we call neither


def _gradients(m: Measurement, label: str) -> list[LayerGradients]:
    return [LayerGradients.from_json(lane.result) for lane in m.lanes_of(label)]


def _first(found: LayerGradients) -> float:
    """Median of the first three layers' gradients."""
    return float(np.median(found.profile()[:3]))


def _s41_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("gradient norms of plain nets with batch norm", "healthy, in words")]
    made = []
    for label in c.labels(m):
        found = _gradients(m, label)
        paper = "healthy, in words" if label.startswith("plain") and "," not in label else "–"
        ratio = c.spread([each.first_to_last() for each in found], c.plain)
        made.append(Line(f"{label}: first three layers' gradient ÷ last three's", paper, ratio))
        made.append(
            Line(
                f"{label}: RMS of the first three layers' gradient",
                "–",
                c.spread([_first(each) for each in found], c.plain),
            )
        )
    return made


def _s41(row: Figure, m: Measurement) -> Verdict:
    after = {
        label: [each.first_to_last() for each in _gradients(m, label)]
        for label in c.labels(m)
        if "before" not in label
    }
    ratios = [ratio for each in after.values() for ratio in each]
    inside = [HEALTHY[0] < ratio < HEALTHY[1] for ratio in ratios]
    start = [each.first_to_last() for each in _gradients(m, _START.label)]
    bare, normed = (
        [_first(each) for each in _gradients(m, label)] for label in (_BARE.label, _START.label)
    )
    fewer = statistics.median(bare) / statistics.median(normed) if bare and normed else math.nan
    told = ", ".join(f"{label} {c.spread(each, c.plain)}" for label, each in after.items())
    word = {
        True: "neither vanish nor explode",
        False: "do not all stay within a hundredth and a hundred",
    }
    return Verdict(
        c.of_enough("yes" if all(inside) else "open" if any(inside) else "no", ratios),
        f"With batch norm the gradients of trained plain nets {word[all(inside)]} (first "
        "layers' over "
        f"the last ones': {told}); before training that ratio is {c.spread(start, c.plain)}, and "
        f"without batch norm the first layers' gradient is {times(fewer)} of that with it.",
        c.sure(m),
    )


ROWS = (
    Figure(
        key="he15_fig6",
        paper="He15",
        item="Fig 1, Fig 6 left and middle",
        title="Deeper plain nets train worse, residual nets do not",
        shows=says("he15.degradation"),
        numbers={
            "plain 110": Number(60, "%", "Fig 6, caption", "above 60 % (error)"),
        },
        protocol=PROTOCOL,
        how=Trains(()),
        on_cards=BY_DEPTH,
        lines=_fig6_lines,
        judge=_fig6,
        draw=by("ends"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="he15_table6",
        paper="He15",
        item="Table 6",
        title="Test error of ResNets by depth",
        shows="CIFAR-10 test error of ResNets of 20 to 1202 layers: it falls down to 110 layers, "
        "and is higher again at 1202.",
        protocol=PROTOCOL,
        how=Trains(()),
        on_cards={
            **{f"resnet_v1_{d}": f"ResNet-{d}" for d in DEPTHS},
            **{f"resnet_v2_{d}": f"pre-activation ResNet-{d}" for d in DEPTHS},
        },
        lines=_table6_lines,
        judge=_table6,
        draw=by("ends"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="he15_parameters",
        paper="He15",
        item="§4.2 and Table 6",
        title="Parameters of the CIFAR-10 ResNets",
        shows="With option A a shortcut has no parameters, so that plain and residual nets of one "
        "depth have equally many.",
        numbers={
            str(depth): Number(n, source="recomputed from §4.2, option A")
            for depth, n in zip(DEPTHS, _COUNTED, strict=True)
        },
        how=Counts(_parameters),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="he15_fig7",
        paper="He15",
        item="Fig 7",
        title="Responses of layers",
        shows=says("he15.fig7"),
        protocol=PROTOCOL,
        how=Asks(
            "responses",
            {"n_images": 360},
            nets=(
                Arm(label="plain 20", net="plain_20"),
                Arm(label="ResNet-20", net="resnet_v1_20"),
                Arm(label="ResNet-56", net="resnet_v1_56", seeds=2),
            ),
            families=("plain", "residual"),
        ),
        lines=_fig7_lines,
        judge=_fig7,
        draw=by("instrument"),
        show={"order": "size"},
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="he15_s41",
        paper="He15",
        item="§4.1",
        title="Gradient norms of plain nets, with and without batch norm",
        shows=says("he15.healthy"),
        protocol=Protocol("imagenet", depth=34, trainings=1),
        how=Asks(
            "gradients", nets=(Arm(label="plain 20", net="plain_20"), _DEEP), fresh=(_START, _BARE)
        ),
        lines=_s41_lines,
        judge=_s41,
        draw=by("instrument"),
        caution="Both are true: " + says("vanishing.in_training", "vanishing.edges"),
        differs=(OTHER_RECIPE,),
        brief=True,
    ),
    Figure(
        key="he15_table3",
        paper="He15",
        item="Table 3",
        title="ImageNet error by shortcut",
        shows="ImageNet error of plain-34, of ResNet-34 with options A (zero padding), B "
        "(projections where sizes change) and C (all projections), and of ResNet-50, -101 "
        "and -152.",
        numbers={
            name: Number(top1, "%", "Table 3", f"{top1:.2f} / {top5:.2f} % (top-1 / top-5)")
            for name, top1, top5 in (
                ("plain-34", 28.54, 10.02),
                ("ResNet-34 A", 25.03, 7.76),
                ("ResNet-34 B", 24.52, 7.46),
                ("ResNet-34 C", 24.19, 7.40),
                ("ResNet-50", 22.85, 6.71),
                ("ResNet-101", 21.75, 6.05),
                ("ResNet-152", 21.43, 5.71),
            )
        },
        protocol=Protocol("imagenet", depth=152, images=50_000),
        why_not="ImageNet's 1.28 million images are not here, and weights trained for days on them "
        "do not ship; torchvision's can be measured (`--weights default`) by who has the images.",
    ),
    Figure(
        key="he15_table1",
        paper="He15",
        item="Fig 5, Table 1, §4.1",
        title="What a bottleneck and a projection cost",
        shows="Multiply-adds of the ImageNet nets, and that projecting a bottleneck's identity "
        "shortcut doubles its time and size.",
        numbers={
            "34 layers": Number(3.6, "G", "Table 1"),
            "50 layers": Number(3.8, "G", "Table 1"),
            "152 layers": Number(11.3, "G", "Table 1"),
            "projection": Number(2.0, "×", "§4.1"),
        },
        how=Counts(_costs),
        lines=_cost_lines,
        judge=_costs_judged,
        draw=by("counted"),
    ),
)
