"""What the instruments return: frozen records of NumPy arrays and plain values.

Each result names the net, the data and the number of images it was measured on, turns into a
table (``to_frame``) and into plain JSON values (``to_json``) and back (``from_json``). No torch;
pandas only when a table is asked for, because its import would delay the server's start.
"""

from explorer.results.activations import CHANNELS, PARTS, ActivationMaps, Channels, Part, UnitMaps
from explorer.results.answers import Flip, ProgramAnswers
from explorer.results.attribution import (
    BASELINES,
    METHODS,
    Attribution,
    Baseline,
    Decision,
    Method,
    UnitConductance,
)
from explorer.results.common import Floats, wilson_interval
from explorer.results.forward import ForwardTiming, Prediction
from explorer.results.gates import GateDistribution, GateImage, GateMaps, GateMeans
from explorer.results.gradient_terms import GradientTerms, ShortcutScaling
from explorer.results.gradients import GradientsAtInit, InitGradient, LayerGradients
from explorer.results.history import LayerHistory
from explorer.results.lesion_studies import (
    GateLesions,
    LesionBand,
    LesionStudy,
    ShuffleLesions,
    StageLesions,
    SwapLesions,
)
from explorer.results.lesions import ByClass, LesionCurve, ProgramResult
from explorer.results.paths import (
    CURVES,
    CurveKind,
    EffectiveRange,
    Multiplicity,
    NetPaths,
    PathCurve,
    PathEffect,
    PathGradients,
    PathLengths,
    PathToy,
    UnravelledView,
)
from explorer.results.propagation import Propagation
from explorer.results.responses import (
    BranchResponses,
    ClassifierByUnit,
    EstimationError,
    LayerResponses,
)
from explorer.results.reuse import FeatureReuse, ReuseBlock
from explorer.results.sensitivity import Sensitivity, WorkedExample
from explorer.results.shattering import ScalarFamily, ShatteredGradients
from explorer.results.statistics import Statistics, statistics_said
from explorer.results.surface import LossSurface, SurfaceNorm
from explorer.results.sweep import QUANTITIES, Quantity, SweepResult, SweepRun
from explorer.results.training import Record, SeedBand, TrainingCurves
from explorer.results.vanishing import VanishingCauses, VanishingRow

__all__ = [
    "BASELINES",
    "CHANNELS",
    "CURVES",
    "METHODS",
    "PARTS",
    "QUANTITIES",
    "ActivationMaps",
    "Attribution",
    "Baseline",
    "BranchResponses",
    "ByClass",
    "Channels",
    "ClassifierByUnit",
    "CurveKind",
    "Decision",
    "EffectiveRange",
    "EstimationError",
    "FeatureReuse",
    "Flip",
    "Floats",
    "ForwardTiming",
    "GateDistribution",
    "GateImage",
    "GateLesions",
    "GateMaps",
    "GateMeans",
    "GradientTerms",
    "GradientsAtInit",
    "InitGradient",
    "LayerGradients",
    "LayerHistory",
    "LayerResponses",
    "LesionBand",
    "LesionCurve",
    "LesionStudy",
    "LossSurface",
    "Method",
    "Multiplicity",
    "NetPaths",
    "Part",
    "PathCurve",
    "PathEffect",
    "PathGradients",
    "PathLengths",
    "PathToy",
    "Prediction",
    "ProgramAnswers",
    "ProgramResult",
    "Propagation",
    "Quantity",
    "Record",
    "ReuseBlock",
    "ScalarFamily",
    "SeedBand",
    "Sensitivity",
    "ShatteredGradients",
    "ShortcutScaling",
    "ShuffleLesions",
    "StageLesions",
    "Statistics",
    "SurfaceNorm",
    "SwapLesions",
    "SweepResult",
    "SweepRun",
    "TrainingCurves",
    "UnitConductance",
    "UnitMaps",
    "UnravelledView",
    "VanishingCauses",
    "VanishingRow",
    "WorkedExample",
    "statistics_said",
    "wilson_interval",
]
