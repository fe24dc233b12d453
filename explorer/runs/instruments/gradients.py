"""Gradients as jobs: by term, of fresh nets against depth and by cause, with scaled shortcuts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes import gradient_terms as terms
from explorer.probes.gradients_at_init import gradients_at_init as measure_at_init
from explorer.probes.vanishing import vanishing_causes
from explorer.results import GradientsAtInit, ShortcutScaling, VanishingCauses
from explorer.specs import fit, parse_net

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def gradient_terms(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    result = terms.gradient_terms(
        warm.net,
        dataset,
        n_images=payload["n_images"] or 128,
        name=warm.name,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def gradients_at_init(context: Context, payload: Payload) -> Payload:
    def tell(part: GradientsAtInit, share: float) -> None:
        context.partial(part.to_json())
        context.progress(share, f"{len(part.rows)} nets")

    return measure_at_init(
        context.dataset(payload),
        payload["nets"],
        depths=payload["depths"],
        batch_norm=payload["batch_norm"],
        seeds=payload["seeds"],
        n_images=payload["n_images"] or 64,
        on_progress=tell,
        cancelled=context.cancelled,
    ).to_json()


def vanishing(context: Context, payload: Payload) -> Payload:
    def tell(part: VanishingCauses, share: float) -> None:
        context.partial(part.to_json())
        context.progress(share, f"{len(part.rows)} nets")

    return vanishing_causes(
        context.dataset(payload),
        layers=payload["layers"],
        depths=payload["depths"],
        seeds=payload["seeds"],
        gain=payload["gain"],
        width=payload["width"],
        order=payload["order"],
        n_images=payload["n_images"] or 32,
        on_progress=tell,
        cancelled=context.cancelled,
    ).to_json()


def shortcut_scaling(context: Context, payload: Payload) -> Payload:
    dataset = context.dataset(payload)
    shape, classes = dataset.info.input_shape, len(dataset.info.classes)

    def tell(part: ShortcutScaling, share: float) -> None:
        context.partial(part.to_json())
        context.progress(share, f"λ = {part.scale[-1]:g}")

    return terms.shortcut_scaling(
        fit(parse_net(payload["spec"]), shape, classes),
        dataset,
        scales=payload["scales"],
        n_images=payload["n_images"] or 64,
        seed=payload["seed"],
        on_progress=tell,
        cancelled=context.cancelled,
    ).to_json()
