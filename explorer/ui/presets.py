"""Sets of nets to start from: what works beside what fails."""

from __future__ import annotations

from explorer.names import spec_of, token_of
from explorer.specs import NetSpec

PRESETS: dict[str, tuple[str, ...]] = {
    "Deeper: plain and residual": ("plain_20", "plain_110", "resnet_v2_110"),
    "Plain, residual, highway": ("plain_56", "resnet_v2_56", "fc_highway_50;transform_bias=-4"),
    "Four families": (
        "plain_56",
        "resnet_v2_56",
        "fc_highway_50;transform_bias=-4",
        "densenet_40_k12",
    ),
    "Plain nets, deeper and deeper": ("plain_8", "plain_20", "plain_56", "plain_110"),
    "Residual nets, deeper and deeper": (
        "resnet_v2_8",
        "resnet_v2_20",
        "resnet_v2_56",
        "resnet_v2_110",
    ),
    "Batch norm off": (
        "plain_20;batch_norm=false",
        "resnet_v2_20;batch_norm=false",
        "resnet_v2_20;batch_norm=false;init=branch_scaled",
    ),
    "Highway: how shut the gates start": (
        "fc_plain_20",
        "fc_highway_20;transform_bias=0",
        "fc_highway_20",
        "fc_highway_20;transform_bias=-6",
    ),
    "v1 beside v2, 56 layers": ("resnet_v1_56", "resnet_v2_56"),
    "v1 beside v2, 110 layers": ("resnet_v1_110", "resnet_v2_110"),
    "The reference nets, 25 layers": (
        "reference_plain_25",
        "reference_residual_25",
        "reference_highway_25",
        "reference_dense_25",
    ),
}


def preset_nets(name: str) -> tuple[NetSpec, ...]:
    return tuple(spec_of(token) for token in PRESETS[name])


def preset_of(lanes: tuple[NetSpec, ...]) -> str | None:
    """The preset that is on the screen; None where somebody chose nets of their own."""
    shown = tuple(token_of(net) for net in lanes)
    return next((name for name, tokens in PRESETS.items() if tokens == shown), None)
