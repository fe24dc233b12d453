"""Answers with a program of units as a job: one net, refined while it is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes.answers import program_answers
from explorer.results import ProgramAnswers

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def answers(context: Context, payload: Payload) -> Payload:
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    plan = warm.net.blueprint
    program = payload["program"]

    def tell(part: ProgramAnswers, share: float) -> None:
        context.partial({**part.to_json(), "step": warm.step})
        context.progress(share, f"{part.n_images} images")

    result = program_answers(
        warm.net,
        dataset,
        range(len(plan.units)) if program is None else program,
        n_images=payload["n_images"],
        name=warm.name,
        on_progress=tell,
        cancelled=context.cancelled,
    )
    return {**result.to_json(), "step": warm.step}
