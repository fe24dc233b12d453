"""``skipscope train``: one to four nets in lock-step on the same batches."""

from __future__ import annotations

import argparse
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer import names
from explorer.cli import text
from explorer.cli.choices import choose, data_spec, fitted
from explorer.errors import RunError, SpecError
from explorer.specs import MAX_LANES, RECIPES, ExperimentSpec, TrainSpec, parse

if TYPE_CHECKING:
    from explorer.results import Record
    from explorer.training.loop import Session

CHECKPOINT = "checkpoint.safetensors"
RECORDS = "records.jsonl"
SAVE_EVERY = 60.0  # seconds between checkpoints


def run_train(args: argparse.Namespace) -> None:
    """Train, show the errors, and keep weights, records and a checkpoint in a folder."""
    session = _resumed(args) if args.resume is not None else _begun(args)
    folder = args.resume or args.out
    with _interruptible() as interrupted:
        log = _Log(folder, session.step) if folder is not None else None
        evals = log.evals() if log is not None else []
        _run(session, log, evals, interrupted)
    files = _save_weights(session, evals, folder) if folder is not None else []
    if args.json:
        text.write_json(_result(session, evals, files))
    else:
        text.write(_page(session, evals, files))


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
    if args.recipe not in RECIPES:
        raise SpecError(f"There is no recipe {args.recipe!r}; there are {', '.join(RECIPES)}.")
    given = {
        "steps": args.steps,
        "learning_rate": args.lr,
        "batch_size": args.batch,
        "eval_every": args.eval_every,
        "precision": args.precision,
    }
    chosen = {key: value for key, value in given.items() if value is not None}
    training = parse(TrainSpec, {**RECIPES[args.recipe].model_dump(), **chosen})
    return parse(
        ExperimentSpec,
        {
            "lanes": [lane.model_dump() for lane in lanes],
            "data": data.model_dump(),
            "training": training.model_dump(),
            "seed": args.seed,
            "device": args.device,
        },
    )


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
    from explorer.training.loop import Session

    with text.progress("data") as bar:
        return Session.resume(
            args.resume / CHECKPOINT, progress=lambda what, share: bar(share, what)
        )


def _run(
    session: Session, log: _Log | None, evals: list[Record], interrupted: Callable[[], bool]
) -> None:
    last: dict[int, float] = {}
    saved = time.monotonic()
    with text.progress("train") as bar:
        for record in session.records():
            if log is not None:
                log.append(record)
            if record.kind == "eval":
                evals.append(record)
                last[record.lane] = record.values["test_error"]
            elif record.kind == "diverged":
                text.note(record.values["message"])
            errors = " ".join(f"{100 * error:.1f} %" for _, error in sorted(last.items()))
            bar(session.step / session.steps_total, f"test error {errors}" if errors else "")
            if log is not None and (interrupted() or time.monotonic() - saved > SAVE_EVERY):
                log.save(session)
                saved = time.monotonic()
            if interrupted():
                if log is not None:
                    text.note(f"Saved at step {session.step}: `--resume {log.folder}` goes on.")
                raise KeyboardInterrupt
    if log is not None:
        log.save(session)


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Ctrl-C is kept until the step is whole, so that a checkpoint can be; a second one is not."""
    asked = False

    def ask(signum: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


class _Log:
    """The records of a training in its folder, one JSON object a line, and its checkpoint.

    Lines reach the disk together with a checkpoint; those past it (a process that was killed
    between the two) are dropped when the training is resumed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self.folder = folder
        self._file = folder / RECORDS
        self._waiting: list[str] = []
        self._lines = [line for line in self._read() if line["step"] <= step]
        self._known = {(line["kind"], line["lane"], line["step"]) for line in self._lines}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file.write_text("".join(json.dumps(line) + "\n" for line in self._lines), "utf-8")
        except OSError as error:
            raise RunError(
                f"The folder {str(folder)!r} cannot be written to ({error.strerror or error}); "
                "choose another."
            ) from None

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self._file.is_file():
            return
        for line in self._file.read_text("utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the last line of a process that was killed while writing
                return

    def evals(self) -> list[Record]:
        """Evaluations before the checkpoint."""
        from explorer.results import Record

        return [Record.from_json(line) for line in self._lines if line["kind"] == "eval"]

    def append(self, record: Record) -> None:
        if (record.kind, record.lane, record.step) not in self._known:
            self._waiting.append(json.dumps(record.to_json()) + "\n")

    def save(self, session: Session) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(self._waiting)
        self._waiting.clear()
        session.save(self.folder / CHECKPOINT)


def _save_weights(session: Session, evals: list[Record], folder: Path) -> list[Path]:
    """A safetensors file with its card for each net; returns the files."""
    from explorer.nets.weights import save_weights
    from explorer.shipped import Card
    from explorer.versions import versions

    spec = session.experiment
    files = []
    for lane, net in enumerate(session.nets):
        token = names.token_of(net.spec)
        last = _last(evals, lane)
        card = Card(
            name=token,
            spec=net.spec,
            data=spec.data,
            recipe=spec.training,
            seed=spec.seed,
            accuracy=1 - last["test_error"],
            n_images=last["n_test"],
            versions=versions(),
            created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        name = f"lane-{lane + 1}-{re.sub(r'[^A-Za-z0-9.]+', '_', token)}.safetensors"
        files.append(save_weights(net, folder / name, card))
    return files


def _last(evals: list[Record], lane: int) -> dict[str, Any]:
    return next(record.values for record in reversed(evals) if record.lane == lane)


def _result(session: Session, evals: list[Record], files: list[Path]) -> dict[str, Any]:
    spec = session.experiment
    return {
        "data": spec.data.name,
        "steps": session.step,
        "seed": spec.seed,
        "device": str(session.device),
        "lanes": [
            {
                "name": names.token_of(net.spec),
                "parameters": net.blueprint.parameters,
                **_last(evals, lane),
                "weights": str(files[lane]) if files else None,
            }
            for lane, net in enumerate(session.nets)
        ],
        "evals": [record.to_json() for record in evals],
        "experiment": spec.model_dump(mode="json"),
    }


def _page(session: Session, evals: list[Record], files: list[Path]) -> str:
    spec = session.experiment
    first = _last(evals, 0)
    lines = [
        f"{session.step} steps of {spec.training.batch_size} images of {spec.data.name}, recipe "
        f"{spec.training.recipe}, seed {spec.seed}, on {session.device}",
        f"Errors: share of wrong answers on {first['n_train']} fixed training images and "
        f"{first['n_test']} test images\n",
    ]
    rows = []
    for lane, net in enumerate(session.nets):
        last = _last(evals, lane)
        rows.append(
            [
                names.token_of(net.spec),
                text.count(net.blueprint.parameters),
                _number(last["train_loss"]),
                text.percent(last["train_error"]),
                text.percent(last["test_error"]),
            ]
        )
    header = ["net", "parameters", "training loss", "training error", "test error"]
    lines.append(text.table(header, rows, " rrrr"))
    if files:
        lines += ["", *(f"Weights: {file}" for file in files)]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
