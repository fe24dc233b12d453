"""The unravelled view of a few units (Veit16 §3.1, Fig 1), as a tree, as DOT and as SVG. No torch.

y₃ = y₂ + f₃(y₂) says that y₂ is needed twice. Written out to the input, each unit stands there
once for every choice of the units after it: 2ⁿ⁻ⁱ copies of unit i, and 2ⁿ paths from the input. A
path is told by a digit for each unit in forward order, 1 where it goes through the unit's branch
and 0 where it goes by the shortcut: ``010`` goes through the second of three alone.

Switching a path off leaves out the input where that path begins, and nothing else: the first copy
on the path gets its other inputs alone. A copy whose paths are all off has no input, and is left
out. So all paths through a unit off is the net without that unit, and none off is the net.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product

from graphviz import Digraph

from explorer.errors import NotApplicableError, SpecError
from explorer.instruments.unravelled.ask import MOST, Ask
from explorer.structure.blueprint import Blueprint
from explorer.structure.graph import RANKS, Direction


def all_paths(n: int) -> tuple[str, ...]:
    """The 2ⁿ paths of n units, from the shortest: ``000`` … ``111``."""
    every = ("".join(digits) for digits in product("01", repeat=n))
    return tuple(sorted(every, key=lambda path: (path.count("1"), path[::-1])))


def unravelled_units(plan: Blueprint, units: Sequence[str] | None = None) -> tuple[str, ...]:
    """Names of the units to unravel, in forward order.

    Args:
        units: Some of the net's; None takes all, if they are few.

    Raises:
        NotApplicableError: None has two ways; too many; or a name that is none of them.
    """
    why = Ask.not_for(plan)
    if why is not None:
        raise NotApplicableError(why)
    possible = [unit.name for unit in plan.units if unit.parts_ways]
    chosen = possible if units is None else list(dict.fromkeys(units))
    if not 1 <= len(chosen) <= MOST:
        some = [possible[i * (len(possible) - 1) // (MOST - 1)] for i in range(MOST)]
        raise NotApplicableError(
            f"{len(chosen)} units would be 2^{len(chosen)} paths, and 1 to {MOST} units can be "
            f"unravelled: name them, such as {', '.join(dict.fromkeys(some))}."
        )
    for name in chosen:
        if name not in possible:
            raise NotApplicableError(
                f"{name!r} is no unit with two ways of this net; there are {possible[0]} to "
                f"{possible[-1]}."
            )
    return tuple(name for name in possible if name in chosen)


def checked_paths(n: int, off: Collection[str]) -> tuple[str, ...]:
    """The paths that are off, from the shortest.

    Raises:
        SpecError: A path that is none, or every one.
    """
    paths = all_paths(n)
    for path in off:
        if path not in paths:
            raise SpecError(
                f"{path!r} is no path of {n} units: give {n} digit{'s' if n > 1 else ''}, 1 where "
                f"it goes through a unit's branch and 0 where it goes by, such as {paths[1]!r}."
            )
    if len(set(off)) == len(paths):
        raise SpecError("With every path off nothing reaches the output: leave one on.")
    return tuple(path for path in paths if path in off)


def dot(plan: Blueprint, ask: Ask) -> str:
    """The chosen units' tree as Graphviz source."""
    return to_dot(unravelled_units(plan, ask.for_net(plan).units), ask.off)


def svg(plan: Blueprint, ask: Ask) -> str:
    """The same for a page."""
    return to_svg(unravelled_units(plan, ask.for_net(plan).units), ask.off)


@dataclass(frozen=True)
class Node:
    """One copy of what units add up to: y_i, where ``later`` has a digit for each unit after i.

    With every digit told, it is the input at the start of one path; with none, the output.

    Attributes:
        later: Digits of the units after it, which tell the copies apart.
        row: 0 … 2ⁿ − 1 for a path's start, else the middle of the rows of what it sums.
        on: Whether any path through it is.
    """

    later: str
    row: float
    on: bool


def tree(n: int, off: Collection[str] = ()) -> dict[str, Node]:
    """All copies by their digits, paths first met at the top.

    The node ``s`` of y_i is the node ``0s`` of y_{i−1} by the shortcut, plus a copy of unit i of
    the node ``1s``, which is drawn in that node's row.
    """
    nodes: dict[str, Node] = {}
    starts = 0

    def visit(later: str) -> Node:
        nonlocal starts
        if len(later) == n:
            nodes[later] = Node(later, float(starts), later not in off)
            starts += 1
        else:
            above, below = visit("0" + later), visit("1" + later)
            nodes[later] = Node(later, (above.row + below.row) / 2, above.on or below.on)
        return nodes[later]

    visit("")
    return nodes


def to_dot(
    names: Sequence[str], off: Collection[str] = (), *, direction: Direction = "left-right"
) -> str:
    """The unravelled view as Graphviz source; the same paths give the same text.

    Node ids: ``path 010`` for the start of a path, ``NAME/DIGITS`` for a copy of a unit, and
    ``sum DIGITS``. What is off is dashed and grey.

    Args:
        names: Of the unravelled units, in forward order.
        off: Paths that are switched off; see :func:`checked_paths`.
    """
    n = len(names)
    off = checked_paths(n, off)
    nodes = tree(n, off)
    graph = Digraph(
        name="unravelled",
        graph_attr={"rankdir": RANKS[direction], "nodesep": "0.12"},
        node_attr={"shape": "box", "style": "rounded", "fontname": "sans-serif"},
    )

    def look(on: bool) -> dict[str, str]:
        return {} if on else {"style": "rounded,dashed", "color": OFF, "fontcolor": OFF}

    def line(on: bool) -> dict[str, str]:
        return {} if on else {"style": "dashed", "color": OFF}

    def place(node: Node) -> str:
        if len(node.later) == n:
            return f"path {node.later}"
        return f"sum {node.later}" if node.later else "output"

    with graph.subgraph(graph_attr={"rank": "source"}) as starts:
        for later, node in nodes.items():
            if len(later) == n:
                starts.node(place(node), later, **{"shape": "plaintext", **look(node.on)})
    for later, node in nodes.items():
        if len(later) == n:
            continue
        above, below = nodes["0" + later], nodes["1" + later]
        unit = names[n - len(later) - 1]
        copy = f"{unit}/{later}" if later else unit
        graph.node(copy, unit, **look(below.on))
        if later:
            graph.node(place(node), "+", shape="circle", margin="0", **look(node.on))
        else:
            graph.node("output", "+ output", **look(node.on))
        graph.edge(place(above), place(node), **line(above.on))
        graph.edge(place(below), copy, **line(below.on))
        graph.edge(copy, place(node), **line(below.on))
    source: str = graph.source
    return source


# -------------------------------------------------------------------------------------- SVG

OFF = "#8a8f98"
WIDTH, MARGIN, LABEL, ROW, BOX = 300.0, 4.0, 34.0, 16.0, 12.0


def to_svg(names: Sequence[str], off: Collection[str] = ()) -> str:
    """The unravelled view for a page; colours come from CSS classes alone.

    Every path is a switch with ``data-path``, ``aria-checked`` and a label; the first is in the
    tab order. Classes: ``path``, ``copy`` (with ``data-unit``), ``wire``, ``sum``, and ``off``.
    """
    n = len(names)
    off = checked_paths(n, off)
    nodes = tree(n, off)
    step = (WIDTH - 2 * MARGIN - LABEL) / n
    wires: list[str] = []
    front: list[str] = []

    def at(node: Node) -> tuple[float, float]:
        return MARGIN + LABEL + (n - len(node.later)) * step, ROW * (node.row + 0.75)

    for later, node in nodes.items():
        x, y = at(node)
        if len(later) == n:
            front.append(_switch(later, node, len(front) == 0, names, y))
            continue
        above, below = nodes["0" + later], nodes["1" + later]
        (left, high), (_, low) = at(above), at(below)
        number = n - len(later)
        box = min(24.0, step * 0.45)
        start = left + (step - box) / 2 - 4
        wires.append(_wire(f"M{_n(left)} {_n(high)}H{_n(x - 10)}L{_n(x)} {_n(y)}", above.on))
        wires.append(_wire(f"M{_n(left)} {_n(low)}H{_n(x - 10)}L{_n(x)} {_n(y)}", below.on))
        front.append(
            f'<g class="copy{"" if below.on else " off"}" data-unit="{escape(names[number - 1])}">'
            f"<title>{escape(names[number - 1])}</title>"
            f'<rect x="{_n(start)}" y="{_n(low - BOX / 2)}" width="{_n(box)}" height="{_n(BOX)}" '
            f'rx="2.5"/><text x="{_n(start + box / 2)}" y="{_n(low + 3)}" text-anchor="middle">'
            f"f{number}</text></g>"
        )
        front.append(
            f'<circle class="sum{"" if node.on else " off"}" cx="{_n(x)}" cy="{_n(y)}" r="2.2"/>'
        )
    height = ROW * (2**n + 0.5)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(WIDTH)} {_n(height)}" '
        f'role="group" aria-label="{2**n} paths through {n} units">'
        f"{''.join([*wires, *front])}</svg>"
    )


def path_label(path: str, names: Sequence[str]) -> str:
    """``Path 010, of length 1: through stages.1.units.0``."""
    taken = [name for name, digit in zip(names, path, strict=True) if digit == "1"]
    way = f"through {', '.join(taken)}" if taken else "by the shortcuts alone"
    return f"Path {path}, of length {len(taken)}: {way}"


def _switch(path: str, node: Node, first: bool, names: Sequence[str], y: float) -> str:
    label = escape(f"{path_label(path, names)}{'' if node.on else ', switched off'}")
    checked = "true" if node.on else "false"
    return (
        f'<g class="path{"" if node.on else " off"}" role="switch" aria-checked="{checked}" '
        f'tabindex="{0 if first else -1}" data-path="{path}" aria-label="{label}">'
        f"<title>{label}</title>"
        f'<rect x="0" y="{_n(y - ROW / 2)}" width="{_n(MARGIN + LABEL - 2)}" height="{_n(ROW)}"/>'
        f'<text x="{_n(MARGIN)}" y="{_n(y + 3)}">{path}</text></g>'
    )


def _wire(d: str, on: bool) -> str:
    return f'<path class="wire{"" if on else " off"}" d="{d}"/>'


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")
