"""``skipscope sweep``: families of nets over depths and seeds, stopped and resumed at will."""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.choices import data_spec
from explorer.cli.interrupts import interruptible
from explorer.cli.outputs import deliver
from explorer.cli.train import recipe
from explorer.errors import RunError, SpecError
from explorer.results import Quantity, SweepResult, SweepRun
from explorer.structure.specs import SweepSpec, parse

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from explorer.runs.sweeps.sweep import Progress, Sweep

# Of the command line: what says which sweep it is, and has no place beside --resume.
_CHOICES = (
    *("preset", "nets", "depths", "seeds", "seed", "data", "image_size", "resize"),
    *("balanced", "train_limit", "augment"),
    *("cutout", "label_noise", "recipe", "steps", "seconds", "target_error", "lr", "batch"),
    *("eval_every", "precision", "units_per_batch", "set", "device", "out"),
)


def run_sweep(args: argparse.Namespace) -> None:
    """Train what is left of a sweep, say what comes of it, and keep everything in a folder."""
    from explorer.runs.sweeps.sweep import Sweep, new_folder

    if args.resume is not None:
        given = next((name for name in _CHOICES if getattr(args, name) is not None), None)
        if given is not None:
            raise RunError(
                f"A resumed sweep keeps what was chosen, so --{given.replace('_', '-')} has no "
                "place beside --resume: leave it out, or begin another sweep with --out."
            )
        sweep = Sweep(args.resume)
    else:
        sweep = Sweep(args.out or new_folder(), sweep_spec(args))
    before = sweep.result()
    done = f", {len(before.runs)} of them done already" if before.runs else ""
    text.note(f"{before.planned} trainings{done}, kept in {sweep.folder}.")
    with interruptible() as interrupted, text.progress("sweep", remaining=False) as bar:
        seen = _Seen(before, bar)
        result = sweep.run(processes=args.processes, on_progress=seen, stopped=interrupted)
        stopped = interrupted()
    if stopped:
        text.note(
            f"Stopped after {len(result.runs)} of {before.planned} trainings; those under way are "
            f"saved: `skipscope sweep --resume {sweep.folder}` goes on."
        )
    if result.runs or not stopped:
        _show(args, sweep, result)
    if stopped:
        raise KeyboardInterrupt


def sweep_spec(args: argparse.Namespace) -> SweepSpec:
    """The sweep that the arguments describe, from a preset or from nothing.

    Raises:
        SkipscopeError: One sentence.
    """
    from explorer.runs.sweeps.presets import SWEEP_PRESETS

    if args.preset is not None:
        usual = SWEEP_PRESETS[args.preset].spec
    elif args.nets and args.depths:
        usual = SweepSpec(nets=("plain_N",), depths=(8,))
    else:
        raise SpecError(
            "Give --nets and --depths, such as `--nets plain_N resnet_v2_N --depths 8,20,32`, or "
            f"a preset ({', '.join(SWEEP_PRESETS)}), or a folder to --resume."
        )
    given = {
        "nets": args.nets,
        "depths": args.depths,
        "seeds": args.seeds,
        "seed": args.seed,
        "device": args.device,
    }
    return parse(
        SweepSpec,
        {
            **usual.model_dump(),
            **{name: value for name, value in given.items() if value is not None},
            "data": data_spec(args, usual.data).model_dump(),
            "training": recipe(args, usual.training).model_dump(),
        },
    )


class _Seen:
    """Tells the bar, and a line for each training that came to its end."""

    def __init__(self, known: SweepResult, bar: text.Bar) -> None:
        self._told, self._bar = known, bar

    def __call__(self, now: Progress) -> None:
        if now.result is not self._told:
            known = {_key(run) for run in self._told.runs}
            for run in now.result.runs:
                if _key(run) not in known:
                    text.note(_line(run))
            self._told = now.result
        left = "" if now.seconds_left is None else f", {text.duration(now.seconds_left)} left"
        self._bar(now.share, f"{now.done} of {now.planned} done{left}")


def _key(run: SweepRun) -> tuple[str, int, int]:
    return run.net, run.depth, run.seed


def _line(run: SweepRun) -> str:
    if run.lost:
        return run.ended
    train, test = (text.percent(run.last(name)) for name in _ERRORS)
    return f"{run.title}, seed {run.seed}: training error {train}, test error {test}"


_ERRORS: tuple[Quantity, ...] = ("train_error", "test_error")


def _show(args: argparse.Namespace, sweep: Sweep, result: SweepResult) -> None:
    from explorer.runs.sweeps.plan import differences

    differ = differences(sweep.spec)

    def figure() -> go.Figure:
        from explorer.drawing import depth_figure, sweep_curves_figure

        return sweep_curves_figure(result) if args.show == "curves" else depth_figure(result)

    also: dict[str, Any] = {
        "folder": str(sweep.folder),
        "sweep": sweep.spec.model_dump(mode="json"),
        "what_differs": differ,
    }
    title = f"{result.caption()} {differ}".rstrip()
    if not deliver(args, result, figure, title=title, also=also):
        said = [result.caption(), differ] if differ else [result.caption()]
        text.write("\n".join([*said, "", _table(result)]))


def _table(result: SweepResult) -> str:
    rows = []
    for net in result.nets:
        runs = result.of(net)
        for depth in sorted({run.depth for run in runs}):
            mine = [run for run in runs if run.depth == depth]
            rows.append(
                [
                    mine[0].title,
                    str(depth),
                    text.count(mine[0].parameters),
                    *(_cell(mine, name) for name in _ERRORS),
                    f"{sum({run.seconds for run in mine}):.0f}",
                ]
            )
    header = ["net", "depth", "parameters", "training error", "test error", "seconds"]
    return text.table(header, rows, " rrrrr")


def _cell(runs: list[SweepRun], name: Quantity) -> str:
    """The error; of several seeds the median, and the range; and how many have none."""
    values = [run.last(name) for run in runs if not run.lost]
    gone = [run.outcome for run in runs if run.lost]
    if not values:
        return gone[0]
    shown = text.percent(statistics.median(values))
    if len(values) > 1:
        shown += f" ({text.percent(min(values))} – {text.percent(max(values))})"
    return shown + (f", {len(gone)} {gone[0]}" if gone else "")
