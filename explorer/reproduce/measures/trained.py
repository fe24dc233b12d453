"""Nets trained from a seed for a measurement, each once: kept in Skipscope's folder."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import RunError, WeightsError
from explorer.nets import Net
from explorer.nets.weights import net_with_weights, save_weights
from explorer.results import Record
from explorer.structure.cards import Card, read_card, shipped, shipped_path
from explorer.structure.names import spec_of
from explorer.structure.specs import (
    RECIPES,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    TrainSpec,
    fit_to_data,
)
from explorer.system.bounded import stored_json
from explorer.system.files import write_text
from explorer.system.home import default_home
from explorer.system.versions import versions
from explorer.training.evaluation import evaluate
from explorer.training.loop import Session

Curve = dict[str, list[float | None]]
CURVE = ("train_loss", "train_error", "test_error")


@dataclass(frozen=True)
class Trained:
    """A net with what its training came to.

    Attributes:
        curve: ``step`` and the numbers of ``CURVE`` at each evaluation.
        shipped: Whether it is one of the nets that ship with the program.
        diverged: Then the net is as it was when it did.
    """

    net: Net
    accuracy: float
    curve: Curve
    shipped: bool
    diverged: bool


@cache
def images(name: str = "digits") -> Dataset:
    return load_data(DataSpec.model_validate({"name": name}))


def training_of(changes: dict[str, object]) -> TrainSpec:
    """The recipe ``one_cycle``, or the one that ``changes`` names, with these changes."""
    recipe = RECIPES[str(changes.get("recipe", "one_cycle"))]
    return TrainSpec.model_validate({**recipe.model_dump(), **changes})


def trained(token: str, training: TrainSpec, seed: int, data: str = "digits") -> Trained:
    """The shipped net of just this training; else one that was trained before, or trained now."""
    spec = fit_to_data(spec_of(token), DataSpec.model_validate({"name": data}))
    for name, card in shipped().items():
        same = (card.spec, card.recipe, card.seed, card.data.name) == (spec, training, seed, data)
        if same and "eval" in card.records:
            net = net_with_weights(card.spec, shipped_path(name)).eval()
            return Trained(net, card.accuracy, _curve(card), True, False)
    file = _place(spec, training, seed, data)
    try:
        card = read_card(file)
        net = net_with_weights(card.spec, file).eval()
        return Trained(net, card.accuracy, _curve(card), False, bool(card.records.get("diverged")))
    except WeightsError:
        return _train(spec, training, seed, data)


def together(token: str, training: TrainSpec, seeds: range, data: str = "digits") -> list[Curve]:
    """Curves of a fully connected net from several seeds, which train in one batched product.

    Several times as fast as one after the other; the nets themselves are not kept.
    """
    spec = fit_to_data(spec_of(token), DataSpec.model_validate({"name": data}))
    file = _place(spec, training, f"{seeds.start}-{seeds.stop}", data).with_suffix(".curves.json")
    try:
        kept: list[Curve] = stored_json(file.read_text("utf-8"))
        return kept
    except (OSError, ValueError):
        pass
    dataset = images(data)
    experiment = ExperimentSpec(
        lanes=(spec,),
        data=dataset.spec,
        training=training,
        seed=seeds.start,
        seeds=len(seeds),
        device="cpu",
    )
    session = Session(experiment, dataset, threads=1, profiles=False)
    curves: list[Curve] = [{"step": [], **{name: [] for name in CURVE}} for _ in seeds]
    for record in session.records():
        if record.kind == "eval":
            by_seed = record.values.get("by_seed") or {n: [record.values[n]] for n in CURVE}
            for place, curve in enumerate(curves):
                curve["step"].append(float(record.step))
                for name in CURVE:
                    curve[name].append(_rounded(by_seed[name][place]))
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(curves))
    return curves


def _place(spec: NetSpec, training: TrainSpec, seed: int | str, data: str) -> Path:
    said = [spec.model_dump_json(), training.model_dump_json(), seed, data, versions()["torch"]]
    name = hashlib.sha256(json.dumps(said).encode()).hexdigest()[:20]
    return default_home() / "reproduce" / f"{name}.safetensors"


def _train(spec: NetSpec, training: TrainSpec, seed: int, data: str) -> Trained:
    dataset = images(data)
    experiment = ExperimentSpec(
        lanes=(spec,), data=dataset.spec, training=training, seed=seed, device="cpu"
    )
    session = Session(experiment, dataset, threads=1, profiles=False)
    evals: list[Record] = []
    diverged = False
    for record in session.records():
        if record.kind == "eval":
            evals.append(record)
        if record.kind == "diverged":
            diverged = True
    if not evals and not diverged:
        raise RunError("The training was over before it was evaluated.")
    net = session.nets[0].eval()
    _, error, _ = evaluate(net, dataset, dataset.test_images, dataset.test_labels)
    curve: Curve = {"step": [float(r.step) for r in evals]}
    for name in CURVE:
        curve[name] = [_rounded(r.values[name]) for r in evals]
    card = Card(
        name="reproduce",
        spec=net.spec,
        data=dataset.spec,
        recipe=training,
        seed=seed,
        mean=tuple(dataset.mean.tolist()),
        std=tuple(dataset.std.tolist()),
        accuracy=1 - error,
        n_images=len(dataset.test_labels),
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        records={"eval": curve, "diverged": diverged},
    )
    save_weights(net, _place(spec, training, seed, data), card)
    return Trained(net, 1 - error, curve, False, diverged)


def _curve(card: Card) -> Curve:
    kept = card.records["eval"]
    return {name: list(kept[name]) for name in ("step", *CURVE)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
