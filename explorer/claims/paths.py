"""Paths: how many, how long, and what they carry."""

from __future__ import annotations

from explorer.claims.contract import Claim

_VEIT = "CIFAR-10, ResNet-110 of 54 blocks"

ROWS = (
    Claim(
        key="veit16.lengths",
        says="Veit et al. 2016, Fig 6a: the lengths of the paths of a net with 54 blocks follow a "
        "binomial distribution, and more than 95 % of them (by the formula 98.0 %) have 19 to 35 "
        "blocks.",
        source="Veit16 Fig 6a",
        bears="paths:share_between",
        given={"units": 54, "low": 19, "high": 35},
        holds=(97.95, 98.05),
        unit="% of all paths",
        conditions="counted",
    ),
    Claim(
        key="veit16.effective",
        says="Veit et al. 2016, Fig 6c (CIFAR-10, ResNet-110 of 54 blocks): nearly all gradient "
        "comes from paths of 5 to 17 blocks, which are 0.45 % of all paths.",
        source="Veit16 Fig 6c",
        bears="paths:share_between",
        given={"units": 54, "low": 5, "high": 17},
        holds=(0.4495, 0.4545),
        unit="% of all paths",
        conditions=_VEIT + "; the share is counted, the gradient the paper's",
    ),
    Claim(
        key="veit16.sampled",
        says="Theirs is the curve of sampled paths: the number of paths of a length times the mean "
        "gradient of a few of them (Fig 6b).",
        source="Veit16 Fig 6b",
        conditions=_VEIT,
    ),
    Claim(
        key="paths.untrained_20",
        says="Measured here, untrained and on digits: in resnet_v2_20 the gradient of one path "
        "neither fades nor grows with its length.",
        source="measured here",
        bears="paths:one_block_more",
        given={"net": "resnet_v2_20"},
        holds=(0.9, 1.1),
        unit="× for one block more",
        conditions="untrained, digits, 32 test images, 2 draws, seeds 7 and 11 to 15; batch norm "
        "by the statistics of these images, and where most of the gradient is",
    ),
    Claim(
        key="paths.untrained_56",
        says="In resnet_v2_56 it falls by more than a third with every block it goes through.",
        source="measured here",
        bears="paths:one_block_more",
        given={"net": "resnet_v2_56"},
        holds=(0.55, 0.667),
        unit="× for one block more",
        conditions="untrained, digits, 32 test images, 2 draws, seeds 7 and 11 to 15; batch norm "
        "by the statistics of these images, and where most of the gradient is",
    ),
    Claim(
        key="paths.toy",
        says="With r = 0.25 a net of 54 blocks would have 97 % of its gradient on lengths 5 to 17.",
        source="counted",
        bears="paths:toy_held",
        given={"units": 54, "ratio": 0.25, "low": 5, "high": 17},
        holds=(97.0, 98.0),
        unit="% of the gradient",
        conditions="every block multiplies the gradient by r",
    ),
    Claim(
        key="veit16.unravelled",
        says="Veit et al. 2016, Fig 1: the unravelled view of three blocks, eight paths.",
        source="Veit16 Fig 1",
        bears="paths:number",
        given={"units": 3},
        holds=(8, 8),
        unit="paths",
        conditions="counted",
    ),
    Claim(
        key="paths.deleted",
        says="Deleting a block there switches off half of all paths; here they go one by one.",
        source="counted",
        bears="paths:switched_off",
        given={"units": 3},
        holds=(50, 50),
        unit="% of all paths",
        conditions="three blocks with two ways each",
    ),
    Claim(
        key="paths.half_as_long",
        says="Every block with a shortcut doubles the number of paths from input to output; "
        "on average they go through half of these blocks.",
        source="counted",
        bears="paths:mean_share",
        given={"nets": ("resnet_v2_20", "resnet_v2_110", "fc_highway_50", "densenet_40_k12")},
        holds=(0.4999999, 0.5000001),
        unit="mean length ÷ blocks with two ways",
        conditions="from the structure",
    ),
    Claim(
        key="paths.wider",
        says="Of the other figure's nets the deeper ones have more paths, the wider ones as many.",
        source="counted",
        bears="paths:order_of_multiplicity",
        given={"nets": ("resnet_v2_20", "resnet_v2_110", "fc_highway_50", "densenet_40_k12")},
        holds=(1, 1),
        unit="1 where it is so",
        conditions="from the structure",
    ),
    Claim(
        key="veit16.multiplicity",
        says="In the first version of their paper they call the number of paths, multiplicity, a "
        "third dimension beside depth and width.",
        source="Veit16, abstract of the first version",
    ),
)
