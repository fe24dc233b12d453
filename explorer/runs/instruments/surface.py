"""The loss surface as a job: streamed from coarse to fine, never measured twice.

What was measured is kept, whether or not it came to an end. So a surface that was left and is asked
for again goes on, and one of another resolution starts from what is there.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from torch import Tensor

from explorer.probes.select import some_images
from explorer.probes.statistics import statistics_of
from explorer.probes.surface import fingerprint, loss_surface
from explorer.results import LossSurface
from explorer.runs.instruments.kept_surfaces import keep_surface, kept_surface

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]
_WRITTEN_EVERY = 5.0  # seconds, at least, between two writings of what is under way


def surface(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    n_images = payload["n_images"] or 128
    images = _digest(some_images(warm.net, dataset, n_images, train=True)[0])
    asked: tuple[object, ...] = (
        fingerprint(warm.net),
        images,
        n_images,
        payload["direction"],
        payload["norm"],
    )
    if statistics_of(warm.net) == "batch":  # what is kept of earlier days had none
        asked = (*asked, "batch")
    latest: LossSurface | None = None
    written = time.monotonic()

    def tell(part: LossSurface, share: float) -> None:
        nonlocal latest, written
        latest = part
        if time.monotonic() - written > _WRITTEN_EVERY:
            keep_surface(asked, part)
            written = time.monotonic()
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{int(part.done.sum())} points")

    try:
        latest = loss_surface(
            warm.net,
            dataset,
            resolution=payload["resolution"],
            span=payload["span"],
            line=payload["line"],
            n_images=n_images,
            seed=payload["direction"],
            norm=payload["norm"],
            known=kept_surface(asked),
            name=warm.name,
            on_progress=tell,
            cancelled=context.cancelled,
        )
    finally:  # also where it was given up
        if latest is not None:
            keep_surface(asked, latest)
    return {**latest.to_json(), "step": warm.step}


def _digest(images: Tensor) -> str:
    """Of the pixels: a folder's images may have changed since."""
    content = images.cpu().contiguous().numpy().tobytes()
    return hashlib.blake2b(content, digest_size=8).hexdigest()
