"""What can be asked of shattered gradients."""

from __future__ import annotations

from typing import Literal

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import Values, option, seed
from explorer.instruments.fresh_seeds import FromSeeds, seeds
from explorer.instruments.shattering.result import ScalarFamily


def _of_a_depth(values: Values) -> bool:
    return bool(values["show"] != "depth")


class Ask(FromSeeds):
    """Measure how gradients shatter with depth, in small untrained nets.

    Nets of one input and one output: how alike dy/dx is at two inputs. No data, no loss; a second
    or two for each family.
    """

    subject = "none"
    priority = "sweep"
    was = ("shattered_gradients",)
    examples = (
        "shattering",
        "shattering --families plain,residual --depths 2,10,50 --beta 0.1",
        "shattering --families plain --no-batch-norm",
        "shattering --show depth --html shattering.html",
    )
    about = says(
        "balduzzi17.shattering", "shattering.plain", "shattering.residual", "shattering.highway"
    )

    families: tuple[ScalarFamily, ...] = option(
        ("plain", "residual", "highway"),
        "Nets",
        "families of nets",
        longest=3,
        doors=("shell", "python"),
    )
    depths: tuple[int, ...] = option(
        (2, 4, 10, 24, 50),
        "Depths",
        "numbers of layers after the first",
        least=1,
        most=100,  # without batch norm the responses double in variance with every layer
        longest=16,
        doors=("shell", "python"),
    )
    batch_norm: bool = option(True, "Batch norm", "give the nets batch norm")
    beta: float = option(
        1.0, "β, on F of residual nets", "factor on F of residual nets", least=0, most=1, step=0.1
    )
    seeds: int = seeds(10, doors=("page", "shell", "python"))
    transform_bias: float = option(
        -2.0,
        "b_T of highway nets",
        "bias of the gates of highway nets",
        least=-20,
        most=20,
        step=0.5,
        was={"bias": {}},
    )
    width: int = option(
        200, "Width", "number of units of each layer", least=1, most=1024, doors=("shell", "python")
    )
    points: int = option(
        256,
        "Points",
        "number of inputs, from −2 to 2",
        least=4,
        most=4096,
        doors=("shell", "python"),
    )
    seed: int = seed("the first net of each, which those of the others follow")


class Show(contract.Show):
    show: Literal["autocorrelation", "cosine", "gradient", "depth"] = option(
        "autocorrelation",
        "Show",
        "quantity that the figure shows",
        words={
            "autocorrelation": "likeness by distance",
            "cosine": "directions by distance",
            "gradient": "dy/dx itself",
            "depth": "directions by depth",
        },
        formerly={"likeness": "depth"},
    )
    depth: Literal["2", "4", "10", "24", "50"] = option(
        "50",
        "Layers",
        "number of layers of the nets that are drawn, or the nearest that was measured",
        when=_of_a_depth,
    )
