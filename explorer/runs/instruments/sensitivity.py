"""Sensitivity as a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes.sensitivity import sensitivity as measure

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def sensitivity(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result = measure(
        warm.net,
        dataset,
        n_images=payload["n_images"] or 200,
        nudge=payload["nudge"],
        name=warm.name,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}
