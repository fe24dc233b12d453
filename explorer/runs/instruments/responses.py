"""Responses as jobs: of layers, of branches, the classifier by unit, the estimation error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.probes import responses as measures

if TYPE_CHECKING:
    from explorer.runs.jobs import Context

Payload = dict[str, Any]


def responses(context: Context, payload: Payload) -> Payload:
    return _measured(context, payload, measures.layer_responses, 1000)


def branches(context: Context, payload: Payload) -> Payload:
    return _measured(context, payload, measures.branch_responses, 256)


def classifier_by_unit(context: Context, payload: Payload) -> Payload:
    return _measured(context, payload, measures.classifier_by_unit, None)


def estimation_error(context: Context, payload: Payload) -> Payload:
    return _measured(context, payload, measures.estimation_error, 256)


def _measured(
    context: Context, payload: Payload, measure: Callable[..., Any], usual: int | None
) -> Payload:
    """A measurement's result.

    Args:
        usual: Images, where the request leaves that to the instrument; None takes all.
    """
    warm, dataset = context.net(payload["net"]), context.dataset(payload)
    n_images = payload["n_images"] or usual
    result = measure(
        warm.net, dataset, n_images=n_images, name=warm.name, cancelled=context.cancelled
    )
    return {**result.to_json(), "step": warm.step}
