"""Paths by length, the gradient they carry, and how many there are (Veit16 Fig 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from explorer.charts.palette import (
    Theme,
    base_figure,
    faded,
    ink,
    lane_style,
    muted,
    one_two_five,
)
from explorer.paths import binomial, effective_range, toy
from explorer.results import CurveKind, Multiplicity, PathCurve, PathGradients, PathLengths

# Colour tells the net, so dash and marker tell the curve.
_LOOKS: dict[CurveKind, tuple[str, str, str]] = {
    "coherent": ("solid", "", "summed, exact"),
    "incoherent": ("dash", "-open", "squares summed"),
    "sampled": ("dot", "-open-dot", "C(n,k) × one path (Veit et al.)"),
}
DECADES = 5  # below the lowest curve's peak that the figure opens with
RATIOS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

PathLane = tuple[int, str, PathGradients]


def path_gradient_figure(
    lanes: Sequence[PathLane],
    *,
    per_path: bool = False,
    curves: Sequence[CurveKind] = ("coherent", "incoherent", "sampled"),
    theme: Theme = "light",
) -> go.Figure:
    """Gradient at the input by path length, log axis; bars of one standard error.

    The effective range is shaded: of Veit et al.'s curve where it is shown and measured, else of
    the first that is.

    Args:
        per_path: Divided by C(n, k): the mean gradient of one path (Fig 6b), not of all of a
            length (Fig 6c).
    """
    figure = base_figure(
        theme,
        x="path length: residual branches taken",
        y="norm ÷ C(n, k), log scale" if per_path else "gradient norm, log scale",
        height=380,
    )
    peaks: list[float] = []
    for lane, name, result in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        shown = [curve for curve in result.curves() if curve.kind in curves]
        for curve in shown:
            dash, marker, words = _LOOKS[curve.kind]
            values = result.per_path(curve) if per_path else curve.value
            scale = np.where(curve.value > 0, values / np.where(curve.value > 0, curve.value, 1), 0)
            error = curve.standard_error * scale
            seen = np.isfinite(values) & (values > 0)  # a log axis has no place for 0
            if seen.any():
                peaks.append(float(values[seen].max()))
            figure.add_scatter(
                x=result.lengths[seen],
                y=values[seen],
                name=words if len(lanes) == 1 else f"{name}: {words}",
                mode="lines+markers",
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": style.symbol + marker, "size": 6, "color": colour},
                error_y=_bars(values[seen], error[seen], colour),
                customdata=np.stack([error[seen], result.path_shares[seen] * 100], axis=1),
                hovertemplate=f"{name}, {words}<br>length %{{x}}: %{{y:.3g}} "
                "(± %{customdata[0]:.2g})<br>%{customdata[1]:.3g} % of all paths<extra></extra>",
            )
        if not per_path and shown:
            _shade_effective(figure, lane, result, shown[-1], theme, words=len(lanes) == 1)
    figure.update_yaxes(type="log", exponentformat="power")
    if peaks and not per_path:
        figure.update_yaxes(range=[np.log10(min(peaks)) - DECADES, np.log10(max(peaks)) + 0.5])
    figure.update_layout(showlegend=True, margin={"l": 76})
    return figure


def _bars(values: Any, error: Any, colour: str) -> dict[str, Any]:
    """One standard error; downwards it stays above 0, which a log axis does not have."""
    known = np.where(np.isfinite(error), error, 0.0)
    return {
        "type": "data",
        "symmetric": False,
        "array": known,
        "arrayminus": np.minimum(known, values * 0.9),
        "color": faded(colour, 0.55),
        "thickness": 1,
        "width": 0,
    }


def _shade_effective(
    figure: go.Figure, lane: int, result: PathGradients, curve: PathCurve, theme: Theme, words: bool
) -> None:
    found = result.effective(curve)
    if found is None:
        return
    said = (
        f"lengths {found.low}–{found.high} hold {found.held * 100:.0f} %<br>"
        f"and are {_percent(found.paths)} of all paths"
    )
    _shade(figure, lane, found.low, found.high, theme, said if words else None)


def _shade(
    figure: go.Figure, lane: int, low: int, high: int, theme: Theme, words: str | None
) -> None:
    figure.add_vrect(
        x0=low - 0.5,
        x1=high + 0.5,
        fillcolor=faded(lane_style(lane).colour(theme), 0.1),
        line={"width": 0},
        layer="below",
    )
    if words:
        figure.add_annotation(
            x=1,
            y=1,
            xref="paper",
            yref="paper",
            xanchor="right",
            yanchor="top",
            text=words,
            align="right",
            showarrow=False,
            font={"size": 13, "color": ink(theme)},
        )


def _percent(share: float) -> str:
    """``0.45 %``: two digits that count, however little it is."""
    return f"{share * 100:.2g} %" if share < 0.0995 else f"{share * 100:.0f} %"


def path_share_figure(
    lanes: Sequence[tuple[int, str, PathLengths, PathGradients | None]],
    *,
    kind: CurveKind | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Where the paths are and where the gradient is, in per cent by length (Fig 6a and c).

    Args:
        lanes: (lane index, name, lengths, gradients where they were measured).
        kind: Whose shares; None takes Veit et al.'s curve, or the exact one before there is one.
    """
    figure = base_figure(
        theme, x="path length: residual branches taken", y="share by length, %", height=380
    )
    _add_paths(figure, [lengths.two_way for _, _, lengths, _ in lanes], theme)
    for lane, name, lengths, gradients in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        before = "" if len(lanes) == 1 else f"{name}: "
        if lengths.in_training is not None:
            figure.add_scatter(
                x=np.arange(lengths.two_way + 1),
                y=lengths.in_training * 100,
                name=f"{before}paths of a training step",
                mode="lines",
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2, "dash": "dash", "shape": "hvh"},
                hovertemplate=f"{name}, in training<br>length %{{x}}: %{{y:.3g}} %<extra></extra>",
            )
        curve = None if gradients is None else gradients.leading()
        if gradients is not None and kind is not None:
            curve = gradients.curve(kind)
        if gradients is None or curve is None:
            continue
        total = curve.value.sum()
        if np.isfinite(total) and total > 0:
            figure.add_scatter(
                x=gradients.lengths,
                y=curve.value / total * 100,
                name=f"{before}gradient, {_LOOKS[curve.kind][2]}",
                mode="lines+markers",
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2.5},
                marker={"symbol": style.symbol, "size": 6, "color": colour},
                hovertemplate=f"{name}<br>%{{y:.3g}} % of the gradient is on length %{{x}}"
                "<extra></extra>",
            )
        _shade_effective(figure, lane, gradients, curve, theme, words=len(lanes) == 1)
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=True, barmode="overlay", bargap=0.15)
    return figure


def _add_paths(figure: go.Figure, lanes: Sequence[int], theme: Theme) -> None:
    """Bars of all 2ⁿ paths by length: once for nets of the same n."""
    several = len(set(lanes)) > 1
    for n in dict.fromkeys(lanes):
        figure.add_bar(
            x=np.arange(n + 1),
            y=binomial(n) * 100,
            name=f"all paths, n = {n}" if several else "all paths",
            marker={"color": faded(muted(theme), 0.35)},
            hovertemplate=f"%{{y:.3g}} % of 2<sup>{n}</sup> paths have length %{{x}}"
            "<extra></extra>",
        )


def toy_figure(
    lanes: Sequence[tuple[int, str, int, PathGradients | None]],
    *,
    ratio: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """Were each branch to scale the gradient by r: its share by length, ∝ C(n, k)·rᵏ.

    Args:
        lanes: (lane index, name, n, a net's own gradients to hold against it).
        ratio: r; None draws a slider below the figure, for pages without a server.
    """
    figure = base_figure(
        theme, x="path length: residual branches taken", y="share by length, %", height=380
    )
    ratios = RATIOS if ratio is None else (ratio,)
    opens_with = 0 if ratio is not None else RATIOS.index(0.25)
    _add_paths(figure, [n for _, _, n, _ in lanes], theme)
    visible = [-1] * len(figure.data)  # which of the ratios a trace belongs to; −1 stays
    for lane, name, n, gradients in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        before = "" if len(lanes) == 1 else f"{name}: "
        lengths = np.arange(n + 1)
        for place, r in enumerate(ratios):
            share = toy(n, r)
            ends = effective_range(share)
            held = "" if ends is None else f", 95 % on {ends[0]}–{ends[1]}"
            figure.add_scatter(
                x=lengths,
                y=share * 100,
                name=f"{before}toy, r = {r:.3g}{held}",
                mode="lines",
                legendgroup=f"lane{lane}",
                visible=place == opens_with,
                line={"color": colour, "width": 2.5, "dash": style.dash},
                hovertemplate=f"{name}, r = {r:.3g}<br>length %{{x}}: %{{y:.3g}} %<extra></extra>",
            )
            visible.append(place)
        if gradients is not None:
            curve = gradients.leading()
            figure.add_scatter(
                x=gradients.lengths,
                y=curve.value / curve.value.sum() * 100,
                name=f"{before}measured, {_LOOKS[curve.kind][2]}",
                mode="markers",
                legendgroup=f"lane{lane}",
                marker={"symbol": style.symbol, "size": 7, "color": colour},
                hovertemplate=f"{name}, measured<br>length %{{x}}: %{{y:.3g}} %<extra></extra>",
            )
            visible.append(-1)
    if ratio is None and lanes:
        steps = [
            {
                "label": f"{r:.3g}",
                "method": "restyle",
                "args": [{"visible": [place in (-1, here) for place in visible]}],
            }
            for here, r in enumerate(RATIOS)
        ]
        slider = {"active": opens_with, "steps": steps, "currentvalue": {"prefix": "r = "}}
        figure.update_layout(sliders=[{**slider, "y": -0.5}], margin={"b": 240}, height=540)
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(showlegend=True, barmode="overlay", bargap=0.15)
    return figure


def multiplicity_figure(
    lanes: Sequence[tuple[int, str, Multiplicity]],
    *,
    against: Literal["parameters", "depth"] = "parameters",
    theme: Theme = "light",
) -> go.Figure:
    """Number of paths, 2ⁿ on a log axis: deeper nets have more, wider ones as many.

    Solid with filled markers: other depths; dotted with open markers: other widths.
    """
    figure = base_figure(
        theme,
        x="parameters, log scale" if against == "parameters" else "depth, layers",
        y="paths, log scale",
        height=380,
    )
    for lane, name, found in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        for nets, words, dash, marker in (
            (found.deeper, "other depths", "solid", ""),
            (found.wider, "other widths", "dot", "-open"),
        ):
            figure.add_scatter(
                x=[getattr(net, against) for net in nets],
                y=[net.two_way for net in nets],
                name=words if len(lanes) == 1 else f"{name}: {words}",
                mode="lines+markers",
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": style.symbol + marker, "size": 7, "color": colour},
                customdata=[
                    [net.depth, net.width, f"{net.parameters:,}", net.two_way] for net in nets
                ],
                hovertemplate=f"{name}, {words}<br>depth %{{customdata[0]}}, width "
                "%{customdata[1]}: %{customdata[2]} parameters, 2<sup>%{customdata[3]}</sup> paths"
                "<extra></extra>",
            )
        figure.add_scatter(
            x=[getattr(found.net, against)],
            y=[found.net.two_way],
            mode="markers",
            marker={
                "symbol": "circle-open",
                "size": 16,
                "color": muted(theme),
                "line": {"width": 2},
            },
            name=name,
            legendgroup=f"lane{lane}",
            showlegend=False,
            hovertemplate=f"{name}: 2<sup>{found.net.two_way}</sup> paths<extra></extra>",
        )
    # 2ⁿ on a log axis is n on a linear one, and no number is too great for that.
    figure.update_yaxes(tickprefix="2<sup>", ticksuffix="</sup>", rangemode="tozero")
    if against == "parameters":
        figure.update_xaxes(type="log", tickangle=0, **one_two_five(1, 3))
    figure.update_layout(showlegend=True)
    return figure
