"""Skipscope: see why very deep networks train or fail.

In a notebook::

    import explorer

    net = explorer.load_pretrained("digits_resnet_v2_56")
    explorer.lesion_curve(net, "digits").to_frame()

Names are loaded when they are first used: importing this package imports neither torch nor
pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.api import (
        activation_maps,
        attribute,
        branch_responses,
        classifier_by_unit,
        estimation_error,
        evaluate_program,
        feature_reuse,
        gate_distribution,
        gate_image,
        gate_lesions,
        gate_maps,
        gate_means,
        gradient_terms,
        gradients_at_init,
        layer_gradients,
        layer_responses,
        lesion_band,
        lesion_curve,
        load_data,
        loss_surface,
        path_gradients,
        predict,
        propagation,
        sensitivity,
        shortcut_scaling,
        shuffle_lesions,
        stage_lesions,
        swap_lesions,
        sweep,
        train,
        unit_conductance,
        unravelled_view,
        vanishing_causes,
    )
    from explorer.blueprint import blueprint
    from explorer.errors import SkipscopeError
    from explorer.names import spec_of, title_of, token_of
    from explorer.nets import create_net
    from explorer.nets.adapters import adapt, load_external
    from explorer.nets.export import export_code
    from explorer.nets.weights import load_pretrained, load_weights
    from explorer.path_counts import multiplicity, path_lengths
    from explorer.probes.end_points import end_points
    from explorer.probes.paths import gradients_by_length
    from explorer.probes.shattering import shattered_gradients
    from explorer.results import WorkedExample
    from explorer.specs import (
        DataSpec,
        DenseSpec,
        ExperimentSpec,
        HighwaySpec,
        NetSpec,
        PlainSpec,
        ResidualSpec,
        SweepSpec,
        TrainSpec,
    )
    from explorer.training.loop import Session

__all__ = [
    "DataSpec",
    "DenseSpec",
    "ExperimentSpec",
    "HighwaySpec",
    "NetSpec",
    "PlainSpec",
    "ResidualSpec",
    "Session",
    "SkipscopeError",
    "SweepSpec",
    "TrainSpec",
    "WorkedExample",
    "activation_maps",
    "adapt",
    "attribute",
    "blueprint",
    "branch_responses",
    "classifier_by_unit",
    "create_net",
    "end_points",
    "estimation_error",
    "evaluate_program",
    "export_code",
    "feature_reuse",
    "gate_distribution",
    "gate_image",
    "gate_lesions",
    "gate_maps",
    "gate_means",
    "gradient_terms",
    "gradients_at_init",
    "gradients_by_length",
    "layer_gradients",
    "layer_responses",
    "lesion_band",
    "lesion_curve",
    "load_data",
    "load_external",
    "load_pretrained",
    "load_weights",
    "loss_surface",
    "multiplicity",
    "path_gradients",
    "path_lengths",
    "predict",
    "propagation",
    "sensitivity",
    "shattered_gradients",
    "shortcut_scaling",
    "shuffle_lesions",
    "spec_of",
    "stage_lesions",
    "swap_lesions",
    "sweep",
    "title_of",
    "token_of",
    "train",
    "unit_conductance",
    "unravelled_view",
    "vanishing_causes",
]

_HOME = {
    "Session": "explorer.training.loop",
    "SkipscopeError": "explorer.errors",
    "WorkedExample": "explorer.results",
    "create_net": "explorer.nets",
    "end_points": "explorer.probes.end_points",
    "export_code": "explorer.nets.export",
    **dict.fromkeys(("adapt", "load_external"), "explorer.nets.adapters"),
    "load_pretrained": "explorer.nets.weights",
    "load_weights": "explorer.nets.weights",
    "gradients_by_length": "explorer.probes.paths",
    **dict.fromkeys(("multiplicity", "path_lengths"), "explorer.path_counts"),
    "shattered_gradients": "explorer.probes.shattering",
    **dict.fromkeys(("spec_of", "title_of", "token_of"), "explorer.names"),
    **dict.fromkeys((name for name in __all__ if name.endswith("Spec")), "explorer.specs"),
    **dict.fromkeys(
        (
            "activation_maps",
            "attribute",
            "branch_responses",
            "classifier_by_unit",
            "estimation_error",
            "evaluate_program",
            "feature_reuse",
            "gate_distribution",
            "gate_image",
            "gate_lesions",
            "gate_maps",
            "gate_means",
            "gradient_terms",
            "gradients_at_init",
            "layer_gradients",
            "layer_responses",
            "lesion_band",
            "lesion_curve",
            "load_data",
            "loss_surface",
            "path_gradients",
            "predict",
            "propagation",
            "sensitivity",
            "shortcut_scaling",
            "shuffle_lesions",
            "stage_lesions",
            "swap_lesions",
            "sweep",
            "train",
            "unit_conductance",
            "unravelled_view",
            "vanishing_causes",
        ),
        "explorer.api",
    ),
}


def __getattr__(name: str) -> Any:
    if name == "blueprint":
        return import_module("explorer.blueprint")  # a module that can be called
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
