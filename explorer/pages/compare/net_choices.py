"""The controls with which the net of a lane is chosen, and what may follow what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import streamlit as st

from explorer.claims import says
from explorer.pages.shared import widgets
from explorer.structure import names
from explorer.structure.specs import (
    DenseSpec,
    HighwaySpec,
    NetSpec,
    PlainSpec,
    ResidualSpec,
    parse_net,
)

KINDS: dict[str, type[PlainSpec | ResidualSpec | HighwaySpec | DenseSpec]] = {
    "plain": PlainSpec,
    "residual": ResidualSpec,
    "highway": HighwaySpec,
    "dense": DenseSpec,
}
FAMILIES = {
    "plain": "Plain",
    "residual": "Residual",
    "highway": "Highway",
    "dense": "Dense",
}
FAMILY_WORDS = {
    "plain": "Layers stacked one after another, no shortcuts: what degrades with depth.",
    "residual": "Each block adds F(x) to a shortcut of its input (He et al. 2015, 2016).",
    "highway": "A learned gate T(x) mixes H(x) with the input: H·T + x·(1 − T) (2015).",
    "dense": "Each block sees the features of all blocks before it (Huang et al. 2016).",
}
ORDERS = {
    "original": "v1, original: ReLU after the addition",
    "full_preact": "v2, full pre-activation",
    "bn_after_addition": "BN after the addition",
    "relu_before_addition": "ReLU before the addition",
    "relu_only_preact": "ReLU-only pre-activation",
}
SHORTCUTS = {
    "A": "A: identity, zero-padded where the width grows",
    "B": "B: projection where the width grows",
    "C": "C: projections everywhere",
    "constant_scaling": "Constant scaling: λ·x + μ·F",
    "exclusive_gating": "Exclusive gating",
    "shortcut_only_gating": "Shortcut-only gating",
    "conv1x1": "1×1 convolution",
    "dropout": "Dropout",
}
_ANY_INIT = {"he": "He", "xavier": "Glorot, normal", "xavier_uniform": "Glorot, uniform"}
INITS = {
    "plain": _ANY_INIT,
    "highway": _ANY_INIT,
    "dense": _ANY_INIT,
    "residual": {
        **_ANY_INIT,
        "zero_last_scale": "He, last layer of F at 0",
        "branch_scaled": "He, last layer of F ÷ number of blocks",
    },
}
ACTIVATIONS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "Sigmoid"}
PADDINGS = {
    "zeros": "Zeros",
    "circular": "Circular: the other side of the map",
    "reflect": "Reflect: the map mirrored",
}
DEPTHS = {
    "plain": (8, 14, 20, 32, 44, 56, 110),
    "residual": (8, 14, 20, 32, 44, 56, 110),
    "bottleneck": (11, 20, 29, 56, 110, 164),
    "highway": (7, 13, 19, 25, 31, 40, 64, 100),
    "dense": (7, 13, 22, 40, 58, 100),
    "dense bottleneck": (10, 22, 40, 58, 100),
    "fc": (5, 10, 20, 30, 50, 100),
    "reference": (5, 10, 15, 20, 25, 50),
}
LAYOUTS = {
    "cifar": "Convolutional, three stages",
    "fc": "Fully connected",
    "fitnet": "FitNet's: three stages with max pools (SGS15 Table 2)",
    "imagenet": "ImageNet's: 7×7 stem, four stages",
    "reference": "Reference: five groups of one width",
    "small": "Small: two blocks",
}
PADS = {"end": "After the other maps", "both": "On both sides of them"}
# Every layout has its own value of these.
_OF_THE_LAYOUT = (
    *("width", "growth_rate", "bottleneck", "compression", "transform_bias", "batch_norm"),
    *("norm_decay", "unit", "shortcut", "stride_unit", "stride_conv", "init", "stem", "widen"),
    *("norm_scale", "norm_eps", "conv_bias", "asymmetric_padding", "bare_frame"),
)
CONVENTIONS = {"program": "its program's", "pytorch": "PyTorch's", "own": "as in the link"}


def layouts_of(family: str) -> tuple[str, ...]:
    """The layouts that a family has."""
    return get_args(KINDS[family].model_fields["layout"].annotation)


def depths_of(net: NetSpec) -> tuple[int, ...]:
    """The depths offered for a net; its own is always among them."""
    table = net.depth_table()
    if table is not None:
        return table
    if net.layout in ("fc", "reference"):
        offered = DEPTHS[net.layout]
    elif isinstance(net, PlainSpec | ResidualSpec) and net.unit == "bottleneck":
        offered = DEPTHS["bottleneck"]
    elif isinstance(net, DenseSpec) and net.bottleneck:
        offered = DEPTHS["dense bottleneck"]
    else:
        offered = DEPTHS[net.family]
    return tuple(sorted({*offered, net.depth}))


def changed(net: NetSpec, **fields: Any) -> NetSpec:
    """The net with other fields, its depth moved to the nearest possible one.

    Raises:
        SpecError: No depth makes these choices possible together.
    """
    values = {**net.model_dump(), **fields}
    kind = KINDS[values["family"]]
    if values["layout"] not in layouts_of(values["family"]):
        values["layout"] = "cifar"
    if values["layout"] != net.layout:
        kept = {n: v for n, v in values.items() if n in fields or n not in _OF_THE_LAYOUT}
        values = {**kept, **_own_values(values["family"], values["layout"]), **fields}
    elif values["family"] != net.family and conventions(net) == "program":
        values |= _own_values(values["family"], values["layout"])
    if values["layout"] == "fc":
        values["padding"] = "zeros"  # nothing is padded there
    if values["family"] != "residual" and values.get("init") not in INITS["plain"]:
        values["init"] = "he"
    values = {name: value for name, value in values.items() if name in kind.model_fields}
    if net.layout == "fitnet" and fields.keys() == {"depth"} and "width" in values:
        usual = kind.layout_defaults({"layout": "fitnet", "depth": net.depth})["width"]
        if net.width == usual:
            del values["width"]  # each depth has its own
    if "depth" not in fields:
        net = kind.model_construct(**{**kind.layout_defaults(values), **values})
        values["depth"] = _nearest_depth(net)
    return parse_net(values)


def _own_values(family: str, layout: str) -> dict[str, Any]:
    """What a layout asks for besides its defaults."""
    values: dict[str, Any] = {}
    if layout == "fc":
        # The highway papers' fully connected nets are narrow and have no batch norm.
        values = {"batch_norm": False, "width": 50 if family == "highway" else 71}
    if layout == "fitnet":
        values = {"batch_norm": False, "init": "xavier"}
    if layout in ("fc", "reference") and family == "residual":
        values["order"] = "full_preact"
    if layout == "fc" and family == "residual":
        values["init"] = "branch_scaled"
    if layout in ("reference", "small"):
        values |= names.usual_conventions(layout, family)
    return values


def conventions(net: NetSpec) -> str | None:
    """A key of ``CONVENTIONS``; None where no program stands behind a net of this layout."""
    if not names.has_program(net):
        return None
    settled = _settled(net)
    return next(
        (which for which, fields in settled.items() if _has(net, fields)),
        "own",
    )


def _settled(net: NetSpec) -> dict[str, dict[str, Any]]:
    return {
        "program": names.usual_conventions(net.layout, net.family),
        "pytorch": names.pytorch_conventions(net.layout, net.family),
    }


def _has(net: NetSpec, fields: dict[str, Any]) -> bool:
    return all(getattr(net, name) == value for name, value in fields.items())


def _nearest_depth(net: NetSpec) -> int:
    """The possible depth that is nearest to the net's own."""
    table, rule = net.depth_table(), net.depth_rule()
    if table is not None:
        return min(table, key=lambda depth: abs(depth - net.depth))
    if rule is None:
        return net.depth
    step, offset, least = rule
    return max(least, offset + step * round((net.depth - offset) / step))


def lane_choices(lane: int, net: NetSpec, on_change: Callable[[dict[str, Any]], None]) -> None:
    """The controls of one lane; ``on_change`` gets the fields that were changed."""

    def key(name: str) -> str:
        return f"lane{lane}.{name}"

    def field(name: str) -> Callable[[Any], None]:
        return lambda value: on_change({name: value})

    widgets.select(
        "Family", key("family"), list(FAMILIES), net.family, field("family"), words=FAMILIES
    )
    st.caption(FAMILY_WORDS[net.family])
    widgets.select(
        "Layers",
        key("layout"),
        list(layouts_of(net.family)),
        net.layout,
        field("layout"),
        words=LAYOUTS,
    )
    widgets.select(
        "Depth",
        key("depth"),
        list(depths_of(net)),
        net.depth,
        field("depth"),
        help="Layers with weights on the longest path, as the papers count them.",
    )
    if isinstance(net, DenseSpec):
        widgets.number(
            "Growth rate k",
            key("growth_rate"),
            net.growth_rate,
            field("growth_rate"),
            least=1,
            most=256,
            step=1,
            help="New feature maps of each block.",
        )
        if net.layout == "cifar":
            widgets.toggle(
                "Bottleneck (B)",
                key("bottleneck"),
                net.bottleneck,
                field("bottleneck"),
                help="A 1×1 convolution to 4k maps before each 3×3.",
            )
        if net.layout != "reference":
            widgets.number(
                "Compression θ",
                key("compression"),
                net.compression,
                field("compression"),
                least=0.1,
                most=1.0,
                step=0.1,
                help="Share of the maps that a transition keeps.",
            )
    else:
        widgets.number(
            "Width",
            key("width"),
            net.width,
            field("width"),
            least=1,
            most=2048,
            step=1,
            help="Filters of the first stage (doubled at each further one), or units of a layer.",
        )
        widgets.select(
            "Activation",
            key("activation"),
            list(ACTIVATIONS),
            net.activation,
            field("activation"),
            words=ACTIVATIONS,
            help="A sigmoid's slope is a quarter at most: with usual initial weights and without "
            "batch norm the gradient shrinks with every layer of a plain net.",
        )
    if isinstance(net, HighwaySpec):
        widgets.number(
            "Transform bias b_T",
            key("transform_bias"),
            net.transform_bias,
            field("transform_bias"),
            least=-20.0,
            most=20.0,
            step=0.5,
            help="The lower, the more the gates start shut, so that blocks pass their input on.",
        )
    if isinstance(net, PlainSpec | ResidualSpec) and net.layout in ("cifar", "imagenet"):
        widgets.select(
            "Block",
            key("unit"),
            ["basic", "bottleneck"],
            net.unit,
            field("unit"),
            words={"basic": "Basic: 3×3, 3×3", "bottleneck": "Bottleneck: 1×1, 3×3, 1×1"},
        )
    if isinstance(net, ResidualSpec) and net.layout not in ("fc", "reference"):
        if net.layout != "small":
            widgets.select(
                "Stride in a stage's",
                key("stride_unit"),
                ["first", "last"],
                net.stride_unit,
                field("stride_unit"),
                words={"first": "first block", "last": "last block"},
                help="The block that halves the resolution: the first of each further stage, or "
                "the last of each but the last stage.",
            )
        widgets.select(
            "Activation order",
            key("order"),
            list(ORDERS),
            net.order,
            field("order"),
            words=ORDERS,
            help="Where batch norm and ReLU stand (He et al. 2016, Fig 4).",
        )
        widgets.select(
            "Shortcut",
            key("shortcut"),
            list(SHORTCUTS),
            net.shortcut,
            field("shortcut"),
            words=SHORTCUTS,
            help="He et al. 2015 §3.3 and 2016 Table 1.",
        )
        if net.layout == "imagenet" and net.order == "original":
            widgets.select("Stem", key("stem"), ["7x7", "3x3"], net.stem, field("stem"))
        if net.shortcut not in ("B", "C", "conv1x1"):
            widgets.select(
                "Zeros of option A",
                key("shortcut_pad"),
                list(PADS),
                net.shortcut_pad,
                field("shortcut_pad"),
                words=PADS,
                help="Where the maps of zeros stand that a shortcut adds where a stage is wider.",
            )
        if net.shortcut == "constant_scaling":
            widgets.number(
                "λ on the shortcut",
                key("shortcut_scale"),
                net.shortcut_scale,
                field("shortcut_scale"),
                least=0.0,
                most=2.0,
                step=0.05,
            )
            widgets.number(
                "μ on F",
                key("residual_scale"),
                net.residual_scale,
                field("residual_scale"),
                least=0.0,
                most=2.0,
                step=0.05,
            )
        if net.shortcut in ("exclusive_gating", "shortcut_only_gating"):
            widgets.number(
                "Gate bias b_g",
                key("gate_bias"),
                net.gate_bias,
                field("gate_bias"),
                least=-20.0,
                most=20.0,
                step=0.5,
            )
        if net.shortcut == "dropout":
            widgets.number(
                "Drop rate",
                key("shortcut_dropout"),
                net.shortcut_dropout,
                field("shortcut_dropout"),
                least=0.0,
                most=0.95,
                step=0.05,
            )
        widgets.number(
            "Survival probability",
            key("survival_prob"),
            net.survival_prob,
            field("survival_prob"),
            least=0.05,
            most=1.0,
            step=0.05,
            help="Below 1: stochastic depth, the last block survives with this probability.",
        )
    chosen = conventions(net)
    if chosen is not None:
        others = _settled(net)
        widgets.select(
            "Conventions",
            key("conventions"),
            [*others, *(["own"] if chosen == "own" else [])],
            chosen,
            lambda which: on_change(others.get(which, {})),
            words=CONVENTIONS,
            help="Biases, batch norm's scale, ε and decay, padding and initial weights: as in the "
            "program that this net is from, or as is usual in PyTorch.",
        )
    widgets.toggle(
        "Batch norm",
        key("batch_norm"),
        net.batch_norm,
        field("batch_norm"),
        help="Brings the signal to one size wherever it stands. " + says("vanishing.factor"),
    )
    widgets.select(
        "Initialisation",
        key("init"),
        list(INITS[net.family]),
        net.init,
        field("init"),
        words=INITS[net.family],
        help="Without batch norm He's rule makes the variance grow with every addition.",
    )
    widgets.number(
        "Weight scale",
        key("init_gain"),
        net.init_gain,
        field("init_gain"),
        least=0.01,
        most=10.0,
        step=0.05,
        help="Factor on the standard deviation of the initial weights: 1 is the rule's own. "
        "In a plain net of ReLUs, by He's rule and without batch norm, signals and gradients "
        "shrink with every layer where it is less.",
    )
    if net.layout != "fc":
        widgets.select(
            "Padding",
            key("padding"),
            list(PADDINGS),
            net.padding,
            field("padding"),
            words=PADDINGS,
            help="What convolutions find beyond the edge. " + says("vanishing.edges"),
        )
