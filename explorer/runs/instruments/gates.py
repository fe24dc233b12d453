"""Gates as jobs: tables by unit and channel, how they are spread, where they are open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes import gates as measures
from explorer.results.attribution import to_png
from explorer.runs.instruments.attribution import image_of

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def gate_maps(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result = measures.gate_maps(
        warm.net,
        dataset,
        n_images=payload["n_images"],
        train=payload["train"],
        image=image_of(payload),
        of_class=payload["of_class"],
        name=warm.name,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def gate_distribution(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result = measures.gate_distribution(
        warm.net,
        dataset,
        n_images=payload["n_images"] or 1000,
        name=warm.name,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def gate_image(context: Context, payload: Payload) -> Payload:
    """The result also holds ``picture``, the image as the net sees it, a PNG in base64."""
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result, shown = measures.gate_image(
        warm.net, dataset, image=image_of(payload), channel=payload["channel"], name=warm.name
    )
    pixels = shown.pixels.permute(1, 2, 0).cpu().numpy()
    return {**result.to_json(), "picture": to_png(pixels), "step": warm.step}
