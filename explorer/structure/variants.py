"""Nets with one thing changed, for "same weights, one thing changed". No torch."""

from __future__ import annotations

from typing import Any

from explorer.errors import NotApplicableError
from explorer.structure.blueprint import blueprint
from explorer.structure.specs import HighwaySpec, NetSpec, PlainSpec, ResidualSpec, parse_net


def without_shortcuts(spec: NetSpec) -> NetSpec:
    """The same layers with nothing passing by them.

    A residual net keeps its units and multiplies the shortcut by 0 (He16 Table 1, "no shortcut");
    fully connected residual and highway nets become the plain net of their width, T = 1.

    Raises:
        NotApplicableError: A net whose layers cannot stand alone, or that has no shortcuts.
    """
    if isinstance(spec, ResidualSpec) and spec.layout in ("cifar", "imagenet", "small"):
        cut = {"shortcut": "constant_scaling", "shortcut_scale": 0.0, "residual_scale": 1.0}
        return parse_net({**spec.model_dump(), **cut})
    if isinstance(spec, (ResidualSpec, HighwaySpec)) and spec.layout == "fc":
        kept: dict[str, Any] = {k: v for k, v in spec.model_dump().items() if k in _PLAIN}
        init = "xavier" if spec.init == "xavier" else "he"
        return parse_net({**kept, "family": "plain", "init": init})
    if isinstance(spec, PlainSpec):
        raise NotApplicableError("A plain net has no shortcuts to cut: choose a residual net.")
    raise NotApplicableError(
        f"The shortcuts of a {spec.family} net of layout {spec.layout!r} cannot be cut, because "
        "its layers cannot stand alone: choose a residual net of layout 'cifar', or a fully "
        "connected one."
    )


def for_units_per_batch(spec: NetSpec, k: int) -> NetSpec:
    """The net whose tests go with a training on exactly ``k`` of its units in each batch.

    For residual nets that is survival_prob = k/n, uniform (see ``TrainSpec.units_per_batch``);
    other nets stay as they are.
    """
    n = sum(unit.deletable for unit in blueprint(spec).units)
    if not isinstance(spec, ResidualSpec) or not k < n:
        return spec
    return changed(spec, {"survival_prob": k / n, "survival_decay": "uniform"})


def changed(spec: NetSpec, changes: dict[str, Any]) -> NetSpec:
    """The same net with other values of some fields; raises :class:`SpecError`."""
    return parse_net({**spec.model_dump(), **changes})


_PLAIN = set(PlainSpec.model_fields) - {"family"}
