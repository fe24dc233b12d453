"""The gradient that paths carry, by their length (Veit16 Fig 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, faded, ink, lane_style
from explorer.instruments.contract import Lane, Style
from explorer.instruments.counted_paths import PathLengths, path_lengths
from explorer.instruments.path_shares import LENGTH, add_paths, before, share_figure
from explorer.instruments.paths.ask import Ask, Show
from explorer.instruments.paths.result import CurveKind, PathCurve, PathGradients
from explorer.structure.path_combinatorics import binomial, effective_range, toy

# Colour tells the net, so dash and marker tell the curve.
_LOOKS: dict[CurveKind, tuple[str, str, str]] = {
    "coherent": ("solid", "", "summed, exact"),
    "incoherent": ("dash", "-open", "squares summed"),
    "sampled": ("dot", "-open-dot", "C(n,k) × one path (Veit et al.)"),
}
DECADES = 5  # below the lowest curve's peak that the figure opens with
RATIOS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Lanes = Sequence[Lane[PathGradients]]


def figure(lanes: Lanes, ask: Ask, show: Show, style: Style) -> go.Figure:
    """Curves by length, or of one path; shares beside those of all paths; or the toy.

    A file that stands alone has a slider for the toy's r, as it opens with the usual one.
    """
    if show.show == "shares":
        return _shares(lanes, style.theme)
    if show.show == "toy":
        usual = show.r == type(show)().r
        return _toy(lanes, None if style.alone and usual else show.r, style.theme)
    return _curves(lanes, show.show == "per_path", style.theme, narrow=style.narrow)


def _curves(lanes: Lanes, per_path: bool, theme: Theme, *, narrow: bool) -> go.Figure:
    """Gradient at the input by path length, log axis; bars of one standard error.

    The effective range is shaded: of Veit et al.'s curve where it is measured, else of the exact
    one; its words, which the sentences below say too, would lie on the curves of a phone's width.

    Args:
        per_path: Divided by C(n, k): the mean gradient of one path (Fig 6b), not of all of a
            length (Fig 6c).
    """
    made = base_figure(
        theme,
        x=LENGTH,
        y="norm ÷ C(n, k), log scale" if per_path else "gradient norm, log scale",
        height=380,
    )
    peaks: list[float] = []
    for lane in lanes:
        result, name, style = lane.result, lane.name, lane_style(lane.index)
        colour = style.colour(theme)
        for curve in result.curves:
            dash, marker, words = _LOOKS[curve.kind]
            values = result.per_path(curve) if per_path else curve.value
            scale = np.where(curve.value > 0, values / np.where(curve.value > 0, curve.value, 1), 0)
            error = curve.standard_error * scale
            seen = np.isfinite(values) & (values > 0)  # a log axis has no place for 0
            if seen.any():
                peaks.append(float(values[seen].max()))
            made.add_scatter(
                x=result.lengths[seen],
                y=values[seen],
                name=f"{before(lane, lanes)}{words}",
                mode="lines+markers",
                legendgroup=f"lane{lane.index}",
                line={"color": colour, "width": 2, "dash": dash},
                marker={"symbol": style.symbol + marker, "size": 6, "color": colour},
                error_y=_bars(values[seen], error[seen], colour),
                customdata=np.stack([error[seen], result.path_shares[seen] * 100], axis=1),
                hovertemplate=f"{name}, {words}<br>length %{{x}}: %{{y:.3g}} "
                "(± %{customdata[0]:.2g})<br>%{customdata[1]:.3g} % of all paths<extra></extra>",
            )
        if not per_path:
            said = len(lanes) == 1 and not narrow
            _shade_effective(made, lane, result.curves[-1], theme, words=said)
    made.update_yaxes(type="log", exponentformat="power")
    if peaks and not per_path:
        made.update_yaxes(range=[np.log10(min(peaks)) - DECADES, np.log10(max(peaks)) + 0.5])
    made.update_layout(showlegend=True, margin={"l": 76})
    return made


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
    made: go.Figure,
    lane: Lane[PathGradients],
    curve: PathCurve,
    theme: Theme,
    words: bool,
) -> None:
    found = lane.result.effective(curve)
    if found is None:
        return
    said = (
        f"lengths {found.low}–{found.high} hold {found.held * 100:.0f} %<br>"
        f"and are {_percent(found.paths)} of all paths"
    )
    _shade(made, lane.index, found.low, found.high, theme, said if words else None)


def _shade(
    made: go.Figure, lane: int, low: int, high: int, theme: Theme, words: str | None
) -> None:
    made.add_vrect(
        x0=low - 0.5,
        x1=high + 0.5,
        fillcolor=faded(lane_style(lane).colour(theme), 0.1),
        line={"width": 0},
        layer="below",
    )
    if words:
        made.add_annotation(
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


def _shares(lanes: Lanes, theme: Theme) -> go.Figure:
    """Where the paths are and where the gradient is, in per cent by length (Fig 6a and c)."""
    made = share_figure([(lane, _lengths(lane)) for lane in lanes], theme)
    for lane in lanes:
        style, curve = lane_style(lane.index), lane.result.leading()
        total = curve.value.sum()
        if np.isfinite(total) and total > 0:
            made.add_scatter(
                x=lane.result.lengths,
                y=curve.value / total * 100,
                name=f"{before(lane, lanes)}gradient, {_LOOKS[curve.kind][2]}",
                mode="lines+markers",
                legendgroup=f"lane{lane.index}",
                line={"color": style.colour(theme), "width": 2.5},
                marker={"symbol": style.symbol, "size": 6, "color": style.colour(theme)},
                hovertemplate=f"{lane.name}<br>%{{y:.3g}} % of the gradient is on length %{{x}}"
                "<extra></extra>",
            )
        _shade_effective(made, lane, curve, theme, words=len(lanes) == 1)
    return made


def _lengths(lane: Lane[PathGradients]) -> PathLengths:
    """Of all its paths; of another library's net, as far as the result tells."""
    if lane.plan is not None:
        return path_lengths(lane.plan, lane.name)
    n = lane.result.two_way
    return PathLengths(lane.name, n, 0, binomial(n))


def _toy(lanes: Lanes, ratio: float | None, theme: Theme) -> go.Figure:
    """Were each branch to scale the gradient by r: its share by length, ∝ C(n, k)·rᵏ.

    Args:
        ratio: r; None draws a slider below the figure.
    """
    made = base_figure(theme, x=LENGTH, y="share by length, %", height=380)
    ratios = RATIOS if ratio is None else (ratio,)
    opens_with = 0 if ratio is not None else RATIOS.index(0.25)
    add_paths(made, [lane.result.two_way for lane in lanes], theme)
    visible = [-1] * len(made.data)  # which of the ratios a trace belongs to; −1 stays
    for lane in lanes:
        result, name, style = lane.result, lane.name, lane_style(lane.index)
        n, colour, whose = result.two_way, style.colour(theme), before(lane, lanes)
        lengths = np.arange(n + 1)
        for place, r in enumerate(ratios):
            share = toy(n, r)
            ends = effective_range(share)
            held = "" if ends is None else f", 95 % on {ends[0]}–{ends[1]}"
            made.add_scatter(
                x=lengths,
                y=share * 100,
                name=f"{whose}toy, r = {r:.3g}{held}",
                mode="lines",
                legendgroup=f"lane{lane.index}",
                visible=place == opens_with,
                line={"color": colour, "width": 2.5, "dash": style.dash},
                hovertemplate=f"{name}, r = {r:.3g}<br>length %{{x}}: %{{y:.3g}} %<extra></extra>",
            )
            visible.append(place)
        curve = result.leading()
        made.add_scatter(
            x=result.lengths,
            y=curve.value / curve.value.sum() * 100,
            name=f"{whose}measured, {_LOOKS[curve.kind][2]}",
            mode="markers",
            legendgroup=f"lane{lane.index}",
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
        made.update_layout(sliders=[{**slider, "y": -0.5}], margin={"b": 240}, height=540)
    made.update_yaxes(rangemode="tozero")
    made.update_layout(showlegend=True, barmode="overlay", bargap=0.15)
    return made
