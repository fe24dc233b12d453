"""The nets that ship with the program: their recipes, and the making of ``pretrained/``.

All are small, trained on the embedded digits on one CPU thread, in about two minutes together.
All have the same recipe and seed, the plain and the residual net also the same initial
convolutions.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from explorer.data.dataset import Dataset, Progress
from explorer.data.load import load_data
from explorer.errors import RunError, WeightsError
from explorer.names import spec_of
from explorer.nets import Net
from explorer.nets.weights import save_weights
from explorer.probes.gates import gate_means
from explorer.probes.gradients import layer_gradients
from explorer.probes.lesions import lesion_curve
from explorer.results import Record
from explorer.shipped import PRETRAINED, Card
from explorer.specs import RECIPES, DataSpec, ExperimentSpec, TrainSpec, fit_to_data
from explorer.training.evaluation import evaluate
from explorer.training.loop import Session
from explorer.versions import versions

MAX_POINTS = 300  # of a curve in a card
DIGITS = 5  # significant, of a number in a card
LICENCE = "MIT; trained on the UCI handwritten digits that come with scikit-learn (CC BY 4.0)"


@dataclass(frozen=True)
class Recipe:
    """How a shipped net is made.

    Attributes:
        net: Its name or token.
    """

    net: str
    training: TrainSpec
    seed: int = 7


_NETS = ("plain_56", "resnet_v2_56", "fc_highway_50;transform_bias=-3", "densenet_40_k12")
# One recipe and one seed for all: what the first screen shows beside each other is comparable,
# and pressing Play there trains just these nets again.
SHIPPED: Mapping[str, Recipe] = MappingProxyType(
    {f"digits_{net.partition(';')[0]}": Recipe(net, RECIPES["one_cycle"]) for net in _NETS}
)


def publish(name: str, out_folder: Path | None = None, progress: Progress | None = None) -> Card:
    """Train a shipped net and write ``NAME.safetensors`` and its card ``NAME.json``.

    Args:
        out_folder: None writes into the program's own ``pretrained/``.
        progress: Told what is being done and the share done, in [0, 1].

    Returns:
        The card: recipe, accuracy, the instruments' results, and the curves.

    Raises:
        WeightsError: There is no recipe of this name, or the files cannot be written.
    """
    if name not in SHIPPED:
        raise WeightsError(f"There is no recipe {name!r}; there are: {', '.join(SHIPPED)}.")
    recipe, tell = SHIPPED[name], progress or (lambda text, share: None)
    data_spec = DataSpec(name="digits")
    experiment = ExperimentSpec(
        lanes=(fit_to_data(spec_of(recipe.net), data_spec),),
        data=data_spec,
        training=recipe.training,
        seed=recipe.seed,
        device="cpu",
    )
    data = load_data(data_spec)
    session = Session(experiment, data, threads=1)
    net = session.nets[0]
    at_start = layer_gradients(net, data)
    records = _train(session, name, tell)
    tell(f"Measuring {name}", 0.95)
    _, error = evaluate(net, data, data.test_images, data.test_labels)
    card = Card(
        name=name,
        spec=net.spec,
        data=data_spec,
        recipe=recipe.training,
        seed=recipe.seed,
        mean=tuple(data.mean.tolist()),
        std=tuple(data.std.tolist()),
        accuracy=1 - error,
        n_images=len(data.test_labels),
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        licence=LICENCE,
        command=f"skipscope publish --only {name}",
        results={"gradients_at_start": at_start.to_json(), **_measure(net, data)},
        records=columns(records),
    )
    save_weights(net, (out_folder or PRETRAINED) / f"{name}.safetensors", card)
    tell(f"Made {name}", 1.0)
    return card


def _train(session: Session, name: str, tell: Progress) -> list[Record]:
    records = []
    for record in session.records():
        if record.kind == "diverged":
            raise RunError(record.values["message"])
        records.append(record)
        tell(f"Training {name}", 0.95 * record.step / session.steps_total)
    return records


def _measure(net: Net, data: Dataset) -> dict[str, Any]:
    """The instruments' results on the trained net, by the names that the app looks for."""
    results = {
        "gradients": layer_gradients(net, data).to_json(),
        "lesions": lesion_curve(net, data).to_json(by_class=False),
    }
    if net.spec.family == "highway":
        results["gates"] = gate_means(net, data, n_images=None).to_json()
    return results


def columns(records: Iterable[Record]) -> dict[str, Any]:
    """The curves of one lane by kind of record, short enough to ship.

    ``step`` and ``eval`` hold a list for each of their numbers; equal runs of neighbouring
    points are averaged so that at most ``MAX_POINTS`` are left. ``n_train`` and ``n_test`` of
    ``eval`` are single numbers.
    """
    rows = list(records)
    steps = [{"step": r.step, **r.values} for r in rows if r.kind == "step"]
    evals = [{"step": r.step, **r.values} for r in rows if r.kind == "eval"]
    losses = ("train_loss", "train_error", "test_loss", "test_error")
    return {
        "step": _thinned(steps, ("step", "loss", "error", "learning_rate")),
        "eval": {
            **_thinned(evals, ("step", *losses)),
            "n_train": evals[-1]["n_train"],
            "n_test": evals[-1]["n_test"],
        },
    }


def _thinned(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Any]]:
    run = -(-len(rows) // MAX_POINTS)
    starts = range(0, len(rows), run)
    table: dict[str, list[Any]] = {}
    for name in names:
        # A loss that was not finite is None; it leaves a gap.
        values = np.array([np.nan if row[name] is None else row[name] for row in rows])
        means = [float(values[start : start + run].mean()) for start in starts]
        table[name] = [None if np.isnan(mean) else _rounded(mean) for mean in means]
    return table


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
