"""What holds at initialisation as jobs: propagation net by net, shattering family by family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes.propagation import propagation as propagate
from explorer.probes.shattering import shattered_gradients
from explorer.results import Propagation

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def propagation(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)

    def tell(part: Propagation, share: float) -> None:
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{part.seeds} nets" if part.seeds > 1 else "1 net")

    result = propagate(
        warm.net,
        dataset,
        n_images=payload["n_images"] or 64,
        seeds=payload["seeds"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}


def shattering(context: Context, payload: Payload) -> Payload:
    families = payload["families"]
    done: list[Payload] = []
    for family in families:
        context.progress(len(done) / len(families), family)
        measured = shattered_gradients(
            family,
            depths=payload["depths"],
            batch_norm=payload["batch_norm"],
            width=payload["width"],
            seeds=payload["seeds"],
            beta=payload["beta"] if family == "residual" else 1.0,
            transform_bias=payload["transform_bias"],
            cancelled=context.cancelled,
        )
        done.append(measured.to_json())
        context.partial({"families": list(done)})
    return {"families": done}
