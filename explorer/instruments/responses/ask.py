"""What can be asked of layers' responses."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import images, option


class Ask(contract.Ask):
    """Measure how strongly each layer answers.

    Standard deviation of each layer's response over test images and entries (He et al. 2015,
    Fig 7): of its output after its batch norm, before activation and addition.
    """

    was = ("layer_responses", "responses --view layers")
    examples = (
        "responses digits_plain_56 digits_resnet_v2_56",
        "responses digits_plain_56 digits_resnet_v2_56 --order size --html fig7.html",
    )

    n_images: int = images(1000)


class Show(contract.Show):
    order: Literal["layer", "size"] = option(
        "layer",
        "In order of",
        "order of the layers in the figure",
        words={"layer": "layers", "size": "size"},
        flags=["sorted=size"],
    )
