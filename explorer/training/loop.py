"""The training loop: one to four nets in lock-step, as a generator of records.

At every step all lanes see the same batch; with several seeds, each lane is trained once from
each, and every seed has its own batches. The loop knows no threads, no screens and no store: not
asking for the next record is a pause, closing the generator is a stop, and a checkpoint taken
between two records resumes to the same curve, bit for bit on the CPU. A worker that obeys
commands between steps calls :meth:`Session.advance` instead, or in slow motion
:meth:`Session.phases`.

``step`` of a record is the number of updates done when it was measured: the loss at step 0 is
that of the fresh net on the first batch.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from explorer.data.dataset import Batches, Dataset, Progress, trained_on
from explorer.data.load import load_data
from explorer.errors import RunError, SpecError
from explorer.nets import Net, create_net
from explorer.results import Record, Statistics
from explorer.structure.specs import MAX_LANES, ExperimentSpec, NetSpec, TrainSpec, parse
from explorer.system.trouble import out_of_memory
from explorer.training import batched, captured, checkpoint, recording, units
from explorer.training.devices import apart, keep_memory, own_stream, resolve
from explorer.training.evaluation import evaluate, training_subset
from explorer.training.fork import carry_optimizer, carry_over
from explorer.training.lane import EXPLODED, Batch, Lane, Separate, plain
from explorer.training.schedule import learning_rate

LAYERS_EVERY = 10  # steps between gradient measurements

Trainee = Separate | batched.Together
PhaseName = Literal["evaluate", "forward", "backward", "update"]


@dataclass(frozen=True)
class Phase:
    """One part of a step, after it is done.

    Attributes:
        records: What it measured for good.
        lanes: For each lane that trains, by its index: ``loss`` and ``error`` of the batch after
            ``forward``, the gradient's ``parameter_rms`` by layer after ``backward``, and after
            ``update`` the ``change`` ‖Δw‖ / ‖w‖ by layer.
    """

    name: PhaseName
    step: int
    records: tuple[Record, ...] = ()
    lanes: tuple[tuple[int, dict[str, Any]], ...] = ()


class Session:
    """A training that is under way, or about to begin.

    Attributes:
        experiment: What is trained; it grows when a lane is duplicated.
        step: Updates done.
        seconds: What they took, evaluations included.
        learning_rates: (step, rate) of every change by hand; rate None returns to the schedule.
        forked: Lanes that began as duplicates of others (:meth:`fork`).
    """

    def __init__(
        self,
        experiment: ExperimentSpec,
        dataset: Dataset | None = None,
        *,
        threads: int | None = None,
        layers_every: int = LAYERS_EVERY,
        together: bool = True,
        profiles: bool = True,
        graphs: bool | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Build the nets, and load the data unless it is given.

        Args:
            dataset: The data of ``experiment.data``, already loaded.
            threads: Of torch, for the whole process; None leaves them as they are.
            layers_every: Steps between records of gradients (and gates) by layer.
            together: Train fully connected lanes of one width in one batched product, where
                that is possible (:mod:`explorer.training.batched`).
            profiles: Evaluations record responses and lesion curves too
                (:mod:`explorer.training.recording`).
            graphs: Capture the step of each lane that is trained by itself as a CUDA graph
                (:mod:`explorer.training.captured`); None: on a CUDA device.
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
        self._stream = own_stream(self.device)
        keep_memory()
        data = dataset if dataset is not None else load_data(experiment.data, progress)
        _check_fit(experiment, data)
        self.dataset = data.to(self.device)
        spec = experiment.training
        self._replicas = range(experiment.seeds)
        self._batches = [
            Batches(self.dataset, spec.batch_size, experiment.seed + r, experiment.data.augment)
            for r in self._replicas
        ]
        self._subset = training_subset(self.dataset)
        self._lanes = [
            self._new_lane(index, replica, net)
            for index, net in enumerate(experiment.lanes)
            for replica in self._replicas
        ]
        for lane in self._lanes:
            if spec.units_per_batch is not None:
                units.check_enough(lane.net, spec.units_per_batch, lane.name)
        self._impossible = {lane: why for lane in self._lanes if (why := _impossible(lane, spec))}
        if len(self._impossible) == len(self._lanes):
            raise SpecError(self._impossible[self._lanes[0]])
        self.step = 0
        self.seconds = 0.0
        self.learning_rates: list[tuple[int, float | None]] = []
        self.forked: list[int] = []
        self._layers_every = layers_every
        self._layers_at: int | None = None
        self._pending: deque[Record] = deque()
        self._updated: set[Lane] = set()  # in this step, with the rest of it
        self._together = together
        self._profiles = profiles
        self._graphs = graphs
        self._arrange()

    def _new_lane(self, index: int, replica: int, spec: NetSpec) -> Lane:
        seed = self.experiment.seed + replica
        net = create_net(spec, seed=seed)
        net.trained_on = trained_on(self.dataset)
        return Lane(index, replica, seed, net, self.experiment.training, self.device)

    def _arrange(self) -> None:
        if self._together:
            self._trainees = batched.arrange(self._lanes)
        else:
            self._trainees = [Separate(lane) for lane in self._lanes]
        on_gpu = self.device.type == "cuda"
        if self._graphs or (self._graphs is None and on_gpu):
            self._trainees = [captured.instead_of(trainee) for trainee in self._trainees]

    @property
    def nets(self) -> list[Net]:
        """Of each lane, in the experiment's order, on ``device``; with several seeds the first."""
        return [lane.net for lane in self._lanes if lane.replica == 0]

    @property
    def pending(self) -> tuple[Record, ...]:
        """Records of what is done that :meth:`records` has not handed on yet."""
        return tuple(self._pending)

    @property
    def batches(self) -> Batches:
        """What the nets of the first seed are trained on."""
        return self._batches[0]

    @property
    def how(self) -> list[str]:
        """How each lane is computed, in words, such as ``in one batched product, lanes [1, 2]``."""
        by_lane = {lane: trainee.how for trainee in self._trainees for lane in trainee.lanes}
        return [by_lane[lane] for lane in self._lanes if lane.replica == 0]

    @property
    def steps_total(self) -> int:
        return self.experiment.training.steps

    @property
    def steps_per_epoch(self) -> int:
        return self.batches.steps_per_epoch

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: steps or seconds are used up, or all lanes have ended."""
        return self.why_finished is not None

    @property
    def why_finished(self) -> str | None:
        """A sentence, empty after the last step; None while there is something left to do."""
        budget = self.experiment.training.max_seconds
        if self.step >= self.steps_total:
            return ""
        if not self._active:
            if all(lane.ended and lane.ended[0] == "reached" for lane in self._lanes):
                return f"Every net reached its target error by step {self.step}."
            return (
                f"Training ended at step {self.step} because no net was left to train: "
                f"{next(lane.ended[1] for lane in self._lanes if lane.ended)}"
            )
        if budget is not None and self.seconds >= budget:
            return f"Training ended at step {self.step}, when its {budget:g} seconds were used up."
        return None

    @property
    def share_done(self) -> float:
        """Of its steps or seconds, whichever are further on, in [0, 1]."""
        budget = self.experiment.training.max_seconds
        share = self.step / self.steps_total
        return min(1.0, share if budget is None else max(share, self.seconds / budget))

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
        with self._timed():
            records = self._due()
            if self.finished:
                return records
            batch, probing = self._next_batch(), self._probing
            for trainee in self._working():
                records += self._attempt(trainee.lanes, partial(self._go, trainee, batch, probing))
            records += self._finish_step(probing)
        with self._timed():
            return records + self._last()

    def phases(self) -> Iterator[Phase]:
        """The same step in its parts, each after it is done; run it to its end before saving."""
        step = self.step
        with self._timed():
            records = self._due()
        if records:
            yield Phase("evaluate", step, tuple(records))
        if self.finished:
            return
        with self._timed():
            batch, probing = self._next_batch(), self._probing
            records = []
            for trainee in self._working():
                records += self._attempt(trainee.lanes, partial(trainee.forward, batch, probing))
            losses = {
                lane: {"loss": plain(loss), "error": error}
                for trainee in self._working()
                for lane, (loss, error) in zip(trainee.lanes, trainee.losses(), strict=True)
            }
        yield Phase("forward", step, (), self._by_lane(losses.__getitem__))
        with self._timed():
            for trainee in self._working():
                records += self._attempt(trainee.lanes, trainee.backward)
        yield Phase("backward", step, (), self._by_lane(lambda x: {"parameter_rms": x.gradients()}))
        with self._timed():
            before = {x: [w.detach().clone() for w in x.weights] for x in self._active}
            records += self._finish_step(probing)
        changes = self._by_lane(lambda x: {"change": x.change_since(before[x])})
        with self._timed():
            records += self._last()
        yield Phase("update", step, tuple(records), changes)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            with apart(self._stream):
                yield
        finally:
            self.seconds += time.monotonic() - began

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
        spec = self.experiment.training
        return learning_rate(spec, self.step, self.steps_per_epoch, self.seconds)

    # ---------------------------------------------------------------------------- surgery

    def fork(self, lane: int, spec: NetSpec) -> Record:
        """Duplicate a lane from its present state with one thing changed, as a new last lane.

        Weights and momenta go over layer by layer where the two nets have the same
        (:func:`explorer.training.fork.carry_over`); the rest starts from the seed.

        Returns:
            A record of kind ``forked``: ``from`` which lane, and a ``message``.

        Raises:
            SpecError: There are four lanes already, or the net does not fit the data.
            RunError: There is no such lane, or it has diverged.
        """
        sources = self._of_lane(lane)
        if any(source.ended and source.ended[0] != "reached" for source in sources):
            raise RunError(
                f"Lane {lane + 1} has ended, so its state is of no use: duplicate another one."
            )
        lanes = [*self.experiment.lanes, spec]
        if len(lanes) > MAX_LANES:
            raise SpecError(f"There are {MAX_LANES} lanes already, and no room for one more.")
        values = {**self.experiment.model_dump(), "lanes": [net.model_dump() for net in lanes]}
        experiment = parse(ExperimentSpec, values)
        made = [self._new_lane(len(lanes) - 1, r, spec) for r in self._replicas]
        for source, target in zip(sources, made, strict=True):
            carried = carry_over(source.net, target.net)
            carry_optimizer(source, target, carried.names)
        self.experiment = experiment
        self._lanes += made
        self.forked.append(len(lanes) - 1)
        self._arrange()
        sentence = f"Lane {len(lanes)} goes on from lane {lane + 1} at step {self.step}: {carried}"
        return Record("forked", len(lanes) - 1, self.step, {"from": lane, "message": sentence})

    def delete(self, lane: int, names: Sequence[str]) -> Record:
        """Pass these units of a lane by from the next step on, and no others; none: all act again.

        Returns:
            A record of kind ``deleted`` with their names in ``units``.

        Raises:
            NotApplicableError: There is no such unit, or the net cannot do without it.
            RunError: There is no such lane.
        """
        lanes = self._of_lane(lane)
        wanted = units.checked(lanes[0].net.blueprint, names)
        for each in lanes:
            each.delete(wanted)
        self._arrange()
        return Record("deleted", lane, self.step, {"units": list(wanted)})

    def extend(self, steps: int) -> None:
        """Train so many steps in all; the schedule is that of a training of this length.

        Raises:
            SpecError: As many are done already.
        """
        if steps <= self.step:
            raise SpecError(
                f"{self.step} steps are done already: give more than that, not {steps}."
            )
        values = self.experiment.model_dump()
        values["training"]["steps"] = steps
        self.experiment = parse(ExperimentSpec, values)
        for lane in self._lanes:
            lane.spec = self.experiment.training

    def announce(self, record: Record) -> Record:
        """Hands a change's record on with the next :meth:`records`."""
        self._pending.append(record)
        return record

    def _of_lane(self, index: int) -> list[Lane]:
        lanes = [lane for lane in self._lanes if lane.index == index]
        if not lanes:
            n = len(self.experiment.lanes)
            raise RunError(f"There is no lane {index + 1}: this training has {n}, counted from 1.")
        return lanes

    # ----------------------------------------------------------------------- parts of a step

    @property
    def _active(self) -> list[Lane]:
        return [lane for lane in self._lanes if lane.ended is None]

    def _working(self) -> list[Trainee]:
        return [t for t in self._trainees if any(lane.ended is None for lane in t.lanes)]

    @property
    def _eval_every(self) -> int:
        return self.experiment.training.eval_every or self.steps_per_epoch

    @property
    def _probing(self) -> bool:
        return self._layers_at is None or self.step - self._layers_at >= self._layers_every

    def _next_batch(self) -> Batch:
        pairs = [batches.at(self.step) for batches in self._batches]
        return Batch(self.step, [images for images, _ in pairs], [labels for _, labels in pairs])

    def _due(self) -> list[Record]:
        """The evaluation before a step, where one is due."""
        if self.finished:
            return []
        ended = [
            lane.end("failed", self._impossible[lane], self.step)
            for lane in self._active
            if lane in self._impossible
        ]
        return ended + (self._evaluate_all() if self.step % self._eval_every == 0 else [])

    def _go(self, trainee: Trainee, batch: Batch, probing: bool) -> None:
        """Forward and backward; a captured step is updated as well."""
        if isinstance(trainee, captured.Captured) and trainee.step(
            batch, probing, self.learning_rate
        ):
            self._updated.update(trainee.lanes)
            return
        trainee.forward(batch, probing)
        trainee.backward()

    def _last(self) -> list[Record]:
        """The evaluation after the last step."""
        budget = self.experiment.training.max_seconds
        late = budget is not None and self.seconds >= budget
        return self._evaluate_all() if late or self.step == self.steps_total else []

    def _attempt(
        self, lanes: Sequence[Lane], work: Callable[[], list[Record] | None]
    ) -> list[Record]:
        """Does some work, and passes its records on; where memory runs out, these lanes end."""
        try:
            return work() or []
        except (RuntimeError, MemoryError) as error:
            if (asked := out_of_memory(error)) is None:
                raise
        return [self._no_memory(lane, asked) for lane in lanes if lane.ended is None]

    def _no_memory(self, lane: Lane, asked: str) -> Record:
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        batch = self.experiment.training.batch_size
        sentence = (
            f"{lane.name} ended at step {self.step}: the memory of the {self.device.type} was not "
            f"enough ({asked}); lower the batch size (try {max(1, batch // 2)} instead of "
            f"{batch}), or choose a net of less width or depth."
        )
        return lane.end("failed", sentence, self.step)

    def _finish_step(self, probing: bool) -> list[Record]:
        """Reads what was measured, updates the weights, and writes the step's records."""
        working = self._working()
        lanes = [lane for trainee in working for lane in trainee.lanes]
        measured = [numbers for trainee in working for numbers in trainee.numbers()]
        # One transfer to the host for all numbers of all lanes.
        values = torch.cat(measured).tolist() if measured else []
        numbers: dict[Lane, list[float]] = {}
        for lane, tensor in zip(lanes, measured, strict=True):
            numbers[lane], values = values[: len(tensor)], values[len(tensor) :]
        rate = self.learning_rate
        records: list[Record] = []
        for index in range(len(self.experiment.lanes)):
            records += self._update_lane(self._of_lane(index), numbers, rate, probing)
        if probing:
            self._layers_at = self.step
        self._updated.clear()
        self.step += 1
        return records

    def _update_lane(
        self, lanes: list[Lane], numbers: dict[Lane, list[float]], rate: float, probing: bool
    ) -> list[Record]:
        """Updates the weights of one lane's nets, or ends those whose loss has diverged."""
        ended: list[Record] = []
        pairs: list[tuple[float, float] | None] = []
        for lane in lanes:
            if lane.ended is not None:
                pairs.append(None)
                continue
            loss, error, *_ = numbers[lane]
            if loss <= EXPLODED:  # NaN is not
                if lane not in self._updated:
                    ended += self._attempt([lane], partial(lane.update, rate))
                pairs.append((loss, error))
            else:
                is_now = (
                    f"has exploded to {loss:.2g}"
                    if math.isfinite(loss)
                    else "is no longer a finite number"
                )
                sentence = (
                    f"{lane.name} diverged at step {self.step}: its loss {is_now} at a learning "
                    f"rate of {rate:.3g}; lower the learning rate (try {rate / 10:.1g}), or warm "
                    "up, or clip the gradient."
                )
                ended.append(lane.end("diverged", sentence, self.step))
                pairs.append(None)
        first = lanes[0]
        records = self._step_record(first.index, pairs, rate)
        if probing and pairs[0] is not None:
            records += first.profiles(self.step, numbers[first][2:])
        return [*records, *ended]

    def _step_record(
        self, lane: int, pairs: list[tuple[float, float] | None], rate: float
    ) -> list[Record]:
        if all(pair is None for pair in pairs):
            return []
        losses = [None if pair is None else pair[0] for pair in pairs]
        errors = [None if pair is None else pair[1] for pair in pairs]
        values: dict[str, Any] = {"loss": losses[0], "error": errors[0], "learning_rate": rate}
        if len(pairs) > 1:
            values["by_seed"] = {"loss": losses, "error": errors}
        return [Record("step", lane, self.step, values)]

    def _by_lane(
        self, value: Callable[[Lane], dict[str, Any]]
    ) -> tuple[tuple[int, dict[str, Any]], ...]:
        return tuple((x.index, value(x)) for x in self._active if x.replica == 0)

    # -------------------------------------------------------------------------- evaluating

    def _evaluate_all(self) -> list[Record]:
        records: list[Record] = []
        for index in range(len(self.experiment.lanes)):
            lanes = self._of_lane(index)
            if any(lane.ended is None for lane in lanes):
                records += self._attempt(lanes, partial(self._evaluate, lanes))
        return records

    def _evaluate(self, lanes: list[Lane]) -> list[Record]:
        measured = [None if lane.ended else self._errors(lane) for lane in lanes]
        values = [None if found is None else found[0] for found in measured]
        names = ("train_loss", "train_error", "test_loss", "test_error")
        columns = {k: [None if v is None else v[k] for v in values] for k in names}
        row: dict[str, Any] = {name: column[0] for name, column in columns.items()}
        row |= {"n_train": len(self._subset), "n_test": len(self.dataset.test_labels)}
        if any(found is not None and found[1] == "batch" for found in measured):
            row["statistics"] = "batch"  # of nets that never trained: before the first step
        if len(lanes) > 1:
            row["by_seed"] = columns
        target = self.experiment.training.target_error
        records = [Record("eval", lanes[0].index, self.step, row)]
        if self._profiles and lanes[0].ended is None:
            records += self._record_profiles(lanes[0])
        for lane, error in zip(lanes, columns["test_error"], strict=True):
            if target is not None and error is not None and error <= target:
                sentence = (
                    f"{lane.name} reached its target at step {self.step}: a test error of "
                    f"{error:.2%}, at most {target:.2%}."
                )
                records.append(lane.end("reached", sentence, self.step))
        return records

    def _record_profiles(self, lane: Lane) -> list[Record]:
        """Responses every time, a lesion curve as often as it is worth, and after the last step."""
        records = [recording.responses(lane, self.dataset, self.step)]
        every = recording.lesions_every(lane, self.dataset, self._eval_every)
        if every is None or self.step == 0:
            return records
        if self.finished or self.step % (every * self._eval_every) == 0:
            records.append(recording.lesions(lane, self.dataset, self.step))
        return records

    def _errors(self, lane: Lane) -> tuple[dict[str, float | None], Statistics | None]:
        """Losses and errors, and by which statistics batch norms normalised."""
        data = self.dataset
        train = (data.train_images[self._subset], data.train_labels[self._subset])
        values: dict[str, float | None] = {}
        used: Statistics | None = None
        for name, (images, labels) in (
            ("train", train),
            ("test", (data.test_images, data.test_labels)),
        ):
            loss, error, used = evaluate(lane.net, data, images, labels)
            values |= {f"{name}_loss": plain(loss), f"{name}_error": error}
        return values, used

    # ------------------------------------------------------------------------------ keeping

    def weights_step(self, lane: int) -> int:
        """Updates in a lane's weights: those of the session, or until the lane ended."""
        ended = self._of_lane(lane)[0].ended
        return self.step if ended is None else ended[2]

    def snapshot(self, lane: int, path: str | Path) -> None:
        """Write one lane's weights (safetensors), whole or not at all.

        The header also holds the step, what the images were (:class:`TrainedOn`) and the units
        passed by.
        """
        first = self._of_lane(lane)[0]
        known = trained_on(self.dataset)
        state = {
            **known.model_dump(mode="json", exclude={"format"}),
            "step": self.weights_step(lane),
            "deleted": list(first.deleted),
        }
        checkpoint.write(path, checkpoint.cpu_state(first.net), state)

    def save(self, path: str | Path) -> None:
        """Write everything that the rest of the curve depends on, into one safetensors file."""
        tensors: dict[str, Tensor] = {}
        for lane in self._lanes:
            net, optimizer = (
                checkpoint.cpu_state(lane.net),
                checkpoint.optimizer_tensors(lane.optimizer),
            )
            tensors |= {f"{_key(lane)}.net.{k}": v for k, v in net.items()}
            tensors |= {f"{_key(lane)}.optimizer.{k}": v for k, v in optimizer.items()}
        state = {
            "experiment": self.experiment.model_dump(mode="json"),
            "data": checkpoint.fingerprint(self.dataset),
            "step": self.step,
            "seconds": self.seconds,
            "layers_at": self._layers_at,
            "layers_every": self._layers_every,
            "together": self._together,
            "profiles": self._profiles,
            "graphs": self._graphs,
            "learning_rates": self.learning_rates,
            "forked": self.forked,
            "ended": {_key(lane): lane.ended for lane in self._lanes},
            "deleted": {_key(lane): lane.deleted for lane in self._lanes},
            "pending": [record.to_json() for record in self._pending],
        }
        checkpoint.write(path, tensors, state)

    @classmethod
    def resume(
        cls,
        path: str | Path,
        *,
        experiment: ExperimentSpec | None = None,
        dataset: Dataset | None = None,
        device: str | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Session:
        """The session that :meth:`save` wrote, ready to go on.

        Args:
            experiment: What is expected in it; None takes whatever it holds.
            device: To go on with; None is the experiment's.

        Raises:
            RunError: The file is missing, damaged, of other nets or of another experiment, or
                the data has changed.
        """
        tensors, state = checkpoint.read(path)
        saved = checkpoint.experiment_of(state, path)
        if experiment is not None:
            checkpoint.check_experiment(saved, experiment, path)
        if device is not None:
            saved = parse(ExperimentSpec, {**saved.model_dump(), "device": device})
        session = cls(
            saved,
            dataset=dataset,
            threads=threads,
            layers_every=state["layers_every"],
            together=state["together"],
            profiles=state["profiles"],
            graphs=state["graphs"],
            progress=progress,
        )
        checkpoint.check_fingerprint(state["data"], session.dataset, path)
        for lane in session._lanes:
            mine = checkpoint.under(f"{_key(lane)}.", tensors)
            checkpoint.load_net(lane.net, checkpoint.under("net.", mine), path)
            checkpoint.load_optimizer(lane.optimizer, checkpoint.under("optimizer.", mine))
            ended = state["ended"][_key(lane)]
            if ended is not None:  # a checkpoint of earlier days does not say at which step
                lane.ended = (ended[0], ended[1], ended[2] if len(ended) > 2 else state["step"])
            lane.delete(state["deleted"][_key(lane)])
        session._arrange()
        session.step, session.seconds = state["step"], state["seconds"]
        session.learning_rates = [(step, rate) for step, rate in state["learning_rates"]]
        session.forked = state.get("forked", [])
        session._layers_at = state["layers_at"]
        session._pending.extend(Record.from_json(record) for record in state["pending"])
        return session


# --------------------------------------------------------------------------------- functions


def _check_fit(experiment: ExperimentSpec, dataset: Dataset) -> None:
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)
    for index, lane in enumerate(experiment.lanes):
        if lane.input_shape != shape or lane.classes != classes:
            raise SpecError(
                f"Lane {index + 1} takes images of shape {lane.input_shape} in {lane.classes} "
                f"classes, and {dataset.info.title} has {shape} in {classes}: fit it with "
                "specs.fit(net, input_shape, classes)."
            )


def _impossible(lane: Lane, spec: TrainSpec) -> str | None:
    """Why a net cannot be trained by a recipe at all, in one sentence: batch norm has nothing to
    normalise by where a batch has one value of a map."""
    if spec.batch_size > 1:
        return None
    for layer in lane.net.blueprint.layers:
        if layer.kind == "batch_norm" and math.prod(layer.output_shape[1:]) == 1:
            return (
                f"{lane.name} cannot be trained on batches of one image: its batch norm "
                f"{layer.name} would normalise one value by itself; choose a batch of 2 or "
                "more, or a net with batch_norm=false."
            )
    return None


def _key(lane: Lane) -> str:
    """What a lane's tensors are called in a checkpoint: ``0``, and ``0+1`` of its second seed."""
    return f"{lane.index}+{lane.replica}" if lane.replica else str(lane.index)
