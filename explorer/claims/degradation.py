"""Deeper plain nets train worse: what the paper saw, and what survives more steps on the digits."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

_CONDITIONS = (
    "digits, recipe one_cycle; 5 seeds with 330 steps, 3 with 990 (the cards of the shipped nets), "
    "and one more trained by the check"
)

ROWS = (
    Claim(
        key="he15.degradation",
        says="He et al. 2015, Fig 1 and 6 (CIFAR-10, 64,000 steps): of plain nets of 20 to 56 "
        "layers the deeper have the higher training error and the higher test error; of residual "
        "nets of 20 to 110 layers it is the other way round.",
        source="He15 Fig 1 and 6, Table 6",
        conditions="CIFAR-10, 64k steps, batch 128",
    ),
    Claim(
        key="degradation.digits",
        says="On the digits plain nets of 110 layers get more than half of their training images "
        "wrong, with 330 steps and with three times as many.",
        source=HERE,
        bears="degradation:train_error",
        given={"name": "digits_plain_110", "seed": 21},
        holds=(50.0, 100.0),
        unit="% wrong of training images",
        conditions=_CONDITIONS,
    ),
    Claim(
        key="degradation.digits_residual",
        says="Residual nets of that depth learn all but a few of them.",
        source=HERE,
        bears="degradation:train_error",
        given={"name": "digits_resnet_v2_110", "seed": 21},
        holds=(0.0, 2.0),
        unit="% wrong of training images",
        conditions=_CONDITIONS,
    ),
    Claim(
        key="degradation.digits_shallow",
        says="So do plain nets of 20 layers.",
        source=HERE,
        bears="degradation:train_error",
        given={"name": "digits_plain_20", "seed": 21},
        holds=(0.0, 2.0),
        unit="% wrong of training images",
        conditions=_CONDITIONS,
    ),
    Claim(
        key="degradation.digits_between",
        says="Plain nets of 56 layers stand between: whether and when they learn depends on the "
        "seed; after 990 steps less than a fifth of their training images is wrong in the median, "
        "from none to more than half.",
        source=HERE,
        bears="degradation:median_error",
        given={"name": "digits_plain_56", "seed": 21, "steps": 990},
        holds=(0.0, 20.0),
        unit="% wrong of training images, median of the seeds",
        conditions="digits, recipe one_cycle with 990 steps; 11 seeds (the card of the shipped "
        "net), and one more trained by the check",
    ),
    Claim(
        key="degradation.fc_later",
        says="Here, too, more steps take some of it back, and by the seed more or less of it: with "
        "990 steps plain nets of 50 layers get less than a fifth of their training images wrong in "
        "the median of ten seeds, from hardly any to more than half.",
        source=HERE,
        bears="degradation:median_anew",
        given={"net": "fc_plain_50", "steps": 990, "seeds": 10},
        holds=(0.0, 20.0),
        unit="% wrong of training images, median of the seeds",
        conditions="digits, recipe one_cycle with 990 steps, seeds 7 to 16: 0.6 to 60.7 %, median "
        "7.5 %; with 1,980 steps 0 to 79.9 %, median 6.9 %",
    ),
)
