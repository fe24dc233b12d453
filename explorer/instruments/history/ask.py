"""What can be asked of a training's records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import option
from explorer.instruments.history.result import WORDS, Quantity

Of = Literal["parameters", "outputs", "responses", "gates"]
QUANTITIES: Mapping[Of, Quantity] = {
    "parameters": "parameter_rms",
    "outputs": "output_rms",
    "responses": "response_sd",
    "gates": "gate_mean",
}


class Ask(contract.Ask):
    """Show what happened in every layer while a net trained.

    Layer by step, from a training's folder or of a trained net's training: gradients of the weights
    or of block outputs, layers' responses, or gates.
    """

    subject = "training"
    split = "train"
    was = ("gradients --view history",)
    examples = (
        "history runs/he15 --html history.html",
        "history digits_plain_110                     as its training was, before it shipped",
        "history runs/he15 --lane 2 --of gates",
        "history runs/he15 --drawn ends              first and last layers, by step",
    )

    of: Of = option(
        "parameters",
        "Show",
        "quantity that the figure shows",
        words={of: WORDS[quantity] for of, quantity in QUANTITIES.items()},
        formerly={quantity: of for of, quantity in QUANTITIES.items()},
    )


class Show(contract.Show):
    drawn: Literal["map", "ends"] = option(
        "map",
        "As",
        "layers that the figure shows",
        words={"map": "every layer", "ends": "first and last layers"},
        flags=["ends=ends"],
        was={"as": {}},
    )
