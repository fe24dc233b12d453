"""What a training recorded of each layer, unit or gate, as a table: layer × step. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from explorer.blueprint import Blueprint
from explorer.errors import NotApplicableError
from explorer.results import LayerHistory, Record
from explorer.results.history import Quantity
from explorer.runs.recorded import places

RESPONSE_IMAGES = 100  # explorer.training.recording.IMAGES, which imports torch; a test compares


def layer_history(
    plan: Blueprint,
    records: Iterable[Record],
    quantity: Quantity = "parameter_rms",
    *,
    net: str,
    data: str,
    batch_size: int,
) -> LayerHistory:
    """The history of one lane; see :class:`LayerHistory`.

    Args:
        plan: Of the lane's net, whose layers, units and gates the recorded numbers are.
        records: Of that lane alone, in order of step.
        batch_size: Images of a training batch.

    Raises:
        NotApplicableError: Gates are asked for, and the net has none.
        RunError: Nothing was recorded yet.
    """
    kept = None
    if quantity == "parameter_rms":
        # Projections and gates have no place on the depth axis.
        kept = [i for i, layer in enumerate(plan.weight_layers) if layer.depth_index]
        rows = [plan.weight_layers[i].name for i in kept]
    elif quantity == "response_sd":
        rows = list(places(plan, "responses", "sd"))
    elif quantity == "output_rms":
        rows = [unit.name for unit in plan.units]
    else:
        rows = [unit.name for unit in plan.units if unit.kind == "highway"]
        if not rows:
            raise NotApplicableError(
                f"The training of a {plan.spec.family} net records no transform gates; look at its "
                "gradients, or train a highway net, such as fc_highway_50."
            )
    n_images = RESPONSE_IMAGES if quantity == "response_sd" else batch_size
    return LayerHistory.from_records(
        records, quantity, rows, net=net, data=data, n_images=n_images, kept=kept
    )
