"""Huang et al. 2016: dense nets; and stochastic depth (SD16)."""

from __future__ import annotations

import statistics

import numpy as np

from explorer.claims import says
from explorer.instruments.reuse.result import FeatureReuse
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

_COUNTED = {
    "densenet_40_k12": 1_019_722,
    "densenet_100_k12": 6_979_642,
    "densenet_bc_100_k12": 769_162,
    "densenet_bc_250_k24": 15_324_406,
    "densenet_bc_190_k40": 25_624_430,
}
DENSE = Arm(label="DenseNet-40, k = 12", net="densenet_40_k12")
FRESH = Arm(label="DenseNet-40, untrained", net="densenet_40_k12")


def _parameters() -> dict[str, int]:
    return {net: blueprint(spec_of(net)).parameters for net in _COUNTED}


def _table2_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for net in _COUNTED:
        arm = next((arm for arm in (m.arms if m else ()) if arm.net == net), None)
        ours = "–" if arm is None else f"{c.spread(c.test_errors(arm))} (n = {len(arm.seeds)})"
        made.append(Line(net, paper_error(net), ours, reported(net)))
    return made


def _table2(row: Figure, m: Measurement) -> Verdict:
    arm = m.arms[0]
    errors = c.test_errors(arm)
    on_paper = m.data == row.protocol.data
    return Verdict(
        "open" if not on_paper else "yes" if statistics.median(errors) < 0.07 else "no",
        f"{arm.label} comes to a test error of {c.spread(errors)} on {m.data}"
        + ("." if on_paper else ", which cannot be set beside a number for CIFAR-10."),
        c.sure(m, share=1 - statistics.median(errors)),
    )


def _reuse(m: Measurement, label: str) -> list[FeatureReuse]:
    return [FeatureReuse.from_json(lane.result) for lane in m.lanes_of(label)]


def _input_share(found: FeatureReuse) -> float:
    """Blocks 2 and 3: mean relative weight of the block's input, the transition's output."""
    rows = [block.relative()[0] for block in found.blocks[1:]]
    return float(np.nanmean(np.concatenate(rows)))


def _others_share(found: FeatureReuse) -> float:
    rows = [block.relative()[1:].ravel() for block in found.blocks[1:]]
    return float(np.nanmean(np.concatenate(rows)))


def _late(found: FeatureReuse) -> float:
    """Classifier: mean weight of the later half of its sources over that of the earlier half."""
    column = found.blocks[-1].weight[:, -1]
    half = len(column) // 2
    return float(np.nanmean(column[half:]) / np.nanmean(column[:half]))


def _median_share(found: FeatureReuse) -> float:
    shares = np.concatenate([block.relative().ravel() for block in found.blocks])
    return float(np.nanmedian(shares))


_MEASURES = {
    "median source's weight over its layer's strongest": (_median_share, "many sources are used"),
    "blocks 2 and 3: relative weight of the transition's output": (_input_share, "least"),
    "blocks 2 and 3: of the other sources": (_others_share, "–"),
    "classifier: weights of the later half of its sources over the earlier": (_late, "above 1"),
}


def _fig5_lines(row: Figure, m: Measurement | None) -> list[Line]:
    made = []
    for label in (DENSE.label, FRESH.label):
        for name, (measure, paper) in _MEASURES.items():
            ours = "–" if m is None else c.spread([measure(x) for x in _reuse(m, label)], c.plain)
            trained = label == DENSE.label
            made.append(
                Line(f"{name}{'' if trained else ', untrained'}", paper if trained else "–", ours)
            )
    return made


def _fig5(row: Figure, m: Measurement) -> Verdict:
    trained, fresh = _reuse(m, DENSE.label), _reuse(m, FRESH.label)
    late = c.ordered([_late(x) for x in fresh], [_late(x) for x in trained])
    least = c.ordered([_input_share(x) for x in trained], [_input_share(x) for x in fresh])
    word = {"yes": "do", "no": "do the opposite", "open": "cannot be told to do so"}
    return Verdict(
        c.all_of(late, least),
        f"Beside untrained nets, blocks 2 and 3 {word[least]} use the transition's output less "
        f"({c.spread([_input_share(x) for x in trained], c.plain)} against "
        f"{c.spread([_input_share(x) for x in fresh], c.plain)} of a layer's strongest "
        "source), and "
        "the classifier's leaning on late maps is "
        f"{c.spread([_late(x) for x in trained], c.plain)} "
        f"(untrained {c.spread([_late(x) for x in fresh], c.plain)}).",
        c.sure(m, "weights are read, no images are needed"),
    )


# --------------------------------------------------------------------------- stochastic depth

_USUAL = Arm(label="constant depth", net="resnet_v2_110")
_DROPPED = Arm(label="stochastic depth", net="resnet_v2_110;survival_prob=0.5")


def _expected() -> dict[str, float]:
    plan = blueprint(spec_of("resnet_110_stochastic_depth"))
    return {"blocks on average": sum(unit.survival_prob for unit in plan.units)}


def _sd_lines(row: Figure, m: Measurement | None) -> list[Line]:
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


def _sd(row: Figure, m: Measurement) -> Verdict:
    usual, dropped = m.arm(_USUAL.label), m.arm(_DROPPED.label)
    if usual is None or dropped is None:
        told = ", ".join(f"{arm.label} {c.spread(c.test_errors(arm))}" for arm in m.arms)
        return Verdict("open", f"Both trainings are needed; test error: {told}.", c.sure(m))
    holds = c.ordered(c.test_errors(dropped), c.test_errors(usual))
    word = {
        "yes": "is lower, as in the paper",
        "no": "is higher, other than in the paper",
        "open": "is no different beyond the seeds' spread",
    }
    return Verdict(
        holds,
        f"With stochastic depth the test error ({c.spread(c.test_errors(dropped))}) {word[holds]} "
        f"(constant depth: {c.spread(c.test_errors(usual))}); the training loss is "
        f"{c.spread(c.train_losses(dropped), c.plain)} against "
        f"{c.spread(c.train_losses(usual), c.plain)}.",
        c.sure(m, share=1 - statistics.median(c.test_errors(usual))),
    )


ROWS = (
    Figure(
        key="huang16_parameters",
        paper="Huang16",
        item="Table 2, parameters",
        title="Parameters of DenseNets",
        shows="DenseNets of 40 to 250 layers; with bottlenecks and compression (BC) far fewer "
        "parameters.",
        numbers={
            net: Number(n, source="recomputed; Table 2 rounds to 0.1M")
            for net, n in _COUNTED.items()
        },
        how=Counts(_parameters),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="huang16_table2",
        paper="Huang16",
        item="Table 2, C10+",
        title="Test error of DenseNets",
        shows="CIFAR-10 test error of DenseNets, with shifts and flips.",
        protocol=Protocol("cifar10", depth=250, trainings=1, steps=234_375, images=10_000),
        how=Trains((DENSE,)),
        on_cards={net: net for net in _COUNTED},
        lines=_table2_lines,
        judge=_table2,
        draw=by("ends"),
        differs=(OTHER_RECIPE,),
    ),
    Figure(
        key="huang16_table3",
        paper="Huang16",
        item="Table 3",
        title="DenseNets on ImageNet",
        shows="ImageNet top-1 error, one crop, of DenseNet-121, -169 and -201.",
        numbers={
            f"DenseNet-{d}": Number(
                NETS[f"imagenet_densenet_{d}"].errors[0].percent, "%", "Table 3"
            )
            for d in (121, 169, 201)
        },
        protocol=Protocol("imagenet", depth=201, images=50_000),
        why_not="ImageNet's images are not here, and no ImageNet weights ship; torchvision's can "
        "be measured (`--weights default`) by who has the images.",
    ),
    Figure(
        key="huang16_fig5",
        paper="Huang16",
        item="Fig 5",
        title="Which earlier features a layer uses",
        shows=says("huang16.reuse"),
        protocol=Protocol("cifar10", depth=40, trainings=1, steps=234_375),
        how=Asks("reuse", nets=(DENSE,), fresh=(FRESH,)),
        lines=_fig5_lines,
        judge=_fig5,
        draw=by("instrument"),
        differs=(OTHER_RECIPE,),
        brief=True,
    ),
    Figure(
        key="sd16_expected",
        paper="SD16",
        item="Eq 4 and §3",
        title="Blocks that survive",
        shows="With p_l = 1 − (l/L)(1 − p_L) and p_L = 0.5, 54 blocks keep 40.25 on average.",
        numbers={"blocks on average": Number(40.25, "", "recomputed from Eq 4")},
        how=Counts(_expected),
        lines=counted_lines,
        judge=counted,
        draw=by("counted"),
    ),
    Figure(
        key="sd16_error",
        paper="SD16",
        item="test error, first version",
        title="Stochastic depth lowers the test error",
        shows="ResNet-110 on CIFAR-10: constant against stochastic depth.",
        numbers={
            _USUAL.label: Number(6.41, "%", "first version"),
            _DROPPED.label: Number(5.23, "%", "first version"),
        },
        protocol=Protocol("cifar10", depth=110, trainings=1, steps=175_500, images=10_000),
        how=Trains((_USUAL, _DROPPED)),
        on_cards={
            "resnet_v1_110": _USUAL.label,
            "resnet_110_stochastic_depth": _DROPPED.label,
        },
        lines=_sd_lines,
        judge=_sd,
        draw=by("ends"),
        differs=(OTHER_RECIPE, "pre-activation instead of the original order"),
    ),
)
