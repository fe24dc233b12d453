"""A sweep: one recipe over nets, depths and seeds, one process a core (or GPU).

Everything of it lies in a folder: ``sweep.json``, and for each run a folder with its checkpoint
and evaluations while it is under way, and ``result.json`` once it is over. Whatever ends a sweep,
:meth:`Sweep.run` goes on with what is left.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from explorer.blueprint import blueprint
from explorer.bounded import small_text
from explorer.data.catalog import data_info
from explorer.errors import RunError, SpecError
from explorer.fairness import what_differs
from explorer.files import write_text
from explorer.home import default_home
from explorer.names import spec_of, title_of
from explorer.results import SweepResult, SweepRun
from explorer.runs.crew import Crew, cores, gpus
from explorer.runs.store import claim
from explorer.specs import (
    RECIPES,
    ExperimentSpec,
    NetSpec,
    SweepSpec,
    TrainSpec,
    explain,
    fit,
    parse,
)
from explorer.variants import for_units_per_batch

SPEC, RESULT, IN_USE = "sweep.json", "result.json", "in-use"
SWEEPS = "sweeps"  # in Skipscope's folder
LARGEST_RESULT = 256 << 20  # bytes of one training's file
NEAR = 5  # layers, at most, that a depth is changed by to be one of the net's


@dataclass(frozen=True)
class Planned:
    """One run: a net of one depth, from one seed (fully connected nets: from all at once).

    Attributes:
        work: Multiply-adds of all its steps, about: what it costs in relation to the others.
    """

    id: str
    net: str
    experiment: ExperimentSpec
    work: float

    @property
    def lane(self) -> NetSpec:
        return self.experiment.lanes[0]


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


def of_depth(net: str, depth: int) -> NetSpec:
    """The net that a name with N stands for at a depth, or at the nearest possible one.

    Of residual nets the name alone means units of two layers at every depth: nets of different
    units are not one family.

    Raises:
        SpecError: There is none of about this depth, or the name is no net's.
    """
    name, semicolon, changes = net.partition(";")
    first: SpecError | None = None
    for near in sorted(range(-NEAR, NEAR + 1), key=abs):
        try:
            lane = spec_of(f"{name.replace('N', str(depth + near))}{semicolon}{changes}")
        except SpecError as error:
            first = first or error
        else:
            other = lane.layout == "cifar" and getattr(lane, "unit", "basic") != "basic"
            if not other or "unit" in changes:
                return lane
    assert first is not None
    raise first


def plan(spec: SweepSpec) -> list[Planned]:
    """All runs, the first seed of every net and depth first, shallow ones first.

    Raises:
        SpecError: A net is not possible.
        DataError: The folder of images cannot be used.
    """
    info = data_info(spec.data)
    runs: dict[str, Planned] = {}
    for place in range(spec.seeds):
        for depth in spec.depths:
            for net in spec.nets:
                lane = fit(of_depth(net, depth), info.input_shape, len(info.classes))
                if spec.training.units_per_batch is not None:
                    lane = for_units_per_batch(lane, spec.training.units_per_batch)
                at_once = spec.seeds if lane.layout == "fc" else 1
                if at_once > 1 and place > 0:
                    continue
                seed = spec.seed + place
                name = f"{_file_name(net)}-depth-{lane.depth}-seed-{seed}"
                experiment = {
                    "lanes": [lane.model_dump()],
                    "data": spec.data.model_dump(),
                    "training": spec.training.model_dump(),
                    "seed": seed,
                    "seeds": at_once,
                    "device": spec.device,
                }
                images = spec.training.steps * spec.training.batch_size * at_once
                work = float(blueprint(lane).multiply_adds * images)
                runs[name] = Planned(name, net, parse(ExperimentSpec, experiment), work)
    return list(runs.values())


def differences(spec: SweepSpec) -> str:
    """What the nets of a sweep have differently, at the greatest depth; empty for one net."""
    if len(spec.nets) < 2:
        return ""
    info = data_info(spec.data)
    depth = spec.depths[-1]
    lanes = [fit(of_depth(net, depth), info.input_shape, len(info.classes)) for net in spec.nets]
    return f"At {depth} layers: {what_differs(lanes).replace('The lanes', 'the nets', 1)}"


def in_words(training: TrainSpec) -> str:
    """The recipe's name, and what was chosen otherwise: ``one_cycle, batch_size 32``."""
    usual = RECIPES.get(training.recipe, RECIPES["one_cycle"])
    changed = [
        f"{name} {value}"
        for name, value in training
        if name not in ("recipe", "steps") and value != getattr(usual, name)
    ]
    return ", ".join([training.recipe, *changed])


def new_folder(home: Path | None = None) -> Path:
    """Where a sweep is kept that was given no folder: in Skipscope's own."""
    sweeps = (home or default_home()) / SWEEPS
    name = time.strftime("%Y-%m-%d-%H%M%S")
    possible = [sweeps / name, *(sweeps / f"{name}-{i}" for i in range(2, 1000))]
    return next(folder for folder in possible if not folder.exists())


def _file_name(net: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "_" for c in net)


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
            crew = Crew(size, self.folder, devices)
            try:
                while waiting or crew.running:
                    crew.hand_out(waiting)
                    crew.listen()
                    if stopped():
                        crew.stop()
                    if on_progress is not None:
                        on_progress(self._progress(crew))
                    if crew.stopping:
                        break
            finally:
                crew.end()
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

    def _progress(self, crew: Crew) -> Progress:
        """The pace is that of what was done since this began, not of what lay there before."""
        result = self.result()
        total = done = since = 0.0
        for run in self.planned:
            first, last = crew.shares.get(run.id, (0.0, 0.0))
            share = 1.0 if run.id in self._results else last
            total += run.work
            done += run.work * share
            if run.id in crew.shares:
                since += run.work * (share - first)
        spent = crew.seconds
        left = (total - done) / since * spent if since > 0 and spent > 1 else None
        return Progress(
            len(result.runs), result.planned, min(1.0, done / total), left, crew.running, result
        )


def _read(file: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(small_text(file, LARGEST_RESULT))
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
