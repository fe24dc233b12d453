"""What instruments share that build nets of several depths."""

from __future__ import annotations

from explorer.structure.specs import MAX_DEPTH, NetSpec


def nearest_depth(spec: NetSpec, depth: int) -> int:
    """The depth nearest to ``depth`` that the net's family has."""
    table, rule = spec.depth_table(), spec.depth_rule()
    if table is not None:
        return min(table, key=lambda possible: abs(possible - depth))
    step, offset, least = rule or (1, 0, 2)
    most = offset + (MAX_DEPTH - offset) // step * step
    nearest = offset + round((depth - offset) / step) * step
    return max(least, min(most, nearest))
