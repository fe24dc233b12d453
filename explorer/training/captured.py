"""A lane's whole step as a CUDA graph: forward, backward, clipping, norms and the update.

Small nets are bound by launches on a GPU: hundreds of kernels a step, each shorter than its call.
A graph records them once, in about a second, and then launches them as one. It writes to the
memory that it was recorded with, so images, labels and the rate are copied to fixed places.

The host sees the loss after the update, too late to prevent it: the optimiser is told on the
device (``found_inf``, as mixed precision does) to leave the weights alone where the loss is no
number or has exploded. Where a step cannot be recorded, it is taken as ever, and
:attr:`Captured.how` says why.

Autograd ties a weight's gradient to the stream of its first backward pass, and the default stream
cannot be recorded: all of a session's steps are taken on a stream of its own
(:func:`explorer.training.devices.apart`), the recorded ones and those before them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from explorer.training.batched import Together
from explorer.training.lane import EXPLODED, Batch, Lane, Separate

EAGER_STEPS = 3  # before a step is recorded: kernels are chosen and momenta made


def instead_of(trainee: Separate | Together) -> Separate | Together:
    """The same lane with its step captured, where it is one by itself and its steps are alike."""
    if isinstance(trainee, Together):
        trainee.how += ", without a CUDA graph"
        return trainee
    (lane,) = trainee.lanes
    if lane.stochastic or lane.spec.units_per_batch is not None:
        return Separate(lane, "without a CUDA graph, as its units are drawn at random")
    return Captured(lane)


class Captured(Separate):
    """Trains one lane, from the fourth step on by replaying a recorded one.

    Attributes:
        refused: Why no step could be recorded; None as long as none has failed.
    """

    def __init__(self, lane: Lane) -> None:
        super().__init__(lane)
        self.refused: str | None = None
        self._eager = 0
        self._graphs: dict[bool, _Recording] = {}  # by whether it probes

    @property
    def how(self) -> str:
        if self.refused is None:
            return "by itself, its whole step one CUDA graph"
        return f"by itself, for its step could not be captured as a CUDA graph ({self.refused})"

    def step(self, batch: Batch, probing: bool, rate: float) -> bool:
        """Takes the whole step, with its update; False where it is to be taken eagerly."""
        if self.refused is not None or self._eager < EAGER_STEPS:
            self._eager += 1
            return False
        try:
            if probing not in self._graphs:
                self._graphs[probing] = self._record(batch, probing)
            self._set_rate(rate)
            recording = self._graphs[probing]
            self._numbers = recording.replay(*self._own(batch))
            self.lanes[0].total_norm = recording.total_norm
        except (RuntimeError, AssertionError) as error:  # of PyTorch, CUDA or cuDNN
            self.refused = (str(error).strip().splitlines() or [type(error).__name__])[0]
            self._graphs.clear()
            self.lanes[0].optimizer.zero_grad(set_to_none=True)
            return False
        return True

    def _own(self, batch: Batch) -> tuple[Tensor, Tensor]:
        (lane,) = self.lanes
        return batch.images[lane.replica], batch.labels[lane.replica]

    def _set_rate(self, rate: float) -> None:
        """Writes the rate to the place on the device where the optimiser reads it."""
        (lane,) = self.lanes
        for group in lane.optimizer.param_groups:
            if not isinstance(group["lr"], Tensor):
                group["lr"] = torch.tensor(rate, device=lane.device)
            group["lr"].fill_(rate)

    def _record(self, batch: Batch, probing: bool) -> _Recording:
        (lane,) = self.lanes
        images, labels = (tensor.clone() for tensor in self._own(batch))
        if lane.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        replicas = range(lane.replica + 1)
        fixed = Batch(batch.step, [images for _ in replicas], [labels for _ in replicas])
        self._set_rate(0.0)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            self.forward(fixed, probing)
            self.backward()
            lane.clip()
            skip = (~(self._numbers[0] <= EXPLODED)).float()
            lane.optimizer.found_inf = skip  # type: ignore[attr-defined]
            try:  # read by every fused optimiser: 1 skips the update
                lane.optimizer.step()
            finally:  # a step that is not replayed must not read it
                del lane.optimizer.found_inf  # type: ignore[attr-defined]
        return _Recording(graph, images, labels, self._numbers, skip, lane.total_norm)


class _Recording:
    """A recorded step and the places that it reads and writes."""

    def __init__(
        self,
        graph: torch.cuda.CUDAGraph,
        images: Tensor,
        labels: Tensor,
        numbers: Tensor,
        skip: Tensor,
        total_norm: Tensor | None,
    ) -> None:
        self._graph, self._skip = graph, skip
        self.total_norm = total_norm  # of the gradient before it was clipped
        self._images, self._labels, self._numbers = images, labels, numbers

    def replay(self, images: Tensor, labels: Tensor) -> Tensor:
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        return self._numbers
