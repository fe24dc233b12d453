"""One image through every lane: asked again as weights move, the last answer shown meanwhile."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from explorer.errors import SkipscopeError
from explorer.pages.server.leases import leases
from explorer.results import Prediction, statistics_said
from explorer.runs.serve.job_queue import ASK_AGAIN_SECONDS, JobHandle
from explorer.runs.serve.service import RunService

_KEPT = 64


@dataclass
class _Asked:
    stamp: tuple[int | None, ...] | None = None  # weights of the job under way, or answered
    job: JobHandle | None = None
    answer: dict[str, Any] | None = None
    problem: str | None = None
    failed: float = 0.0  # when, where there is a problem
    number: int = 0  # of answers so far: part of the feed's version


@dataclass(frozen=True)
class Seen:
    """What is shown of one image.

    Attributes:
        number: Grows with every new answer.
        picture: The image as the nets see it, PNG in base64; empty before the first answer.
        true_class: Name of its class, where that is known.
        predictions: One for each lane, with the blocks deleted that the viewer has deleted.
        intact: By lane, those of the nets with deletions as they are without any.
        problem: A sentence where the image cannot be shown.
    """

    number: int
    picture: str = ""
    true_class: str | None = None
    classes: tuple[str, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    intact: Mapping[int, Prediction] = field(default_factory=dict)
    problem: str | None = None

    def words(self, names: Sequence[str]) -> str:
        """ "Plain 56: 3 (97 %), intact 5 (88 %); ResNet v2 56: 0 (100 %)"."""
        answers = []
        for lane, (name, prediction) in enumerate(zip(names, self.predictions, strict=True)):
            intact = self.intact.get(lane)
            was = "" if intact is None else f", intact {self._best(intact)}"
            answers.append(f"{name}: {self._best(prediction)}{was}")
        fresh = [
            name
            for name, prediction in zip(names, self.predictions, strict=True)
            if prediction.statistics == "batch"
        ]
        how = f" {', '.join(fresh)}: {statistics_said('batch', None)}." if fresh else ""
        return "; ".join(answers) + "." + how if answers else ""

    def _best(self, prediction: Prediction) -> str:
        if not np.isfinite(prediction.probabilities).all():
            return "no answer, its numbers are not finite"
        best = int(prediction.probabilities.argmax())
        return f"{self.classes[best]} ({prediction.probabilities[best] * 100:.0f} %)"


class Predictions:
    """The images that anybody looks at now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def look(
        self,
        service: RunService,
        payload: Mapping[str, Any],
        stamp: tuple[int | None, ...],
        cut: Sequence[int] = (),
        *,
        anew: bool = False,
    ) -> Seen:
        """The latest answer to a ``predict`` payload; a newer one is asked for if ``stamp`` moved.

        Args:
            stamp: Changes with the weights: steps of the lanes' snapshots.
            cut: Lanes that the payload names once more at its end, intact.
            anew: Somebody has just come: what failed is asked again.
        """
        key = json.dumps(payload, sort_keys=True)
        with self._lock:
            asked = self._asked.setdefault(key, _Asked())
            self._asked.move_to_end(key)
            while len(self._asked) > _KEPT:
                self._asked.popitem(last=False)
            self._collect(asked)
            failed = asked.problem is not None
            again = anew and failed and time.monotonic() - asked.failed > ASK_AGAIN_SECONDS
            if asked.job is None and (asked.stamp != stamp or again):
                asked.stamp = stamp
                try:
                    asked.job = service.submit("predict", payload)
                    leases.hold(asked.job)
                except SkipscopeError as error:
                    asked.problem, asked.failed = str(error), time.monotonic()
                    asked.number += 1
            return _seen(asked, cut)

    def _collect(self, asked: _Asked) -> None:
        if asked.job is None:
            return
        if asked.job.state == "cancelled":  # nobody looked for a while: somebody does now
            asked.job = asked.stamp = None
            return
        answer, problem = asked.job.wait(0), asked.job.error
        if answer is None and problem is None:
            leases.hold(asked.job)
            return
        asked.answer, asked.problem, asked.job = answer or asked.answer, problem, None
        asked.failed = time.monotonic()
        asked.number += 1


def _seen(asked: _Asked, cut: Sequence[int]) -> Seen:
    answer = asked.answer
    if answer is None:
        return Seen(asked.number, problem=asked.problem)
    classes = tuple(answer["classes"])
    true = answer["true_class"]
    found = [Prediction.from_json(p) for p in answer["predictions"]]
    lanes = len(found) - len(cut)
    return Seen(
        number=asked.number,
        picture=answer["image"],
        true_class=None if true is None else classes[true],
        classes=classes,
        predictions=tuple(found[:lanes]),
        intact=dict(zip(cut, found[lanes:], strict=True)),
        problem=asked.problem,
    )
