"""One net of a training: its optimiser, what is measured on it, and how it came to its end."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from explorer.data.order import random_bits
from explorer.measuring.norms import gradient_norms, layer_weights
from explorer.measuring.taps import Taps, tap
from explorer.nets import Net
from explorer.nets.fast import activate_in_place
from explorer.results import Record
from explorer.structure.specs import ResidualSpec, TrainSpec
from explorer.training import units
from explorer.training.schedule import decayed, make_optimizer

_STOCHASTIC = 4  # stream of random numbers for dropped units and dropout
DIGITS = 6  # significant, of a recorded profile
# A cross-entropy beyond this has exploded: guessing costs log(classes), and what is wrong by a
# million times that does not come back.
EXPLODED = 1e6

Ending = Literal["diverged", "reached", "failed"]


class Batch(NamedTuple):
    """What all lanes see at a step, by replica: seeds differ in their images.

    Attributes:
        images: (B, C, H, W) each, normalised.
    """

    step: int
    images: Sequence[Tensor]
    labels: Sequence[Tensor]


class Lane:
    """One net with its optimiser.

    Attributes:
        index: Its lane in the experiment.
        replica: 0 for the experiment's seed, 1 for the next, …
        seed: Of its weights, its batches and its random draws.
        whole: Does the optimiser's work on few stacked tensors, where the lane is trained
            together with others.
        deleted: Names of units that are passed by for good.
        ended: Why it trains no more, and a sentence; None while it trains.
    """

    def __init__(
        self, index: int, replica: int, seed: int, net: Net, spec: TrainSpec, device: torch.device
    ) -> None:
        self.index, self.replica, self.seed = index, replica, seed
        self.spec, self.device = spec, device
        self.net = net.to(device)
        # Measured on one CPU thread: 1.15 times (8 pixels) to 1.3 times (32 pixels) as fast.
        self.channels_last = net.spec.layout != "fc"
        if self.channels_last:
            net.to(memory_format=torch.channels_last)
        self.free = frozenset(net.parameters()) - decayed(spec, net)
        self.optimizer = make_optimizer(spec, net.parameters(), device, self.free)
        self._in_place = _activations_to_overwrite(net) if self.channels_last else []
        self.whole: torch.optim.Optimizer | None = None
        self.total_norm: Tensor | None = None  # of the latest gradient, before it was clipped
        self.deleted: tuple[str, ...] = ()
        self.ended: tuple[Ending, str, int] | None = None  # how, in words, at which step
        self.stochastic = isinstance(net.spec, ResidualSpec) and (
            net.spec.survival_prob < 1 or net.spec.shortcut == "dropout"
        )
        plan = net.blueprint
        self.weights = layer_weights(net, [layer.name for layer in plan.weight_layers])
        self._optional = units.deletable(net)
        self._units = [unit.name for unit in plan.units]
        self.gates = [unit.gate for unit in plan.units if unit.gate is not None]
        # ‖g‖ / √size is the RMS. The loss is a mean over the B examples of a batch: B times the
        # gradient is that of the example's own loss, and B · ‖g‖ / √(B · size) its RMS.
        self._scales = [1 / math.sqrt(weight.numel()) for weight in self.weights]
        self._scales += [
            math.sqrt(spec.batch_size / math.prod(unit.output_shape)) for unit in plan.units
        ]
        self._scales += [1.0] * len(self.gates)

    @property
    def name(self) -> str:
        """``Lane 2``; with several seeds also which."""
        return f"Lane {self.index + 1}" + (f" with seed {self.seed}" if self.replica else "")

    # ------------------------------------------------------------------------------ a step

    def absent(self, step: int) -> list[nn.Module]:
        """Units that do not act in this batch, besides those deleted for good."""
        if self.spec.units_per_batch is None:
            return []
        n = len(self._optional)
        chosen = units.drawn(n, self.spec.units_per_batch, self.seed, step)
        return [unit for i, unit in enumerate(self._optional) if i not in chosen]

    @contextmanager
    def training_forward(self, step: int, absent: Sequence[nn.Module]) -> Iterator[None]:
        """Training mode, with random draws that depend on (seed, step) alone.

        So they are the same in every lane, and after a resume.
        """
        if not self.net.training:  # a walk over all modules
            self.net.train()
        with ExitStack() as stack:
            if self.spec.units_per_batch is not None:
                stack.enter_context(units.acting(self.net, absent))
            if self._in_place:
                stack.enter_context(_overwriting(self._in_place))
            if self.stochastic:
                devices = [self.device] if self.device.type == "cuda" else []
                stack.enter_context(torch.random.fork_rng(devices=devices))
                torch.manual_seed(int(random_bits(1, _STOCHASTIC, self.seed, step)[0] >> 1))
            yield

    def by_itself(self) -> None:
        """From now on its own optimiser updates it, from where the stacked one has come to.

        Whose count of steps was one for many parameters: each now counts its own.
        """
        self.whole = None
        for state in self.optimizer.state.values():
            if "step" in state:
                state["step"] = state["step"].clone()

    def update(self, rate: float) -> None:
        """One step of the optimiser along the gradients at hand, clipped as the recipe says."""
        optimizer = self.whole or self.optimizer
        self.clip()
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):  # read on the device
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        optimizer.step()

    def clip(self) -> None:
        """Shorten the gradient where the recipe says so."""
        if self.spec.gradient_clip is None:
            return
        groups = (self.whole or self.optimizer).param_groups
        parameters = [parameter for group in groups for parameter in group["params"]]
        self.total_norm = nn.utils.clip_grad_norm_(
            parameters, self.spec.gradient_clip, foreach=True
        )

    def clip_factor(self) -> float | None:
        """What clipping multiplied the latest gradient by, in (0, 1]; None where nothing clips."""
        if self.spec.gradient_clip is None or self.total_norm is None:
            return None
        return short(min(1.0, self.spec.gradient_clip / (float(self.total_norm) + 1e-6)))

    def end(self, kind: Ending, sentence: str, step: int) -> Record:
        """Trains no more; its weights stay as they are."""
        self.ended = kind, sentence, step
        self.optimizer.zero_grad(set_to_none=True)
        values: dict[str, object] = {"message": sentence}
        if self.replica:
            values["seed"] = self.seed
        return Record(kind, self.index, step, values)

    def delete(self, names: Sequence[str]) -> None:
        """These units, and no others, are passed by from now on, in evaluations too."""
        units.restore(self.net.units)
        units.pass_by_named(self.net, names)
        self.deleted = tuple(name for name in self.net.unit_names if name in names)

    # -------------------------------------------------------------------------- measuring

    @contextmanager
    def taps(self) -> Iterator[tuple[Taps, Taps]]:
        """Gradients of the units' outputs and means of the gates of a pass, on the device."""
        norm = torch.linalg.vector_norm
        with (
            tap(self.net, self._units, outputs=False, gradients=True, reduce=norm) as gradients,
            tap(self.net, self.gates, reduce=torch.mean) as gates,
        ):
            yield gradients, gates

    def measurements(self, taps: tuple[Taps, Taps]) -> Tensor:
        """What :meth:`profiles` reads: one vector of weights', units' and gates' numbers.

        A gate that did not act, because its unit was passed by, is not a number.
        """
        gradients, gates = taps
        outputs = [gradients.gradients[name][0] for name in self._units]
        nothing = torch.full((), math.nan, device=self.device)
        means = [gates.outputs.get(name, [nothing])[0] for name in self.gates]
        values = torch.stack([value.float() for value in (*outputs, *means)])
        return torch.cat([gradient_norms(self.weights), values])

    def gradients(self) -> list[float | None]:
        """RMS of the gradient at hand by layer."""
        norms = gradient_norms(self.weights).tolist()
        return [short(n * scale) for n, scale in zip(norms, self._scales, strict=False)]

    def change_since(self, before: Sequence[Tensor]) -> list[float | None]:
        """‖Δw‖ / ‖w‖ by layer, against the weights of before."""
        changes = torch._foreach_sub(list(self.weights), list(before))
        moved = torch.stack(torch._foreach_norm(changes))
        return [short(x) for x in (moved / torch.stack(torch._foreach_norm(list(before)))).tolist()]

    def profiles(self, step: int, numbers: Sequence[float]) -> list[Record]:
        """Records of the gradients by layer and unit, and of the gates, of one step."""
        values = [short(x * scale) for x, scale in zip(numbers, self._scales, strict=True)]
        layers, units = len(self.weights), len(self._units)
        by_layer: dict[str, object] = {
            "parameter_rms": values[:layers],
            "output_rms": values[layers:][:units],
        }
        if (factor := self.clip_factor()) is not None:
            by_layer["clip"] = factor
        records = [Record("layers", self.index, step, by_layer)]
        if self.gates:
            records.append(Record("gates", self.index, step, {"mean": values[layers + units :]}))
        return records


class Separate:
    """Trains one lane by autograd, by itself."""

    def __init__(self, lane: Lane, why: str = "") -> None:
        self.lanes = (lane,)
        lane.by_itself()
        self._why = why
        self._open = ExitStack()

    @property
    def how(self) -> str:
        """In words."""
        return f"by itself{self._why and ', ' + self._why}"

    def forward(self, batch: Batch, probing: bool) -> None:
        (lane,) = self.lanes
        spec = lane.spec
        images, labels = batch.images[lane.replica], batch.labels[lane.replica]
        if lane.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        self._absent = lane.absent(batch.step)
        bfloat16 = spec.precision == "bfloat16"
        with ExitStack() as stack:
            self._taps = stack.enter_context(lane.taps()) if probing else None
            with (
                lane.training_forward(batch.step, self._absent),
                torch.autocast(lane.device.type, torch.bfloat16, enabled=bfloat16),
            ):
                logits = lane.net(images)
            self._loss = F.cross_entropy(
                logits.float(), labels, label_smoothing=spec.label_smoothing
            )
            error = (logits.detach().argmax(1) != labels).float().mean()
            self._numbers = torch.stack([self._loss.detach(), error])
            self._open = stack.pop_all()  # the taps see the backward pass too

    def backward(self) -> None:
        (lane,) = self.lanes
        lane.optimizer.zero_grad(set_to_none=True)
        with self._open:
            torch.autograd.backward(self._loss)
            if self._absent:
                # As in stochastic depth: a gradient of zero, not none, so that momentum runs on.
                for parameter in lane.net.parameters():
                    if parameter.grad is None:
                        parameter.grad = torch.zeros_like(parameter)
            if self._taps is not None:
                self._numbers = torch.cat([self._numbers, lane.measurements(self._taps)])
        del self._loss

    def losses(self) -> list[list[float]]:
        """By lane: loss and error of the batch, once it has gone forward."""
        return [self._numbers[:2].tolist()]

    def numbers(self) -> list[Tensor]:
        """By lane: loss and error of the batch, then :meth:`Lane.measurements` when probing."""
        return [self._numbers]


def _activations_to_overwrite(net: Net) -> list[nn.ReLU]:
    """ReLUs that may write over what the layer before them has just made."""
    activate_in_place(net, after=("conv", "linear", "batch_norm"))
    found = [module for module in net.modules() if isinstance(module, nn.ReLU) and module.inplace]
    for module in found:
        module.inplace = False
    return found


@contextmanager
def _overwriting(activations: Sequence[nn.ReLU]) -> Iterator[None]:
    """They do inside the block: less memory to move, 2 to 4 % of a step on a CPU."""
    for module in activations:
        module.inplace = True
    try:
        yield
    finally:
        for module in activations:
            module.inplace = False


def plain(value: float) -> float | None:
    """A number that JSON knows; None for NaN and infinities."""
    return value if math.isfinite(value) else None


def short(value: float) -> float | None:
    """The same with few digits: profiles are many numbers, read off a chart."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
