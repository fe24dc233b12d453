"""The loss surface as a job: streamed from coarse to fine, never measured twice.

A worker keeps what it has measured lately, whether or not it came to an end. So a surface that
was left and is asked for again goes on, and one of another resolution starts from what is there.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from explorer.probes.surface import fingerprint, loss_surface
from explorer.results import LossSurface

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]
_KEPT = 32
_kept: OrderedDict[tuple[object, ...], LossSurface] = OrderedDict()


def surface(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    n_images = payload["n_images"] or 128
    data = str(sorted(payload["data"].items()))
    asked = (fingerprint(warm.net), data, n_images, payload["direction"], payload["norm"])

    def tell(part: LossSurface, share: float) -> None:
        _keep(asked, part)
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{int(part.done.sum())} points")

    result = loss_surface(
        warm.net,
        dataset,
        resolution=payload["resolution"],
        span=payload["span"],
        line=payload["line"],
        n_images=n_images,
        seed=payload["direction"],
        norm=payload["norm"],
        known=_kept.get(asked),
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    _keep(asked, result)
    return {**result.to_json(), "step": warm.step}


def _keep(asked: tuple[object, ...], surface: LossSurface) -> None:
    """The surface with the most points stays; a coarser one is part of it, or soon measured."""
    before = _kept.get(asked)
    if before is None or surface.done.sum() >= before.done.sum():
        _kept[asked] = surface
    _kept.move_to_end(asked)
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
