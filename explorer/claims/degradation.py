"""Error against depth."""

from __future__ import annotations

from explorer.claims.contract import Claim

ROWS = (
    Claim(
        key="he15.degradation",
        says="He et al. 2015, Fig 1 and 6 (CIFAR-10, 64,000 steps): of plain nets of 20 to 56 "
        "layers the deeper have the higher training error and the higher test error; of residual "
        "nets of 20 to 110 layers it is the other way round.",
        source="He15 Fig 1 and 6, Table 6",
        conditions="CIFAR-10, 64k steps, batch 128",
    ),
)
