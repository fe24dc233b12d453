"""What flows through blocks."""

from __future__ import annotations

from explorer.claims.measures.nets import images, shipped_names, trained
from explorer.instruments.functions import conductance


def around(family: str, n: int) -> list[float]:
    """Logits that pass a block by: the most over blocks, of the first ``n`` test images."""
    return [
        float(abs(conductance(trained(name), images(), image).shortcut).max())
        for name in shipped_names(family)
        for image in range(n)
    ]
