"""Lanes trained in one product, from several seeds, duplicated, with units passed by; budgets."""

from __future__ import annotations

import contextlib
import copy
import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import NotApplicableError, RunError, SpecError
from explorer.instruments.functions import lesions
from explorer.measuring.responses import response_modules
from explorer.measuring.taps import tap
from explorer.nets import create_net
from explorer.results import Record
from explorer.structure.names import spec_of
from explorer.structure.specs import (
    RECIPES,
    SOURCES,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    ResidualSpec,
    TrainSpec,
    fit,
)
from explorer.structure.variants import for_units_per_batch, without_shortcuts
from explorer.training import Session, captured
from explorer.training.evaluation import evaluate
from explorer.training.lane import Batch
from explorer.training.recording import lesions_every
from explorer.training.schedule import learning_rate
from explorer.training.units import drawn, passed_by

FC = ("fc_plain_7;width=20", "fc_residual_7;width=20", "fc_highway_7;width=20")
PLAIN = "plain_8;width=4"
RESIDUAL = "resnet_v2_14;width=4"


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load_data(DataSpec(train_limit=200, test_limit=50))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def net_spec(token: str) -> NetSpec:
    return fit(spec_of(token), (1, 8, 8), 10)


def experiment(*tokens: str, seed: int = 7, seeds: int = 1, **training: Any) -> ExperimentSpec:
    training = {"steps": 6, "batch_size": 50, "learning_rate": 0.05, **training}
    return ExperimentSpec(
        lanes=tuple(net_spec(token) for token in tokens),
        data=DataSpec(train_limit=200, test_limit=50),
        training=TrainSpec(**training),
        seed=seed,
        seeds=seeds,
        device="cpu",
    )


def of_lane(records: list[Record], lane: int, kind: str = "step") -> list[dict[str, Any]]:
    return [r.values for r in records if r.lane == lane and r.kind == kind]


def close(a: Any, b: Any) -> bool:
    """Equal within float32 sums in another order."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(close(x, y) for x, y in zip(a, b, strict=True))
    return a == pytest.approx(b, rel=2e-3, abs=1e-6)


# ------------------------------------------------------------------------- in one product


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_lanes_in_one_product_are_the_lanes_by_themselves(
    data: Dataset, activation: str, optimizer: str
) -> None:
    """Losses, gradients by layer and unit, gates and evaluations, within float32 rounding."""
    tokens = [f"{token};activation={activation}" for token in (*FC[::-1], FC[2])]
    rate = 0.02 if optimizer == "sgd" else 0.002
    spec = experiment(
        *tokens, optimizer=optimizer, learning_rate=rate, gradient_clip=0.5, label_smoothing=0.1
    )
    batched = Session(spec, data, layers_every=2)
    alone = Session(spec, data, layers_every=2, together=False)
    assert batched.how == ["4 nets in one batched product, lanes [1, 2, 3, 4]"] * 4
    assert alone.how == ["by itself"] * 4
    ours, theirs = list(batched.records()), list(alone.records())
    assert [(r.kind, r.lane, r.step) for r in ours] == [(r.kind, r.lane, r.step) for r in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert close(a.values, b.values), (a, b)
    assert of_lane(ours, 0) == of_lane(ours, 3)  # equal lanes stay equal


def test_who_cannot_be_in_one_product(data: Dataset) -> None:
    spec = experiment(FC[0], "fc_plain_9;width=20", "fc_plain_7;width=20;batch_norm=true", PLAIN)
    assert Session(spec, data).how == [
        "1 net in one batched product, lanes [1]",
        "1 net in one batched product, lanes [2]",
        "by itself, as batch norm ties the images of a batch",
        "by itself, as its layers are convolutions",
    ]
    rough = Session(experiment(FC[0], "fc_residual_7;survival_prob=0.5", units_per_batch=2), data)
    assert rough.how == ["by itself, as its units are drawn at random"] * 2
    assert Session(experiment(FC[0], precision="bfloat16"), data).how == [
        "by itself, as it computes in bfloat16"
    ]


def test_a_lane_that_diverges_leaves_the_others_of_its_product(data: Dataset) -> None:
    spec = experiment(*FC, steps=30)
    session = Session(spec, data)
    with torch.no_grad():
        session.nets[1].stem.linear.weight.fill_(math.inf)
    records = list(session.records())
    assert [(r.kind, r.lane, r.step) for r in records if r.kind == "diverged"] == [
        ("diverged", 1, 0)
    ]
    healthy = list(Session(spec, data).records())
    for lane in (0, 2):
        assert of_lane(records, lane) == of_lane(healthy, lane)


@pytest.mark.parametrize("at", [0, 1, 17])
def test_a_product_resumes_exactly(data: Dataset, tmp_path: Path, at: int) -> None:
    spec = experiment(*FC, PLAIN, seeds=2, eval_every=4)
    curve = list(Session(spec, data, layers_every=3).records())
    cut = Session(spec, data, layers_every=3)
    before = list(itertools.islice(cut.records(), at))
    cut.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    assert before + list(resumed.records()) == curve


@pytest.mark.parametrize(
    ("tokens", "choices"),
    [
        ((PLAIN, RESIDUAL, "densenet_10_k4", "highway_7;width=4"), {}),
        ((*FC, "fc_plain_7;width=20;batch_norm=true"), {"optimizer": "adamw"}),
        ((RESIDUAL, "fc_residual_7;survival_prob=0.5"), {"units_per_batch": 2}),
    ],
)
def test_every_family_resumes_exactly(
    data: Dataset, tmp_path: Path, tokens: tuple[str, ...], choices: dict[str, Any]
) -> None:
    """In one product or by itself, with several seeds, under whatever optimiser."""
    spec = experiment(*tokens, seeds=2, eval_every=4, learning_rate=0.01, **choices)
    curve = list(Session(spec, data, layers_every=3).records())
    cut = Session(spec, data, layers_every=3)
    before = [record for _ in range(3) for record in cut.advance()]
    cut.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    assert before + list(resumed.records()) == curve


# ------------------------------------------------------------------------------ CUDA graphs


class _Rehearsal:
    """In the place of PyTorch's CUDA graph: records nothing, and does the same work again."""

    again: Callable[[], None]

    def replay(self) -> None:
        self.again()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_recorded_step_is_the_step(
    data: Dataset, monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    """Its places for images, labels and rate, its clipping, and its refusal of a loss of NaN."""
    spec = experiment(PLAIN, steps=9, optimizer=optimizer, gradient_clip=0.5, learning_rate=0.01)

    class Rehearsed(captured.Captured):
        def _record(self, batch: Batch, probing: bool) -> captured._Recording:
            before = copy.deepcopy((self.lanes[0].net, self.lanes[0].optimizer.state_dict()))
            recording = super()._record(batch, probing)
            (lane,) = self.lanes  # what was done while recording does not count
            lane.net.load_state_dict(before[0].state_dict())
            lane.optimizer.load_state_dict(before[1])
            fixed = Batch(0, [recording._images], [recording._labels])

            def again() -> None:
                self.forward(fixed, probing)
                self.backward()
                lane.clip()
                recording._numbers.copy_(self._numbers)
                assert recording.total_norm is not None
                assert lane.total_norm is not None
                recording.total_norm.copy_(lane.total_norm)  # as a replay writes where it recorded
                lane.optimizer.found_inf = (~(self._numbers[0] <= 1e6)).float()  # type: ignore[attr-defined]
                lane.optimizer.step()
                del lane.optimizer.found_inf  # type: ignore[attr-defined]

            recording._graph.again = again  # type: ignore[attr-defined]
            return recording

    monkeypatch.setattr(torch.cuda, "CUDAGraph", _Rehearsal)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: contextlib.nullcontext())
    monkeypatch.setattr(captured, "Captured", Rehearsed)
    expected = Session(spec, data, layers_every=3)
    session = Session(spec, data, layers_every=3, graphs=True)
    ours, theirs = list(session.records()), list(expected.records())
    assert [(r.kind, r.lane, r.step) for r in ours] == [(r.kind, r.lane, r.step) for r in theirs]

    def numbers(records: list[Record]) -> list[Any]:
        values = [
            value
            for record in records
            for value in record.values.values()
            if not isinstance(value, str)
        ]
        return [x for value in values for x in (value if isinstance(value, list) else [value])]

    # Bit for bit with torch 2.15; the fused Adam of 2.9 and 2.14 rounds otherwise where it may be
    # told not to step, which shows in the sixth and last digit of a recorded number.
    assert numbers(ours) == pytest.approx(numbers(theirs), rel=5e-6)
    if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 15):
        assert ours == theirs
    assert session.how == ["by itself, its whole step one CUDA graph"]

    session = Session(spec, data, layers_every=100, graphs=True)
    for _ in range(6):
        session.advance()
    kept = copy.deepcopy(session.nets[0].head.state_dict())
    with torch.no_grad():
        session.nets[0].stem.conv.weight.fill_(math.nan)
    assert [record.kind for record in session.advance()] == ["diverged"]
    assert all(torch.equal(kept[k], v) for k, v in session.nets[0].head.state_dict().items())


@pytest.mark.skipif(torch.cuda.is_available(), reason="here a step can be captured")
def test_a_step_that_cannot_be_captured_is_taken_as_ever(data: Dataset, tmp_path: Path) -> None:
    """Without a CUDA device the attempt itself fails: the same records, and a reason."""
    spec = experiment(RESIDUAL, FC[0], "resnet_v2_8;width=4;survival_prob=0.5", steps=8)
    expected = list(Session(spec, data, layers_every=3).records())
    session = Session(spec, data, layers_every=3, graphs=True)
    before = [record for _ in range(5) for record in session.advance()]
    session.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    for each in (session, resumed):
        assert before + list(each.records()) == expected
    captured, together, drawn_at_random = session.how
    assert captured.startswith("by itself, for its step could not be captured as a CUDA graph (")
    assert len(captured) > 75  # with PyTorch's own words
    assert together == "1 net in one batched product, lanes [2], without a CUDA graph"
    assert drawn_at_random == "by itself, without a CUDA graph, as its units are drawn at random"


def test_activations_overwrite_only_while_training(data: Dataset) -> None:
    session = Session(experiment("resnet_v1_8;width=4", PLAIN), data, profiles=False)
    inside: list[bool] = []
    for net in session.nets:
        net.head.register_forward_pre_hook(
            lambda module, inputs, net=net: inside.append(
                module.training and any(getattr(m, "inplace", False) for m in net.modules())
            )
        )
    session.advance()
    assert inside.count(True) == 2  # the step of each lane, not the evaluations
    assert not any(getattr(m, "inplace", False) for net in session.nets for m in net.modules())


# ------------------------------------------------------------------------------ seeds


def test_each_seed_is_the_run_that_it_would_be_alone(data: Dataset) -> None:
    band = list(Session(experiment(FC[0], RESIDUAL, seed=3, seeds=3), data).records())
    for replica in range(3):
        alone = list(Session(experiment(FC[0], RESIDUAL, seed=3 + replica), data).records())
        for lane in (0, 1):
            for kind, names in (("step", ("loss", "error")), ("eval", ("test_loss", "test_error"))):
                ours, theirs = of_lane(band, lane, kind), of_lane(alone, lane, kind)
                for name in names:
                    mine = [values["by_seed"][name][replica] for values in ours]
                    assert close(mine, [values[name] for values in theirs])
    first = of_lane(band, 0)[2]
    assert (first["loss"], first["error"]) == tuple(
        first["by_seed"][name][0] for name in ("loss", "error")
    )


def test_a_seed_that_diverges_is_named(data: Dataset) -> None:
    session = Session(experiment(PLAIN, seed=3, seeds=2), data)
    lane = session._lanes[1]
    with torch.no_grad():
        lane.net.head.linear.weight.fill_(math.inf)
    records = list(session.records())
    (record,) = [r for r in records if r.kind == "diverged"]
    assert record.values["seed"] == 4
    assert record.values["message"].startswith("Lane 1 with seed 4 diverged at step 0")
    last = of_lane(records, 0)[-1]
    assert last["by_seed"]["loss"] == [last["loss"], None]


# ------------------------------------------------------------------------- k of n units


def test_exactly_k_of_n_units_act(data: Dataset) -> None:
    """Veit16 §4.3: the loss is that of the net with just the drawn units."""
    session = Session(experiment(RESIDUAL, PLAIN.replace("8", "14"), units_per_batch=4), data)
    records = list(session.records())
    assert {r.kind for r in records} >= {"step", "eval", "layers"}
    seen = set()
    for step in range(6):
        acting = drawn(6, 4, 7, step)
        assert len(acting) == 4
        seen.add(tuple(acting))
    assert len(seen) > 2

    net = create_net(net_spec(RESIDUAL), seed=7)
    images, labels = session.batches.at(0)
    absent = [unit for i, unit in enumerate(net.units) if i not in drawn(6, 4, 7, 0)]
    with passed_by(absent):
        expected = F.cross_entropy(net(images), labels).item()
    assert of_lane(records, 0)[0]["loss"] == pytest.approx(expected, rel=1e-4)
    rms = of_lane(records, 0, "layers")[0]["parameter_rms"]
    plan = net.blueprint
    gone = {plan.units[i].name for i in range(6)} - {plan.units[i].name for i in drawn(6, 4, 7, 0)}
    for layer, value in zip(plan.weight_layers, rms, strict=True):
        assert (value == 0) == any(layer.name.startswith(name + ".") for name in gone)


def test_the_whole_net_is_tested_at_the_scale_of_training(data: Dataset) -> None:
    """With survival_prob = k/n: in training b = 1 for k units, in tests k/n · F for all."""
    spec = for_units_per_batch(net_spec(RESIDUAL), 4)
    assert isinstance(spec, ResidualSpec)
    assert (spec.survival_prob, spec.survival_decay) == (4 / 6, "uniform")
    assert for_units_per_batch(spec, 6) == spec
    scaled = ExperimentSpec(**{**dict(experiment(RESIDUAL, units_per_batch=4)), "lanes": (spec,)})
    whole = experiment(RESIDUAL, units_per_batch=4)
    first, other = ([*Session(each, data).records()] for each in (scaled, whole))
    assert of_lane(first, 0)[0]["loss"] == of_lane(other, 0)[0]["loss"]
    assert of_lane(first, 0, "eval")[0]["test_loss"] != of_lane(other, 0, "eval")[0]["test_loss"]


def test_passing_by_leaves_no_trace(data: Dataset) -> None:
    net = create_net(net_spec(RESIDUAL), seed=1).eval()
    images = data.normalise(data.test_images[:5])
    before = net(images)
    with passed_by(net.units[:3]):
        assert not torch.equal(net(images), before)
    with pytest.raises(RuntimeError), passed_by(net.units[:3]):
        net(images[:, :, :, 0])
    assert torch.equal(net(images), before)


def test_more_units_than_there_are(data: Dataset) -> None:
    with pytest.raises(SpecError, match=r"7 units .* Lane 1, which has 6 .* up to 6"):
        Session(experiment(RESIDUAL, units_per_batch=7), data)


# ------------------------------------------------------------------- duplicating, deleting


def test_same_weights_shortcut_cut(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL, FC[1], steps=12), data)
    for _ in range(3):
        session.advance()
    for lane in (0, 1):
        record = session.fork(lane, without_shortcuts(session.experiment.lanes[lane]))
        assert (record.kind, record.lane, record.step) == ("forked", lane + 2, 3)
        assert "of its layers with weights were taken over" in record.values["message"]
        source, target = session.nets[lane], session.nets[lane + 2]
        images = data.normalise(data.test_images[:4])
        source.eval(), target.eval()
        x = source.stem(images)
        for unit in source.units:  # F alone
            x = unit.residual(x)
        assert torch.allclose(target(images), source.head(x), atol=1e-5)
    records = list(session.records())
    assert [values["learning_rate"] for values in of_lane(records, 2)] == [
        values["learning_rate"] for values in of_lane(records, 0)
    ]
    assert of_lane(records, 2)[0]["loss"] != of_lane(records, 0)[0]["loss"]


def test_a_true_copy_stays_one(data: Dataset, tmp_path: Path) -> None:
    """Weights, batch norms and momenta go over: nothing tells the two lanes apart."""
    for token in (RESIDUAL, FC[2]):
        session = Session(experiment(token, steps=9, optimizer="adam", learning_rate=1e-3), data)
        for _ in range(4):
            session.advance()
        session.fork(0, session.experiment.lanes[0])
        session.save(tmp_path / "c")
        for each in (session, Session.resume(tmp_path / "c", dataset=data)):
            records = list(each.records())
            assert len(of_lane(records, 0)) == 5
            assert of_lane(records, 0) == of_lane(records, 1)
            assert of_lane(records, 0, "eval") == of_lane(records, 1, "eval")


def test_what_does_not_fit_starts_from_the_seed(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL), data)
    session.advance()
    record = session.fork(0, net_spec("plain_14;width=4"))
    assert "all 14 of its layers" not in record.values["message"]
    plain, residual = session.nets[1], session.nets[0]
    ours = plain.get_parameter("stages.0.units.0.conv1.weight")
    assert torch.equal(ours, residual.get_parameter("stages.0.units.0.residual.conv1.weight"))
    norm = plain.get_buffer("stages.0.units.0.bn1.running_mean")
    assert not norm.any()  # it stands after the convolution, the residual's before it
    for _ in range(2):
        session.fork(0, session.experiment.lanes[0])
    with pytest.raises(SpecError, match="4 lanes already"):
        session.fork(0, session.experiment.lanes[0])
    with pytest.raises(RunError, match="no lane 9"):
        session.fork(8, session.experiment.lanes[0])


def test_shortcuts_that_cannot_be_cut() -> None:
    for token in ("densenet_10_k4", "plain_8", "reference_residual_5", "highway_7"):
        with pytest.raises(NotApplicableError, match="choose"):
            without_shortcuts(net_spec(token))


@pytest.mark.parametrize(
    ("token", "optimizer"), [(RESIDUAL, "sgd"), (FC[2], "sgd"), (FC[2], "adam")]
)
def test_a_deleted_unit_stays_away(
    data: Dataset, tmp_path: Path, token: str, optimizer: str
) -> None:
    rate = 0.05 if optimizer == "sgd" else 0.001
    spec = experiment(token, steps=8, optimizer=optimizer, learning_rate=rate)
    session = Session(spec, data)
    session.advance()
    name = session.nets[0].unit_names[2]
    record = session.delete(0, [name])
    assert (record.kind, record.values) == ("deleted", {"units": [name]})
    unit = session.nets[0].units[2]
    kept = {key: value.clone() for key, value in unit.state_dict().items()}
    session.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    records = list(session.records())
    assert list(resumed.records()) == records
    assert all(torch.equal(value, kept[key]) for key, value in unit.state_dict().items())
    net = create_net(net_spec(token), seed=0)
    net.load_state_dict(session.nets[0].state_dict())
    with passed_by([net.units[2]]):
        loss, _, _ = evaluate(net, data, data.test_images, data.test_labels)
    assert of_lane(records, 0, "eval")[-1]["test_loss"] == pytest.approx(loss, rel=1e-5)

    session = Session.resume(tmp_path / "c", dataset=data)
    session.delete(0, [])
    assert "forward" not in session.nets[0].units[2].__dict__
    with pytest.raises(NotApplicableError, match=r"no unit 'stages\.9'"):
        session.delete(0, ["stages.9"])


# ------------------------------------------------------------------------------ phases


def test_phases_are_the_same_steps(data: Dataset) -> None:
    spec = experiment(*FC, RESIDUAL, eval_every=4)
    whole = list(Session(spec, data).records())
    session, records, names = Session(spec, data), [], []
    while not session.finished:
        for phase in session.phases():
            names.append(phase.name)
            records += phase.records
            assert phase.name == "evaluate" or [lane for lane, _ in phase.lanes] == [0, 1, 2, 3]
            for _, values in phase.lanes:
                assert all(value is not None for value in values.values())
    assert records == whole
    assert names == (
        ["evaluate", "forward", "backward", "update"] + ["forward", "backward", "update"] * 3
    ) + ["evaluate", "forward", "backward", "update"] + ["forward", "backward", "update"]


def test_what_the_phases_show(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL), data)
    before = [w.detach().clone() for w in session._lanes[0].weights]
    phases = {phase.name: phase for phase in session.phases()}
    (values,) = [r.values for r in phases["update"].records if r.kind == "layers"]
    assert phases["backward"].lanes[0][1]["parameter_rms"] == values["parameter_rms"]
    changes = [
        ((new - old).norm() / old.norm()).item()
        for new, old in zip(session._lanes[0].weights, before, strict=True)
    ]
    assert phases["update"].lanes[0][1]["change"] == pytest.approx(changes, rel=1e-3)


# ------------------------------------------------------------------------------ budgets


def test_a_target_ends_the_lane_that_reached_it(data: Dataset) -> None:
    spec = experiment(RESIDUAL, FC[0], steps=60, learning_rate=0.1, target_error=0.4)
    session = Session(spec, data)
    records = list(session.records())
    (reached,) = [r for r in records if r.kind == "reached" and r.lane == 0]
    assert reached.values["message"].startswith(f"Lane 1 reached its target at step {reached.step}")
    assert of_lane(records, 0, "eval")[-1]["test_error"] <= 0.4
    assert all(values["test_error"] > 0.4 for values in of_lane(records, 0, "eval")[:-1])
    assert not [r for r in records if r.lane == 0 and r.step > reached.step]

    session = Session(experiment(RESIDUAL, steps=60, target_error=0.95), data)
    assert [r.kind for r in session.records()] == ["eval", "responses", "reached"]
    assert session.why_finished == "Every net reached its target error by step 0."


def test_a_budget_of_seconds(data: Dataset) -> None:
    session = Session(experiment(FC[0], steps=1_000_000, max_seconds=0.5), data)
    records = list(session.records())
    assert 1 < session.step < 100_000
    assert [r.step for r in records if r.kind == "eval"][-1] == session.step
    assert "0.5 seconds were used up" in (session.why_finished or "")
    rates = [values["learning_rate"] for values in of_lane(records, 0)]
    by_steps = learning_rate(session.experiment.training, session.step, 10, 0.0)
    assert max(rates) > 10 * by_steps  # the schedule follows the clock


def test_the_schedule_follows_steps_or_clock_whichever_is_further() -> None:
    spec = TrainSpec(steps=100, learning_rate=1.0, max_seconds=10)
    assert learning_rate(spec, 50, 10, 0.0) == learning_rate(spec, 50, 10, 3.0)
    assert learning_rate(spec, 0, 10, 9.99) < 0.01
    drops = TrainSpec(steps=100, learning_rate=1.0, max_seconds=10, schedule="milestones")
    assert [learning_rate(drops, 1, 10, s) for s in (4.9, 5.1, 7.6)] == pytest.approx(
        [1.0, 0.1, 0.01]
    )


# ------------------------------------------------------------------------------ recorded


@pytest.mark.parametrize("token", [RESIDUAL, "resnet_v1_8;width=4", FC[2], "densenet_10_k4"])
def test_responses_and_lesions_are_the_instruments(data: Dataset, token: str) -> None:
    session = Session(experiment(token, steps=4), data)
    records = list(session.records())
    net = session.nets[0]
    curve = lesions(net, data, n_images=100)
    assert of_lane(records, 0, "lesions") == [
        {
            "accuracy": pytest.approx(curve.accuracy.tolist(), rel=1e-4),
            "baseline": curve.baseline_accuracy,
            "n": 50,
        }
    ]
    names = [module for _, module in response_modules(net)]
    net.eval()
    with tap(net, names) as taps:
        net(data.normalise(data.train_images[data.some_train(100)]))
    expected = [taps.outputs[name][0].std().item() for name in names]
    assert of_lane(records, 0, "responses")[-1]["sd"] == pytest.approx(expected, rel=1e-3)
    assert all(value > 0 for value in of_lane(records, 0, "responses")[0]["sd"])


def test_a_lesion_curve_as_often_as_it_is_worth(data: Dataset) -> None:
    lane = Session(experiment(RESIDUAL), data)._lanes[0]
    # 50 images, 6 units, half of 4 passes each: 100 of a step's 3 · 50, ten times as many.
    assert lesions_every(lane, data, steps=1) == 7
    assert lesions_every(lane, data, steps=4) == 2
    assert lesions_every(lane, data, steps=100) == 1
    records = list(Session(experiment(RESIDUAL, steps=17, batch_size=100), data).records())
    assert [r.step for r in records if r.kind == "eval"] == [*range(0, 17, 2), 17]
    assert [r.step for r in records if r.kind == "lesions"] == [4, 8, 12, 16, 17]


def test_what_is_recorded_of_a_net_with_a_unit_deleted(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL, steps=2), data)
    session.delete(0, ["stages.0.units.1"])
    records = list(session.records())
    last = of_lane(records, 0, "lesions")[-1]
    assert last["accuracy"][1] == last["baseline"]  # it is away already
    sd = of_lane(records, 0, "responses")[-1]["sd"]
    assert [value is None for value in sd] == [False] * 3 + [True] * 2 + [False] * 8


def test_profiles_can_be_left_out(data: Dataset) -> None:
    records = list(Session(experiment(RESIDUAL, steps=2), data, profiles=False).records())
    assert {r.kind for r in records} == {"step", "eval", "layers"}


# ------------------------------------------------------------------------------ trouble


@pytest.mark.parametrize("where", ["a step", "an evaluation"])
def test_memory_that_is_not_there_ends_the_lane(data: Dataset, where: str) -> None:
    session = Session(experiment(RESIDUAL, FC[0], steps=3), data)

    def too_much(*_: object) -> None:
        torch.empty(2**50)  # as PyTorch says it

    if where == "a step":
        session.nets[0].head.register_full_backward_hook(too_much)
    else:
        session.nets[0].head.register_forward_hook(too_much)
    records = list(session.records())
    (failed,) = [r for r in records if r.kind == "failed"]
    sentence = failed.values["message"]
    assert sentence.startswith(
        "Lane 1 ended at step 0: the memory of the cpu was not enough (4096 TiB"
    )
    assert "try 25 instead of 50" in sentence
    assert len(of_lane(records, 1)) == 3
    assert not of_lane(records, 0)


def test_another_error_is_not_taken_for_that(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL), data)
    session.nets[0].stem.register_forward_hook(lambda *_: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        list(session.records())


def test_resuming_with_another_spec(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(PLAIN), data)
    session.save(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    assert Session.resume(tmp_path / "c", experiment=experiment(PLAIN), dataset=data).step == 0
    with pytest.raises(RunError, match=r"another experiment \(its lanes, seed differ\)"):
        Session.resume(tmp_path / "c", experiment=experiment(RESIDUAL, seed=8), dataset=data)
    assert (tmp_path / "c").read_bytes() == content


# ------------------------------------------------------------------------------ recipes


def test_every_recipe_says_where_it_comes_from() -> None:
    assert list(SOURCES) == list(RECIPES)
    for name, recipe in RECIPES.items():
        assert recipe.recipe == name
        assert SOURCES[name].endswith(".")


@pytest.mark.parametrize(
    ("name", "warm"), [("he15", 0.1), ("he15_110", 0.01), ("he16", 0.01), ("stochastic_depth", 0.1)]
)
def test_the_papers_rates(name: str, warm: float) -> None:
    spec = RECIPES[name]
    half, late = spec.steps // 2, 3 * spec.steps // 4
    steps = (0, 399, 400, half - 1, half, late - 1, late, spec.steps - 1)
    values = [learning_rate(spec, step, 390) for step in steps]
    assert values == pytest.approx([warm, warm, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001])


def test_epochs_of_the_recipes_are_the_papers() -> None:
    epochs = {"huang16": (50_000, 300), "stochastic_depth": (45_000, 500)}
    for name, (images, n) in epochs.items():
        spec = RECIPES[name]
        assert spec.steps == pytest.approx(n * images / spec.batch_size, rel=0.002)
        assert spec.optimizer == "nesterov"
    assert (RECIPES["adam_25"].optimizer, RECIPES["adam_25"].learning_rate) == ("adam", 0.001)
