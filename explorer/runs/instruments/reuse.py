"""Feature reuse as a job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from explorer.probes.reuse import feature_reuse

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def reuse(context: Context, payload: Payload) -> Payload:
    warm = context.net(payload["net"])
    result = feature_reuse(warm.net, scaled=payload["scaled"], name=warm.name)
    return {**result.to_json(), "step": warm.step}
