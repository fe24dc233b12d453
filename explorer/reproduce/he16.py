"""He et al. 2016: what is on the shortcut, and where activations stand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from explorer.claims import says
from explorer.instruments.shortcut_scaling.result import ShortcutScaling
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
from explorer.reproduce.reported import ORDERS
from explorer.structure.blueprint import blueprint
from explorer.structure.names import NETS, spec_of, token_of
from explorer.structure.specs import ResidualSpec, parse_net

DEPTH = 20  # that was affordable
PROTOCOL = Protocol("cifar10", depth=110, trainings=5, steps=64_000, images=10_000)

# Label and the net of 110 layers whose row has the paper's number.
SHORTCUTS = {
    "original": "resnet_v1_110",
    "shortcut × 0": "resnet_110_zero_shortcut",
    "shortcut × 0.5, F × 1": "resnet_110_scaled_shortcut",
    "shortcut × 0.5, F × 0.5": "resnet_110_constant_scaling",
    "exclusive gating, b = −6": "resnet_110_exclusive_gating",
    "shortcut-only gating, b = 0": "resnet_110_shortcut_only_gating_0",
    "shortcut-only gating, b = −6": "resnet_110_shortcut_only_gating",
    "1×1 conv shortcut": "resnet_110_conv1x1",
    "dropout shortcut": "resnet_110_dropout",
}
NO_ROW = {"exclusive gating, b = 0": "resnet_v1_110;shortcut=exclusive_gating;gate_bias=0"}
TABLE_2 = {
    "original": "resnet_v1_110",
    "BN after addition": "resnet_110_bn_after_addition",
    "ReLU before addition": "resnet_110_relu_before_addition",
    "ReLU-only pre-activation": "resnet_110_relu_only_preact",
    "full pre-activation": "resnet_v2_110",
}


def _at_depth(net: str, depth: int = DEPTH) -> str:
    return token_of(parse_net({**spec_of(net).model_dump(), "depth": depth}))


def _arms(nets: dict[str, str]) -> tuple[Arm, ...]:
    return tuple(Arm(label=label, net=_at_depth(net), again=True) for label, net in nets.items())


def _printed(label: str) -> str:
    if label in NO_ROW:
        return "fails (above 20 %) (median of 5)"
    return paper_error({**SHORTCUTS, **TABLE_2}[label], "median")


def _lines(order: dict[str, str]) -> Callable[[Figure, Measurement | None], list[Line]]:
    def lines(row: Figure, m: Measurement | None) -> list[Line]:
        made = []
        for label in [
            *order,
            *(label for label in (c.labels(m) if m else []) if label not in order),
        ]:
            arm = m.arm(label) if m else None
            ours = "–"
            if arm is not None:
                ours = f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)}, {arm.steps:,} steps)"
            net = order.get(label)
            spec = spec_of(net) if net and order is TABLE_2 else None
            other = ORDERS.get(spec.order) if isinstance(spec, ResidualSpec) else None
            others = f"{other[0]:.2f} % ({other[1]})" if other else ""
            made.append(Line(label, _printed(label) if label in order else "–", ours, others))
        return made

    return lines


def _table1(row: Figure, m: Measurement) -> Verdict:
    original = m.arm("original")
    if original is None or len(m.arms) < 3:
        return Verdict(
            "open", "Too few of the table's nets were trained to compare them.", c.sure(m)
        )
    base = c.test_errors(original)
    worse: list[str] = []
    failed: list[str] = []
    open_: list[str] = []
    agree: list[str] = []
    for label in c.labels(m):
        if label == "original":
            continue
        errors = c.test_errors(m.arm(label))
        told = c.ordered(base, errors)
        fails = sorted(errors)[len(errors) // 2] > c.FAILED
        (failed if fails else worse if told == "yes" else open_).append(label)
        if fails == _printed(label).startswith("fails"):
            agree.append(label)
    n = len(c.labels(m)) - 1
    best = not any(
        c.ordered(c.test_errors(m.arm(x)), base) == "yes" for x in c.labels(m) if x != "original"
    )
    all_worse = len(failed) + len(worse) == n
    said = f"With {_depth(m)} layers the original comes to {c.spread(base)}"
    said += (
        f"; {c.listed(failed)} fail (above 20 % also with three times the steps)"
        if failed
        else "; none fails"
    )
    said += f"; {c.listed(worse)} are worse beyond the seeds' spread" if worse else ""
    said += f"; of {c.listed(open_)} nothing can be told" if open_ else ""
    return Verdict(
        "yes" if all_worse and best else "no" if not best else "open",
        f"{said}.",
        c.sure(m, f"{len(agree)} of {n} rows fail or train as in the paper"),
    )


def _depth(m: Measurement) -> int:
    return max(c.depth_of(arm.net) or 0 for arm in m.arms)


def _table2(row: Figure, m: Measurement) -> Verdict:
    full, original = m.arm("full pre-activation"), m.arm("original")
    if full is None or original is None:
        known = ", ".join(
            f"{label} {c.spread(c.test_errors(m.arm(label)))}" for label in c.labels(m)
        )
        return Verdict("open", f"One order alone is no comparison. Test error: {known}.", c.sure(m))
    holds = c.ordered(c.test_errors(full), c.test_errors(original))
    bn = m.arm("BN after addition")
    harm = c.ordered(c.test_errors(original), c.test_errors(bn))
    word = {
        "yes": "is lower, as in the paper",
        "no": "is higher, other than in the paper",
        "open": "cannot be told apart",
    }
    return Verdict(
        holds,
        f"With {_depth(m)} layers the test error of full pre-activation "
        f"({c.spread(c.test_errors(full))}) and of the original "
        f"({c.spread(c.test_errors(original))}) "
        f"{word[holds]}; batch norm after the addition ({c.spread(c.test_errors(bn))}) "
        + {
            "yes": "is worse, as in the paper.",
            "no": "is better, other than in the paper.",
            "open": "cannot be told to be worse.",
        }[harm],
        c.sure(m, share=1 - sorted(c.test_errors(full))[len(full.seeds) // 2]),
    )


def _fig6(row: Figure, m: Measurement) -> Verdict:
    full, original = m.arm("full pre-activation"), m.arm("original")
    if full is None or original is None:
        return Verdict("open", "Both orders are needed, and one alone was trained.", c.sure(m))
    loss = c.ordered(c.train_losses(original), c.train_losses(full))
    error = c.ordered(c.test_errors(full), c.test_errors(original))
    word = {"yes": "higher", "no": "lower", "open": "no different beyond the seeds' spread"}
    word2 = {"yes": "lower", "no": "higher", "open": "no different beyond the seeds' spread"}
    return Verdict(
        c.all_of(loss, error),
        f"Pre-activation's training loss ({c.spread(c.train_losses(full), c.plain)}, original "
        f"{c.spread(c.train_losses(original), c.plain)}) is {word[loss]}, its test error "
        f"({c.spread(c.test_errors(full))}, original {c.spread(c.test_errors(original))}) is "
        f"{word2[error]}.",
        c.sure(m),
    )


def _fig6_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("training loss and test error", "curves only")]
    made = []
    for label in ("original", "full pre-activation"):
        arm = m.arm(label)
        made.append(
            Line(f"{label}: training loss", "curve only", c.spread(c.train_losses(arm), c.plain))
        )
        made.append(Line(f"{label}: test error", "curve only", c.spread(c.test_errors(arm))))
    return made


# ---------------------------------------------------------------------------------- Eq 5 and 8


def _scaling(m: Measurement) -> list[ShortcutScaling]:
    return [ShortcutScaling.from_json(lane.result) for lane in m.lanes]


def _eq8_lines(row: Figure, m: Measurement | None) -> list[Line]:
    if m is None:
        return [Line("direct term of the gradient at the first unit", "λ^L")]
    found = _scaling(m)
    order = np.argsort(found[0].scale)
    return [
        Line(
            f"λ = {found[0].scale[i]:g}, L = {found[0].n_units}",
            f"{found[0].theory[i]:.3g}",
            c.spread([float(each.direct[i]) for each in found], c.plain),
        )
        for i in order
    ]


def _eq8(row: Figure, m: Measurement) -> Verdict:
    found = _scaling(m)
    apart = [
        float(np.max(np.abs(np.log(each.direct / each.theory)[each.theory > 0]))) for each in found
    ]
    worst = max(apart)
    return Verdict(
        "yes" if worst < 0.05 else "no",
        f"With every shortcut λ·x the direct term at the first of {found[0].n_units} units is λ^L "
        f"to within {100 * max(np.exp(worst) - 1, 1e-4):.2g} %, for λ from "
        f"{min(found[0].scale):g} to "
        f"{max(found[0].scale):g}.",
        f"n = {len(found)} fresh nets, {found[0].n_images} images; an identity of the chain "
        "rule, so "
        "other seeds can only show rounding.",
    )


def _details() -> dict[str, int]:
    plan = blueprint(spec_of("resnet_v2_110"))
    return {
        "ReLUs before the first split": sum(layer.kind == "activation" for layer in plan.stem),
        "ReLUs after the last addition": sum(layer.kind == "activation" for layer in plan.head),
    }


ROWS = (
    Figure(
        key="he16_eq8",
        paper="He16",
        item="Eq 5 and 8",
        title="The direct term of the gradient",
        shows=says("he16.eq5") + " With shortcuts λ·x it becomes λ^L over L units (Eq 8).",
        protocol=Protocol(),
        how=Asks(
            "shortcut_scaling",
            {},
            fresh=(Arm(label="ResNet-56, pre-activation", net="resnet_v2_56"),),
        ),
        lines=_eq8_lines,
        judge=_eq8,
        draw=by("instrument"),
        brief=True,
    ),
    Figure(
        key="he16_table1",
        paper="He16",
        item="Table 1",
        title="What is on the shortcut",
        shows="CIFAR-10 test error of ResNet-110 by what its shortcuts do: scaling, gating, 1×1 "
        "convolutions and dropout on them are all worse than the identity, or fail (error above "
        "20 %).",
        protocol=PROTOCOL,
        how=Trains(_arms({**SHORTCUTS, **NO_ROW})),
        on_cards={net: label for label, net in {**SHORTCUTS, **NO_ROW}.items()},
        lines=_lines({**SHORTCUTS, **NO_ROW}),
        judge=_table1,
        draw=by("ends"),
        caution="The gated rows are contested: a co-author of the highway papers finds mistakes in "
        "their design (Weighted Skip Connections are Not Harmful for Deep Nets, 2025). Vary the "
        "gate's bias.",
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="he16_table2",
        paper="He16",
        item="Table 2",
        title="Where the activations stand",
        shows="CIFAR-10 test error of ResNet-110 and -164 by the order of batch norm, ReLU and "
        "addition: full pre-activation is lowest, batch norm after the addition highest.",
        protocol=PROTOCOL,
        how=Trains(_arms(TABLE_2)),
        on_cards={
            **{net: label for label, net in TABLE_2.items()},
            **{
                f"resnet_{v}_{d}": f"{word}, {d} layers"
                for v, word in (("v1", "original"), ("v2", "full pre-activation"))
                for d in (20, 32, 44, 56)
            },
        },
        lines=_lines(TABLE_2),
        judge=_table2,
        draw=by("ends"),
        caution="An independent reproduction (gcr/torch-residual-networks) saw no clear difference "
        "between the variants at 20 layers; at 110 layers it reports 6.32 % without any ReLU after "
        "the addition, which is no row of the table. Shallow nets do not show the table.",
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="he16_fig6",
        paper="He16",
        item="Fig 6",
        title="Pre-activation regularises",
        shows="Pre-activation ResNet-164 ends at slightly higher training loss and lower test "
        "error than the original (CIFAR-10).",
        protocol=Protocol("cifar10", depth=164, trainings=1, steps=64_000, images=10_000),
        how=Trains(_arms(TABLE_2)),
        kept_in="he16_table2",
        on_cards={"resnet_v1_164": "original", "resnet_v2_164": "full pre-activation"},
        lines=_fig6_lines,
        judge=_fig6,
        draw=by("loss"),
        differs=(OTHER_RECIPE, "two-layer units instead of bottlenecks"),
    ),
    Figure(
        key="he16_table3",
        paper="He16",
        item="Table 3",
        title="Pre-activation at 164 and 1001 layers",
        shows="CIFAR-10 test error of ResNet-164 and ResNet-1001, original against pre-activation; "
        "on CIFAR-100 1001 layers come to 27.82 % and 22.71 %.",
        numbers={
            **{
                net: Number(NETS[net].errors[0].percent, "%", "Table 3")
                for net in ("resnet_v1_164", "resnet_v2_164", "resnet_v1_1001", "resnet_v2_1001")
            },
            "CIFAR-100, original": Number(27.82, "%", "Table 3"),
            "CIFAR-100, pre-activation": Number(22.71, "%", "Table 3"),
        },
        protocol=Protocol("cifar10", depth=1001, trainings=5, steps=64_000, images=10_000),
        why_not="A training of 1001 layers takes weeks on two cores; the nets are named "
        "(resnet_v2_1001) and can be trained with `skipscope train`.",
    ),
    Figure(
        key="he16_table5",
        paper="He16",
        item="Table 5",
        title="Pre-activation on ImageNet",
        shows="ImageNet error at 320²: ResNet-152 and ResNet-200, original against pre-activation.",
        numbers={
            name: Number(top1, "%", "Table 5", f"{top1} / {top5} % (top-1 / top-5)")
            for name, top1, top5 in (
                ("ResNet-152, original", 21.3, 5.5),
                ("ResNet-152, pre-activation", 21.1, 5.5),
                ("ResNet-200, original", 21.8, 6.0),
                ("ResNet-200, pre-activation", 20.7, 5.3),
            )
        },
        protocol=Protocol("imagenet", depth=200, images=50_000),
        why_not="ImageNet's images are not here, and no ImageNet weights ship.",
    ),
    Figure(
        key="he16_preact",
        paper="He16",
        item="appendix",
        title="Ends of a pre-activation net",
        shows="The first unit's activation comes before the split, and one more activation follows "
        "the last addition.",
        numbers={
            "ReLUs before the first split": Number(1, "", "appendix"),
            "ReLUs after the last addition": Number(1, "", "appendix"),
        },
        how=Counts(_details),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
)
