"""Numbers that papers print for nets; each net's own stand in :mod:`explorer.structure.names`."""

from __future__ import annotations

from explorer.claims.contract import Claim

ROWS = (
    Claim(
        key="names.preact",
        says="So ResNet-110's 6.43 is the best of five runs; like for like, in medians of five, "
        "full pre-activation takes it from 6.61 to 6.37.",
        source="He15 Table 6; He16 Table 2",
        bears="names:medians",
        given={"nets": ("resnet_v1_110", "resnet_v2_110")},
        holds=(6.37, 6.61),
        unit="% test error, as the rows of names have them",
        conditions="CIFAR-10, ResNet-110, medians of 5 runs",
    ),
)
