"""The unravelled view of a few blocks, and what each path is worth (Veit16 Fig 1)."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, ink, lane_style, muted
from explorer.instruments.contract import Lane, Style
from explorer.instruments.unravelled.ask import Ask, Show
from explorer.instruments.unravelled.graph import path_label, tree
from explorer.instruments.unravelled.result import UnravelledView

TREE = 0.58  # of the figure's width
ROW = 24  # pixels

Lanes = Sequence[Lane[UnravelledView]]


def figure(lanes: Lanes, ask: Ask, show: Show, style: Style) -> go.Figure:
    """A net's paths as a tree, one a row; beside each the accuracy without that path alone.

    What is off is dashed. Dots have 95 % Wilson intervals, in per cent; the dashed line is the
    intact net, the solid one the net without all the paths that are off. Nets stand one below the
    other.
    """
    theme = style.theme
    rows = sum(2 ** len(lane.result.units) + 1 for lane in lanes)
    made = base_figure(theme, x="", y="", height=max(300, ROW * rows + 90))
    made.update_layout(margin={"l": 12, "t": 8, "b": 58}, showlegend=False)
    made.update_xaxes(domain=[0, TREE], visible=False, range=[-0.75, 4.15])
    made.update_layout(
        xaxis2={
            **made.layout.xaxis.to_plotly_json(),
            "domain": [TREE + 0.03, 1],
            "visible": True,
            "anchor": "y",
            "title": {
                "text": "right without it, %",
                "font": {"size": 13, "color": muted(theme)},
                "standoff": 6,
            },
            "autorange": True,
            "range": None,
        }
    )
    made.update_yaxes(visible=False, range=[rows - 0.4, -1.1])
    top = 0.0
    for lane in lanes:
        view = lane.result
        if len(lanes) > 1:
            _words(made, -0.7, top - 0.75, lane.name, theme, anchor="left", size=14)
        _tree(made, lane.index, view, top, theme)
        _effects(made, lane.index, lane.name, view, top, theme)
        top += 2 ** len(view.units) + 1
    return made


def _tree(figure: go.Figure, lane: int, view: UnravelledView, top: float, theme: Theme) -> None:
    n = len(view.units)
    nodes = tree(n, view.off)
    colour = lane_style(lane).colour(theme)
    wires: dict[bool, tuple[list[float | None], list[float | None]]] = {
        True: ([], []),
        False: ([], []),
    }
    step = 4 / n
    for later, node in nodes.items():
        x = (n - len(later)) * step
        if len(later) == n:
            _words(figure, -0.06, top + node.row, later, theme, anchor="right", on=node.on)
            continue
        for child in (nodes["0" + later], nodes["1" + later]):
            xs, ys = wires[child.on]
            xs += [x - step, x - 0.25 * step, x, None]
            ys += [top + child.row, top + child.row, top + node.row, None]
    for on, (xs, ys) in wires.items():
        figure.add_scatter(
            x=xs,
            y=ys,
            mode="lines",
            hoverinfo="skip",
            line={
                "color": colour if on else faded(colour, 0.4),
                "width": 1.75 if on else 1.25,
                "dash": "solid" if on else "dot",
            },
        )
    for on in (True, False):
        copies = [
            (later, nodes["1" + later])
            for later in nodes
            if len(later) < n and nodes["1" + later].on == on
        ]
        if not copies:
            continue
        units = [n - len(later) - 1 for later, _ in copies]
        figure.add_scatter(
            x=[(unit + 0.4) * step for unit in units],
            y=[top + node.row for _, node in copies],
            mode="markers+text",
            marker={
                "symbol": "square",
                "size": 19,
                "color": colour if on else faded(colour, 0.3),
            },
            text=[f"f<sub>{unit + 1}</sub>" for unit in units],
            textfont={"color": "#ffffff" if theme == "light" else "#11161d", "size": 12},
            customdata=[view.units[unit] for unit in units],
            hovertemplate="%{customdata}" + ("" if on else ", no path on") + "<extra></extra>",
        )


def _effects(
    figure: go.Figure, lane: int, name: str, view: UnravelledView, top: float, theme: Theme
) -> None:
    style = lane_style(lane)
    colour = style.colour(theme)
    nodes = tree(len(view.units))
    effects = sorted(view.single, key=lambda effect: nodes[effect.path].row)
    accuracy = [effect.accuracy * 100 for effect in effects]
    intervals = [view.interval(effect) for effect in effects]
    figure.add_scatter(
        x=accuracy,
        y=[top + nodes[effect.path].row for effect in effects],
        xaxis="x2",
        mode="markers",
        marker={"symbol": style.symbol, "size": 8, "color": colour},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high * 100 - a for a, (_, high) in zip(accuracy, intervals, strict=True)],
            "arrayminus": [a - low * 100 for a, (low, _) in zip(accuracy, intervals, strict=True)],
            "color": faded(colour, 0.55),
            "thickness": 1,
            "width": 0,
        },
        customdata=[
            [path_label(e.path, view.units), e.changed * 100, e.shift * 100] for e in effects
        ],
        hovertemplate=f"{name}, without<br>%{{customdata[0]}}<br>%{{x:.1f}} % right; "
        "%{customdata[1]:.1f} % of the answers change; the logits move by %{customdata[2]:.1f} %"
        "<extra></extra>",
    )
    ends = [top - 0.5, top + len(effects) - 0.5]
    lines = [("intact", view.intact_accuracy, "dash", 1.25)]
    if view.off:
        lines.append((f"without {', '.join(view.off)}", view.without.accuracy, "solid", 2.0))
    for words, value, dash, width in lines:
        figure.add_scatter(
            x=[value * 100] * 2,
            y=ends,
            xaxis="x2",
            mode="lines",
            line={"color": colour, "width": width, "dash": dash},
            hovertemplate=f"{name}, {words}: %{{x:.1f}} %<extra></extra>",
        )


def _words(
    figure: go.Figure,
    x: float,
    y: float,
    text: str,
    theme: Theme,
    *,
    anchor: str,
    on: bool = True,
    size: int = 13,
) -> None:
    figure.add_annotation(
        x=x,
        y=y,
        text=text if on else f"<s>{text}</s>",
        xanchor=anchor,
        showarrow=False,
        font={"size": size, "color": ink(theme) if on else muted(theme)},
    )
