"""Blueprints of the nets on the screen, kept: the same few are asked for at every poll."""

from __future__ import annotations

from functools import lru_cache

from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.specs import NetSpec


@lru_cache(maxsize=256)
def plan_of(net: NetSpec) -> Blueprint:
    return blueprint(net)
