"""Shapes of answers that several rooms hand on: frozen records of arrays and plain values.

Each result names the net, the data and the number of images it was measured on, turns into a
table (``to_frame``) and into plain JSON values (``to_json``) and back (``from_json``). No torch;
pandas only when a table is asked for, because its import would delay the server's start.
"""

from explorer.results.common import Floats, wilson_interval
from explorer.results.forward import ForwardTiming, Prediction
from explorer.results.programs import ProgramResult
from explorer.results.statistics import Statistics, statistics_said
from explorer.results.sweep import QUANTITIES, Quantity, SweepResult, SweepRun
from explorer.results.training import Record, SeedBand, TrainingCurves

__all__ = [
    "QUANTITIES",
    "Floats",
    "ForwardTiming",
    "Prediction",
    "ProgramResult",
    "Quantity",
    "Record",
    "SeedBand",
    "Statistics",
    "SweepResult",
    "SweepRun",
    "TrainingCurves",
    "statistics_said",
    "wilson_interval",
]
