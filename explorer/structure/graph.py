"""Block graphs: blueprint → Graphviz DOT, and → the SVG that the page makes clickable. No torch.

Node ids and ``data-unit`` are the names of the units, which are paths of modules of the net. DOT
becomes a picture file by :func:`render`; a second DOT view sets two nets side by side.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, pairwise
from pathlib import Path
from typing import Literal

import graphviz
from graphviz import Digraph

from explorer.errors import SkipscopeError, SpecError
from explorer.structure.blueprint import Blueprint, Layer, Shape, UnitPlan
from explorer.structure.differences import Difference, compare, likeness, runs
from explorer.structure.names import title_of
from explorer.structure.specs import ResidualSpec
from explorer.system.files import write_bytes

Direction = Literal["top-down", "left-right"]
Link = Callable[[str], str]  # name of a unit → address
RANKS: dict[Direction, str] = {"top-down": "TB", "left-right": "LR"}
PICTURES = ("png", "svg", "pdf")
NO_GRAPHVIZ = (
    "Drawing a picture needs Graphviz's program `dot`, which is not on the path: install Graphviz "
    "(Debian: apt-get install graphviz)"
)
DIFFERS = "#b45309"  # readable on white; the nodes that differ are bold too
DIFFERS_ON_DARK = "#ffb066"
CHANGING_SHORTCUTS = ("projection", "zero_pad", "max_pool")  # drawn dashed

# ------------------------------------------------------------------------------------ words


def shape_text(shape: Shape) -> str:
    """``16×8×8``; ``197 tokens × 192``; or ``50`` where there is no image."""
    if len(shape) == 2:
        return f"{shape[0]} tokens × {shape[1]}"
    return "×".join(str(n) for n in shape)


def count_text(value: int) -> str:
    """Three significant digits: ``853 k``, ``12.5 M``."""
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:  # what would be rounded up to 1000 of the unit below
            return f"{value / size:.3g} {unit}"
    return str(value)


def unit_label(plan: Blueprint, index: int, *, deleted: bool = False) -> str:
    """What a unit is called aloud: ``Block 12 of 27, stage 2: residual, 32→32, deletable``."""
    unit = plan.units[index]
    state = "deletable" if unit.deletable else "not deletable"
    return (
        f"Block {index + 1} of {len(plan.units)}, {plan.stage_names[unit.stage]}: {unit.kind}, "
        f"{width_of(unit.input_shape)}→{width_of(unit.output_shape)}, "
        f"{'deleted' if deleted else state}"
    )


def width_of(shape: Shape) -> int:
    """Maps, or features: of an image, or of each token."""
    return shape[-1] if len(shape) == 2 else shape[0]


def why_not_deletable(unit: UnitPlan) -> str:
    """Why the net cannot compute without this unit, as a sentence."""
    what = "transition" if unit.kind == "transition" else f"{unit.kind} block"
    if unit.input_shape == unit.output_shape:  # one pixel, which a stride of 2 keeps
        return f"This {what} joins two stages, so the net cannot compute without it."
    return (
        f"This {what} changes the shape from {shape_text(unit.input_shape)} to "
        f"{shape_text(unit.output_shape)}, so the net cannot compute without it."
    )


# -------------------------------------------------------------------------------------- DOT


def to_dot(
    plan: Blueprint,
    opened: str | None = None,
    *,
    direction: Direction = "top-down",
    link: Link | None = None,
) -> str:
    """The net as Graphviz source; the same blueprint gives the same text.

    Neighbours that are alike (:func:`explorer.structure.differences.likeness`) are one node, ``Unit
    × 18``, with the name of the first. What goes round a unit meets it in the node of its join, and
    is dashed where it changes the shape.

    Args:
        opened: Name of one unit that is drawn layer by layer.
        direction: Which way the data flows.
        link: Where a click on a unit leads; on the opened one, with an empty name.

    Raises:
        SpecError: There is no unit of that name.
    """
    names = [unit.name for unit in plan.units]
    if opened is not None and opened not in names:
        raise SpecError(
            f"There is no unit {opened!r} in this net: units are named {names[0]} to {names[-1]}."
        )
    graph = _digraph(title_of(plan.spec), direction)
    graph.node("stem", _end_text("Stem", plan.stem))
    previous = "stem"
    for group in _repeats(plan.units, opened):
        unit = group[0]
        if unit.name == opened:
            previous = _opened_unit(graph, unit, previous, _linked(link, ""))
            continue
        graph.node(unit.name, _unit_text(group), style=_dot_style(unit), **_linked(link, unit.name))
        graph.edge(previous, unit.name, **_STRAIGHT)
        join = _join_of(unit)
        if join is None:
            previous = unit.name
            continue
        graph.node(join.name, **_join_style(unit, join))
        graph.edge(unit.name, join.name, **_STRAIGHT)
        graph.edge(
            previous,
            join.name,
            label=_beside(unit.shortcut.replace("_", " ")),
            **_shortcut_style(unit.shortcut),
        )
        previous = join.name
    graph.node("head", _end_text("Head", plan.head))
    graph.edge(previous, "head", **_STRAIGHT)
    source: str = graph.source
    return source


def comparison_dot(
    left: Blueprint,
    right: Blueprint,
    *,
    direction: Direction = "top-down",
    links: tuple[Link, Link] | None = None,
) -> str:
    """Two nets side by side as Graphviz source, with what differs between their units.

    Pairs as in :func:`explorer.structure.differences.compare`; runs of alike pairs are one. A unit
    that differs from its partner is bold and coloured, and the dotted line between them says in
    what. Node ids are unit names after ``left.`` and ``right.``.

    Args:
        links: Where clicks on the left net's units and on the right one's lead.
    """
    titles = {"left": title_of(left.spec), "right": title_of(right.spec)}
    graph = _digraph(f"{titles['left']} / {titles['right']}", direction)
    groups = list(runs(compare(left, right)))
    for i, (side, plan) in enumerate((("left", left), ("right", right))):
        with graph.subgraph(name=f"cluster_{side}") as box:
            box.attr(label=titles[side], style="rounded")
            box.node(f"{side}.stem", _end_text("Stem", plan.stem))
            previous = f"{side}.stem"
            for group in groups:
                units = [unit for pair in group if (unit := getattr(pair, side)) is not None]
                if not units:
                    continue
                name = f"{side}.{units[0].name}"
                marks = {"color": DIFFERS, "style": "rounded,bold"} if group[0].differences else {}
                style = {"style": _dot_style(units[0]), **marks}
                style |= _linked(links[i] if links else None, units[0].name)
                box.node(name, _unit_text(units), **style)
                box.edge(previous, name)
                previous = name
            box.node(f"{side}.head", _end_text("Head", plan.head))
            box.edge(previous, f"{side}.head")
    for group in groups:
        one, other = group[0].left, group[0].right
        if one is not None and other is not None and group[0].differences:
            graph.edge(
                f"left.{one.name}",
                f"right.{other.name}",
                label="\n".join(_difference_text(d) for d in group[0].differences),
                color=DIFFERS,
                fontcolor=DIFFERS,
                style="dotted",
                dir="none",
                constraint="false",
            )
    source: str = graph.source
    return source


def _difference_text(difference: Difference) -> str:
    """On two lines where one would be long."""
    text = str(difference)
    return text if len(text) <= 50 else text.replace(" / ", "\n/ ")


def render(dot: str, file: Path | str) -> Path:
    """Draw Graphviz source into a picture file, by Graphviz's own program.

    Args:
        file: Its ending decides the format: .png, .svg or .pdf.

    Raises:
        SkipscopeError: Another ending; no ``dot`` on the path; or the file cannot be written.
    """
    path = Path(file)
    kind = path.suffix.removeprefix(".").lower()
    if kind not in PICTURES:
        raise SkipscopeError(
            f"A picture is a .png, .svg or .pdf file, not {path.name!r}; give one of these endings."
        )
    data = picture(dot, kind)
    try:
        write_bytes(path, data)
    except OSError as error:
        raise SkipscopeError(
            f"The picture cannot be written to {path}: {error.strerror or error}."
        ) from None
    return path


def picture(dot: str, kind: str) -> bytes:
    """Graphviz source as a ``png``, ``svg`` or ``pdf``, by Graphviz's own program.

    Raises:
        SkipscopeError: No ``dot`` on the path, or it cannot draw this.
    """
    try:
        data: bytes = graphviz.Source(dot).pipe(format=kind, quiet=True)
    except graphviz.ExecutableNotFound:
        raise SkipscopeError(
            f"{NO_GRAPHVIZ}, or take --svg or --dot, which need nothing."
        ) from None
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        reason = f" ({lines[0][:200]})" if lines else ""
        raise SkipscopeError(
            f"Graphviz's `dot` cannot draw this{reason}: take the DOT source instead."
        ) from None
    return data


def can_draw() -> bool:
    """Whether Graphviz's program is installed."""
    return shutil.which("dot") is not None


def _digraph(title: str, direction: Direction) -> Digraph:
    return Digraph(
        name=title,
        graph_attr={
            "rankdir": RANKS[direction],
            "label": title,
            "labelloc": "t",
            "fontname": "sans-serif",
        },
        node_attr={"shape": "box", "style": "rounded", "fontname": "sans-serif"},
        edge_attr={"fontname": "sans-serif", "fontsize": "10"},
    )


def _repeats(units: Sequence[UnitPlan], opened: str | None) -> Iterator[list[UnitPlan]]:
    """Runs of neighbours that are alike; the opened one stands alone."""
    for _, group in groupby(units, lambda unit: (unit.name == opened, *likeness(unit))):
        yield list(group)


def _end_text(title: str, layers: Sequence[Layer]) -> str:
    inner = "\n".join(_layer_text(layer) for layer in layers)
    return f"{title}\n{inner}"


def _unit_text(group: Sequence[UnitPlan]) -> str:
    unit = group[0]
    times = f" × {len(group)}" if len(group) > 1 else ""
    text = (
        f"{unit.kind.capitalize()}{times}\n"
        f"{shape_text(unit.input_shape)} → {shape_text(group[-1].output_shape)}\n"
        f"{count_text(sum(u.parameters for u in group))} parameters{' in all' if times else ''}"
    )
    kept = list(dict.fromkeys(f"{u.survival_prob:.3g}" for u in (unit, group[-1])))
    return text if kept == ["1"] else f"{text}\nkept with probability {' … '.join(kept)}"


def _beside(label: str) -> str:
    """A line's label with room on either side: browsers' letters are wider than Graphviz thinks."""
    return f"  {label}  "


def _layer_text(layer: Layer) -> str:
    kind = layer.kind.replace("_", " ")
    return f"{kind} {layer.detail}".strip()


def _dot_style(unit: UnitPlan) -> str:
    return "rounded,dashed" if unit.kind == "transition" else "rounded"


_JOINS: dict[str, dict[str, str]] = {
    "add": {"label": "+", "shape": "circle", "margin": "0", "width": "0.3", "fixedsize": "true"},
    "gate": {"label": "gate", "shape": "oval", "margin": "0.05,0", "height": "0.3"},
    "concatenate": {"label": "concatenate", "shape": "oval", "margin": "0.05,0", "height": "0.3"},
}


def _linked(link: Link | None, name: str) -> dict[str, str]:
    if link is None:
        return {}
    tooltip = f"Open {name}" if name else "Close"
    return {"URL": link(name), "target": "_self", "tooltip": tooltip}


_STRAIGHT = {"weight": "9"}  # the way through the units; what goes round them bends


def _join_of(unit: UnitPlan) -> Layer | None:
    """Where the unit's branches meet; None where nothing goes round it."""
    return next((layer for layer in unit.layers if layer.kind in _JOINS), None)


def _join_style(unit: UnitPlan, join: Layer) -> dict[str, str]:
    """The node of a join; it names what follows it in the unit, as v1's ReLU does."""
    after = [_layer_text(layer) for layer in unit.layers[unit.layers.index(join) + 1 :]]
    if not after:
        return _JOINS[join.kind]
    return {**_JOINS["gate"], "label": ", ".join([_JOINS[join.kind]["label"], *after])}


def _shortcut_style(shortcut: str) -> dict[str, str]:
    """A line that is seen at once."""
    return {"style": "dashed" if shortcut in CHANGING_SHORTCUTS else "solid", "penwidth": "1.6"}


def _opened_unit(graph: Digraph, unit: UnitPlan, previous: str, linked: dict[str, str]) -> str:
    """Draw a unit's layers in a box; returns the node that the next unit follows.

    Branches leave the same node, run side by side, and meet in the join. What goes round the
    unit untouched is a line without a node; a gate's last node has a double edge.
    """
    with graph.subgraph(name=f"cluster_{unit.name}") as box:
        # filled, or a click would have to meet its line
        look = {"style": "rounded,filled", "fillcolor": "#80808014"} if linked else {}
        # small and to the right, clear of the line that enters
        title = {"label": unit.name, "labeljust": "r", "fontsize": "10"}
        box.attr(**{**title, "style": "rounded", **look, **linked})
        box.node(unit.name, label="", shape="point")
        graph.edge(previous, unit.name, **_STRAIGHT)
        at = unit.name  # where the next layer goes on, and the branches begin
        ends: dict[str, str] = {}
        for layer in unit.layers:
            if layer.kind == "identity":
                continue
            box.node(layer.name, **_node_style(layer))
            if layer.branch == "main":
                box.edge(at, layer.name)
                at = layer.name
            elif layer.kind in _JOINS:
                for side, end in ends.items():
                    box.edge(end, layer.name, **_arrival(unit, side))
                if "shortcut" not in ends:
                    _passing_by(box, unit, at, layer)
                at = layer.name
            elif layer.branch == "join":
                box.edge(at, layer.name)
                at = layer.name
            else:
                side = "gate" if layer.in_gate else layer.branch
                style = _shortcut_style(unit.shortcut) if side == "shortcut" else {}
                style = _STRAIGHT if side == "residual" else style
                box.edge(ends.get(side, at), layer.name, **style)
                ends[side] = layer.name
    return at


def _passing_by(box: Digraph, unit: UnitPlan, at: str, join: Layer) -> None:
    """The line of what goes round an opened unit untouched.

    Its label stands in its way, as a node: Graphviz would put a label outside the unit's box.
    """
    label = {"highway": "carried: 1 − T", "dense": "all maps so far"}.get(unit.kind)
    label = label or unit.shortcut.replace("_", " ")
    look = {"shape": "plaintext", "fontsize": "10", "margin": "0.04", "height": "0.2", "width": "0"}
    style = _shortcut_style(unit.shortcut)
    name = f"{unit.name}.passes"
    box.node(name, label, **look)
    box.edge(at, name, dir="none", **style)
    box.edge(name, join.name, **style)


def _node_style(layer: Layer) -> dict[str, str]:
    if layer.kind in _JOINS:
        return _JOINS[layer.kind]
    style = {"label": _layer_text(layer)}
    if layer.kind == "sigmoid":
        style["peripheries"] = "2"
    elif layer.branch == "shortcut" and not layer.in_gate:
        style["style"] = "rounded,dashed"
    return style


def _arrival(unit: UnitPlan, side: str) -> dict[str, str]:
    """How a branch arrives at the join."""
    if side == "gate":
        return {"label": _beside("T(x)" if unit.kind == "highway" else "g(x)")}
    if side != "shortcut":
        return _STRAIGHT
    label = _beside(unit.shortcut.replace("_", " "))
    return {"label": label, **_shortcut_style(unit.shortcut)}


# -------------------------------------------------------------------------------------- SVG

WIDTH = 300.0  # of the viewBox
MARGIN = 9.0  # left and right, where wires turn
ROW = 40.0  # from one row to the next, arcs included
LABEL = 13.0  # height of a line of text
END = (30.0, 12.0)  # size of stem and head
COLLAPSE_ABOVE = 108  # units; in a longer net the middle of each stage is one box
EDGE_UNITS = 3  # shown on either side of that box
LINK_SPANS = (2, 3, 4)  # how far the links reach that hint at concatenation


@dataclass(frozen=True)
class _Cell:
    """One box to be drawn: the unit ``first``, or a run of units up to ``last``."""

    first: int
    last: int

    @property
    def slots(self) -> int:
        return 1 if self.first == self.last else 2


@dataclass(frozen=True)
class _Box:
    """A cell's rectangle."""

    cell: _Cell
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def to_svg(plan: Blueprint, *, deleted: Collection[str] = (), per_row: int | None = None) -> str:
    """The net as rows of boxes for the page; colours come from CSS classes alone.

    Classes: ``unit`` (with its kind), ``wire``, ``shortcut`` (with its kind), ``gate``,
    ``transition``, ``repeat``, ``end``, ``deleted``, ``stage-label``. Every unit is a button
    with ``data-unit`` (its name), ``data-index``, ``aria-label`` and ``<title>``; one that
    cannot be deleted has ``aria-disabled`` and says why in ``data-why``. The first is in the tab
    order; the page moves the focus to the others by arrow keys.

    Args:
        deleted: Names of the units drawn as deleted.
        per_row: Boxes in a row; None chooses so that stages fill their rows.
    """
    return _Drawing(plan, frozenset(deleted), per_row).svg()


def _cells(plan: Blueprint) -> list[list[_Cell]]:
    """The boxes of every stage."""
    stages = []
    for _, group in groupby(range(len(plan.units)), key=lambda i: plan.units[i].stage):
        inside = list(group)
        cells = [_Cell(i, i) for i in inside]
        ends_in_transition = plan.units[inside[-1]].kind == "transition"
        first, last = EDGE_UNITS, len(inside) - EDGE_UNITS - 1 - ends_in_transition
        if len(plan.units) > COLLAPSE_ABOVE and first < last:
            cells[first : last + 1] = [_Cell(inside[first], inside[last])]
        stages.append(cells)
    return stages


def _slots_in_a_row(stages: Sequence[Sequence[_Cell]]) -> int:
    """A whole stage where it has at most 13 boxes, else as few rows as 8 to 10 a row allow."""
    lengths = [sum(cell.slots for cell in stage) for stage in stages]
    if max(lengths) <= 13:
        return max(lengths)
    return min((8, 9, 10), key=lambda n: (sum(math.ceil(length / n) for length in lengths), n))


def _path(d: str, css: str) -> str:
    return f'<path class="{css}" d="{d}"/>'


def _n(value: float) -> str:
    """A coordinate, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


class _Drawing:
    """Lays the boxes out and writes them down: wires at the back, then shortcuts, then boxes."""

    def __init__(self, plan: Blueprint, deleted: frozenset[str], per_row: int | None) -> None:
        self.plan = plan
        self.deleted = deleted
        # Multiplied by 0, nothing passes by the units.
        self.cut = isinstance(plan.spec, ResidualSpec) and (
            plan.spec.shortcut == "constant_scaling" and plan.spec.shortcut_scale == 0
        )
        self.stages = _cells(plan)
        self.slots = per_row or _slots_in_a_row(self.stages)
        self.pitch = (WIDTH - 2 * MARGIN) / max(self.slots, 9)
        self.gap = min(10.0, self.pitch * 0.32)
        self.height = min(18.0, (self.pitch - self.gap) * 0.95)
        self.back: list[str] = []
        self.arcs: list[str] = []
        self.front: list[str] = []

    def svg(self) -> str:
        y = 0.0
        rows: list[list[_Box]] = []
        for stage, cells in enumerate(self.stages):
            self._stage_label(stage, MARGIN + (END[0] + 6 if stage == 0 else 0), y + LABEL - 3)
            y += LABEL
            for row in self._rows_of(cells):
                rows.append(self._row(row, y + ROW - self.height - 6))
                y += ROW - 6
            y += 6
        first, last = rows[0][0], rows[-1][-1]
        self._stem(first)
        for before, after in pairwise(rows):
            self._wire(f"M{_n(before[-1].right)} {_n(before[-1].middle)}h6")
            self._wire(f"M{_n(after[0].x - 6)} {_n(after[0].middle)}h6")
        self._head(last, y)
        title = escape(title_of(self.plan.spec))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(WIDTH)} '
            f'{_n(y + END[1] + 1)}" role="group" aria-label="Blocks of {title}">'
            f"{''.join([*self.back, *self.arcs, *self.front])}</svg>"
        )

    def _rows_of(self, cells: Sequence[_Cell]) -> Iterator[list[_Cell]]:
        row: list[_Cell] = []
        for cell in cells:
            if row and sum(c.slots for c in row) + cell.slots > self.slots:
                yield row
                row = []
            row.append(cell)
        yield row

    def _row(self, cells: Sequence[_Cell], y: float) -> list[_Box]:
        boxes: list[_Box] = []
        x = MARGIN
        for cell in cells:
            width = self.pitch * cell.slots - self.gap
            if self.plan.units[cell.first].kind == "transition":
                width = min(9.0, width)
            boxes.append(_Box(cell, x, y, width, self.height))
            x += width + self.gap
        for before, after in pairwise(boxes):
            self._wire(f"M{_n(before.right)} {_n(before.middle)}H{_n(after.x)}")
        for i, box in enumerate(boxes):
            self._shortcut(boxes, i)
            if box.cell.slots > 1:
                self._repeat(box)
            else:
                self._unit(box)
        return boxes

    # ------------------------------------------------------------------------ parts

    def _wire(self, d: str) -> None:
        self.back.append(_path(d, "wire"))

    def _shortcut(self, boxes: Sequence[_Box], i: int) -> None:
        """The arc over a box; for a dense unit, links to boxes further on in its row."""
        box = boxes[i]
        kind = self.plan.units[box.cell.first].shortcut
        reach = self.gap * 0.45
        if kind == "concatenate":
            starts = [(i, box.right + reach)]
            if i == 0:  # what arrives in the row goes on too
                starts.append((-1, box.x - reach))
            for start, x in starts:
                for end in (start + span for span in LINK_SPANS if start + span < len(boxes)):
                    self._arc(x, boxes[end].x - reach, box, 3.4 * (end - start), kind)
        elif kind != "none" and not self.cut:
            self._arc(box.x - reach, box.right + reach, box, 12.0, kind)
            if kind == "gated":
                # A cubic curve passes its middle at three quarters of its control points' height.
                apex = 0.25 * box.middle + 0.75 * (box.y - 12.0)
                centre = _n(box.x + box.width / 2)
                self.arcs.append(f'<circle class="gate" cx="{centre}" cy="{_n(apex)}" r="2.6"/>')

    def _arc(self, left: float, right: float, box: _Box, rise: float, kind: str) -> None:
        top = _n(box.y - rise)
        bend = min(4.0, (right - left) / 6)
        self.arcs.append(
            _path(
                f"M{_n(left)} {_n(box.middle)}C{_n(left + bend)} {top} {_n(right - bend)} {top} "
                f"{_n(right)} {_n(box.middle)}",
                f"shortcut {kind}",
            )
        )

    def _unit(self, box: _Box) -> None:
        index = box.cell.first
        unit = self.plan.units[index]
        deleted = unit.name in self.deleted
        classes = f"unit {unit.kind}{' deleted' if deleted else ''}"
        label = unit_label(self.plan, index, deleted=deleted)
        locked = ""
        if not unit.deletable:
            locked = f' aria-disabled="true" data-why="{escape(why_not_deletable(unit))}"'
        title = (
            f"{label}. {unit.name}: {count_text(unit.parameters)} parameters, "
            f"{count_text(unit.multiply_adds)} multiply-adds"
        )
        self.front.append(
            f'<g class="{classes}" role="button" tabindex="{0 if index == 0 else -1}" '
            f'data-unit="{unit.name}" data-index="{index}" aria-label="{escape(label)}"{locked}>'
            f"<title>{escape(title)}</title>{_rect(box.x, box.y, box.width, box.height)}</g>"
        )

    def _repeat(self, box: _Box) -> None:
        """A run of alike units: a stack with its count, not a button."""
        inside = self.plan.units[box.cell.first : box.cell.last + 1]
        cut = sum(unit.name in self.deleted for unit in inside)
        note = f", {cut} deleted" if cut else ""
        title = f"{len(inside)} blocks like these: {inside[0].name} to {inside[-1].name}{note}"
        classes = "repeat deleted" if cut else "repeat"
        self.front.append(
            f'<g class="{classes}" role="img" aria-label="{title}"><title>{title}</title>'
            f"{_rect(box.x + 2, box.y - 2, box.width, box.height)}"
            f"{_rect(box.x, box.y, box.width, box.height)}"
            f"{_label(box.x + box.width / 2, box.middle + 3, f'× {len(inside)}', 'middle')}</g>"
        )

    def _stage_label(self, stage: int, x: float, y: float) -> None:
        inside = [self.plan.units[cell.last] for cell in self.stages[stage]]
        units = [unit for unit in inside if unit.kind != "transition"] or inside
        shape = units[-1].output_shape
        size = f"{shape[0]} wide" if len(shape) == 1 else shape_text(shape)
        text = f"{self.plan.stage_names[stage]} · {size}"
        self.front.append(f'<text class="stage-label" x="{_n(x)}" y="{_n(y)}">{text}</text>')

    def _stem(self, first: _Box) -> None:
        """At the top left; its wire turns down into the first unit."""
        self._end("stem", MARGIN, 0.5, self.plan.stem)
        top, x = 0.5 + END[1] / 2, MARGIN - 7
        self._wire(
            f"M{_n(MARGIN)} {_n(top)}H{_n(x + 2)}Q{_n(x)} {_n(top)} {_n(x)} {_n(top + 2)}"
            f"V{_n(first.middle - 2)}Q{_n(x)} {_n(first.middle)} {_n(x + 2)} {_n(first.middle)}"
            f"H{_n(first.x)}"
        )

    def _head(self, last: _Box, y: float) -> None:
        """Under the last unit; the wire turns down and back."""
        left = max(MARGIN, last.right - END[0])
        middle, x = y + END[1] / 2, left + END[0] + 7
        self._wire(
            f"M{_n(last.right)} {_n(last.middle)}H{_n(x - 2)}Q{_n(x)} {_n(last.middle)} {_n(x)} "
            f"{_n(last.middle + 2)}V{_n(middle - 2)}Q{_n(x)} {_n(middle)} {_n(x - 2)} "
            f"{_n(middle)}H{_n(left + END[0])}"
        )
        self._end("head", left, y, self.plan.head)

    def _end(self, name: str, x: float, y: float, layers: Sequence[Layer]) -> None:
        inner = ", ".join(_layer_text(layer) for layer in layers)
        parameters = count_text(sum(layer.parameters for layer in layers))
        title = escape(f"{name.capitalize()}: {inner}; {parameters} parameters")
        self.front.append(
            f'<g class="end {name}"><title>{title}</title>{_rect(x, y, *END)}'
            f"{_label(x + END[0] / 2, y + END[1] / 2 + 2.8, name, 'middle')}</g>"
        )


def _rect(x: float, y: float, width: float, height: float) -> str:
    return f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="3"/>'


def _label(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{text}</text>'
