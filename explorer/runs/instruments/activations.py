"""Activation maps as a job: one net, one image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.runs.instruments.attribution import image_of

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def activations(context: Context, payload: Payload) -> Payload:
    from explorer.probes.activations import activation_maps

    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result = activation_maps(
        warm.net,
        dataset,
        image_of(payload),
        units=payload["units"],
        part=payload["part"],
        channels=payload["channels"],
        k=payload["k"],
        deleted=payload["deleted"],
        name=warm.name,
    )
    return {**result.to_json(), "step": warm.step}
