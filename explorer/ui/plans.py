"""Blueprints of the nets on the screen, kept: the same few are asked for at every poll."""

from __future__ import annotations

from functools import lru_cache

from explorer.blueprint import Blueprint, blueprint
from explorer.specs import HighwaySpec, NetSpec, ResidualSpec


@lru_cache(maxsize=256)
def plan_of(net: NetSpec) -> Blueprint:
    return blueprint(net)


def has_gates(net: NetSpec) -> bool:
    """Whether the gates instrument means something for this net."""
    return isinstance(net, HighwaySpec) or (
        isinstance(net, ResidualSpec)
        and net.shortcut in ("exclusive_gating", "shortcut_only_gating")
    )
