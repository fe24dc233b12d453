"""Whether the gradient reaches the first layers: before training, and while a net trains."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

_FRESH = "untrained, digits, 256 training images, seeds 7 and 11 to 15"
_RATIO = "median of the first three weight layers' gradients ÷ of the last three's"

ROWS = (
    Claim(
        key="he15.healthy",
        says="He et al. 2015, section 4.1, say of plain nets trained with batch norm that their "
        "gradients exhibit healthy norms, so that vanishing ones are unlikely to be why deep plain "
        "nets are hard to optimise: that is about norms in training.",
        source="He15 §4.1",
        conditions="ImageNet, plain nets of 18 and 34 layers",
    ),
    Claim(
        key="vanishing.normed",
        says="Before any training batch norm makes a plain net's gradient explode towards the "
        "input: in plain_56 on digits it is over a thousand times as large in the first three "
        "layers as in the last three.",
        source=HERE,
        bears="vanishing:first_to_last",
        given={"net": "plain_56"},
        holds=(1_000, 20_000),
        unit=_RATIO,
        conditions=_FRESH,
    ),
    Claim(
        key="vanishing.factor",
        says="With batch norm and ReLUs a layer more multiplies an untrained plain net's gradient "
        "by 1.2; in the limit of width and batch it is √(π/(π − 1)) = 1.21 (Yang et al. 2019).",
        source=HERE,
        bears="vanishing:a_layer_more",
        given={"net": "plain_N;padding=circular"},
        holds=(1.15, 1.25),
        unit="factor of one layer more, slope over 8, 20, 32 and 56 layers",
        conditions="untrained, digits, 64 training images, seeds 7 and 11 to 15",
    ),
    Claim(
        key="vanishing.bare",
        says="In a plain net of ReLUs without batch norm the weights' gradients vanish in all "
        "layers at once or in none, because Σ w·∂L/∂w is the same in every layer: look at block "
        "outputs, or against depth.",
        source=HERE,
        bears="vanishing:shares_of_layers",
        given={"net": "plain_56;batch_norm=false"},
        holds=(0.99, 1.01),
        unit="Σ w·∂L/∂w of a layer ÷ the mean of all layers'; least and greatest of each seed",
        conditions=f"{_FRESH}; initial biases are 0",
    ),
    Claim(
        key="vanishing.flat",
        says="With circular padding as well, plain_56 begins with a far flatter curve: on digits "
        "the first three layers' gradients are less than a hundred times the last three's, from "
        "some seeds less than twice.",
        source=HERE,
        bears="vanishing:first_to_last",
        given={"net": "plain_56;batch_norm=false;padding=circular"},
        holds=(0.01, 100),
        unit=_RATIO,
        conditions=_FRESH,
    ),
    Claim(
        key="vanishing.flat_idle",
        says="Yet 330 steps of the recipe one_cycle leave that net guessing: a flat curve alone "
        "promises nothing.",
        source=HERE,
        bears="degradation:trained_anew",
        given={
            "net": "plain_56;batch_norm=false;padding=circular",
            "steps": 330,
            "seeds": 2,
        },
        holds=(80.0, 95.0),
        unit="% wrong of training images",
        conditions="digits, recipe one_cycle with 330 steps, seeds 7 and 8; guessing is 90 %",
    ),
    Claim(
        key="vanishing.in_training",
        says="While plain_56 trains on digits (330 steps of the recipe one_cycle), what was over "
        "a thousand times falls below a hundred within 200 steps.",
        source=HERE,
        bears="vanishing:first_to_last_in_training",
        given={"net": "plain_56", "steps": 330, "after": 200},
        holds=(0.01, 100),
        unit=_RATIO,
        conditions="recipe one_cycle, 330 steps; seeds 7, 11, 12 and 13; median of steps 200 to "
        "330",
    ),
    Claim(
        key="vanishing.edges",
        says="Zeros that convolutions find at the edges take a share of the signal and of the "
        "gradient at every layer, the larger the smaller the map: on digits, whose maps are of "
        "8×8 to 2×2, they alone make plain_56's gradient vanish without batch norm.",
        source=HERE,
        bears="vanishing:zeros_to_circular",
        given={"net": "plain_56;batch_norm=false"},
        holds=(1e-6, 1e-3),
        unit="first layer's gradient with zero padding ÷ with circular padding, same weights",
        conditions=_FRESH,
    ),
    Claim(
        key="propagation.doubles",
        says="Without batch norm He's rule about doubles a residual net's (v2) variance with "
        "every unit where nothing is lost at the edges (circular padding).",
        source=HERE,
        bears="vanishing:variance_a_unit",
        given={"net": "resnet_v2_56;batch_norm=false;padding=circular"},
        holds=(1.6, 2.4),
        unit="factor of the variance by a unit",
        conditions="untrained, digits, 64 training images, seeds 0 to 5",
    ),
    Claim(
        key="propagation.zeros",
        says="With zeros at the edges of the digits' small maps it grows by about 1.5 × a unit.",
        source=HERE,
        bears="vanishing:variance_a_unit",
        given={"net": "resnet_v2_56;batch_norm=false"},
        holds=(1.35, 1.75),
        unit="factor of the variance by a unit",
        conditions="untrained, digits, 64 training images, seeds 0 to 5",
    ),
)
