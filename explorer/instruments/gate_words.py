"""What gates are called, and which nets have none: T(x) of highway units, g(x) of gated shortcuts.

He16 §3.1 has the latter. Both are what the shortcut loses: it passes on 1 − T, 1 − g.
"""

from __future__ import annotations

from collections.abc import Iterable

from explorer.structure.blueprint import Blueprint, GateKind

SYMBOLS: dict[GateKind, str] = {"transform": "T", "shortcut": "g"}
_TITLES: dict[GateKind, str] = {
    "transform": "Transform gate T(x)",
    "shortcut": "Shortcut gate g(x)",
}


def symbols(kinds: Iterable[GateKind | None]) -> str:
    """ "T(x)", "g(x)" or "T(x) or g(x)": of what is drawn; None is a net without gates."""
    found = dict.fromkeys(kind for kind in kinds if kind is not None)
    return " or ".join(f"{SYMBOLS[kind]}(x)" for kind in found) or "T(x)"


def title(kinds: Iterable[GateKind | None]) -> str:
    """The same as a chart's title."""
    found = list(dict.fromkeys(kind for kind in kinds if kind is not None)) or ["transform"]
    return _TITLES[found[0]] if len(found) == 1 else f"Gates {symbols(found)}"


def no_gates(plan: Blueprint, such_as: str = "digits_fc_highway_50") -> str | None:
    """Why there is nothing to measure in a net without gates; None of one that has some.

    Args:
        such_as: A net that would do.
    """
    if plan.gated_units:
        return None
    return (
        f"This {plan.spec.family} net has no gates: look at its gradients or responses, or choose "
        f"a net that has some, such as {such_as} or 'resnet_v1_20;shortcut=exclusive_gating'."
    )
