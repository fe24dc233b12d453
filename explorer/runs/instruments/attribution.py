"""Attribution as a job: one net, one image; refined while it is watched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.results import Attribution, UnitConductance
from explorer.runs.pictures import is_picture, kept_picture

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def attribution(context: Context, payload: Payload) -> Payload:
    from explorer.probes.attribution import attribute  # captum would slow the worker's start

    warm, dataset = context.net(payload["net"]), context.dataset(payload)

    def tell(part: Attribution, share: float) -> None:
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{part.n_steps} steps")

    result = attribute(
        warm.net,
        dataset,
        image_of(payload),
        method=payload["method"],
        unit=payload["unit"],
        deleted=payload["deleted"],
        target=payload["target"],
        baseline=payload["baseline"],
        steps=payload["steps"],
        window=payload["window"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def conductance(context: Context, payload: Payload) -> Payload:
    from explorer.probes.attribution import unit_conductance

    warm, dataset = context.net(payload["net"]), context.dataset(payload)

    def tell(part: UnitConductance, share: float) -> None:
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{part.n_steps} steps")

    result = unit_conductance(
        warm.net,
        dataset,
        image_of(payload),
        deleted=payload["deleted"],
        target=payload["target"],
        baseline=payload["baseline"],
        steps=payload["steps"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def image_of(payload: Payload) -> int | str | bytes:
    """The position of a test image, a path, or the bytes of a kept image, whose name says nothing.

    Raises:
        DataError: The kept image is gone.
    """
    index: int | None = payload["index"]
    if index is not None:
        return index
    path = Path(payload["image_path"])
    return kept_picture(path) if is_picture(path.name) else str(path)
