"""``skipscope train``: one to four nets in lock-step on the same batches."""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.choices import choose, data_spec, fitted
from explorer.cli.folder import CHECKPOINT, RECORDS, missing_steps, read_lines
from explorer.cli.interrupts import interruptible
from explorer.errors import RunError, SpecError
from explorer.results.training import RECORD_VALUES
from explorer.runs.store import claim
from explorer.structure import names
from explorer.structure.shared_start import what_differs
from explorer.structure.specs import MAX_LANES, RECIPES, ExperimentSpec, TrainSpec, parse
from explorer.structure.variants import for_units_per_batch, without_shortcuts
from explorer.system.bounded import json_or_text
from explorer.system.files import append, copy, damaged_name, write_text

if TYPE_CHECKING:
    from explorer.results import Record
    from explorer.training.loop import Session
    from explorer.training.tensorboard import EventFile

TENSORBOARD = "tensorboard"
IN_USE = "in-use"
SAVE_EVERY = 60.0  # seconds between checkpoints
WRITE_EVERY = 1.0  # seconds between writing records down
# Recorded in the course of a step; all else is measured before it, or at the end of the last one.
_OF_THE_STEP = ("step", "layers", "gates", "diverged", "failed")

# Of the command line: what a training keeps, and so has no place beside --resume.
_KEPT = (
    *("data", "image_size", "resize", "balanced", "train_limit", "augment", "cutout"),
    *("label_noise", "recipe", "seconds"),
    *("target_error", "batch", "eval_every", "precision", "units_per_batch", "set", "seed"),
    *("seeds", "keep_weights"),
)


def run_train(args: argparse.Namespace) -> None:
    """Train, show the errors, and keep weights, records and a checkpoint in a folder."""
    if args.tensorboard and args.out is None and args.resume is None:
        raise RunError("TensorBoard's event files need a folder to lie in: give --out FOLDER.")
    if args.resume is None and (args.duplicate or args.delete) is not None:
        raise RunError("A lane is duplicated, or its units deleted, on `--resume FOLDER`.")
    folder = args.resume or args.out
    session = _resumed(args) if args.resume is not None else _begun(args)
    evals = train_in(folder, session, tensorboard=args.tensorboard)
    files = _save_weights(session, evals, folder) if folder is not None else []
    if args.json:
        text.write_json(_result(session, evals, files))
    else:
        text.write(_page(session, evals, files))


def train_in(folder: Path | None, session: Session, *, tensorboard: bool = False) -> list[Record]:
    """Trains to the end; records and checkpoints lie in the folder, if there is one.

    Returns:
        All evaluations.

    Raises:
        RunError: Another process trains there, or the folder cannot be written to.
        KeyboardInterrupt: Ctrl-C was pressed; where there is a folder, all is saved.
    """
    with _claimed(folder), interruptible() as interrupted:
        log = _Log(folder, session, tensorboard) if folder is not None else None
        evals = log.evals() if log is not None else []
        _run(session, log, evals, interrupted)
    return evals


@contextmanager
def _claimed(folder: Path | None) -> Iterator[None]:
    """The folder is this process's alone; one that is not there yet is made."""
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = claim(folder / IN_USE)
    except RunError:
        raise RunError(
            f"Another process trains in the folder {str(folder)!r}: wait for it, or stop it."
        ) from None
    except OSError as error:
        raise RunError(
            f"The folder {str(folder)!r} cannot be written to ({error.strerror or error}); "
            "choose another."
        ) from None
    with file:
        yield


def experiment(args: argparse.Namespace) -> ExperimentSpec:
    """The experiment that the arguments describe.

    Raises:
        SkipscopeError: One sentence.
    """
    if not args.nets:
        raise SpecError(
            "Give the names of one to four nets to train, such as "
            "`skipscope train plain_20 resnet_v2_20`, or a folder to `--resume`."
        )
    if len(args.nets) > MAX_LANES:
        raise SpecError(f"At most {MAX_LANES} nets train side by side, not {len(args.nets)}.")
    data = data_spec(args)
    lanes = [fitted(choose(name), data) for name in args.nets]
    if args.units_per_batch is not None:
        lanes = [for_units_per_batch(lane, args.units_per_batch) for lane in lanes]
    given = {"seed": args.seed, "seeds": args.seeds, "device": args.device}
    return parse(
        ExperimentSpec,
        {
            "lanes": [lane.model_dump() for lane in lanes],
            "data": data.model_dump(),
            "training": recipe(args).model_dump(),
            **{name: value for name, value in given.items() if value is not None},
        },
    )


def recipe(args: argparse.Namespace, usual: TrainSpec = RECIPES["one_cycle"]) -> TrainSpec:
    """The recipe that was named (else ``usual``), with what was chosen otherwise.

    Raises:
        SpecError: One sentence.
    """
    if args.recipe is not None and args.recipe not in RECIPES:
        raise SpecError(f"There is no recipe {args.recipe!r}; there are {', '.join(RECIPES)}.")
    base = usual if args.recipe is None else RECIPES[args.recipe]
    given = {
        "steps": args.steps,
        "max_seconds": args.seconds,
        "target_error": args.target_error,
        "learning_rate": args.lr,
        "batch_size": args.batch,
        "units_per_batch": args.units_per_batch,
        "eval_every": args.eval_every,
        "keep_weights": args.keep_weights,
        "precision": args.precision,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    for pair in args.set or ():
        field, equals, value = pair.partition("=")
        if not equals:
            raise SpecError(f"{pair!r} should read FIELD=VALUE, such as optimizer=nesterov.")
        chosen[field] = json_or_text(value)
    return parse(TrainSpec, {**base.model_dump(), **chosen})


def _begun(args: argparse.Namespace) -> Session:
    spec = experiment(args)
    if args.out is not None and (args.out / CHECKPOINT).exists():
        raise RunError(
            f"The folder {str(args.out)!r} already holds a training; go on with "
            f"`--resume {args.out}`, or choose another folder."
        )
    from explorer.training.loop import Session

    with text.progress("data") as bar:
        return Session(spec, progress=lambda what, share: bar(share, what))


def _resumed(args: argparse.Namespace) -> Session:
    if args.nets or args.out is not None:
        raise RunError(
            "A resumed training keeps its nets and its folder; give `--resume FOLDER` alone."
        )
    given = next((name for name in _KEPT if getattr(args, name) is not None), None)
    if given is not None:
        raise RunError(
            f"A resumed training keeps what was chosen, so --{given.replace('_', '-')} has no "
            "place beside --resume: leave it out, or begin another training with --out."
        )
    from explorer.training.loop import Session

    with text.progress("data") as bar:
        session = Session.resume(
            args.resume / CHECKPOINT,
            device=args.device,
            progress=lambda what, share: bar(share, what),
        )
    if args.steps is not None:
        session.extend(args.steps)
    if args.lr is not None:
        session.set_learning_rate(args.lr)
    if session.finished and (args.duplicate or args.delete) is not None:
        raise RunError(
            f"This training is over, at step {session.step}: give --steps with a larger number to "
            "go on with a change."
        )
    if args.duplicate is not None:
        lane, name = _of_lane(args.duplicate, session)
        source = session.experiment.lanes[lane]
        cut = name == "cut"
        net = without_shortcuts(source) if cut else fitted(choose(name), session.experiment.data)
        text.note(session.announce(session.fork(lane, net)).values["message"])
    if args.delete is not None:
        lane, names = _of_lane(args.delete, session)
        record = session.announce(session.delete(lane, [n for n in names.split(",") if n]))
        gone = ", ".join(record.values["units"]) or "no unit"
        text.note(f"Lane {lane + 1} passes by {gone} from step {session.step} on.")
    return session


def _of_lane(value: str, session: Session) -> tuple[int, str]:
    """(index, what follows ``=``) of ``LANE=…``; lanes are counted from 1."""
    lane, equals, rest = value.partition("=")
    n = len(session.experiment.lanes)
    if not equals or not lane.isdigit() or not 1 <= int(lane) <= n:
        raise SpecError(f"{value!r} should begin with a lane from 1 to {n} and `=`, as `1=cut`.")
    return int(lane) - 1, rest


def _run(
    session: Session, log: _Log | None, evals: list[Record], interrupted: Callable[[], bool]
) -> None:
    last: dict[int, float | None] = {}
    saved = time.monotonic()
    with text.progress("train") as bar:
        if log is not None:
            log.save(session)  # a disk that is full is told of now, not in an hour
            log.keep_weights(session)
        for record in session.records():
            if log is not None:
                log.append(record)
                log.keep_weights(session)
            if record.kind == "eval":
                evals.append(record)
                last[record.lane] = record.values["test_error"]
            elif record.kind in ("diverged", "failed", "reached"):
                text.note(record.values["message"])
            errors = " ".join(
                "–" if error is None else f"{100 * error:.1f} %"
                for _, error in sorted(last.items())
            )
            bar(session.share_done, f"test error {errors}" if errors else "")
            if log is not None and (interrupted() or time.monotonic() - saved > SAVE_EVERY):
                log.save(session)
                saved = time.monotonic()
            if interrupted():
                if log is not None:
                    text.note(f"Saved at step {session.step}: `--resume {log.folder}` goes on.")
                raise KeyboardInterrupt
    if session.why_finished and session.step < session.steps_total:
        text.note(session.why_finished)
    if log is not None:
        log.save(session)


class _Log:
    """The records of a training in its folder, one JSON object a line, and its checkpoint.

    Lines reach the disk once a second, evaluations at once; those past the checkpoint (of a
    process that was killed) are dropped when the training is resumed, which makes them again.
    """

    def __init__(self, folder: Path, session: Session, tensorboard: bool) -> None:
        self.folder = folder
        self._kept: set[int] = set()
        self._file = folder / RECORDS
        self._waiting: list[str] = []
        self._written = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._records = self._up_to(session)
        except OSError as error:
            raise RunError(
                f"The folder {str(folder)!r} cannot be written to ({error.strerror or error}); "
                "choose another."
            ) from None
        self._known = {(record.kind, record.lane, record.step) for record in self._records}
        self._events = _event_files(folder / TENSORBOARD, session) if tensorboard else {}
        self._layers = [
            tuple(layer.name for layer in net.blueprint.weight_layers) for net in session.nets
        ]

    def _up_to(self, session: Session) -> list[Record]:
        """What was recorded before the session's step; the file holds just that afterwards.

        It is replaced whole where it holds more, and left alone where it does not.
        """
        step, found = session.step, read_lines(self._file)
        kept = [
            record
            for record in found.records
            if record.step < step or (record.step == step and record.kind not in _OF_THE_STEP)
        ]
        problem = found.problem(self._file)
        if problem is not None:
            aside = damaged_name(self._file)
            copy(self._file, aside)
            text.note(f"{problem} The file as it was is {str(aside)!r}.")
        missing = missing_steps([*kept, *session.pending], step, self._file)
        if missing is not None:
            text.note(missing)
        if found.cut or found.damaged or len(kept) < len(found.records):
            write_text(self._file, "".join(map(_line, kept)))
        return kept

    def evals(self) -> list[Record]:
        """Evaluations before the checkpoint."""
        return [record for record in self._records if record.kind == "eval"]

    def append(self, record: Record) -> None:
        if (record.kind, record.lane, record.step) not in self._known:
            self._waiting.append(_line(record))
            if record.lane in self._events:
                self._events[record.lane].add(record, self._layers[record.lane])
        if record.kind == "eval" or time.monotonic() - self._written > WRITE_EVERY:
            self._write()

    def _write(self, *, to_disk: bool = False) -> None:
        try:
            append(self._file, "".join(self._waiting).encode(), to_disk=to_disk)
        except OSError as error:
            raise RunError(
                f"The records cannot be written to {str(self._file)!r} "
                f"({error.strerror or error}): free some space, then go on from the last "
                f"checkpoint with `--resume {self.folder}`."
            ) from None
        self._waiting.clear()
        self._written = time.monotonic()

    def keep_weights(self, session: Session) -> None:
        """Keeps the weights of this step for good, where the recipe says so."""
        step = session.step
        if step not in session.experiment.training.keep_weights or step in self._kept:
            return
        self._kept.add(step)
        for lane in range(len(session.nets)):
            name = f"lane-{lane + 1}-step-{step:08d}.safetensors"
            session.snapshot(lane, self.folder / "weights" / name)

    def save(self, session: Session) -> None:
        self._write(to_disk=True)  # first: no checkpoint is ahead of its records
        for events in self._events.values():
            events.flush()
        session.save(self.folder / CHECKPOINT)


def _line(record: Record) -> str:
    return json.dumps(record.to_json()) + "\n"


def _event_files(folder: Path, session: Session) -> dict[int, EventFile]:
    from explorer.training.tensorboard import EventFile

    return {
        lane: EventFile(folder / f"lane-{lane + 1}-{_file_name(names.token_of(net.spec))}")
        for lane, net in enumerate(session.nets)
    }


def _file_name(token: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", token)


def _save_weights(session: Session, evals: list[Record], folder: Path) -> list[Path]:
    """A safetensors file with its card for each net; returns the files."""
    from explorer.nets.weights import save_weights
    from explorer.structure.cards import Card
    from explorer.system.versions import versions

    spec = session.experiment
    files = []
    for lane, net in enumerate(session.nets):
        token = names.token_of(net.spec)
        last = _last(evals, lane)
        if last.get("test_error") is None:  # it ended before its first evaluation
            continue
        card = Card(
            name=token,
            spec=net.spec,
            data=spec.data,
            recipe=spec.training,
            seed=spec.seed,
            mean=tuple(session.dataset.mean.tolist()),
            std=tuple(session.dataset.std.tolist()),
            classes=session.dataset.info.classes if spec.data.name == "folder" else (),
            accuracy=1 - last["test_error"],
            n_images=last["n_test"],
            versions=versions(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        name = f"lane-{lane + 1}-{_file_name(token)}.safetensors"
        files.append(save_weights(net, folder / name, card))
    return files


def _last(evals: list[Record], lane: int) -> dict[str, Any]:
    """The last evaluation's values; nothing where none is recorded."""
    return next((record.values for record in reversed(evals) if record.lane == lane), {})


def _result(session: Session, evals: list[Record], files: list[Path]) -> dict[str, Any]:
    spec = session.experiment
    return {
        "data": spec.data.name,
        "steps": session.step,
        "seed": spec.seed,
        "seeds": spec.seeds,
        "what_differs": what_differs(spec.lanes, session.forked),
        "how": session.how,
        "seconds": session.seconds,
        "device": str(session.device),
        "lanes": [
            {
                "name": names.token_of(net.spec),
                "parameters": net.blueprint.parameters,
                **(dict.fromkeys(RECORD_VALUES["eval"]) | _last(evals, lane)),
                "weights": next(
                    (str(f) for f in files if f.name.startswith(f"lane-{lane + 1}-")), None
                ),
            }
            for lane, net in enumerate(session.nets)
        ],
        "evals": [record.to_json() for record in evals],
        "experiment": spec.model_dump(mode="json"),
    }


def _page(session: Session, evals: list[Record], files: list[Path]) -> str:
    spec = session.experiment
    first = _last(evals, 0)
    seeds = (
        f"seed {spec.seed}"
        if spec.seeds == 1
        else (f"seeds {spec.seed} to {spec.seed + spec.seeds - 1}")
    )
    lines = [
        f"{session.step} steps of {spec.training.batch_size} images of {spec.data.name}, recipe "
        f"{spec.training.recipe}, {seeds}, on {session.device}",
        "Errors: share of wrong answers on "
        f"{first.get('n_train', 'the')} fixed training images and "
        f"{first.get('n_test', 'all')} test images"
        + (f"; median of {spec.seeds} seeds, and their range" if spec.seeds > 1 else ""),
    ]
    if len(spec.lanes) > 1:
        lines.append(what_differs(spec.lanes, session.forked))
    lines.append("")
    rows = []
    for lane, net in enumerate(session.nets):
        last = _last(evals, lane)
        rows.append(
            [
                names.token_of(net.spec),
                text.count(net.blueprint.parameters),
                *(_cell(last, name) for name in ("train_loss", "train_error", "test_error")),
            ]
        )
    header = ["net", "parameters", "training loss", "training error", "test error"]
    lines.append(text.table(header, rows, " rrrr"))
    if files:
        lines += ["", *(f"Weights: {file}" for file in files)]
    return "\n".join(lines)


def _cell(last: dict[str, Any], name: str) -> str:
    """A value of the last evaluation; of several seeds the median, and the range."""
    if not last:
        return "not recorded"
    show = text.percent if name.endswith("error") else (lambda value: f"{value:.4g}")
    if "by_seed" not in last:
        return "not finite" if last[name] is None else show(last[name])
    values = [value for value in last["by_seed"][name] if value is not None]
    if not values:
        return "not finite"
    gone = len(last["by_seed"][name]) - len(values)
    ended = f", {gone} ended" if gone else ""
    return f"{show(statistics.median(values))} ({show(min(values))} – {show(max(values))}{ended})"
