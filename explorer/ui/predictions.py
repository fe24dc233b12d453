"""One image through every lane: asked again as weights move, the last answer shown meanwhile."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from explorer.errors import SkipscopeError
from explorer.results import Prediction
from explorer.runs.desk import JobHandle
from explorer.runs.service import RunService

_KEPT = 64


@dataclass
class _Asked:
    stamp: tuple[int | None, ...] | None = None  # weights of the job under way, or answered
    job: JobHandle | None = None
    answer: dict[str, Any] | None = None
    problem: str | None = None
    number: int = 0  # of answers so far: part of the feed's version


@dataclass(frozen=True)
class Seen:
    """What is shown of one image.

    Attributes:
        number: Grows with every new answer.
        picture: The image as the nets see it, PNG in base64; empty before the first answer.
        true_class: Name of its class, where that is known.
        predictions: One for each lane.
        problem: A sentence where the image cannot be shown.
    """

    number: int
    picture: str = ""
    true_class: str | None = None
    classes: tuple[str, ...] = ()
    predictions: tuple[Prediction, ...] = ()
    problem: str | None = None

    def words(self, names: Sequence[str]) -> str:
        """ "Plain 56: 3 (97 %); ResNet v2 56: 0 (100 %)"."""
        answers = []
        for name, prediction in zip(names, self.predictions, strict=True):
            best = int(prediction.probabilities.argmax())
            share = prediction.probabilities[best] * 100
            answers.append(f"{name}: {self.classes[best]} ({share:.0f} %)")
        return "; ".join(answers) + "." if answers else ""


class Predictions:
    """The images that anybody looks at now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()

    def look(
        self, service: RunService, payload: Mapping[str, Any], stamp: tuple[int | None, ...]
    ) -> Seen:
        """The latest answer to a ``predict`` payload; a newer one is asked for if ``stamp`` moved.

        Args:
            stamp: Changes with the weights: steps of the lanes' snapshots.
        """
        key = json.dumps(payload, sort_keys=True)
        with self._lock:
            asked = self._asked.setdefault(key, _Asked())
            self._asked.move_to_end(key)
            while len(self._asked) > _KEPT:
                self._asked.popitem(last=False)
            self._collect(asked)
            if asked.job is None and asked.stamp != stamp:
                asked.stamp = stamp
                try:
                    asked.job = service.submit("predict", payload)
                except SkipscopeError as error:
                    asked.problem = str(error)
                    asked.number += 1
            return _seen(asked)

    def _collect(self, asked: _Asked) -> None:
        if asked.job is None:
            return
        answer, problem = asked.job.wait(0), asked.job.error
        if answer is None and problem is None:
            return
        asked.answer, asked.problem, asked.job = answer or asked.answer, problem, None
        asked.number += 1


def _seen(asked: _Asked) -> Seen:
    answer = asked.answer
    if answer is None:
        return Seen(asked.number, problem=asked.problem)
    classes = tuple(answer["classes"])
    true = answer["true_class"]
    return Seen(
        number=asked.number,
        picture=answer["image"],
        true_class=None if true is None else classes[true],
        classes=classes,
        predictions=tuple(Prediction.from_json(p) for p in answer["predictions"]),
        problem=asked.problem,
    )
