"""The loss around the weights."""

from __future__ import annotations

from explorer.claims.contract import Claim

ROWS = (
    Claim(
        key="li18.surface",
        says="Li et al. 2018 (51 × 51 points, CIFAR-10): without shortcuts the surface of a deep "
        "net turns chaotic.",
        source="Li18 abstract, Fig 1 and 5",
        conditions="CIFAR-10",
    ),
    Claim(
        key="li18.errors",
        says="Test error with and without shortcuts there: ResNet-20 7.37 and 8.18 %, ResNet-56 "
        "5.89 and 13.31 %, ResNet-110 5.79 and 16.44 %.",
        source="Li18",
        conditions="CIFAR-10, test error",
    ),
)
