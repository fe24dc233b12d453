"""Figures: results in, ``plotly`` figures out. The same ones on the page and in reports."""

from explorer.charts.activations import activation_figure
from explorer.charts.attribution import attribution_figure, conductance_figure
from explorer.charts.gates import (
    gate_distribution_figure,
    gate_figure,
    gate_image_figure,
    gate_map_figure,
)
from explorer.charts.gradient_terms import gradient_terms_figure, shortcut_scaling_figure
from explorer.charts.gradients import gradient_figure, gradients_at_init_figure
from explorer.charts.history import history_ends_figure, history_figure
from explorer.charts.image import probability_figure
from explorer.charts.lesion_studies import (
    gate_lesion_figure,
    lesion_band_figure,
    shuffle_figure,
    stage_figure,
    swap_figure,
)
from explorer.charts.lesions import lesion_figure
from explorer.charts.palette import LANE_STYLES, Theme, lane_style
from explorer.charts.paths import (
    multiplicity_figure,
    path_gradient_figure,
    path_share_figure,
    toy_figure,
)
from explorer.charts.propagation import propagation_figure
from explorer.charts.responses import (
    branch_figure,
    classifier_figure,
    estimation_figure,
    response_figure,
)
from explorer.charts.reuse import reuse_figure
from explorer.charts.sensitivity import sensitivity_figure, worked_example_figure
from explorer.charts.shattering import (
    autocorrelation_figure,
    gradient_likeness_figure,
    input_gradient_figure,
)
from explorer.charts.surface import contour_figure, loss_line_figure, surface_figure
from explorer.charts.sweep import depth_figure, sweep_curves_figure
from explorer.charts.training import training_figure
from explorer.charts.unravelled import unravelled_figure
from explorer.charts.vanishing import cause_words, panel_words, vanishing_figure

__all__ = [
    "LANE_STYLES",
    "Theme",
    "activation_figure",
    "attribution_figure",
    "autocorrelation_figure",
    "branch_figure",
    "cause_words",
    "classifier_figure",
    "conductance_figure",
    "contour_figure",
    "depth_figure",
    "estimation_figure",
    "gate_distribution_figure",
    "gate_figure",
    "gate_image_figure",
    "gate_lesion_figure",
    "gate_map_figure",
    "gradient_figure",
    "gradient_likeness_figure",
    "gradient_terms_figure",
    "gradients_at_init_figure",
    "history_ends_figure",
    "history_figure",
    "input_gradient_figure",
    "lane_style",
    "lesion_band_figure",
    "lesion_figure",
    "loss_line_figure",
    "multiplicity_figure",
    "panel_words",
    "path_gradient_figure",
    "path_share_figure",
    "probability_figure",
    "propagation_figure",
    "response_figure",
    "reuse_figure",
    "sensitivity_figure",
    "shortcut_scaling_figure",
    "shuffle_figure",
    "stage_figure",
    "surface_figure",
    "swap_figure",
    "sweep_curves_figure",
    "toy_figure",
    "training_figure",
    "unravelled_figure",
    "vanishing_figure",
    "worked_example_figure",
]
