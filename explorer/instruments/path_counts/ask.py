"""What can be asked of the number of paths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from explorer.instruments import contract
from explorer.instruments.contract import option


class Ask(contract.Ask):
    """Count a net's paths by their length, beside nets that are deeper and wider.

    A net of n residual, highway or dense units has 2^n paths, C(n, k) of them through k branches
    (Veit et al. 2016). It is counted from the structure: neither weights nor images matter.
    """

    subject = "weights"
    was = ("multiplicity",)
    not_in_python = ("multiplicity",)  # of a spec, with no net: explorer.multiplicity
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paths --view lengths": (),
        "paths --view multiplicity": ("--show", "nets"),
    }
    examples = (
        "path_counts 'resnet_v2_110;survival_prob=0.5'",
        "path_counts resnet_v2_56 highway_31 --show nets --html nets.html",
    )


class Show(contract.Show):
    show: Literal["lengths", "nets"] = option(
        "lengths",
        "Show",
        "counts that the figure and the terminal's table show",
        words={"lengths": "paths by length", "nets": "deeper and wider nets"},
    )
