"""Blocks deleted, moved, held: the papers' figures, and what the shipped nets show."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

_VEIT = "CIFAR-10, ResNet-110 of 54 blocks, test error"
_SHIPPED = "nets that ship for the digits, but those meant to fail; all test images"

ROWS = (
    Claim(
        key="veit16.delete_one",
        says="Veit et al. 2016, Fig 3 (CIFAR-10, test error): a VGG-like net falls to chance "
        "whichever layer is deleted; ResNet-110 of 54 blocks hardly changes, a little more at the "
        "down-sampling blocks.",
        source="Veit16 Fig 3",
        conditions=_VEIT,
    ),
    Claim(
        key="veit16.delete_several",
        says="Veit et al. 2016, Fig 5a (CIFAR-10, ResNet-110 of 54 blocks): with more and more "
        "blocks deleted at random the test error grows smoothly, to about 0.2 at 10 blocks and "
        "far more at 20.",
        source="Veit16 Fig 5a",
        conditions=_VEIT,
    ),
    Claim(
        key="veit16.shuffle",
        says="Veit et al. 2016, Fig 5b (CIFAR-10, ResNet-110 of 54 blocks): with blocks of one "
        "shape reordered at random the test error grows smoothly, the more so the lower Kendall's "
        "τ.",
        source="Veit16 Fig 5b",
        conditions=_VEIT,
    ),
    Claim(
        key="veit16.no_stages",
        says="No figure of the papers: Veit et al. 2016 delete single blocks (Fig 3) and random "
        "ones (Fig 5a).",
        source="Veit16 Fig 3 and 5a",
    ),
    Claim(
        key="veit16.no_pairs",
        says="No figure of the papers: Veit et al. 2016 let many pairs change places (Fig 5b); "
        "here each pair is swapped alone.",
        source="Veit16 Fig 5b",
    ),
    Claim(
        key="veit16.indispensable",
        says="Veit et al. 2016 say of deleted blocks what this asks of intact ones: deleting any "
        "one of them hardly changes ResNet-110 (Fig 3).",
        source="Veit16 Fig 3",
        conditions=_VEIT,
    ),
    Claim(
        key="sgs15.delete_one",
        says="Srivastava et al. 2015, Fig 4, set the gates of one layer of a 50-layer highway net "
        "to T = 0 and give the error on the full training set: on MNIST the early layers matter "
        "and about 60 % of the layers do almost nothing; on CIFAR-100 the first 40 or so matter.",
        source="SGS15 Fig 4",
        conditions="MNIST, CIFAR-100; 50 layers; error on the training set",
    ),
    Claim(
        key="lesions.residual",
        says="Of the nets that ship for the digits a residual one of 56 layers or more loses less "
        "than 1 point without the middle one of its blocks, put in order of cost.",
        source=HERE,
        bears="lesions:median_cost",
        given={"family": "residual", "least_depth": 56},
        holds=(-1.0, 1.0),
        unit="points",
        conditions=_SHIPPED,
    ),
    Claim(
        key="lesions.plain",
        says="A plain one falls to 20 % or less without the middle one.",
        source=HERE,
        bears="lesions:median_left",
        given={"family": "plain"},
        holds=(0.0, 20.0),
        unit="% right",
        conditions=_SHIPPED + "; chance is 10 %",
    ),
)
