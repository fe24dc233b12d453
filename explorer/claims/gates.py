"""Gates of highway nets and of gated shortcuts."""

from __future__ import annotations

from explorer.claims.contract import Claim

ROWS = (
    Claim(
        key="sgs15.biases",
        says="Srivastava et al. 2015, Fig 2: gates of 50-layer highway nets, whose biases started "
        "at −2 (MNIST) and −4 (CIFAR-100).",
        source="SGS15 Fig 2",
        conditions="MNIST, CIFAR-100; 50 layers",
    ),
    Claim(
        key="sgs15.maps",
        says="Srivastava et al. 2015, Fig 2 (biases, mean over the training set, one sample, its "
        "block outputs) and Fig 3 (class mean less mean), there of 50-layer nets on MNIST and "
        "CIFAR-100.",
        source="SGS15 Fig 2 and 3",
        conditions="MNIST, CIFAR-100; 50 layers; training set",
    ),
    Claim(
        key="sgs15.no_places",
        says="None of the papers' figures: theirs show fully connected nets, without places.",
        source="SGS15 Fig 2",
    ),
)
