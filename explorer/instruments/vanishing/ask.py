"""What can be asked of the causes of vanishing."""

from __future__ import annotations

from typing import Literal

from explorer.instruments import contract
from explorer.instruments.contract import Values, images, option, seed
from explorer.instruments.fresh_seeds import FromSeeds, seeds
from explorer.instruments.gradient_scales import Of, of_fresh_nets
from explorer.instruments.vanishing.result import Layers
from explorer.structure.specs import MAX_DEPTH


def _convolutional(values: Values) -> bool:
    return bool(values["layers"] == "conv")


class Ask(FromSeeds):
    """Separate the causes of vanishing gradients: activation, weight scale, padding.

    The first layer's gradient of fresh nets against depth. All start from ReLUs, He's rule and
    circular padding, which lose nothing; each other curve has one thing changed: tanh, sigmoid,
    smaller weights, zeros at the edges. With and without shortcuts and batch norm, several seeds,
    beside what is derived for infinitely wide nets. 240 nets: about 20 s on one core; fully
    connected ones 8.
    """

    subject = "data"
    split = "train"
    priority = "sweep"
    was = ("vanishing_causes",)
    examples = (
        "vanishing",
        "vanishing --layers fc",
        "vanishing --depths 8,20,56,110 --seeds 5 --csv",
        "vanishing --gain 0.9 --of outputs --html vanishing.html",
        "vanishing --data cifar10 --order original --json",
    )

    layers: Layers = option(
        "conv",
        "Layers",
        "kind of layers; fully connected ones have no padding. The first figure is there after "
        "about 8 s on one core, all three seeds after 20; fully connected in a third of that",
        words={"conv": "convolutions", "fc": "fully connected"},
    )
    gain: float = option(
        0.8,
        "Weights ×",
        "factor on the standard deviation of the initial weights, where that is the cause",
        least=0.01,
        most=10,
        step=0.05,
    )
    order: Literal["full_preact", "original"] = option(
        "full_preact",
        "Shortcut nets",
        "order of layers in convolutional nets with shortcuts",
        words={
            "full_preact": "v2: nothing between two additions",
            "original": "v1: an activation after each addition",
        },
        when=_convolutional,
    )
    depths: tuple[int, ...] = option(
        (8, 20, 32, 56),
        "Depths",
        "depths, in layers; the nearest possible ones are taken",
        least=2,
        most=MAX_DEPTH,
        longest=12,
        doors=("shell", "python"),
    )
    width: int | None = option(
        None,
        "Width",
        "number of filters of the first stage, or of units of a layer; else 16, or 71 of fully "
        "connected nets",
        least=1,
        most=2048,
        doors=("shell", "python"),
    )
    seeds: int = seeds(3)
    seed: int = seed("the first net of each, which those of the others follow")
    n_images: int = images(32, "number of training images, each class in its share")


class Show(contract.Show):
    of: Of = of_fresh_nets()
