"""What a training recorded of each layer, unit or gate, as a table: layer × step. No torch."""

from __future__ import annotations

from explorer.errors import NotApplicableError
from explorer.instruments.contract import Job, Training
from explorer.instruments.history.ask import QUANTITIES, Ask
from explorer.instruments.history.result import RECORDED, LayerHistory, Quantity
from explorer.runs.serve.recorded_as_results import places

RESPONSE_IMAGES = 100  # explorer.training.recording.IMAGES, which imports torch; a test compares


def measure(training: Training, ask: Ask, job: Job) -> LayerHistory:
    """The history of one lane.

    Cost: none but reading; it was measured while the net trained.
    """
    return layer_history(training, QUANTITIES[ask.of])


def layer_history(training: Training, quantity: Quantity = "parameter_rms") -> LayerHistory:
    """See :class:`LayerHistory`.

    Raises:
        NotApplicableError: Gates are asked for, and the net has none.
        RunError: Nothing was recorded yet.
    """
    plan = training.plan
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
        rows = list(places(plan, "gates", "mean"))
        if not rows:
            raise NotApplicableError(
                f"The training of a {plan.spec.family} net without gates records none; look at its "
                "gradients, or train a highway net, such as fc_highway_50."
            )
    return LayerHistory.from_records(
        training.records(RECORDED[quantity][0]),
        quantity,
        rows,
        net=training.net,
        data=training.data,
        n_images=RESPONSE_IMAGES if quantity == "response_sd" else training.batch_size,
        kept=kept,
    )
