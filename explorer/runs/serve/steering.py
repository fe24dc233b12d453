"""Changes to a training under way, checked before they are sent to it. No torch.

A lane can be duplicated from its present state with one thing changed, and units of a lane can be
deleted; the training goes on. The worker carries them out between two steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from explorer.errors import NotApplicableError, RunError, SpecError
from explorer.runs.protocol import Message
from explorer.runs.serve.run import Run
from explorer.structure.blueprint import blueprint
from explorer.structure.graph import why_not_deletable
from explorer.structure.specs import MAX_LANES, NetSpec, fit


def duplicate(run: Run, lane: int, net: NetSpec) -> Message:
    """The value of a ``fork`` command.

    Raises:
        SkipscopeError: One sentence: no such lane, no room, or the training is at rest.
    """
    _check(run, lane)
    if len(run.spec.lanes) >= MAX_LANES:
        raise SpecError(
            f"This training has {MAX_LANES} lanes already, and no room for one more: start a new "
            "one with fewer."
        )
    source = run.spec.lanes[lane]
    net = fit(net, source.input_shape, source.classes)
    return {"lane": lane, "net": net.model_dump(mode="json")}


def deletion(run: Run, lane: int, units: Sequence[str]) -> Message:
    """The value of a ``delete`` command.

    Raises:
        SkipscopeError: One sentence: no such lane or unit, a unit that the net cannot do without,
            or the training is at rest.
    """
    _check(run, lane)
    plans = {unit.name: unit for unit in blueprint(run.spec.lanes[lane]).units}
    for name in units:
        if name not in plans:
            raise NotApplicableError(
                f"This net has no unit {name!r}: it has {next(iter(plans))} and {len(plans) - 1} "
                "more."
            )
        if not plans[name].deletable:
            why = why_not_deletable(plans[name])
            raise NotApplicableError(f"Unit {name!r} cannot be deleted: {why[0].lower()}{why[1:]}")
    return {"lane": lane, "units": list(units)}


def _check(run: Run, lane: int) -> None:
    if not 0 <= lane < len(run.spec.lanes):
        raise RunError(f"This training has no lane {lane + 1}: it has {len(run.spec.lanes)}.")
    if run.worker is None or run.status not in ("running", "paused"):
        raise RunError("This training is at rest: press Play (and Pause) before changing its nets.")
