"""Training inside a worker: pumps the loop's records out, and obeys between two steps."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

from explorer.errors import Cancelled, DamagedError, RunError, SkipscopeError
from explorer.runs.protocol import Message, checkpoint_path, kept_path, snapshot_path
from explorer.runs.worker.channel import Channel
from explorer.structure.specs import ExperimentSpec, parse, parse_net
from explorer.training import Session

CHECKPOINT_SECONDS = 30.0
SHARE_FOR_WRITING = 0.05  # of the time, at most, goes into files that only someone's look needs
PHASES_BELOW = 5.0  # steps a second: slower than that, the parts of a step are shown
PARTS = 3  # forward, backward, update


class Training:
    """One experiment from its start, or its checkpoint, to its end.

    Args:
        command: The ``train`` command of :mod:`explorer.runs.protocol`.
    """

    def __init__(self, channel: Channel, command: Message) -> None:
        self._channel = channel
        self._task = str(command["task"])
        self._folder = Path(command["folder"])
        self._experiment = parse(ExperimentSpec, command["spec"])
        self._resume = bool(command["resume"])
        self._paused = bool(command["paused"])
        self._stopped = False
        self._steps_left: int | None = None  # before pausing again, when stepping
        self._steps_per_second: float | None = None
        # What was commanded before the first step.
        self._early: deque[Message] = deque(command.get("controls", ()))

    def run(self) -> None:
        """Trains; every exit but an exception emits ``done``."""
        session = self._session = self._open()
        self._saved, self._saving = time.monotonic(), 0.0  # last checkpoint, and what it took
        self._emit(
            "started",
            steps_total=session.steps_total,
            device=str(session.device),
            spec=session.experiment.model_dump(mode="json"),
        )
        self._save_weights()
        self._keep_weights()
        if not checkpoint_path(self._folder).exists():  # a disk that is full is told of now
            self._save_checkpoint()
        self._emit("paused" if self._paused else "running")
        self._obey(0.0)
        while not self._stopped and not session.finished:
            began = time.monotonic()
            slow = self._steps_per_second
            if slow is not None and slow < PHASES_BELOW:
                self._step_in_parts(began, 1 / slow)
            else:
                for record in session.advance():
                    self._channel.record(self._task, record)
            self._keep_weights()
            self._after_step(began)
        self._save_weights()
        if session.finished:  # the server removes the checkpoint once it has stored this
            self._emit("done", status="finished", reason=session.why_finished)
        else:
            self._save_checkpoint()
            self._emit("done", status="stopped")

    def _open(self) -> Session:
        checkpoint = checkpoint_path(self._folder)
        if self._resume and checkpoint.exists():
            try:
                return Session.resume(checkpoint, progress=self._tell)
            except DamagedError:
                aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
                checkpoint.replace(aside)  # or it would be in the way for ever
                raise RunError(
                    f"This training's checkpoint is damaged, and was put aside as {str(aside)!r}: "
                    "Play starts over from the seed, to the same curve."
                ) from None
        return Session(self._experiment, progress=self._tell)

    def _tell(self, text: str, share: float) -> None:
        """Says how far loading the data is; a stop is obeyed here, the rest waits its turn."""
        self._channel.emit({"event": "progress", "task": self._task, "share": share, "text": text})
        while (command := self._channel.receive()) is not None:
            self._early.append(command)
        if any(command.get("action") == "stop" for command in self._early):
            raise Cancelled("The training was stopped while its data was being loaded.")

    def _emit(self, event: str, **fields: object) -> None:
        message = {"event": event, "task": self._task, "step": self._session.step, **fields}
        self._channel.emit(message)

    def _step_in_parts(self, began: float, seconds: float) -> None:
        """One step, its parts shown one by one; the next command ends the waiting, not the step."""
        due = began
        for phase in self._session.phases():
            for record in phase.records:
                self._channel.record(self._task, record)
            if phase.name != "evaluate":
                self._emit("phase", phase=phase.name, lanes={str(i): v for i, v in phase.lanes})
            if phase.name in ("forward", "backward") and not self._early:
                due += seconds / PARTS
                command = self._channel.receive(max(0.0, due - time.monotonic()))
                if command is not None:
                    self._early.append(command)

    # --------------------------------------------------------------------- between two steps

    def _after_step(self, began: float) -> None:
        since = time.monotonic() - self._saved
        if since > CHECKPOINT_SECONDS and self._saving < SHARE_FOR_WRITING * since:
            self._save_checkpoint()
        if self._steps_left is not None:
            self._steps_left -= 1
            if self._steps_left <= 0:
                self._pause()
        due = 0.0 if self._steps_per_second is None else began + 1 / self._steps_per_second
        self._obey(due)

    def _obey(self, due: float) -> None:
        """Carries out what was commanded; returns when the next step is to be taken.

        Args:
            due: The clock's time (``time.monotonic``) of that step, in slow motion.
        """
        while not self._stopped:
            wait = None if self._paused else max(0.0, due - time.monotonic())
            command = self._early.popleft() if self._early else self._channel.receive(wait)
            if command is None:
                return
            if command["do"] == "control" and command["task"] == self._task:
                try:
                    self._control(command["action"], command["value"])
                except SkipscopeError as error:
                    self._emit("refused", sentence=str(error))
                if command["action"] in ("step", "slow"):
                    due = 0.0

    def _control(self, action: str, value: Any) -> None:
        match action:
            case "play":
                self._steps_left = None
                if self._paused:
                    self._paused = False
                    self._emit("running")
            case "pause":
                if not self._paused:
                    self._pause()
            case "step":
                self._steps_left = 1
                self._paused = False
            case "slow":
                self._steps_per_second = value
            case "stop":
                self._stopped = True
            case "learning_rate":
                self._session.set_learning_rate(value)
            case "fork":
                self._fork(value["lane"], value["net"])
            case "delete":
                record = self._session.delete(value["lane"], value["units"])
                self._save_checkpoint()
                self._channel.record(self._task, record)
                self._save_weights()
            case "save_weights":
                self._keep_weights(now=True)
            case "snapshot":
                since = time.monotonic() - self._snapped
                if self._snapping < SHARE_FOR_WRITING * since:
                    self._save_weights()

    def _fork(self, lane: int, net: Message) -> None:
        record = self._session.fork(lane, parse_net(net))
        self._save_checkpoint()  # first, so that the new lane is in it whatever happens
        self._emit("lanes", spec=self._session.experiment.model_dump(mode="json"))
        self._channel.record(self._task, record)
        self._save_weights()

    def _pause(self) -> None:
        self._paused = True
        self._steps_left = None
        self._save_weights()
        self._save_checkpoint()
        self._emit("paused")

    def _save_weights(self) -> None:
        began = time.monotonic()
        for lane in range(len(self._session.nets)):
            self._session.snapshot(lane, snapshot_path(self._folder, lane))
            self._emit("snapshot", lane=lane, step=self._session.weights_step(lane))
        self._snapped = time.monotonic()
        self._snapping = self._snapped - began

    def _keep_weights(self, *, now: bool = False) -> None:
        """Keeps the weights for good, where the recipe says so at this step, or now."""
        session = self._session
        if not now and session.step not in session.experiment.training.keep_weights:
            return
        for lane in range(len(session.nets)):
            session.snapshot(lane, kept_path(self._folder, lane, session.step))
        self._emit("kept")

    def _save_checkpoint(self) -> None:
        began = time.monotonic()
        self._session.save(checkpoint_path(self._folder))
        self._saved = time.monotonic()
        self._saving = self._saved - began
        self._emit("saved")
