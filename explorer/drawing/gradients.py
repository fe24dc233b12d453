"""Gradient magnitude by layer (He15 §4.1), as the Compare page and the instrument draw it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from explorer.drawing.palette import Theme, base_figure, lane_style
from explorer.instruments.gradient_scales import Of
from explorer.instruments.gradients.result import LayerGradients


def gradient_figure(
    lanes: Sequence[tuple[int, str, LayerGradients]],
    *,
    of: Of = "parameters",
    theme: Theme = "light",
) -> go.Figure:
    """Root mean square gradient on a log axis, one curve a lane, against layer or unit."""
    parameters = of == "parameters"
    figure = base_figure(
        theme,
        x="layer (1 is nearest the input)" if parameters else "block (1 is nearest the input)",
        y="RMS of ∂L/∂W, log scale" if parameters else "RMS of ∂ℓ/∂y, log scale",
    )
    for lane, name, gradients in lanes:
        style = lane_style(lane)
        if parameters:
            # Projections and gates have no place on the depth axis; they are in the table.
            index = np.asarray(gradients.depth_index)
            x = index[index > 0]
            y = gradients.parameter_rms[index > 0]
            labels = [n for n, d in zip(gradients.layers, gradients.depth_index, strict=True) if d]
        else:
            x = np.arange(1, len(gradients.units) + 1)
            y = gradients.output_rms
            labels = list(gradients.units)
        figure.add_scatter(
            x=x,
            y=np.where(y > 0, y, np.nan),  # a log axis has no place for an exact zero
            name=name,
            text=labels,
            mode="lines+markers",
            legendgroup=f"lane{lane}",
            line={"color": style.colour(theme), "width": 2, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 5, "color": style.colour(theme)},
            hovertemplate="%{fullData.name}<br>%{text}: %{y:.3g}<extra></extra>",
        )
    figure.update_yaxes(type="log", exponentformat="power", dtick=1)
    return figure
