"""Sweeps of the papers, small enough for a laptop."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.claims import says
from explorer.structure.specs import RECIPES, SweepSpec


@dataclass(frozen=True)
class SweepPreset:
    """A sweep, and the figure of the paper that it redraws."""

    title: str
    about: str
    spec: SweepSpec


SWEEP_PRESETS: dict[str, SweepPreset] = {
    "degradation": SweepPreset(
        title="Degradation",
        about=says(
            "he15.degradation",
            "degradation.digits",
            "degradation.digits_residual",
            "degradation.digits_shallow",
            "degradation.digits_between",
        ),
        spec=SweepSpec(
            nets=("plain_N", "resnet_v2_N"),
            depths=(20, 56, 110),
            seeds=3,
            # A third of this leaves plain nets of 56 layers unfinished, which is not degradation.
            training=RECIPES["one_cycle"].model_copy(update={"steps": 990}),
        ),
    ),
    "sgs15": SweepPreset(
        title="Highway and plain",
        about="SGS15 Fig 1: fully connected plain nets of 10 to 100 layers, and highway nets of "
        "as many parameters a layer, on digits. The bias of the gates and the recipe are ours, the "
        "same at every depth; the paper searched them net by net. " + says("degradation.fc_later"),
        spec=SweepSpec(
            nets=("fc_plain_N", "fc_highway_N;transform_bias=-5"),
            depths=(10, 20, 50, 100),
            seeds=3,
            training=RECIPES["one_cycle"].model_copy(update={"steps": 660}),
        ),
    ),
}
