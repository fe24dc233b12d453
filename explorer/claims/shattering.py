"""How alike dy/dx is at two inputs, in untrained nets of one number."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

_NETS = "fully connected, width 200, batch norm, 256 points on [−2, 2]; means of 10 and 20 seeds"
_UNIT = "mean cosine of dh/dx over all pairs of inputs"

ROWS = (
    Claim(
        key="balduzzi17.shattering",
        says="Balduzzi et al. 2017 (width 200, 256 points on [−2, 2]): the gradients dy/dx of "
        "plain nets decorrelate about as 1/2ᴸ, towards white noise; those of residual nets far "
        "more slowly.",
        source="Balduzzi17",
        conditions="scalar nets at initialisation",
    ),
    Claim(
        key="shattering.plain",
        says="In plain nets with batch norm the mean cosine of dh/dx at two inputs shrinks to "
        "about 0.47 of itself with every layer from 1 to 6.",
        source=HERE,
        bears="shattering:factor_a_layer",
        given={"family": "plain"},
        holds=(0.42, 0.52),
        unit="factor of one layer more, from 1 to 6",
        conditions=_NETS,
    ),
    Claim(
        key="shattering.residual",
        says="In residual nets some 0.15 of it are left after 10 layers, where plain nets have "
        "nothing.",
        source=HERE,
        bears="shattering:mean_cosine",
        given={"family": "residual", "depth": 10},
        holds=(0.12, 0.18),
        unit=_UNIT,
        conditions=_NETS,
    ),
    Claim(
        key="shattering.highway",
        says="In highway nets it depends on the gates' bias: with −4 some 0.3 are left after 50 "
        "layers; with −2 nothing is, and one of the 256 points holds nearly all of Σ g², so that "
        "its autocorrelation says nothing.",
        source=HERE,
        bears="shattering:largest_share",
        given={"family": "highway", "depth": 50, "transform_bias": -2.0},
        holds=(0.9, 1.0),
        unit="share of Σ|dh/dx|² at the largest of 256 points, median of the seeds",
        conditions=_NETS,
    ),
)
