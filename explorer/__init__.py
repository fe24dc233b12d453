"""Skipscope: see why very deep networks train or fail.

In a notebook::

    import explorer

    net = explorer.load_pretrained("digits_resnet_v2_56")
    explorer.lesions(net, "digits").to_frame()

Names are loaded when they are first used: importing this package imports neither torch nor
pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from explorer.api import (
        evaluate_program,
        load_checkpoint,
        load_data,
        predict,
        sweep,
        train,
    )
    from explorer.errors import SkipscopeError
    from explorer.instruments.amplifier.result import WorkedExample
    from explorer.instruments.counted_paths import multiplicity, path_lengths
    from explorer.instruments.functions import *  # noqa: F403
    from explorer.instruments.paths.measure import gradients_by_length
    from explorer.measuring.end_points import end_points
    from explorer.nets import create_net
    from explorer.nets.adapters import adapt, load_external
    from explorer.nets.export import export_code
    from explorer.nets.weights import load_pretrained, load_weights
    from explorer.structure.blueprint import Blueprint
    from explorer.structure.names import spec_of, title_of, token_of
    from explorer.structure.specs import (
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
    "adapt",
    "blueprint",
    "create_net",
    "end_points",
    "evaluate_program",
    "export_code",
    "gradients_by_length",
    "load_checkpoint",
    "load_data",
    "load_external",
    "load_pretrained",
    "load_weights",
    "multiplicity",
    "path_lengths",
    "predict",
    "spec_of",
    "sweep",
    "title_of",
    "token_of",
    "train",
]

_HOME = {
    "Session": "explorer.training.loop",
    "SkipscopeError": "explorer.errors",
    "WorkedExample": "explorer.instruments.amplifier.result",
    "create_net": "explorer.nets",
    "end_points": "explorer.measuring.end_points",
    "export_code": "explorer.nets.export",
    **dict.fromkeys(("adapt", "load_external"), "explorer.nets.adapters"),
    "load_pretrained": "explorer.nets.weights",
    "load_weights": "explorer.nets.weights",
    "gradients_by_length": "explorer.instruments.paths.measure",
    **dict.fromkeys(("multiplicity", "path_lengths"), "explorer.instruments.counted_paths"),
    **dict.fromkeys(("spec_of", "title_of", "token_of"), "explorer.structure.names"),
    **dict.fromkeys(
        (name for name in __all__ if name.endswith("Spec")), "explorer.structure.specs"
    ),
    **dict.fromkeys(
        (
            "evaluate_program",
            "load_checkpoint",
            "load_data",
            "predict",
            "sweep",
            "train",
        ),
        "explorer.api",
    ),
}


def blueprint(net: NetSpec | str) -> Blueprint:
    """What a net amounts to: its units, shapes, parameters and cost, without building it.

    Args:
        net: A spec, or a name or token.
    """
    from explorer.structure import blueprint as plans
    from explorer.structure.names import spec_of

    return plans.blueprint(spec_of(net) if isinstance(net, str) else net)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from explorer.instruments import functions

        if name in dir(functions):
            return getattr(functions, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    from explorer.instruments import functions

    return sorted({*globals(), *__all__, *dir(functions)})
