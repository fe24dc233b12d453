"""Test errors on CIFAR-10 that public re-implementations report, and who reported them."""

from __future__ import annotations

REPORTERS = {
    "gcr": "gcr/torch-residual-networks",
    "akamaster": "akamaster/pytorch_resnet_cifar10",
    "bamos": "bamos/densenet.pytorch",
    "bearpaw": "bearpaw/pytorch-classification",
    "taylor-914": "taylor-914",
}
# By net, in per cent.
REPORTED: dict[str, tuple[tuple[float, str], ...]] = {
    "resnet_v1_20": ((8.29, "gcr"), (8.27, "akamaster")),
    "resnet_v1_56": ((6.94, "gcr"), (6.61, "akamaster")),
    "resnet_v1_110": ((6.73, "gcr"), (6.32, "akamaster")),
    "densenet_bc_100_k12": ((4.77, "bamos"), (4.54, "bearpaw")),
    "densenet_40_k12": ((5.32, "taylor-914"),),
}
# A comparison of activation orders at 110 layers, beside He16 Table 2; what that table has.
ORDERS: dict[str, tuple[float, str]] = {
    "original": (6.97, "gcr"),
    "bn_after_addition": (13.56, "gcr"),
}


def reported(net: str) -> str:
    """ "8.29 % (gcr), 8.27 % (akamaster)"; empty where nobody's is known."""
    return ", ".join(f"{percent:.2f} % ({who})" for percent, who in REPORTED.get(net, ()))
