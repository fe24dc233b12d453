"""The nets that ship with the program: their recipes, and the making of ``pretrained/``.

Those for the digits are small and trained on one CPU thread, all but one by one recipe and seed;
plain and residual nets of one depth also have the same initial convolutions. Those for CIFAR-10
take hours: their training lies in a folder (``skipscope train --out``), can be gone on with, and is
published from there.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch

from explorer.data.dataset import Dataset, Progress
from explorer.data.load import load_data
from explorer.errors import RunError, WeightsError
from explorer.instruments import instrument
from explorer.instruments.doors.calling import Work, measured
from explorer.measuring.gradients import layer_gradients
from explorer.nets import Net, create_net
from explorer.nets.weights import load_pretrained, round_weights, save_weights
from explorer.results import Record
from explorer.structure.blueprint import Blueprint
from explorer.structure.cards import (
    PRETRAINED,
    Card,
    Kept,
    KeptResult,
    Trial,
    Within,
    kept_path,
    read_card,
    read_kept,
    shipped_path,
)
from explorer.structure.names import spec_of
from explorer.structure.specs import (
    DATASETS,
    RECIPES,
    SEED,
    DataSpec,
    ExperimentSpec,
    TrainSpec,
    fit_to_data,
)
from explorer.system.files import write_text
from explorer.system.machine import cores, processor
from explorer.system.versions import versions
from explorer.training import checkpoint
from explorer.training.evaluation import evaluate
from explorer.training.loop import Session

MAX_POINTS = 300  # of a curve in a card
MOMENTS = 24  # of a training that are kept of every layer
DIGITS = 5  # significant, of a number in a card
HALF_COSTS = 0.001  # of the accuracy, at most, for weights to be stored as float16
LICENCES = {
    "digits": "MIT; trained on the UCI handwritten digits that come with scikit-learn (CC BY 4.0)",
    "cifar10": "MIT; trained on CIFAR-10 (Krizhevsky 2009), which does not come with the program",
}


@dataclass(frozen=True)
class Recipe:
    """How a shipped net is made.

    Attributes:
        net: Its name or token.
        seeds: Trainings as long as the shipped one that its card tells of, it among them.
        also: Those of another length: (steps, seeds).
        name: What it is called after the data's name; empty takes the net's.
        meant_to_fail: Whether it ships to show how its training fails.
        augment: Whether training images are shifted and mirrored.
    """

    net: str
    training: TrainSpec
    seed: int = SEED
    seeds: int = 5
    also: tuple[tuple[int, int], ...] = ()
    data: Literal["digits", "cifar10"] = "digits"
    name: str = ""
    meant_to_fail: bool = False
    augment: bool = False

    @property
    def key(self) -> str:
        """Its file's name."""
        return f"{self.data}_{self.name or self.net.partition(';')[0]}"

    @property
    def data_spec(self) -> DataSpec:
        return DataSpec(name=self.data, augment=self.augment)


_ONE_CYCLE = RECIPES["one_cycle"]
_TWICE = _ONE_CYCLE.model_copy(update={"steps": 2 * _ONE_CYCLE.steps})
# Of 56 layers, the plain net too is trained until it has learnt, as from this seed it does: what
# deletions cost it and its twin can then be compared.
_LONGER = 3 * _ONE_CYCLE.steps
_UNTIL_BOTH_LEARNT = _ONE_CYCLE.model_copy(update={"steps": _LONGER})
_EPOCH = 391  # steps of 128 of CIFAR-10's 50,000 training images
_CIFAR10 = _ONE_CYCLE.model_copy(
    update={
        "batch_size": 128,
        "optimizer": "nesterov",
        "learning_rate": 0.2,
        "weight_decay": 5e-4,
        "gradient_clip": None,
        "precision": "float32",
    }
)


def _cifar10(net: str, epochs: int) -> Recipe:
    """A fast recipe, which takes one core an hour or two: the papers' have 164 epochs."""
    kept = (0, _EPOCH, *(share * epochs // 4 * _EPOCH for share in (1, 2, 3)))
    training = _CIFAR10.model_copy(update={"steps": epochs * _EPOCH, "keep_weights": kept})
    return Recipe(net, training, seeds=1, data="cifar10", augment=True)


# One seed for all, one recipe for what the first screen shows beside each other: pressing Play
# there trains just these nets again.
SHIPPED: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.key: recipe
        for recipe in (
            Recipe("plain_20", _ONE_CYCLE, also=((_LONGER, 3),)),
            Recipe("plain_56", _UNTIL_BOTH_LEARNT, seeds=11, also=((_ONE_CYCLE.steps, 5),)),
            Recipe("plain_110", _ONE_CYCLE, also=((_LONGER, 3),), meant_to_fail=True),
            # Without batch norm its gradients vanish: beside plain_56, which has it.
            Recipe(
                "plain_56;batch_norm=false",
                _ONE_CYCLE,
                seeds=1,
                name="plain_56_no_batch_norm",
                meant_to_fail=True,
            ),
            Recipe("resnet_v1_20", _ONE_CYCLE, seeds=3),
            Recipe("resnet_v1_56", _TWICE, seeds=1, also=((_ONE_CYCLE.steps, 1),)),
            Recipe("resnet_v1_110", _ONE_CYCLE, seeds=1),
            Recipe("resnet_v2_20", _ONE_CYCLE),
            Recipe("resnet_v2_56", _UNTIL_BOTH_LEARNT),
            Recipe("resnet_v2_110", _ONE_CYCLE),
            Recipe("resnet_110_stochastic_depth", _TWICE, seeds=1),
            Recipe("fc_plain_50", _ONE_CYCLE, meant_to_fail=True),
            Recipe("fc_highway_50;transform_bias=-4", _ONE_CYCLE),
            Recipe("highway_25", _ONE_CYCLE, seeds=2),
            Recipe("densenet_40_k12", _ONE_CYCLE),
            _cifar10("resnet_v2_20", epochs=20),
            _cifar10("plain_20", epochs=20),
            _cifar10("resnet_v2_56", epochs=12),
            _cifar10("plain_56", epochs=12),
        )
    }
)
# What takes minutes to measure, of nets whose images do not come with the program: with how many
# test images, each class in its share; None takes all.
KEEP: Mapping[str, int | None] = MappingProxyType(
    {
        "responses": None,
        "gates": None,
        "reuse": None,
        "stage_lesions": None,
        "gate_lesions": None,
        "random_lesions": 2000,
        "shuffle_lesions": 2000,
        "swap_lesions": 2000,
        "paths": 256,
    }
)


def recipe_of(name: str) -> Recipe:
    """How a shipped net is made.

    Raises:
        WeightsError: There is no recipe of this name.
    """
    if name not in SHIPPED:
        near = difflib.get_close_matches(name, SHIPPED, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(SHIPPED)}."
        raise WeightsError(f"There is no recipe {name[:60]!r}; {hint}")
    return SHIPPED[name]


@dataclass(frozen=True)
class Trained:
    """A training that is over, as it is published.

    Attributes:
        records: Of its one lane, in order of step.
        seconds: That it took.
        hardware: On what.
    """

    net: Net
    records: Sequence[Record]
    seconds: float
    hardware: str


def publish(
    name: str,
    out_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    trials: bool = False,
    data: Dataset | None = None,
) -> Card:
    """Train a shipped net and write ``NAME.safetensors``, its card, and what is kept beside it.

    Args:
        out_folder: None writes into the program's own ``pretrained/``.
        trials: Also train it from the seeds, and for the other numbers of steps, that its recipe
            names (5 to 14 times the cost). Without, a card that lies there for the same net and
            recipe hands its trials on.
        progress: Told what is being done and the share done, in [0, 1].
        data: The images, where they are loaded already.

    Returns:
        The card: recipe, accuracy, the instruments' results, and the curves.

    Raises:
        WeightsError: There is no recipe of this name, or the files cannot be written.
    """
    recipe, tell = recipe_of(name), progress or (lambda text, share: None)
    data = data or load_data(recipe.data_spec)
    session = Session(experiment_of(recipe), data, threads=1)
    records = _train(session, name, tell)
    trained = Trained(session.nets[0], records, session.seconds, _hardware(1))
    return write(name, trained, data, out_folder, tell, trials=trials)


def publish_folder(
    name: str,
    folder: Path,
    records: Sequence[Record],
    data: Dataset,
    out_folder: Path | None = None,
    progress: Progress | None = None,
) -> Card:
    """The same from the folder of a finished ``skipscope train --out``.

    Args:
        records: Those of the folder.
        data: The images that it was trained on, as the recipe names them.

    Raises:
        WeightsError: It is of another net, recipe, seed or images than the shipped net's, or not
            finished; the sentence says which.
    """
    recipe, tell = recipe_of(name), progress or (lambda text, share: None)
    file = folder / CHECKPOINT
    tensors, state = checkpoint.read(file)
    saved, wanted = checkpoint.experiment_of(state, file), experiment_of(recipe)
    other = [
        word
        for word, ours, theirs in (
            ("net", saved.lanes, wanted.lanes),
            ("recipe", saved.training, wanted.training),
            ("seed", (saved.seed, saved.seeds), (wanted.seed, wanted.seeds)),
            ("augmentation", saved.data.augment, wanted.data.augment),
        )
        if ours != theirs
    ]
    if other:
        raise WeightsError(
            f"The training in {str(folder)!r} is not that of {name} (its {', '.join(other)} "
            f"differs): give the folder that `skipscope zoo build --only {name}` trained in."
        )
    if state["step"] < wanted.training.steps:
        raise WeightsError(
            f"The training in {str(folder)!r} is at step {state['step']:,} of "
            f"{wanted.training.steps:,}: go on with `skipscope train --resume {folder}`."
        )
    refuse_other_images(name, data)
    checkpoint.check_fingerprint(state["data"], data, file)
    net = create_net(wanted.lanes[0], seed=recipe.seed)
    checkpoint.load_net(net, checkpoint.under("0.net.", tensors), file)
    mine = [record for record in records if record.lane == 0]
    trained = Trained(net, mine, state["seconds"], _hardware(torch.get_num_threads()))
    return write(name, trained, data, out_folder, tell)


CHECKPOINT = "checkpoint.safetensors"


def refuse_other_images(name: str, data: Dataset) -> None:
    """Refuse another data set's folder for a shipped net.

    Raises:
        WeightsError: One sentence: whose images these are not, and what is wanted.
    """
    info = DATASETS[recipe_of(name).data]
    shape, classes = data.info.input_shape, data.info.classes
    if (shape, classes) != (info.input_shape, info.classes):
        some = ", ".join(classes[:3])
        raise WeightsError(
            f"{name} is made of {info.title} ({len(info.classes)} classes: "
            f"{', '.join(info.classes[:3])}, …), and these are {'×'.join(map(str, shape))} images "
            f"in {len(classes)} classes ({some}, …): give --data {recipe_of(name).data}, or a "
            "folder with train/CLASS and test/CLASS of that data set."
        )


def write(
    name: str,
    trained: Trained,
    data: Dataset,
    out_folder: Path | None,
    tell: Progress,
    *,
    trials: bool = False,
) -> Card:
    """Measures a trained net, rounds its weights where that costs nothing, and writes its files."""
    recipe = recipe_of(name)
    experiment = experiment_of(recipe)
    file = (out_folder or PRETRAINED) / f"{name}.safetensors"
    net = trained.net.eval()
    tell(f"Measuring {name}", 0.95)
    exact = _accuracy(net, data)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    round_weights(net)
    accuracy = _accuracy(net, data)
    precision: Literal["float32", "float16"] = "float16"
    if abs(accuracy - exact) > HALF_COSTS:
        net.load_state_dict(before)
        accuracy, precision = exact, "float32"
    at_start = layer_gradients(create_net(net.spec, seed=recipe.seed), data)
    n = len(data.test_labels)
    results = {"gradients_at_start": at_start.to_json(), **_measure(net, data)}
    card = Card(
        name=name,
        spec=net.spec,
        meant_to_fail=recipe.meant_to_fail,
        data=recipe.data_spec,
        recipe=recipe.training,
        seed=recipe.seed,
        n_train=len(data.train_labels),
        mean=tuple(data.mean.tolist()),
        std=tuple(data.std.tolist()),
        accuracy=accuracy,
        n_images=n,
        precision=precision,
        accuracy_float32=exact if precision == "float16" else None,
        within={"accuracy": _within("lesions", net.blueprint, n)}
        | {kind: _within(kind, net.blueprint, n) for kind in results},
        trials=_trials(recipe, trained.records, data, tell)
        if trials
        else _trials_of(file, experiment) or (_own_trial(experiment, trained.records),),
        versions=versions(),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        licence=LICENCES[recipe.data],
        command=f"skipscope zoo build --only {name}",
        hardware=trained.hardware,
        seconds=round(trained.seconds, 1),
        results=results,
        records=columns(trained.records),
    )
    beside = Kept(
        name=name,
        records=tuple(record.to_json() for record in moments(trained.records)),
        results=tuple(_kept(net, data, tell)) if recipe.data != "digits" else (),
    )
    save_weights(net, file, card)
    write_text(kept_path(file), beside.model_dump_json() + "\n")
    tell(f"Made {name}", 1.0)
    return card


def _accuracy(net: Net, data: Dataset) -> float:
    return 1 - evaluate(net, data, data.test_images, data.test_labels)[1]


def _hardware(threads: int) -> str:
    return f"{processor()}, {cores()} cores, {threads} thread{'s' * (threads > 1)}, no GPU"


def _within(kind: str, plan: Blueprint, n: int) -> Within:
    """How far a measurement may be repeated from what a card says: other kernels round otherwise.

    Shares of right answers by two images of the digits, or a thousandth. Rounding alone moves a
    plain net's gradients by 6 % in 56 layers, by 26 % in 110.
    """
    if kind.startswith("gradients"):
        return Within(relative=0.25 if plan.spec.depth < 100 else 0.6)
    if kind in ("gates", "responses", "reuse"):
        return Within(absolute=1e-3, relative=0.01)
    if kind == "paths":
        return Within(absolute=1e-6, relative=0.1)
    return Within(absolute=max(2.01 / n, 0.001))


def _kept(net: Net, data: Dataset, tell: Progress) -> Iterator[KeptResult]:
    """What the costly instruments measure of it, on as many images as ``KEEP`` says."""
    for kind, n_images in KEEP.items():
        one = instrument(kind)
        if one.ask.not_for(net.blueprint) is not None:
            continue
        tell(f"Measuring {one.page.title.lower()}", 0.97)
        given = {} if one.ask.subject == "weights" else {"n_images": n_images}
        if n_images is None and given:  # all, also where an instrument usually takes fewer
            given = {"n_images": len(data.test_labels)}
        yield _ask(kind, given, net, data)


def _ask(kind: str, given: Mapping[str, Any], net: Net, data: Dataset) -> KeptResult:
    one, start = instrument(kind), time.perf_counter()
    ask = one.asked(given).for_net(net.blueprint)
    images = data if one.ask.subject == "net" else None
    result = measured(one, ask, Work(), net=net, data=images)
    seconds = round(time.perf_counter() - start, 1)
    said = result.to_json(partial=True)
    return KeptResult(kind=kind, ask=ask.model_dump(mode="json"), result=said, seconds=seconds)


def moments(records: Iterable[Record]) -> list[Record]:
    """What a training recorded of every layer and block, thinned to ``MOMENTS`` of each kind.

    The first and the last are among them; evenly spread by step.
    """
    rows, chosen = list(records), []
    for kind in ("layers", "gates", "responses", "lesions"):
        found = [record for record in rows if record.kind == kind]
        last = len(found) - 1
        places = {round(i * last / (MOMENTS - 1)) for i in range(MOMENTS)} if found else set()
        chosen += [replace(found[place], lane=0) for place in sorted(places)]
    return sorted(chosen, key=lambda record: record.step)


def experiment_of(recipe: Recipe) -> ExperimentSpec:
    """The training that makes a shipped net."""
    return ExperimentSpec(
        lanes=(fit_to_data(spec_of(recipe.net), recipe.data_spec),),
        data=recipe.data_spec,
        training=recipe.training,
        seed=recipe.seed,
        device="cpu",
    )


def _trials(
    recipe: Recipe, records: Sequence[Record], data: Dataset, tell: Progress
) -> tuple[Trial, ...]:
    """Of all lengths and seeds; the shipped training, whose records are given, is the first."""
    experiment = experiment_of(recipe)
    made = [_own_trial(experiment, records)]
    if recipe.seeds > 1:
        others = {"seed": recipe.seed + 1, "seeds": recipe.seeds - 1}
        made = [_joined(made[0], trial(experiment.model_copy(update=others), data, tell))]
    for steps, seeds in recipe.also:
        training = recipe.training.model_copy(update={"steps": steps})
        change = {"training": training, "seeds": seeds}
        made.append(trial(experiment.model_copy(update=change), data, tell))
    return tuple(made)


def _own_trial(experiment: ExperimentSpec, records: Sequence[Record]) -> Trial:
    """What one training came to."""
    last = next(record.values for record in reversed(records) if record.kind == "eval")
    return Trial(
        steps=experiment.training.steps,
        seeds=(experiment.seed,),
        **{name: (None if last[name] is None else _rounded(last[name]),) for name in _ENDS},
    )


def _joined(first: Trial, others: Trial) -> Trial:
    both = {name: getattr(first, name) + getattr(others, name) for name in ("seeds", *_ENDS)}
    return first.model_copy(update=both)


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
    n = len(data.test_labels)
    results = {"gradients": layer_gradients(net, data).to_json()}
    if instrument("lesions").ask.not_for(net.blueprint) is None:
        results["lesions"] = _ask("lesions", {}, net, data).result
    if net.blueprint.gated_units:
        results["gates"] = _ask("gates", {"n_images": n}, net, data).result
    return results


# ------------------------------------------------------------------------------ measured again


def differences(
    name: str, data: Dataset | None, progress: Progress | None = None, *, whole: bool = False
) -> list[str]:
    """What a shipped net does otherwise than its card says, a sentence each; none is right.

    Args:
        data: The images of the card; None checks the files alone, where these are not there.
        whole: Also measures again what is kept beside the card, which takes as long as making it.

    Raises:
        WeightsError: There is no such net, its files are damaged, or the images are others.
    """
    tell = progress or (lambda text, share: None)
    file = shipped_path(name)
    card, kept, net = read_card(file), read_kept(file), load_pretrained(name)
    if data is None:
        return []
    refuse_other_images(name, data)
    data = data.normalised_by(card.mean, card.std)
    found = []
    if len(data.test_labels) != card.n_images:
        return [
            f"{name}: the card's numbers are of {card.n_images:,} test images, and these are "
            f"{len(data.test_labels):,}: give the whole test set."
        ]
    tell("accuracy", 0.1)
    accuracy = _accuracy(net, data)
    off = apart(card.accuracy, accuracy, card.within.get("accuracy", Within()))
    if off:
        found.append(f"{name}: accuracy is {accuracy:.2%}, and the card says {card.accuracy:.2%}.")
    again = {"gradients_at_start": layer_gradients(create_net(card.spec, seed=card.seed), data)}
    measured_again = {kind: one.to_json() for kind, one in again.items()} | _measure(net, data)
    for kind, told in card.results.items():
        tell(kind, 0.5)
        off = apart(told, measured_again.get(kind), card.within.get(kind, Within()))
        if off:
            found.append(f"{name}: {kind} {off}.")
    for one in kept.results if whole else ():
        tell(one.kind, 0.8)
        result = _ask(one.kind, one.ask, net, data).result
        off = apart(one.result, result, _within(one.kind, net.blueprint, card.n_images))
        if off:
            found.append(f"{name}: {one.kind}, kept beside the card, {off}.")
    return found


def apart(told: Any, found: Any, within: Within, at: str = "") -> str | None:
    """Where two results first lie further apart than they may, in words; None where nowhere.

    Names of nets are passed over.
    """
    if isinstance(told, Mapping) and isinstance(found, Mapping):
        keys = [key for key in told if key != "net"]
        lost = next((key for key in keys if key not in found), None)
        if lost is not None:
            return f"has no {lost} any more"
        return next(
            (off for key in keys if (off := apart(told[key], found[key], within, f"{at} {key}"))),
            None,
        )
    if isinstance(told, list) and isinstance(found, list):
        if len(told) != len(found):
            return f"has {len(found)} values at{at}, and the card {len(told)}"
        pairs = enumerate(zip(told, found, strict=True))
        return next(
            (off for i, (a, b) in pairs if (off := apart(a, b, within, f"{at} {i + 1}"))), None
        )
    numbers = [v for v in (told, found) if isinstance(v, (int, float)) and type(v) is not bool]
    if len(numbers) == 2:
        allowed = max(within.absolute, within.relative * abs(numbers[0]))
        if abs(numbers[0] - numbers[1]) <= allowed:
            return None
        return (
            f"is {numbers[1]:.5g} at{at or ' all'}, and the card says {numbers[0]:.5g} within "
            f"{allowed:.2g}"
        )
    return None if told == found else f"is {found!r:.40} at{at or ' all'}, not {told!r:.40}"


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
