"""Gradients that come by shortcuts and by branches."""

from __future__ import annotations

from explorer.claims.contract import HERE, Claim

ROWS = (
    Claim(
        key="he16.eq5",
        says="He et al. 2016, Eq 5, as measured: with identity shortcuts the direct term is "
        "∂E/∂x_L itself.",
        source="He16 Eq 5",
    ),
    Claim(
        key="terms.v2",
        says="In pre-activation nets (v2) it is handed on unchanged from block to block, and falls "
        "only where the shape changes, because option A drops maps and pixels.",
        source=HERE,
        bears="terms:handed_on_in_stages",
        given={"net": "resnet_v2_20"},
        holds=(0.9999, 1.0001),
        unit="direct term at a block's input ÷ at its output, of blocks that keep the shape",
        conditions="untrained, digits, 128 training images, seeds 7 and 11 to 15; least and "
        "greatest of each",
    ),
    Claim(
        key="terms.v1",
        says="In the original order (v1) the ReLU after every addition cuts it, too: at the start "
        "of training each block of ResNet-20 that keeps the shape hands on about nine tenths.",
        source=HERE,
        bears="terms:handed_on_in_stages",
        given={"net": "resnet_v1_20"},
        holds=(0.83, 0.97),
        unit="direct term at a block's input ÷ at its output, of blocks that keep the shape",
        conditions="untrained, digits, 128 training images, seeds 7 and 11 to 15; least and "
        "greatest of each",
    ),
    Claim(
        key="he16.scaling",
        says="He et al. 2016, Eq 8 and Table 1. Their ResNet-110 (CIFAR-10, median of 5 runs) "
        "failed to train with λ = 0.5 (error above 20 %), and came to 12.35 % with 0.5 on the "
        "branch as well, against 6.61 % of the original.",
        source="He16 Eq 8, Table 1",
        conditions="CIFAR-10, ResNet-110, test error, median of 5 runs",
    ),
)
