"""The training loop: one to four nets in lock-step, as a generator of records.

At every step all lanes see the same batch. The loop knows no threads, no screens and no store:
not asking for the next record is a pause, closing the generator is a stop, and a checkpoint
taken between two records resumes to the same curve, bit for bit on the CPU. A worker that obeys
commands between steps calls :meth:`Session.advance` instead.

``step`` of a record is the number of updates done when it was measured: the loss at step 0 is
that of the fresh net on the first batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.dataset import Batches, Dataset, Progress
from explorer.data.load import load_data
from explorer.data.order import random_bits
from explorer.errors import SpecError
from explorer.nets import Net, create_net
from explorer.probes.norms import gradient_norms, layer_weights
from explorer.probes.taps import Taps, tap
from explorer.results import Record
from explorer.specs import ExperimentSpec, NetSpec, ResidualSpec
from explorer.training import checkpoint
from explorer.training.devices import resolve
from explorer.training.schedule import learning_rate, make_optimizer

LAYERS_EVERY = 10  # steps between gradient measurements
TRAIN_SUBSET = 1000  # training images of an evaluation, at most; a quarter of a small set
EVAL_CHUNK = 500  # images at a time
_STOCHASTIC = 4  # stream of random numbers for dropped units and dropout


class Session:
    """A training that is under way, or about to begin.

    Attributes:
        nets: One per lane, in the experiment's order, on ``device``.
        step: Updates done.
        learning_rates: (step, rate) of every change by hand; rate None returns to the schedule.
    """

    def __init__(
        self,
        experiment: ExperimentSpec,
        dataset: Dataset | None = None,
        *,
        threads: int | None = None,
        layers_every: int = LAYERS_EVERY,
        progress: Progress | None = None,
    ) -> None:
        """Build the nets, and load the data unless it is given.

        Args:
            dataset: The data of ``experiment.data``, already loaded.
            threads: Of torch, for the whole process; None leaves them as they are.
            layers_every: Steps between records of gradients (and gates) by layer.
            progress: Told how far loading the data is.

        Raises:
            SpecError: The nets do not fit the data, or a batch is larger than the data.
            DataError: The data cannot be loaded.
            RunError: The device is absent.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self.experiment = experiment
        self.device = resolve(experiment.device)
        data = dataset if dataset is not None else load_data(experiment.data, progress)
        _check_fit(experiment, data)
        self.dataset = data.to(self.device)
        spec = experiment.training
        self.batches = Batches(
            self.dataset, spec.batch_size, experiment.seed, experiment.data.augment
        )
        n_train = len(self.dataset.train_labels)
        self._subset = self.dataset.balanced_train(
            min(TRAIN_SUBSET, max(n_train // 4, len(self.dataset.info.classes)))
        )
        self._lanes = [
            _Lane(index, net, experiment, self.device) for index, net in enumerate(experiment.lanes)
        ]
        self.step = 0
        self.learning_rates: list[tuple[int, float | None]] = []
        self._layers_every = layers_every
        self._layers_at: int | None = None
        self._pending: deque[Record] = deque()

    @property
    def nets(self) -> list[Net]:
        return [lane.net for lane in self._lanes]

    @property
    def steps_total(self) -> int:
        return self.experiment.training.steps

    @property
    def steps_per_epoch(self) -> int:
        return self.batches.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: all steps are done, or all lanes have diverged."""
        return self.step >= self.steps_total or not self._active

    # ----------------------------------------------------------------------------- running

    def records(self) -> Iterator[Record]:
        """Train; each record in turn. May be called again after it was closed, to go on."""
        while self._pending or not self.finished:
            if not self._pending:
                self._pending.extend(self.advance())
            while self._pending:
                yield self._pending.popleft()

    def advance(self) -> list[Record]:
        """One step of all lanes, with the evaluation that is due before it (or at the end).

        Returns an empty list once :attr:`finished`.
        """
        if self.finished:
            return []
        every = self.experiment.training.eval_every or self.steps_per_epoch
        records = self._evaluate_all() if self.step % every == 0 else []
        records += self._train_step()
        if self.step == self.steps_total:
            records += self._evaluate_all()
        return records

    def set_learning_rate(self, rate: float | None) -> None:
        """Use this rate from the next step on, whatever the schedule says; None: the schedule.

        Raises:
            SpecError: The rate is not a number above 0.
        """
        if rate is not None and not (math.isfinite(rate) and 0 < rate <= 100):
            raise SpecError(f"The learning rate must be above 0 and at most 100, not {rate}.")
        self.learning_rates.append((self.step, rate))

    @property
    def learning_rate(self) -> float:
        """Rate of the next step."""
        by_hand = self.learning_rates[-1][1] if self.learning_rates else None
        if by_hand is not None:
            return by_hand
        return learning_rate(self.experiment.training, self.step, self.steps_per_epoch)

    @property
    def _active(self) -> list[_Lane]:
        return [lane for lane in self._lanes if lane.diverged is None]

    def _train_step(self) -> list[Record]:
        images, labels = self.batches.at(self.step)
        if any(lane.channels_last for lane in self._lanes):
            images = images.contiguous(memory_format=torch.channels_last)
        rate = self.learning_rate
        probing = self._layers_at is None or self.step - self._layers_at >= self._layers_every
        lanes = self._active
        measured = [self._forward_backward(lane, images, labels, probing) for lane in lanes]
        # One transfer to the host for all numbers of all lanes.
        values = torch.cat(measured).tolist()
        records: list[Record] = []
        for lane, numbers in zip(lanes, measured, strict=True):
            mine, values = values[: len(numbers)], values[len(numbers) :]
            records += self._finish_step(lane, mine, rate, probing)
        if probing:
            self._layers_at = self.step
        self.step += 1
        return records

    def _forward_backward(
        self, lane: _Lane, images: Tensor, labels: Tensor, probing: bool
    ) -> Tensor:
        """Loss and error of the batch; then, when probing, gradients by layer and unit, gates."""
        spec = self.experiment.training
        lane.net.train()
        with ExitStack() as stack:
            if lane.stochastic:
                stack.enter_context(_seeded(self.device, self.experiment.seed, self.step))
            taps = stack.enter_context(lane.taps()) if probing else None
            bfloat16 = spec.precision == "bfloat16"
            with torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
                logits = lane.net(images)
            loss = F.cross_entropy(logits.float(), labels, label_smoothing=spec.label_smoothing)
            torch.autograd.backward(loss)
        error = (logits.detach().argmax(1) != labels).float().mean()
        numbers = torch.stack([loss.detach(), error])
        return torch.cat([numbers, lane.measurements(taps)]) if taps else numbers

    def _finish_step(
        self, lane: _Lane, numbers: list[float], rate: float, probing: bool
    ) -> list[Record]:
        """Update the lane's weights, or end it where its loss is not finite; its records."""
        loss, error, *rest = numbers
        if not math.isfinite(loss):
            lane.optimizer.zero_grad(set_to_none=True)
            lane.diverged = (
                f"Lane {lane.index + 1} diverged at step {self.step}: its loss is no longer a "
                f"finite number at a learning rate of {rate:.3g}; lower the learning rate "
                f"(try {rate / 10:.1g}), or warm up, or clip the gradient."
            )
            return [Record("diverged", lane.index, self.step, {"message": lane.diverged})]
        lane.update(rate, self.experiment.training.gradient_clip)
        values = {"loss": loss, "error": error, "learning_rate": rate}
        records = [Record("step", lane.index, self.step, values)]
        if probing:
            records.extend(lane.probe_records(self.step, rest))
        return records

    def _evaluate_all(self) -> list[Record]:
        return [self._evaluate(lane) for lane in self._active]

    def _evaluate(self, lane: _Lane) -> Record:
        data = self.dataset
        train = (data.train_images[self._subset], data.train_labels[self._subset])
        values: dict[str, Any] = {}
        for name, (images, labels) in (
            ("train", train),
            ("test", (data.test_images, data.test_labels)),
        ):
            loss, error = evaluate(lane.net, data, images, labels)
            values |= {f"{name}_loss": _plain(loss), f"{name}_error": error}
        values |= {"n_train": len(train[1]), "n_test": len(data.test_labels)}
        return Record("eval", lane.index, self.step, values)

    # ------------------------------------------------------------------------------ keeping

    def snapshot(self, lane: int, path: str | Path) -> None:
        """Write one lane's weights (safetensors), whole or not at all."""
        checkpoint.write(path, _cpu_state(self._lanes[lane].net), {"step": self.step})

    def save(self, path: str | Path) -> None:
        """Write everything that the rest of the curve depends on, into one safetensors file."""
        tensors: dict[str, Tensor] = {}
        for lane in self._lanes:
            tensors |= {f"{lane.index}.net.{k}": v for k, v in _cpu_state(lane.net).items()}
            tensors |= {
                f"{lane.index}.optimizer.{k}": v
                for k, v in checkpoint.optimizer_tensors(lane.optimizer).items()
            }
        state = {
            "experiment": self.experiment.model_dump(mode="json"),
            "data": checkpoint.fingerprint(self.dataset),
            "step": self.step,
            "layers_at": self._layers_at,
            "layers_every": self._layers_every,
            "learning_rates": self.learning_rates,
            "diverged": [lane.diverged for lane in self._lanes],
            "pending": [record.to_json() for record in self._pending],
        }
        checkpoint.write(path, tensors, state)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        dataset: Dataset | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Session:
        """The session that :meth:`save` wrote, ready to go on.

        Raises:
            RunError: The file is missing, damaged or of other nets, or the data has changed.
        """
        tensors, state = checkpoint.read(path)
        session = cls(
            ExperimentSpec.model_validate(state["experiment"]),
            dataset=dataset,
            threads=threads,
            layers_every=state["layers_every"],
            progress=progress,
        )
        checkpoint.check_fingerprint(state["data"], session.dataset, path)
        for lane, diverged in zip(session._lanes, state["diverged"], strict=True):
            mine = checkpoint.under(f"{lane.index}.", tensors)
            checkpoint.load_net(lane.net, checkpoint.under("net.", mine), path)
            checkpoint.load_optimizer(lane.optimizer, checkpoint.under("optimizer.", mine))
            lane.diverged = diverged
        session.step = state["step"]
        session.learning_rates = [(step, rate) for step, rate in state["learning_rates"]]
        session._layers_at = state["layers_at"]
        session._pending.extend(Record.from_json(record) for record in state["pending"])
        return session


class _Lane:
    """One net with its optimiser and what is measured on it."""

    def __init__(
        self, index: int, spec: NetSpec, experiment: ExperimentSpec, device: torch.device
    ) -> None:
        self.index = index
        self.net = create_net(spec, seed=experiment.seed).to(device)
        # Measured on one CPU thread: 1.15 times (8 pixels) to 1.3 times (32 pixels) as fast.
        self.channels_last = spec.layout != "fc"
        if self.channels_last:
            self.net.to(memory_format=torch.channels_last)
        self.optimizer = make_optimizer(experiment.training, self.net.parameters())
        self.diverged: str | None = None
        self.stochastic = isinstance(spec, ResidualSpec) and (
            spec.survival_prob < 1 or spec.shortcut == "dropout"
        )
        plan = self.net.blueprint
        self._weights = layer_weights(self.net, [layer.name for layer in plan.weight_layers])
        self._units = [unit.name for unit in plan.units]
        self._gates = [
            f"{unit.name}.transform_gate" for unit in plan.units if unit.kind == "highway"
        ]
        # ‖g‖ / √size is the RMS. The loss is a mean over the B examples of a batch: B times the
        # gradient is that of the example's own loss, and B · ‖g‖ / √(B · size) its RMS.
        batch = experiment.training.batch_size
        self._scales = [1 / math.sqrt(weight.numel()) for weight in self._weights]
        self._scales += [math.sqrt(batch / math.prod(unit.output_shape)) for unit in plan.units]
        self._scales += [1.0] * len(self._gates)

    @contextmanager
    def taps(self) -> Iterator[tuple[Taps, Taps]]:
        """Gradients of the units' outputs and means of the gates of a pass, on the device."""
        norm = torch.linalg.vector_norm
        with (
            tap(self.net, self._units, outputs=False, gradients=True, reduce=norm) as gradients,
            tap(self.net, self._gates, reduce=torch.mean) as gates,
        ):
            yield gradients, gates

    def measurements(self, taps: tuple[Taps, Taps]) -> Tensor:
        """What :meth:`probe_records` reads: one vector of weights', units' and gates' numbers."""
        gradients, gates = taps
        outputs = [gradients.gradients[name][0] for name in self._units]
        means = [gates.outputs[name][0] for name in self._gates]
        units = torch.stack([value.float() for value in (*outputs, *means)])
        return torch.cat([gradient_norms(self._weights), units])

    def probe_records(self, step: int, numbers: list[float]) -> list[Record]:
        """Records of the gradients by layer and unit, and of the gates, of one step."""
        values = [_plain(x * scale) for x, scale in zip(numbers, self._scales, strict=True)]
        layers, units = len(self._weights), len(self._units)
        by_layer = {"parameter_rms": values[:layers], "output_rms": values[layers:][:units]}
        records = [Record("layers", self.index, step, by_layer)]
        if self._gates:
            records.append(Record("gates", self.index, step, {"mean": values[layers + units :]}))
        return records

    def update(self, rate: float, clip: float | None) -> None:
        if clip is not None:
            nn.utils.clip_grad_norm_(self.net.parameters(), clip, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


# --------------------------------------------------------------------------------- functions


@torch.no_grad()
def evaluate(
    net: nn.Module, dataset: Dataset, images: Tensor, labels: Tensor
) -> tuple[float, float]:
    """Mean loss and share of wrong answers in evaluation mode, float32, one transfer.

    An answer that is not a number is wrong. The net's mode is as before afterwards.

    Args:
        images: uint8 (N, C, H, W), not normalised.
    """
    training = net.training
    net.eval()
    sums = []
    for start in range(0, len(labels), EVAL_CHUNK):
        wanted = labels[start : start + EVAL_CHUNK]
        logits = net(dataset.normalise(images[start : start + EVAL_CHUNK])).float()
        top, answer = logits.max(1)
        wrong = ((answer != wanted) | ~top.isfinite()).sum()
        sums.append(torch.stack([F.cross_entropy(logits, wanted, reduction="sum"), wrong.float()]))
    net.train(training)
    losses, mistakes = zip(*torch.stack(sums).tolist(), strict=True)
    return sum(losses) / len(labels), sum(mistakes) / len(labels)


@contextmanager
def _seeded(device: torch.device, seed: int, step: int) -> Iterator[None]:
    """Random draws inside depend on (seed, step) alone: the same in every lane, after a resume."""
    key = int(random_bits(1, _STOCHASTIC, seed, step)[0] >> 1)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(key)
        yield


def _check_fit(experiment: ExperimentSpec, dataset: Dataset) -> None:
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)
    for index, lane in enumerate(experiment.lanes):
        if lane.input_shape != shape or lane.classes != classes:
            raise SpecError(
                f"Lane {index + 1} takes images of shape {lane.input_shape} in {lane.classes} "
                f"classes, and {dataset.info.title} has {shape} in {classes}: fit it with "
                "specs.fit(net, input_shape, classes)."
            )


def _cpu_state(net: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}


def _plain(value: float) -> float | None:
    """A number that JSON knows; None for NaN and infinities."""
    return value if math.isfinite(value) else None
