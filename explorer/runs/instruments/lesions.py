"""Lesions as jobs: streamed, refined while they are watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.probes import deletions, held_gates, shuffles
from explorer.probes.lesions import lesion_curve

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]
PARTS_EVERY = 0.25  # seconds; more often nobody sees


def lesions(context: Context, payload: Payload) -> Payload:
    return _streamed(context, payload, lesion_curve)


def lesion_band(context: Context, payload: Payload) -> Payload:
    return _streamed(context, payload, deletions.lesion_band, "k", "trials", "seed")


def shuffle_lesions(context: Context, payload: Payload) -> Payload:
    own = ("points", "trials", "moves", "seed")
    return _streamed(context, payload, shuffles.shuffle_lesions, *own)


def swap_lesions(context: Context, payload: Payload) -> Payload:
    return _streamed(context, payload, shuffles.swap_lesions, "stage")


def stage_lesions(context: Context, payload: Payload) -> Payload:
    return _streamed(context, payload, deletions.stage_lesions)


def gate_lesions(context: Context, payload: Payload) -> Payload:
    return _streamed(context, payload, held_gates.gate_lesions, "values")


def _streamed(
    context: Context, payload: Payload, measure: Callable[..., Any], *options: str
) -> Payload:
    """The instrument with the payload's ``options``; partial results leave the classes out."""
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    next_part = 0.0

    def tell(part: Any, share: float) -> None:
        nonlocal next_part
        context.progress(share, f"{part.n_images} images")
        now = time.monotonic()
        if share == 1 or now >= next_part:
            context.partial({**part.to_json(by_class=False), "step": warm.step})
            next_part = now + PARTS_EVERY

    result = measure(
        warm.net,
        dataset,
        n_images=payload["n_images"],
        name=warm.name,
        recalibrate=payload.get("recalibrate", 0),
        train=payload.get("train", False),
        on_progress=tell,
        cancelled=context.cancelled,
        **{option: payload[option] for option in options},
    )
    return {**result.to_json(), "step": warm.step}
