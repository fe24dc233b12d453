"""Pictures, and what speaks for and against something over them."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from explorer.drawing.palette import LANE_STYLES, Theme, faded
from explorer.results.png import to_png

SMALL = 64  # pixels a side, up to which an image is drawn as squares, not smoothed
OPACITY = ((0.0, 0.0), (0.5, 0.6), (1.0, 0.95))  # of the way up from nothing


def place_picture(figure: go.Figure, number: str, pixels: NDArray[np.uint8]) -> None:
    """The pixels (H, W, C) on axes ``x<number>``: a PNG, a hundred times smaller than numbers."""
    height, width = pixels.shape[:2]
    figure.add_image(
        source="data:image/png;base64," + to_png(pixels),
        dx=1,
        dy=1,
        zsmooth="fast" if max(height, width) > SMALL else False,
        hoverinfo="skip",
        xaxis=f"x{number}",
        yaxis=f"y{number}",
    )


def against_and_for(theme: Theme) -> list[Any]:
    """From blue over nothing to orange: what says little lets the picture through."""
    against, favour = LANE_STYLES[1].colour(theme), LANE_STYLES[0].colour(theme)
    below = [[(1 - at) / 2, faded(against, opacity)] for at, opacity in OPACITY[::-1]]
    return below + [[(1 + at) / 2, faded(favour, opacity)] for at, opacity in OPACITY]
