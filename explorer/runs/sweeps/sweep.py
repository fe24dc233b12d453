"""A sweep: one recipe over nets, depths and seeds, one process a core (or GPU).

Everything of it lies in a folder: ``sweep.json``, and for each run a folder with its checkpoint
and evaluations while it is under way, and ``result.json`` once it is over. Whatever ends a sweep,
:meth:`Sweep.run` goes on with what is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from explorer.errors import RunError
from explorer.results import SweepResult, SweepRun
from explorer.runs.store import claim
from explorer.runs.sweeps.plan import Planned, in_words, plan
from explorer.runs.sweeps.pool import Pool, cores, gpus
from explorer.structure.blueprint import blueprint
from explorer.structure.names import title_of
from explorer.structure.specs import (
    SweepSpec,
    explain,
)
from explorer.system.bounded import small_text, stored_json
from explorer.system.files import write_text
from explorer.system.home import default_home

SPEC, RESULT, IN_USE = "sweep.json", "result.json", "in-use"
SWEEPS = "sweeps"  # in Skipscope's folder
LARGEST_RESULT = 256 << 20  # bytes of one training's file


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        share: Of the work, in [0, 1].
        seconds_left: By the pace so far; None before there is one.
        running: What is being trained, by its id.
        result: What is known; the same object as before unless a run has come to its end.
    """

    done: int
    planned: int
    share: float
    seconds_left: float | None
    running: tuple[str, ...]
    result: SweepResult


def new_folder(home: Path | None = None) -> Path:
    """Where a sweep is kept that was given no folder: in Skipscope's own."""
    sweeps = (home or default_home()) / SWEEPS
    name = time.strftime("%Y-%m-%d-%H%M%S")
    possible = [sweeps / name, *(sweeps / f"{name}-{i}" for i in range(2, 1000))]
    return next(folder for folder in possible if not folder.exists())


class Sweep:
    """A sweep in its folder.

    Args:
        spec: None goes on with the one that lies there.

    Raises:
        SkipscopeError: One sentence: no sweep or another one lies in the folder, a net is not
            possible, or the folder cannot be written.
    """

    def __init__(self, folder: Path, spec: SweepSpec | None = None) -> None:
        self.folder = folder
        kept = self._kept()
        if spec is None and kept is None:
            raise RunError(
                f"There is no sweep in {str(folder)!r}: give the folder of one, or begin one "
                "there (`skipscope sweep … --out`)."
            )
        if spec is not None and kept is not None and spec != kept:
            raise RunError(
                f"The folder {str(folder)!r} holds another sweep: go on with that one "
                f"(`--resume {folder}`), or choose another folder."
            )
        chosen = spec or kept
        assert chosen is not None
        self.spec = chosen
        self.planned = plan(chosen)
        if kept is None:
            self._begin()
        self._results: dict[str, dict[str, Any]] = {}
        self._shown: SweepResult | None = None

    def _begin(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_text(self.folder / SPEC, self.spec.model_dump_json(indent=1) + "\n")
        except OSError as error:
            raise RunError(
                f"The folder {str(self.folder)!r} cannot be written to "
                f"({error.strerror or error}); choose another."
            ) from None

    def _kept(self) -> SweepSpec | None:
        try:
            text = small_text(self.folder / SPEC)
        except (OSError, UnicodeDecodeError):
            return None
        try:
            return SweepSpec.model_validate_json(text)
        except ValidationError as error:
            raise RunError(
                f"The file {str(self.folder / SPEC)!r} is no sweep of this version: "
                f"{explain(error)}"
            ) from None

    def result(self) -> SweepResult:
        """What is known so far."""
        for run in self.planned:
            if run.id not in self._results:
                found = _read(self.folder / run.id / RESULT)
                if found is not None:
                    self._results[run.id] = found
                    self._shown = None
        if self._shown is None:
            first = next(iter(self._results.values()), {})
            spec = self.spec
            self._shown = SweepResult(
                data=spec.data.name,
                recipe=in_words(spec.training),
                steps=spec.training.steps,
                n_train=first.get("n_train", 0),
                n_test=first.get("n_test", 0),
                nets=spec.nets,
                planned=sum(run.experiment.seeds for run in self.planned),
                runs=tuple(
                    row
                    for run in self.planned
                    if run.id in self._results
                    for row in _rows(run, self._results[run.id])
                ),
            )
        return self._shown

    def run(
        self,
        *,
        processes: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> SweepResult:
        """Trains what is left, and returns what is known then.

        Args:
            processes: At a time; None: one a GPU, or one a core, each with one thread.
            on_progress: Told a few times a second.
            stopped: Asked as often; once it says so, runs under way save a checkpoint and end.

        Raises:
            RunError: One sentence: a process ended without a word, training failed, or another
                process works on this sweep. What is done is kept.
        """
        waiting = [run for run in self.planned if not self._is_done(run)]
        if not waiting:
            return self.result()
        devices = [] if self.spec.device == "cpu" else gpus()
        size = min(processes or len(devices) or cores(), len(waiting))
        with self._claimed():
            pool = Pool(size, self.folder, devices)
            try:
                while waiting or pool.running:
                    pool.hand_out(waiting)
                    pool.listen()
                    if stopped():
                        pool.stop()
                    if on_progress is not None:
                        on_progress(self._progress(pool))
                    if pool.stopping:
                        break
            finally:
                pool.end()
        return self.result()

    @contextmanager
    def _claimed(self) -> Iterator[None]:
        try:
            file = claim(self.folder / IN_USE)
        except RunError:
            raise RunError(
                f"Another process is working on the sweep in {str(self.folder)!r}: wait for it, "
                "or stop it."
            ) from None
        except OSError as error:
            raise RunError(
                f"The folder {str(self.folder)!r} cannot be written to ({error.strerror or error})."
            ) from None
        with file:
            yield

    def _is_done(self, run: Planned) -> bool:
        self.result()
        return run.id in self._results

    def _progress(self, pool: Pool) -> Progress:
        """The pace is that of what was done since this began, not of what lay there before."""
        result = self.result()
        total = done = since = 0.0
        for run in self.planned:
            first, last = pool.shares.get(run.id, (0.0, 0.0))
            share = 1.0 if run.id in self._results else last
            total += run.work
            done += run.work * share
            if run.id in pool.shares:
                since += run.work * (share - first)
        spent = pool.seconds
        left = (total - done) / since * spent if since > 0 and spent > 1 else None
        return Progress(
            len(result.runs), result.planned, min(1.0, done / total), left, pool.running, result
        )


def _read(file: Path) -> dict[str, Any] | None:
    try:
        value = stored_json(small_text(file, LARGEST_RESULT))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) and "seeds" in value else None


def _rows(run: Planned, found: dict[str, Any]) -> Iterator[SweepRun]:
    lane = run.lane
    for place, columns in enumerate(found["seeds"]):
        yield SweepRun.from_json(
            {
                "net": run.net,
                "title": title_of(lane),
                "depth": lane.depth,
                "seed": run.experiment.seed + place,
                "parameters": blueprint(lane).parameters,
                "seconds": found["seconds"],
                **columns,
            }
        )
