"""The nets that ship with the program: their recipes, and the making of ``pretrained/``.

All are small, trained on the embedded digits on one CPU thread. All have the same recipe and
seed; plain and residual nets of one depth also have the same initial convolutions.
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
from explorer.shipped import PRETRAINED, Card, Trial, read_card
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
        seeds: Trainings as long as the shipped one that its card tells of, it among them.
        also: Those of another length: (steps, seeds).
    """

    net: str
    training: TrainSpec
    seed: int = 7
    seeds: int = 5
    also: tuple[tuple[int, int], ...] = ()


_ONE_CYCLE = RECIPES["one_cycle"]
# Of 56 layers, the plain net too is trained until it has learnt, as from this seed it does: what
# deletions cost it and its twin can then be compared.
_LONGER = 3 * _ONE_CYCLE.steps
_UNTIL_BOTH_LEARNT = _ONE_CYCLE.model_copy(update={"steps": _LONGER})
# One seed for all, one recipe for what the first screen shows beside each other: pressing Play
# there trains just these nets again.
SHIPPED: Mapping[str, Recipe] = MappingProxyType(
    {
        f"digits_{recipe.net.partition(';')[0]}": recipe
        for recipe in (
            Recipe("plain_20", _ONE_CYCLE, also=((_LONGER, 3),)),
            Recipe("plain_56", _UNTIL_BOTH_LEARNT, seeds=11, also=((_ONE_CYCLE.steps, 5),)),
            Recipe("plain_110", _ONE_CYCLE, also=((_LONGER, 3),)),
            Recipe("resnet_v2_56", _UNTIL_BOTH_LEARNT),
            Recipe("resnet_v2_110", _ONE_CYCLE),
            Recipe("fc_highway_50;transform_bias=-4", _ONE_CYCLE),
            Recipe("densenet_40_k12", _ONE_CYCLE),
        )
    }
)


def publish(
    name: str,
    out_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    trials: bool = False,
) -> Card:
    """Train a shipped net and write ``NAME.safetensors`` and its card ``NAME.json``.

    Args:
        out_folder: None writes into the program's own ``pretrained/``.
        trials: Also train it from the seeds, and for the other numbers of steps, that its recipe
            names (5 to 14 times the cost). Without, a card that lies there for the same net and
            recipe hands its trials on.
        progress: Told what is being done and the share done, in [0, 1].

    Returns:
        The card: recipe, accuracy, the instruments' results, and the curves.

    Raises:
        WeightsError: There is no recipe of this name, or the files cannot be written.
    """
    if name not in SHIPPED:
        raise WeightsError(f"There is no recipe {name!r}; there are: {', '.join(SHIPPED)}.")
    recipe, tell = SHIPPED[name], progress or (lambda text, share: None)
    experiment = experiment_of(recipe)
    data_spec = experiment.data
    data = load_data(data_spec)
    file = (out_folder or PRETRAINED) / f"{name}.safetensors"
    session = Session(experiment, data, threads=1)
    net = session.nets[0]
    at_start = layer_gradients(net, data)
    records = _train(session, name, tell)
    tell(f"Measuring {name}", 0.95)
    _, error, _ = evaluate(net, data, data.test_images, data.test_labels)
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
        trials=_trials(recipe, data, tell) if trials else _trials_of(file, experiment),
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        licence=LICENCE,
        command=f"skipscope publish --only {name}",
        results={"gradients_at_start": at_start.to_json(), **_measure(net, data)},
        records=columns(records),
    )
    save_weights(net, file, card)
    tell(f"Made {name}", 1.0)
    return card


def experiment_of(recipe: Recipe) -> ExperimentSpec:
    """The training that makes a shipped net."""
    data = DataSpec(name="digits")
    return ExperimentSpec(
        lanes=(fit_to_data(spec_of(recipe.net), data),),
        data=data,
        training=recipe.training,
        seed=recipe.seed,
        device="cpu",
    )


def _trials(recipe: Recipe, data: Dataset, tell: Progress) -> tuple[Trial, ...]:
    made = []
    for steps, seeds in ((recipe.training.steps, recipe.seeds), *recipe.also):
        training = recipe.training.model_copy(update={"steps": steps})
        change = {"training": training, "seeds": seeds}
        made.append(trial(experiment_of(recipe).model_copy(update=change), data, tell))
    return tuple(made)


def trial(experiment: ExperimentSpec, data: Dataset, tell: Progress) -> Trial:
    """What a one-lane experiment comes to from each of its seeds."""
    steps = experiment.training.steps
    training = experiment.training.model_copy(update={"eval_every": steps})
    experiment = experiment.model_copy(update={"training": training})
    session = Session(experiment, data, threads=1, profiles=False)
    last: dict[str, Any] = {}
    for record in session.records():
        if record.kind == "eval":
            last = record.values
        if record.kind == "step":
            tell(f"{experiment.seeds} seeds, {steps:,} steps", record.step / steps)
    by_seed = last.get("by_seed") or {name: [last[name]] for name in _ENDS}
    return Trial(
        steps=steps,
        seeds=tuple(range(experiment.seed, experiment.seed + experiment.seeds)),
        **{
            name: tuple(None if v is None else _rounded(v) for v in by_seed[name]) for name in _ENDS
        },
    )


_ENDS = ("train_loss", "train_error", "test_error")


def _trials_of(file: Path, experiment: ExperimentSpec) -> tuple[Trial, ...]:
    """Those of the card that lies beside ``file``, if it is of the same net and training."""
    try:
        card = read_card(file)
    except WeightsError:
        return ()
    same = (card.spec, card.recipe, card.seed) == (
        experiment.lanes[0],
        experiment.training,
        experiment.seed,
    )
    return card.trials if same else ()


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

    ``step``, ``eval`` and ``clip`` (what clipping multiplied the gradient by, where the recipe
    clips) hold a list for each of their numbers; equal runs of neighbouring
    points are averaged so that at most ``MAX_POINTS`` are left. ``n_train`` and ``n_test`` of
    ``eval`` are single numbers.
    """
    rows = list(records)
    layers = [{"step": r.step, **r.values} for r in rows if r.kind == "layers"]
    clipped = [row for row in layers if "clip" in row]
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
        **({"clip": _thinned(clipped, ("step", "clip"))} if clipped else {}),
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
