"""Paths as jobs: the exact curve first, then the drawn ones, refined while they are watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.errors import NotApplicableError
from explorer.path_counts import multiplicity, path_lengths
from explorer.probes.paths import path_gradients
from explorer.probes.unravelled import unravelled_view
from explorer.results import PathGradients, UnravelledView

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def paths(context: Context, payload: Payload) -> Payload:
    """PathGradients, and its net's PathLengths as ``path_lengths``."""
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    lengths = path_lengths(warm.net.blueprint, warm.name)
    also = {"path_lengths": lengths.to_json(), "step": warm.step}

    def tell(part: PathGradients, share: float) -> None:
        context.partial({**part.to_json(), **also})
        context.progress(share, f"{part.n_images} images")

    result = path_gradients(
        warm.net,
        dataset,
        n_images=payload["n_images"] or 64,
        draws=payload["draws"],
        longest=payload["longest"],
        seed=payload["seed"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), **also}


def path_counts(context: Context, payload: Payload) -> Payload:
    """PathLengths, and as ``multiplicity`` those of other depths and widths, where there are."""
    warm = context.net(payload["net"])
    plan = warm.net.blueprint
    try:
        others = multiplicity(plan.spec).to_json()
    except NotApplicableError:  # another library's net
        others = None
    lengths = path_lengths(plan, warm.name)
    return {**lengths.to_json(), "multiplicity": others, "step": warm.step}


def unravelled(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)

    def tell(part: UnravelledView, share: float) -> None:
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{part.n_images} images")

    result = unravelled_view(
        warm.net,
        dataset,
        units=payload["units"],
        off=payload["off"],
        n_images=payload["n_images"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}
