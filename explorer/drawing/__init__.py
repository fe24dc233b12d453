"""Figures: results in, ``plotly`` figures out. The same ones on the page and in reports."""

from explorer.drawing.gates import gate_figure
from explorer.drawing.gradients import gradient_figure
from explorer.drawing.image import probability_figure
from explorer.drawing.lesions import lesion_figure
from explorer.drawing.palette import LANE_STYLES, Theme, lane_style
from explorer.drawing.sweep import depth_figure, sweep_curves_figure
from explorer.drawing.training import training_figure

__all__ = [
    "LANE_STYLES",
    "Theme",
    "depth_figure",
    "gate_figure",
    "gradient_figure",
    "lane_style",
    "lesion_figure",
    "probability_figure",
    "sweep_curves_figure",
    "training_figure",
]
