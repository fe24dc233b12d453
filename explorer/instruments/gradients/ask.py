"""What can be asked of gradients by layer."""

from __future__ import annotations

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import images, option
from explorer.instruments.gradient_scales import Of


class Ask(contract.Ask):
    """Measure the gradient's magnitude layer by layer.

    Root mean square of the loss gradient over each layer's weights, and over each unit's output,
    on one batch of training images.
    """

    was = ("layer_gradients", "gradients --view layers")
    split = "train"
    examples = (
        "gradients plain_56 --data digits             an untrained net: it explodes",
        "gradients 'plain_56;batch_norm=false'        the weights of all layers alike",
        "gradients digits_plain_56 digits_resnet_v2_56 --html gradients.html",
    )
    about = says("he15.healthy", "vanishing.normed", "vanishing.bare")

    n_images: int = images(256, "number of training images, each class in its share")


class Show(contract.Show):
    of: Of = option(
        "parameters",
        "Gradient of",
        "gradient of each layer's weights, or of what each block gives to the next",
        words={"parameters": "weights", "outputs": "block outputs"},
    )
