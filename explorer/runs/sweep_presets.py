"""Sweeps of the papers, small enough for a laptop."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.specs import RECIPES, SweepSpec


@dataclass(frozen=True)
class SweepPreset:
    """A sweep, and the figure of the paper that it redraws."""

    title: str
    about: str
    spec: SweepSpec


SWEEP_PRESETS: dict[str, SweepPreset] = {
    "degradation": SweepPreset(
        title="Degradation",
        about="He15 Fig 1 and 6: deeper plain nets have a higher error, on training images too; "
        "residual nets do not. Highway and dense nets beside them, on digits.",
        spec=SweepSpec(
            nets=("plain_N", "resnet_v2_N", "highway_N", "densenet_N_k6"), depths=(8, 20, 32, 56)
        ),
    ),
    "sgs15": SweepPreset(
        title="Highway and plain",
        about="SGS15 Fig 1: fully connected plain nets of 10 to 100 layers, and highway nets of "
        "as many parameters a layer, on digits. Gradients are clipped at 1: without it, 100 "
        "highway layers may diverge.",
        spec=SweepSpec(
            nets=("fc_plain_N", "fc_highway_N;transform_bias=-3"),
            depths=(10, 20, 50, 100),
            seeds=3,
            training=RECIPES["sgs15"].model_copy(update={"gradient_clip": 1.0}),
        ),
    ),
}
