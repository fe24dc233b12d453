"""The direct and the residual term of the gradient, and scaled shortcuts (He16 Eq 5 and 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.charts.palette import Theme, base_figure, faded, lane_style, muted
from explorer.results import Floats, GradientTerms, ShortcutScaling


def gradient_terms_figure(
    lanes: Sequence[tuple[int, str, GradientTerms]], *, theme: Theme = "light"
) -> go.Figure:
    """Norms at every unit's input on a log axis: the whole (solid), its direct and residual term.

    Where every shortcut is λ·x, crosses mark what Eq 8 says of the direct term.
    """
    figure = base_figure(
        theme, x="block (1 is nearest the input)", y="‖∂ℓ/∂x‖ at its input, log scale", height=360
    )
    for lane, name, terms in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        x = np.arange(1, len(terms.units) + 1)
        group = f"lane{lane}"
        for what, values, dash, width in (
            ("whole", terms.whole, "solid", 2.5),
            ("direct", terms.direct, "dash", 2),
            ("residual", terms.residual, "dot", 2),
        ):
            whole = what == "whole"
            figure.add_scatter(
                x=x,
                y=_above_zero(values),
                name=f"{name}, {what}",
                text=list(terms.units),
                mode="lines+markers" if whole else "lines",
                legendgroup=group,
                line={"color": colour, "width": width, "dash": dash},
                marker={"symbol": style.symbol, "size": 5, "color": colour},
                hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
            )
        theory = terms.theory()
        if theory is not None:
            figure.add_scatter(
                x=x,
                y=_above_zero(theory),
                name=f"{name}, Eq 8 with λ = {terms.shortcut_scale:g}",
                mode="markers",
                legendgroup=group,
                marker={"symbol": "x-thin", "size": 8, "line": {"color": colour, "width": 1.5}},
                hovertemplate="%{fullData.name}<br>block %{x}: %{y:.3g}<extra></extra>",
            )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    figure.update_layout(showlegend=True)
    return figure


def shortcut_scaling_figure(
    lanes: Sequence[tuple[int, str, ShortcutScaling]],
    *,
    scale: float | None = None,
    theme: Theme = "light",
) -> go.Figure:
    """What arrives at the first unit against λ: by Eq 8, and as measured; log axis.

    Args:
        scale: The λ of a slider, drawn as a line.
    """
    figure = base_figure(theme, x="λ of every shortcut", y="gradient ÷ that with λ = 1", height=340)
    for lane, name, scaling in lanes:
        style = lane_style(lane)
        colour = style.colour(theme)
        order = np.argsort(scaling.scale)
        x = scaling.scale[order]
        fine = np.linspace(min(x[x > 0], default=1.0), max(x[-1], 1e-3), 200)
        figure.add_scatter(
            x=fine,
            y=_above_zero(scaling.theory(fine)),
            name=f"{name}: λ<sup>{scaling.n_units}</sup> (Eq 8)",
            mode="lines",
            legendgroup=f"lane{lane}",
            line={"color": faded(colour, 0.6), "width": 1.5, "dash": "dash"},
            hovertemplate="λ = %{x:.3g}: %{y:.3g}<extra></extra>",
        )
        for what, values, symbol, mode in (
            ("direct term, measured", scaling.direct, "x-thin", "markers"),
            ("whole, measured", scaling.whole, style.symbol, "lines+markers"),
        ):
            figure.add_scatter(
                x=x,
                y=_above_zero(values[order]),
                name=f"{name}: {what}",
                mode=mode,
                legendgroup=f"lane{lane}",
                line={"color": colour, "width": 2},
                marker={
                    "symbol": symbol,
                    "size": 8,
                    "color": colour,
                    "line": {"color": colour, "width": 1.5},
                },
                hovertemplate="%{fullData.name}<br>λ = %{x:.3g}: %{y:.3g}<extra></extra>",
            )
    if scale is not None:
        figure.add_vline(x=scale, line={"color": muted(theme), "width": 1, "dash": "dot"})
    figure.update_yaxes(type="log", exponentformat="power")
    figure.update_layout(showlegend=True, margin={"l": 76})
    return figure


def _above_zero(values: Floats) -> Floats:
    """A log axis has no place for 0, nor for what is not finite."""
    return np.where(np.isfinite(values) & (values > 0), values, np.nan)
