"""What can be asked of the loss around the weights."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.structure.specs import MAX_SEED


class Ask(contract.Ask):
    """Measure the loss around the weights.

    Loss at θ + α·δ + β·η: δ and η are random, filter by filter as long as the weights θ (Li et al.
    2018). Biases and batch norms stay. Points come from coarse to fine, and what was measured can
    be gone on from, also at a finer resolution.
    """

    was = ("loss_surface",)
    split = "train"
    priority = "sweep"
    keeps = "surfaces"
    examples = (
        "surface digits_plain_56 digits_resnet_v2_56 --html loss.html",
        "surface digits_resnet_v2_56 --resolution 51 --n 256   as in the paper: minutes",
        "surface digits_resnet_v2_56 --keep surface.json       stop it, and call it again",
        "surface digits_plain_56 digits_resnet_v2_56 --line",
        "surface digits_resnet_v2_56 --norm batch --show space --html batch.html",
    )

    n_images: int = images(128)
    resolution: int = option(
        17,
        "Points a side",
        "number of points along each axis; an odd one has the weights themselves in the middle",
        least=3,
        most=101,
        step=2,
        was={"points": {"9": 9, "17": 17, "33": 33, "51": 51}},
    )
    span: float = option(
        1.0,
        "Out to ±",
        "reach of each axis, from −SPAN to SPAN, in lengths of the weights",
        least=0.01,
        most=100,
        step=0.25,
    )
    line: bool = option(
        False, "Along one line alone", "measure along the first direction alone, which is quicker"
    )
    norm: Literal["running", "batch"] = option(
        "running",
        "Batch norm by",
        "statistics by which batch norm normalises. Running: what it has, as in Li18; of an "
        "untrained net they are those of these images at θ; or those of the batch, at each point "
        "anew",
        words={"running": "its statistics", "batch": "the batch"},
    )
    direction: int = option(0, "Directions", "seed of the two directions", least=0, most=MAX_SEED)


class Show(contract.Show):
    show: Literal["contour", "space", "line"] = option(
        "contour",
        "Show",
        "view that the figure shows; what was measured along a line is shown as one",
        words={"contour": "contours", "space": "in space", "line": "along one line"},
        when=lambda values: not values["line"],
        flags=["view"],
        formerly={"surface": "space"},
    )
    cap: float = option(
        10.0,
        "Up to a loss of",
        "loss above which all look alike in the figure",
        least=0.1,
        most=1e6,
        step=1,
    )
