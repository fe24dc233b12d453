"""An instrument as a job of a worker: its payload's options in, its result's JSON out."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.instruments import Instrument, instrument
from explorer.instruments.contract import Ask, OneImage, Result
from explorer.instruments.doors.calling import Work, measured
from explorer.instruments.doors.kept import going_on
from explorer.measuring.match import matched
from explorer.runs.serve.pictures import is_picture, kept_picture

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset
    from explorer.nets import Net
    from explorer.runs.worker.warm import Context

PARTS_EVERY = 0.25  # seconds; more often nobody sees


def run(context: Context, kind: str, payload: dict[str, Any]) -> dict[str, Any]:
    """The result's JSON, and ``step``, of the net's weights, where a training wrote them.

    Args:
        payload: The request's values, with the net and image found
            (:mod:`explorer.runs.serve.resolve`).
    """
    one = instrument(kind)
    ask = one.asked(payload)
    subject = one.ask.subject
    warm = context.net(payload["net"]) if subject in ("net", "weights", "image") else None
    also: dict[str, Any] = {} if warm is None else {"step": warm.step}
    next_part = 0.0

    def tell(part: Result, share: float, text: str) -> None:
        nonlocal next_part
        context.progress(share, text)
        now = time.monotonic()
        if share >= 1 or now >= next_part:
            context.partial({**part.to_json(partial=True), **also})
            next_part = now + PARTS_EVERY

    net = None if warm is None else warm.net
    data = context.dataset(payload) if subject in ("net", "image", "data") else None
    if net is not None and data is not None:
        net, data = matched(net, data)
        also |= {"normalised": data.normalisation, "skew": data.skew}
    image = _image(payload) if subject == "image" else None
    work = Work(None if warm is None else warm.name, tell, context.cancelled)
    with _kept(one, net, data, ask, work) as work:
        result = measured(one, ask, work, net=net, data=data, image=image)
    return {**result.to_json(), **also}


def _kept(
    one: Instrument, net: Net | None, data: Dataset | None, ask: Ask, work: Work
) -> AbstractContextManager[Work]:
    """The work, which goes on from what is kept where the instrument keeps anything."""
    if not one.ask.keeps:
        return nullcontext(work)
    return going_on(one, one.question(net, data, ask), work)


def _image(payload: dict[str, Any]) -> OneImage:
    """A test image, a file by its path, or the bytes of a kept image, whose name says nothing."""
    image = payload["index"]
    if image is None:
        path = Path(payload["image_path"])
        image = kept_picture(path) if is_picture(path.name) else path
    return OneImage(image, tuple(payload["deleted"]))
