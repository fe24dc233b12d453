"""Measurements that somebody looks at: asked once, followed, given up when nobody looks."""

from __future__ import annotations

import json
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from explorer.errors import NotAllowedError, SkipscopeError
from explorer.pages.server.leases import seconds_for
from explorer.runs.serve.job_queue import ASK_AGAIN_SECONDS, JobHandle
from explorer.runs.serve.service import RunService

LEFT_SECONDS = 3.0  # after its viewer chose something else; another one's next look renews it
_KEPT = 128


@dataclass(frozen=True)
class Measured:
    """How one measurement stands.

    Attributes:
        number: Grows with everything new.
        result: The result, or a partial one; None before any.
        done: Whether ``result`` is whole. It stays while newer weights are measured.
        error: A sentence where there is no result.
        kept: Whether it came with shipped weights, and nothing is measured here.
    """

    number: int
    result: dict[str, Any] | None
    done: bool
    share: float
    text: str
    error: str | None
    kept: bool = False


@dataclass
class _Asked:
    job: JobHandle | None = None
    stamp: object = None  # of the weights that the job measures, or measured
    answer: dict[str, Any] | None = None
    partial: dict[str, Any] | None = None
    error: str | None = None
    failed: float = 0.0  # when, where there is an error
    share: float = 0.0
    text: str = "waiting"
    number: int = 0
    viewers: dict[str, float] = field(default_factory=dict)  # when each looked last
    leaving: float = math.inf  # given up then, unless somebody looks again


class Measurements:
    """All that anybody looks at now.

    Args:
        held: Seconds for which a look of a viewer holds a measurement.
    """

    def __init__(self, held: Callable[[str], float] = seconds_for) -> None:
        self._held = held
        self._lock = threading.Lock()
        self._asked: OrderedDict[str, _Asked] = OrderedDict()
        self._reaper: threading.Thread | None = None

    def look(
        self,
        service: RunService,
        kind: str,
        payload: Mapping[str, Any],
        stamp: object = None,
        viewer: str = "",
        *,
        anew: bool = False,
    ) -> Measured:
        """How it stands; asks for it at the first look, and again when ``stamp`` has moved.

        Args:
            stamp: Changes with the weights. Newer ones are measured when the last answer is there.
            viewer: Who looks (:mod:`explorer.pages.server.leases`).
            anew: They have just come: what failed is asked again.
        """
        with self._lock:
            asked = self._asked.setdefault(_key(kind, payload), _Asked())
            self._asked.move_to_end(_key(kind, payload))
            asked.viewers[viewer], asked.leaving = time.monotonic(), math.inf
            self._collect(asked)
            lately = time.monotonic() - asked.failed < ASK_AGAIN_SECONDS
            if anew and asked.error is not None and asked.job is None and not lately:
                asked.error = None
                asked.number += 1
            fresh = asked.answer is None and asked.error is None
            if asked.job is None and (fresh or asked.stamp != stamp):
                asked.stamp = stamp
                try:
                    asked.job = service.submit(kind, payload)
                    self._watch()
                    self._collect(asked)  # it may have been answered before
                except NotAllowedError as error:  # this viewer's own, and only now
                    asked.stamp = None
                    return Measured(asked.number, None, False, 0.0, "", str(error))
                except SkipscopeError as error:
                    asked.error, asked.failed = str(error), time.monotonic()
                    asked.number += 1
            self._forget()
            return Measured(
                number=asked.number,
                result=asked.answer if asked.answer is not None else asked.partial,
                done=asked.answer is not None,
                share=asked.share,
                text=asked.text,
                error=asked.error,
            )

    def leave(self, kind: str, payload: Mapping[str, Any]) -> None:
        """Its viewer looks at something else; it is given up unless another one looks."""
        with self._lock:
            asked = self._asked.get(_key(kind, payload))
            if asked is not None:
                asked.leaving = time.monotonic() + LEFT_SECONDS

    def left(self, viewer: str) -> None:
        """This viewer's page is closed, or shows none of it any more."""
        with self._lock:
            for asked in self._asked.values():
                asked.viewers.pop(viewer, None)

    @property
    def under_way(self) -> int:
        with self._lock:
            return sum(asked.job is not None for asked in self._asked.values())

    # -------------------------------------------------------------------------- with the lock

    def _collect(self, asked: _Asked) -> None:
        """What the job has told since the last look."""
        job = asked.job
        if job is None:
            return
        share, text = job.progress
        if (share, text) != (asked.share, asked.text):
            asked.share, asked.text = share, text
            asked.number += 1
        if job.partial is not asked.partial:
            asked.partial = job.partial
            asked.number += 1
        answer, error = job.wait(0), job.error
        if answer is not None or error is not None:
            asked.answer = asked.answer if answer is None else answer
            asked.error, asked.failed = error, time.monotonic()
            asked.job, asked.partial = None, None
            asked.number += 1

    def _looked_at(self, asked: _Asked, now: float) -> bool:
        return now < asked.leaving and any(
            now - looked < self._held(viewer) for viewer, looked in asked.viewers.items()
        )

    def _forget(self) -> None:
        while len(self._asked) > _KEPT:
            _, oldest = self._asked.popitem(last=False)
            if oldest.job is not None:
                oldest.job.cancel()

    # -------------------------------------------------------------------------------- reaper

    def _watch(self) -> None:
        if self._reaper is None or not self._reaper.is_alive():
            self._reaper = threading.Thread(target=self._reap, name="measurements", daemon=True)
            self._reaper.start()

    def _reap(self) -> None:
        """Gives up what nobody looks at, once a second, until nothing is under way."""
        while True:
            time.sleep(min(1.0, self._held("") / 4))
            with self._lock:
                now = time.monotonic()
                for key, asked in list(self._asked.items()):
                    if asked.job is not None and not self._looked_at(asked, now):
                        self._collect(asked)
                        if asked.job is not None:
                            asked.job.cancel()
                            del self._asked[key]
                if not any(asked.job is not None for asked in self._asked.values()):
                    self._reaper = None
                    return


def _key(kind: str, payload: Mapping[str, Any]) -> str:
    return json.dumps([kind, payload], sort_keys=True)
