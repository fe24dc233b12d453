"""Figures: results in, ``plotly`` figures out. The same ones on the page and in reports."""

from explorer.charts.attribution import attribution_figure, conductance_figure
from explorer.charts.gates import gate_figure
from explorer.charts.gradients import gradient_figure
from explorer.charts.image import probability_figure
from explorer.charts.lesions import lesion_figure
from explorer.charts.palette import LANE_STYLES, Theme, lane_style
from explorer.charts.training import training_figure

__all__ = [
    "LANE_STYLES",
    "Theme",
    "attribution_figure",
    "conductance_figure",
    "gate_figure",
    "gradient_figure",
    "lane_style",
    "lesion_figure",
    "probability_figure",
    "training_figure",
]
