"""The loop: lock-step, exact resumption, divergence, records against autograd, schedules."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import RunError, SpecError
from explorer.nets import Net, create_net
from explorer.results import Record
from explorer.structure.names import spec_of
from explorer.structure.specs import (
    RECIPES,
    DataSpec,
    ExperimentSpec,
    NetSpec,
    TrainSpec,
    fit,
    fit_to_data,
    parse,
)
from explorer.system.files import partial_name
from explorer.training import Session, checkpoint
from explorer.training.devices import resolve
from explorer.training.loop import evaluate
from explorer.training.publish import MAX_POINTS, columns
from explorer.training.schedule import learning_rate, make_optimizer

PLAIN = "plain_8;width=4"
RESIDUAL = "resnet_v2_8;width=4"
HIGHWAY = "fc_highway_5;width=20"
DENSE = "densenet_10_k4"
DROPPING = "resnet_v2_14;width=4;survival_prob=0.5"


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


def experiment(
    *tokens: str, seed: int = 7, augment: bool = False, **training: Any
) -> ExperimentSpec:
    training = {"steps": 6, "batch_size": 50, "learning_rate": 0.05, **training}
    return ExperimentSpec(
        lanes=tuple(net_spec(token) for token in tokens),
        data=DataSpec(train_limit=200, test_limit=50, augment=augment),
        training=TrainSpec(**training),
        seed=seed,
        device="cpu",
    )


def run(data: Dataset, *tokens: str, layers_every: int = 2, **rest: Any) -> list[Record]:
    session = Session(experiment(*tokens, **rest), data, layers_every=layers_every)
    return list(session.records())


def last_eval(records: list[Record]) -> dict[str, Any]:
    return [r for r in records if r.kind == "eval"][-1].values


def weights(session: Session) -> list[dict[str, torch.Tensor]]:
    return [net.state_dict() for net in session.nets]


def same_weights(a: Session, b: Session) -> bool:
    return all(
        torch.equal(ours[key], theirs[key])
        for ours, theirs in zip(weights(a), weights(b), strict=True)
        for key in ours
    )


# ---------------------------------------------------------------------------------- records


def test_records_of_a_run(data: Dataset) -> None:
    records = run(data, RESIDUAL, HIGHWAY, eval_every=4)
    kinds: dict[tuple[str, int], list[int]] = {}
    for record in records:
        kinds.setdefault((record.kind, record.lane), []).append(record.step)
    for lane in (0, 1):
        assert kinds["step", lane] == [0, 1, 2, 3, 4, 5]
        assert kinds["eval", lane] == [0, 4, 6]
        assert kinds["layers", lane] == [0, 2, 4]
        assert kinds["responses", lane] == [0, 4, 6]
        assert kinds["lesions", lane] == [6]
    assert kinds["gates", 1] == [0, 2, 4]
    assert ("gates", 0) not in kinds
    assert records[0].kind == "eval"
    assert (records[-1].kind, records[-1].step) == ("lesions", 6)
    for record in records:
        assert Record.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record


def test_values_of_the_records(data: Dataset) -> None:
    records = run(data, HIGHWAY, RESIDUAL)
    plan = create_net(net_spec(HIGHWAY), seed=0).blueprint
    by_kind = {record.kind: record.values for record in records if record.lane == 0}
    assert set(by_kind["step"]) == {"loss", "error", "learning_rate"}
    assert set(by_kind["eval"]) == {
        "train_loss", "train_error", "test_loss", "test_error", "n_train", "n_test"
    }  # fmt: skip
    assert (by_kind["eval"]["n_train"], by_kind["eval"]["n_test"]) == (50, 50)
    assert len(by_kind["layers"]["parameter_rms"]) == len(plan.weight_layers)
    assert len(by_kind["layers"]["output_rms"]) == len(plan.units)
    assert len(by_kind["gates"]["mean"]) == 4
    assert all(0 < mean < 0.5 for mean in by_kind["gates"]["mean"])  # b_T is negative
    rates = [r.values["learning_rate"] for r in records if r.kind == "step" and r.lane == 0]
    assert rates == [learning_rate(TrainSpec(steps=6, learning_rate=0.05), s, 4) for s in range(6)]


def test_once_an_epoch_is_the_default(data: Dataset) -> None:
    evals = [r.step for r in run(data, HIGHWAY, steps=10) if r.kind == "eval"]
    assert evals == [0, 4, 8, 10]  # four batches of 50 in 200 images
    evals = [r.step for r in run(data, HIGHWAY, steps=8) if r.kind == "eval"]
    assert evals == [0, 4, 8]


def test_training_teaches(data: Dataset) -> None:
    for token, rate in ((RESIDUAL, 0.1), (HIGHWAY, 0.1), (DENSE, 0.1)):
        records = run(data, token, steps=60, learning_rate=rate)
        assert last_eval(records)["train_error"] < 0.1, token
        assert records[0].values["train_error"] > 0.6, token


def test_eval_is_of_the_net_at_that_step(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL, steps=4), data)
    records = list(session.records())
    net = create_net(net_spec(RESIDUAL), seed=7).train()
    logits = net(data.normalise(data.test_images))  # untrained: as in one batch of these images
    fresh = records[0].values
    assert fresh["statistics"] == "batch"
    loss = F.cross_entropy(logits, data.test_labels).item()
    assert fresh["test_loss"] == pytest.approx(loss, rel=1e-5)
    assert "statistics" not in last_eval(records)
    wrong = logits.argmax(1) != data.test_labels
    assert fresh["test_error"] == pytest.approx(wrong.double().mean().item())
    trained = session.nets[0].eval()
    logits = trained(data.normalise(data.test_images))
    assert last_eval(records)["test_error"] == pytest.approx(
        (logits.argmax(1) != data.test_labels).double().mean().item()
    )


def test_evaluate_counts_nonsense_as_wrong_and_keeps_the_mode(data: Dataset) -> None:
    net = create_net(net_spec(HIGHWAY), seed=0)
    with torch.no_grad():
        net.head.linear.bias.fill_(math.nan)
    loss, error, _ = evaluate(net, data, data.test_images, data.test_labels)
    assert math.isnan(loss)
    assert error == 1.0
    assert net.training
    assert not evaluate(net.eval(), data, data.test_images, data.test_labels)[1] < 1
    assert not net.training


# -------------------------------------------------------------------------------- lock-step


def test_equal_lanes_stay_equal(data: Dataset) -> None:
    """Whatever stands beside it, a lane is the run that it would be alone, random draws too."""
    alone = [r.values for r in run(data, DROPPING, augment=True)]
    together = run(data, DROPPING, PLAIN, DROPPING, augment=True)
    assert [r.values for r in together if r.lane == 0] == alone
    assert [r.values for r in together if r.lane == 2] == alone
    assert [r.values for r in together if r.lane == 1] != alone


def test_twins_see_the_same_images(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(experiment(PLAIN, DENSE, augment=True, steps=3, batch_size=47), data)
    seen: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for lane, net in enumerate(session.nets):
        net.stem.register_forward_pre_hook(
            lambda module, inputs, lane=lane: seen[lane].append(inputs[0].clone())
        )
    list(session.records())
    batches = {lane: [x for x in images if len(x) == 47] for lane, images in seen.items()}
    assert len(batches[0]) == 3  # evaluations see other numbers of images
    assert all(torch.equal(a, b) for a, b in zip(batches[0], batches[1], strict=True))


@pytest.mark.parametrize("token", [PLAIN, HIGHWAY, DROPPING])
def test_same_seed_same_curve(data: Dataset, token: str) -> None:
    first = run(data, token, augment=True)
    torch.manual_seed(123)  # the global generator has no say
    assert run(data, token, augment=True) == first
    assert run(data, token, augment=True, seed=8) != first


def test_the_global_generator_is_left_alone(data: Dataset) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    run(data, DROPPING)
    assert torch.equal(before, torch.get_rng_state())


def test_stochastic_depth_varies_by_step(data: Dataset) -> None:
    session = Session(experiment(DROPPING, steps=40, batch_size=2), data)
    dropped = []
    from explorer.nets.layers import Survival

    units = [m for m in session.nets[0].modules() if isinstance(m, Survival)]
    for unit in units:
        unit.register_forward_hook(
            lambda module, inputs, output: (
                module.training and dropped.append(not bool(output.any()))
            )
        )
    list(session.records())
    patterns = [tuple(dropped[i : i + len(units)]) for i in range(0, len(dropped), len(units))]
    assert len(set(patterns)) > 10


# ----------------------------------------------------------------- against straight-line code


@pytest.mark.parametrize(
    ("optimizer", "extra"),
    [
        ("sgd", {}),
        ("nesterov", {"label_smoothing": 0.1}),
        ("adam", {"gradient_clip": 0.5}),
        ("adamw", {"schedule": "constant", "weight_decay": 0.1}),
    ],
)
@pytest.mark.parametrize("token", [RESIDUAL, HIGHWAY])
def test_the_loop_is_the_textbook_loop(
    data: Dataset, token: str, optimizer: str, extra: dict[str, Any]
) -> None:
    """The same losses as a plain loop with unfused updates and contiguous memory."""
    spec = experiment(token, optimizer=optimizer, learning_rate=0.02, **extra)
    session = Session(spec, data)
    losses = [r.values["loss"] for r in session.records() if r.kind == "step"]

    training = spec.training
    net = create_net(net_spec(token), seed=7)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    momentum = {"momentum": 0.9, "nesterov": optimizer == "nesterov"}
    update = kinds.get(optimizer, torch.optim.SGD)(
        net.parameters(),
        lr=1.0,
        weight_decay=training.weight_decay,
        **({} if optimizer in kinds else momentum),
        foreach=False,
    )
    for step, loss in enumerate(losses):
        images, labels = session.batches.at(step)
        value = F.cross_entropy(net(images), labels, label_smoothing=training.label_smoothing)
        assert loss == pytest.approx(value.item(), rel=2e-4), step
        update.zero_grad()
        value.backward()
        if training.gradient_clip:
            torch.nn.utils.clip_grad_norm_(net.parameters(), training.gradient_clip)
        update.param_groups[0]["lr"] = learning_rate(training, step, 4)
        update.step()


@pytest.mark.parametrize("token", [PLAIN, RESIDUAL, HIGHWAY, DENSE])
def test_gradients_by_layer_are_autograds(data: Dataset, token: str) -> None:
    session = Session(experiment(token), data)
    (layers,) = [r for r in session.advance() if r.kind == "layers"]
    images, labels = session.batches.at(0)
    net = create_net(net_spec(token), seed=7)
    plan = net.blueprint
    outputs = []
    for unit in net.units:
        unit.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    each = F.cross_entropy(net(images), labels, reduction="none")
    parameters = [net.get_parameter(f"{layer.name}.weight") for layer in plan.weight_layers]
    exact = torch.autograd.grad(each.mean(), parameters, retain_graph=True)
    expected = [gradient.square().mean().sqrt().item() for gradient in exact]
    assert layers.values["parameter_rms"] == pytest.approx(expected, rel=1e-3)
    # The per-example losses' gradients: their sum, as batch norm ties examples together.
    of_outputs = torch.autograd.grad(each.sum(), outputs)
    expected = [gradient.square().mean().sqrt().item() for gradient in of_outputs]
    assert layers.values["output_rms"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("tokens", [(PLAIN,), (HIGHWAY, HIGHWAY)])  # by itself; batched together
def test_what_clipping_does_is_recorded(data: Dataset, tokens: tuple[str, ...]) -> None:
    records = run(data, *tokens, gradient_clip=0.5)
    layers = [record for record in records if record.kind == "layers"]
    net = create_net(net_spec(tokens[0]), seed=7)
    images, labels = Session(experiment(*tokens), data).batches.at(0)
    F.cross_entropy(net(images), labels).backward()
    length = math.hypot(*(p.grad.norm().item() for p in net.parameters() if p.grad is not None))
    assert layers[0].values["clip"] == pytest.approx(min(1, 0.5 / length), rel=1e-3)
    assert all(0 < record.values["clip"] <= 1 for record in layers)
    assert not any("clip" in record.values for record in run(data, *tokens))


def test_the_clip_at_1_holds_a_deep_plain_net_back_more_than_a_hundred_times_as_much() -> None:
    """At the first step on the digits: the plain net's gradient explodes towards the input."""
    digits = load_data(DataSpec())
    factors = {}
    for token in ("plain_56", "resnet_v2_56"):
        training = TrainSpec(steps=330, gradient_clip=1.0)
        spec = ExperimentSpec(lanes=(net_spec(token),), training=training, device="cpu")
        session = Session(spec, digits, profiles=False)
        (record,) = [r for r in session.advance() if r.kind == "layers"]
        factors[token] = record.values["clip"]
    assert factors["plain_56"] == pytest.approx(7e-4, rel=0.3)
    assert factors["resnet_v2_56"] == pytest.approx(0.155, rel=0.15)


def test_output_gradients_do_not_depend_on_the_batch_size(data: Dataset) -> None:
    """Without batch norm an example's gradient is its own: repeating the batch changes nothing."""
    session = Session(experiment(HIGHWAY, batch_size=200, steps=1), data)
    (whole,) = [r.values["output_rms"] for r in session.advance() if r.kind == "layers"]
    net = create_net(net_spec(HIGHWAY), seed=7)
    squares = [0.0] * len(net.units)
    for start in range(0, 200, 20):
        images = data.normalise(data.train_images[start : start + 20])
        labels = data.train_labels[start : start + 20]
        outputs: list[torch.Tensor] = []
        handles = [
            unit.register_forward_hook(lambda m, i, output, into=outputs: into.append(output))
            for unit in net.units
        ]
        loss = F.cross_entropy(net(images), labels, reduction="sum")
        for i, gradient in enumerate(torch.autograd.grad(loss, outputs)):
            squares[i] += gradient.square().mean().item() / 10
        for handle in handles:
            handle.remove()
    assert whole == pytest.approx([math.sqrt(square) for square in squares], rel=1e-3)


@pytest.mark.parametrize(
    ("token", "gate", "gated"),
    [
        (HIGHWAY, "transform_gate", 4),
        ("highway_7;width=4", "transform_gate", 3),
        ("resnet_v1_8;width=4;shortcut=exclusive_gating", "shortcut_gate", 1),
        ("resnet_v2_14;width=4;shortcut=shortcut_only_gating", "shortcut_gate", 4),
    ],
)
def test_gates_are_the_means_of_the_step(data: Dataset, token: str, gate: str, gated: int) -> None:
    session = Session(experiment(token), data)
    (gates,) = [r for r in session.advance() if r.kind == "gates"]
    net = create_net(net_spec(token), seed=7)
    images, _ = session.batches.at(0)
    means = []
    x = net.stem(images)
    for unit in net.units:
        if getattr(unit, gate, None) is not None:
            means.append(getattr(unit, gate)(x).mean().item())
        x = unit(x)
    assert len(means) == gated
    assert gates.values["mean"] == pytest.approx(means, rel=1e-4)


def test_probing_changes_nothing(data: Dataset) -> None:
    def losses(every: int) -> list[float]:
        records = run(data, RESIDUAL, HIGHWAY, layers_every=every)
        return [r.values["loss"] for r in records if r.kind == "step"]

    assert losses(1) == losses(1000)


def test_bfloat16_is_autocast(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL, precision="bfloat16", steps=30), data)
    records = list(session.records())
    assert all(p.dtype == torch.float32 for p in session.nets[0].parameters())
    exact = [r.values["loss"] for r in run(data, RESIDUAL, steps=30) if r.kind == "step"]
    rough = [r.values["loss"] for r in records if r.kind == "step"]
    assert rough != exact
    assert rough[0] == pytest.approx(exact[0], rel=0.02)
    assert last_eval(records)["train_error"] < 0.3


# -------------------------------------------------------------------- pausing and resuming


LONG = {"steps": 11, "augment": True, "eval_every": 4, "schedule": "exponential"}


@pytest.mark.parametrize(
    ("at", "optimizer"), [(0, "sgd"), (1, "sgd"), (13, "sgd"), (30, "adam"), (10_000, "adam")]
)
def test_a_resumed_curve_is_the_unbroken_one(
    data: Dataset, tmp_path: Path, at: int, optimizer: str
) -> None:
    """Bit for bit, wherever it was cut, even between two lanes of one step."""
    spec = experiment(DROPPING, HIGHWAY, optimizer=optimizer, **LONG)
    unbroken = Session(spec, data, layers_every=3)
    curve = list(unbroken.records())

    cut = Session(spec, data, layers_every=3)
    records = cut.records()
    before = list(itertools.islice(records, at))
    cut.save(tmp_path / "run" / "checkpoint.safetensors")
    records.close()
    torch.manual_seed(99)
    resumed = Session.resume(tmp_path / "run" / "checkpoint.safetensors", dataset=data)
    assert resumed.step == cut.step
    after = list(resumed.records())
    assert before + after == curve
    assert same_weights(resumed, unbroken)


def test_a_resumed_session_loads_its_own_data(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(HIGHWAY))
    session.advance()
    session.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c")
    assert torch.equal(resumed.dataset.train_images, data.train_images)
    assert list(resumed.records()) == list(session.records())


def test_stopping_and_asking_again_goes_on(data: Dataset) -> None:
    unbroken = run(data, PLAIN, HIGHWAY)
    session = Session(experiment(PLAIN, HIGHWAY), data, layers_every=2)
    records = session.records()
    first = [next(records) for _ in range(5)]
    records.close()
    assert first + list(session.records()) == unbroken
    assert session.finished
    assert session.advance() == []
    assert list(session.records()) == []


def test_looking_at_a_net_between_records_changes_nothing(data: Dataset) -> None:
    unbroken = run(data, RESIDUAL)
    session = Session(experiment(RESIDUAL), data, layers_every=2)
    seen = []
    for record in session.records():
        seen.append(record)
        net = session.nets[0].eval()
        net(data.normalise(data.test_images[:3]))
    assert seen == unbroken


def test_a_rate_set_by_hand(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(HIGHWAY), data)
    session.advance()
    session.set_learning_rate(0.007)
    session.advance()
    session.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    assert resumed.learning_rate == 0.007
    assert resumed.learning_rates == [(1, 0.007)]
    (step,) = [r for r in resumed.advance() if r.kind == "step"]
    assert step.values["learning_rate"] == 0.007
    resumed.set_learning_rate(None)
    (step,) = [r for r in resumed.advance() if r.kind == "step"]
    assert step.values["learning_rate"] == learning_rate(session.experiment.training, 3, 4)
    for wrong in (0, -1.0, math.nan, math.inf, 1000.0):
        with pytest.raises(SpecError, match=r"must be above 0 and at most 100"):
            session.set_learning_rate(wrong)


def test_a_rate_set_by_hand_is_used(data: Dataset) -> None:
    session = Session(experiment(HIGHWAY, weight_decay=0.0, momentum=0.0), data)
    before = [p.clone() for p in session.nets[0].parameters()]
    session.set_learning_rate(1e-8)
    session.advance()
    with torch.no_grad():
        moved = zip(session.nets[0].parameters(), before, strict=True)
        assert max(float((p - old).abs().max()) for p, old in moved) < 1e-6


def test_checkpoint_needs_no_pickle(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(RESIDUAL), data)
    session.advance()
    session.save(tmp_path / "c")
    content = (tmp_path / "c").read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    state = json.loads(header["__metadata__"]["skipscope"])
    assert state["step"] == 1
    assert ExperimentSpec.model_validate(state["experiment"]) == session.experiment
    assert [file.name for file in tmp_path.iterdir()] == ["c"]  # no partial file is left


def test_damaged_checkpoints(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(RESIDUAL), data)
    session.save(tmp_path / "whole")
    content = (tmp_path / "whole").read_bytes()
    (tmp_path / "cut").write_bytes(content[: len(content) // 2])
    (tmp_path / "text").write_text("hello")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    session.snapshot(0, tmp_path / "weights")
    flipped = bytearray(content)
    flipped[-5] ^= 1  # one bit of one weight
    (tmp_path / "flipped").write_bytes(flipped)
    (tmp_path / "state").write_bytes(content.replace(b'\\"step\\": 0', b'\\"step\\": 3', 1))
    assert (tmp_path / "state").read_bytes() != content
    with safe_open(tmp_path / "whole", framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tensors.popitem()
        save_file(tensors, tmp_path / "missing", metadata=file.metadata())
    deep = "[" * 100_000 + "]" * 100_000
    for name, state in (("deep", deep), ("list", "[]"), ("number", "7"), ("word", '"experiment"')):
        save_file({"a": torch.zeros(1)}, tmp_path / name, metadata={"skipscope": state})
        assert checkpoint.snapshot_state(tmp_path / name) == {}
    bad = ("cut", "text", "other", "weights", "flipped", "state", "missing", "deep", "list")
    for name in (*bad, "number", "word"):
        with pytest.raises(RunError, match=r"start the run anew.*\.$"):
            Session.resume(tmp_path / name, dataset=data)
    with pytest.raises(RunError, match="no checkpoint"):
        Session.resume(tmp_path / "absent", dataset=data)
    other = load_data(DataSpec(train_limit=100, test_limit=50))
    with pytest.raises(RunError, match=r"data has changed .* 200 training images"):
        Session.resume(tmp_path / "whole", dataset=other)


def test_what_a_killed_writer_left_is_removed(data: Dataset, tmp_path: Path) -> None:
    ended = str(2**31 - 1)  # no process can have this number
    for name in ("c", "other"):
        left = partial_name(name).replace(f".{os.getpid()}-", f".{ended}-")
        (tmp_path / left).write_bytes(b"half")
    Session(experiment(HIGHWAY), data).save(tmp_path / "c")
    assert sorted(file.name for file in tmp_path.iterdir()) == [left, "c"]


def test_an_unwritable_checkpoint(data: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    session = Session(experiment(HIGHWAY), data)
    with pytest.raises(RunError, match=r"cannot be written"):
        session.save(tmp_path / "file" / "c")


def test_snapshot_is_the_weights(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment(HIGHWAY, RESIDUAL), data)
    session.advance()
    session.snapshot(1, tmp_path / "snap.safetensors")
    stored = load_file(tmp_path / "snap.safetensors")
    state = session.nets[1].state_dict()
    assert set(stored) == set(state)
    assert all(torch.equal(stored[key], state[key]) for key in state)


# ------------------------------------------------------------------------------- divergence


def finite(net: Net) -> bool:
    return all(bool(p.isfinite().all()) for p in net.parameters())


def test_a_lane_that_diverges_stops_and_the_others_go_on(data: Dataset) -> None:
    session = Session(
        experiment("fc_plain_4;width=30", RESIDUAL, steps=30, learning_rate=10.0, momentum=0.9),
        data,
    )
    records = list(session.records())
    diverged = [r for r in records if r.kind == "diverged"]
    assert [r.lane for r in diverged] == [0]
    (record,) = diverged
    assert "Lane 1 diverged at step" in record.values["message"]
    assert "lower the learning rate" in record.values["message"]
    assert record.values["message"].endswith(".")
    assert not [r for r in records if r.lane == 0 and r.step > record.step]
    assert [r for r in records if r.lane == 1][-1].step == 30
    assert [session.weights_step(lane) for lane in (0, 1)] == [record.step, 30]
    for r in records:
        json.dumps(r.to_json(), allow_nan=False)


def test_an_explosion_ends_the_lane_as_well(data: Dataset) -> None:
    session = Session(experiment("fc_plain_4;width=30", RESIDUAL), data)
    session.advance()
    with torch.no_grad():
        session.nets[0].head.linear.weight.mul_(1e9)
    before = session.nets[0].head.linear.weight.clone()
    (record,) = [r for r in session.advance() if r.kind == "diverged"]
    assert re.search(
        r"Lane 1 diverged at step 1: its loss has exploded to \d(\.\d)?e\+\d\d at a",
        record.values["message"],
    )
    assert torch.equal(session.nets[0].head.linear.weight, before)
    assert not session.finished  # the other goes on


def test_all_lanes_diverged_ends_the_run(data: Dataset, tmp_path: Path) -> None:
    session = Session(experiment("fc_plain_4", steps=50, learning_rate=100.0), data)
    records = list(session.records())
    assert records[-1].kind == "diverged"
    assert session.finished
    assert session.step < 50
    session.save(tmp_path / "c")
    resumed = Session.resume(tmp_path / "c", dataset=data)
    assert resumed.finished
    assert resumed.weights_step(0) == session.weights_step(0) == records[-1].step
    assert session.advance() == []


def test_a_loss_that_is_not_finite_leaves_the_weights_of_before(data: Dataset) -> None:
    session = Session(experiment(RESIDUAL), data)
    session.advance()
    kept = session.nets[0].state_dict()["head.linear.weight"].clone()
    handle = session.nets[0].head.register_forward_hook(lambda m, i, output: output * math.inf)
    (record,) = [r for r in session.advance() if r.kind == "diverged"]
    handle.remove()
    assert record.step == 1
    assert finite(session.nets[0])
    assert torch.equal(session.nets[0].state_dict()["head.linear.weight"], kept)


# -------------------------------------------------------------------------------- bad input


def test_nets_must_fit_the_data(data: Dataset) -> None:
    spec = experiment(HIGHWAY).model_copy(
        update={"lanes": (fit(spec_of(HIGHWAY), (3, 32, 32), 10),)}
    )
    with pytest.raises(SpecError, match=r"Lane 1 .*\(3, 32, 32\).*\(1, 8, 8\).*fit"):
        Session(spec, data)


def test_a_batch_larger_than_the_data(data: Dataset) -> None:
    with pytest.raises(SpecError, match=r"batch of 201 .* at most 200"):
        Session(experiment(HIGHWAY, batch_size=201), data)


def test_nesterov_needs_momentum(data: Dataset) -> None:
    with pytest.raises(SpecError, match=r"momentum above 0"):
        Session(experiment(HIGHWAY, optimizer="nesterov", momentum=0.0), data)


def test_devices() -> None:
    assert resolve("cpu") == torch.device("cpu")
    assert resolve("auto").type in ("cpu", "cuda", "mps")
    for kind, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ):
        if there:
            assert resolve(kind).type == kind
        else:
            with pytest.raises(RunError, match=rf"no {kind} device .* choose auto or .*\.$"):
                resolve(kind)
    with pytest.raises(RunError, match=r"no device 'tpu'"):
        resolve("tpu")


def test_threads(data: Dataset) -> None:
    Session(experiment(HIGHWAY), data, threads=2)
    assert torch.get_num_threads() == 2


# -------------------------------------------------------------------------------- schedules


def rates(**spec: Any) -> list[float]:
    training = TrainSpec(**{"steps": 100, "learning_rate": 1.0, **spec})
    return [learning_rate(training, step, 10) for step in range(training.steps)]


def test_one_cycle() -> None:
    curve = rates(schedule="one_cycle")
    peak = curve.index(max(curve))
    assert peak == 30
    assert curve[30] == 1.0
    rises = [b - a for a, b in itertools.pairwise(curve[:31])]
    assert max(rises) - min(rises) < 1e-12  # linear up
    assert all(b < a for a, b in itertools.pairwise(curve[30:]))
    assert curve[65] == pytest.approx(0.5)  # halfway down the cosine
    assert 0 < curve[-1] < 0.001


def test_milestones() -> None:
    curve = rates(schedule="milestones", milestones=(0.5, 0.75))
    assert curve[49] == 1
    assert curve[50] == pytest.approx(0.1)
    assert curve[74] == pytest.approx(0.1)
    assert curve[75] == pytest.approx(0.01)


def test_he15_drops_at_32k_and_48k() -> None:
    from explorer.structure.specs import RECIPES

    he15 = RECIPES["he15"]
    steps = (31_999, 32_000, 47_999, 48_000)
    values = [learning_rate(he15, step, 390) for step in steps]
    assert values == pytest.approx([0.1, 0.01, 0.01, 0.001])


def test_exponential_constant_warmup() -> None:
    curve = rates(schedule="exponential", decay_rate=0.5)
    assert curve[9] == 1
    assert curve[10] == 0.5
    assert curve[99] == 0.5**9
    assert set(rates(schedule="constant")) == {1.0}
    warm = rates(schedule="constant", warmup_steps=5)
    assert warm[:6] == [0.1] * 5 + [1.0]


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", ["constant", "one_cycle", "milestones", "exponential"])
def test_short_runs_have_rates(steps: int, schedule: str) -> None:
    assert all(0 < rate <= 1 for rate in rates(steps=steps, schedule=schedule))


def test_optimizers_are_what_they_are_called() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(2))]
    kinds = {"sgd": "SGD", "nesterov": "SGD", "adam": "Adam", "adamw": "AdamW"}
    for name, kind in kinds.items():
        made = make_optimizer(TrainSpec(optimizer=name, weight_decay=0.3), parameters)  # type: ignore[arg-type]
        assert type(made).__name__ == kind
        assert made.defaults["weight_decay"] == 0.3
        assert made.defaults.get("nesterov", False) == (name == "nesterov")


# ------------------------------------------------------------------------------------ cards


def test_columns_of_a_card() -> None:
    steps = [
        Record("step", 0, s, {"loss": s / 3, "error": 0.5, "learning_rate": 0.1})
        for s in range(1000)
    ]
    evals = [
        Record(
            "eval",
            0,
            s,
            {"train_loss": None, "train_error": 0.123456789, "test_loss": 2.0, "test_error": 1.0,
             "n_train": 7, "n_test": 9},
        )
        for s in (0, 500)
    ]  # fmt: skip
    table = columns([*evals, *steps, Record("layers", 0, 0, {})])
    assert len(table["step"]["loss"]) == 250 <= MAX_POINTS  # runs of four
    assert table["step"]["step"][:2] == [1.5, 5.5]
    assert table["step"]["loss"][0] == 0.5
    assert table["eval"]["train_error"] == [0.12346, 0.12346]
    assert table["eval"]["train_loss"] == [None, None]
    assert table["eval"]["step"] == [0, 500]
    assert (table["eval"]["n_train"], table["eval"]["n_test"]) == (7, 9)


# ------------------------------------------------------------------------------------ bench


def test_the_benchmark_measures_both_ways() -> None:
    from explorer.bench import precisions
    from explorer.bench.training import bench_training

    spec = fit(spec_of("plain_8;width=4"), (3, 8, 8), 10)
    result = bench_training(spec, steps=2, batch=10, repeats=1, device="cpu")
    assert [row["dtype"] for row in result["rows"]] == list(precisions("cpu"))
    for row in result["rows"]:
        assert row["ratio"] == row["plain_s"] / row["ours_s"] > 0
        assert 0 < row["peak_share"] < 1
        assert row["images_per_second"] == pytest.approx(20 / row["ours_s"])
        assert row["gibibytes"] is None or row["gibibytes"] > 0
    assert result["conditions"]["n"] == 20
    with pytest.raises(SpecError, match="1 or 3 channels, not 2"):
        bench_training(
            fit(spec_of("plain_8"), (2, 8, 8), 10), steps=1, batch=10, repeats=1, device="cpu"
        )


def test_the_benchmark_of_lanes() -> None:
    from explorer.bench.training import bench_lanes

    lanes = [fit(spec_of(name), (1, 8, 8), 10) for name in ("fc_plain_3", "fc_highway_3")]
    result = bench_lanes(lanes, steps=2, batch=10, repeats=1, device="cpu")
    assert [row["case"].rpartition(": ")[2] for row in result["rows"]] == [
        "by themselves",
        "the plain way",
    ]
    assert all(row["ratio"] == row["plain_s"] / row["ours_s"] > 0 for row in result["rows"])
    with pytest.raises(SpecError, match="1 to 4 lanes, not 5"):
        bench_lanes(lanes[:1] * 5, steps=1, batch=10, repeats=1, device="cpu")


def test_what_goes_wrong_in_another_process_is_raised_here() -> None:
    from explorer.bench.apart import Apart

    with pytest.raises(RunError, match="no device 'tpu'"):
        Apart(resolve, "tpu", device="cpu", threads=1)


def test_a_batch_of_one_is_refused_where_batch_norm_has_one_value(data: Dataset) -> None:
    normed, other = "fc_highway_5;width=20;batch_norm=true", "fc_highway_5;width=20"
    recipe = RECIPES["one_cycle"].model_copy(update={"steps": 3, "batch_size": 1})

    def of(*tokens: str) -> Session:
        lanes = [fit_to_data(spec_of(token), DataSpec()) for token in tokens]
        values = {"lanes": lanes, "data": DataSpec(), "training": recipe}
        return Session(parse(ExperimentSpec, values), data)

    with pytest.raises(SpecError, match=r"on batches of one image: its batch norm .* choose"):
        of(normed)
    records = list(of(normed, other).records())
    assert [r.lane for r in records if r.kind == "failed"] == [0]
    assert [r.lane for r in records if r.kind == "step"] == [1, 1, 1]
    assert [r.kind for r in of("plain_8;width=4").records()].count("step") == 3  # 2×2 pixels
