"""What can be asked of the gradient by path length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from explorer.claims import says
from explorer.instruments import contract
from explorer.instruments.contract import images, option, seed
from explorer.structure.blueprint import Blueprint

MOST_UNITS = 1000  # C(n, k) is a float until then


class Ask(contract.Ask):
    """Measure which paths through a net carry the gradient.

    A net of n residual, highway or dense units has 2^n paths; a path's length is how many branches
    it takes (Veit et al. 2016). Three curves by length: the exact sum of all paths of a length
    (coherent), the root of their summed squares (incoherent), and the paper's C(n, k) times the
    mean norm of sampled paths. How many paths there are is `skipscope path_counts`; what switching
    them off does, `skipscope unravelled`.
    """

    priority = "sweep"
    was = ("path_gradients",)
    views: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "paths --view gradient": (),
        "paths --view toy": ("--show", "toy"),
    }
    examples = (
        "paths digits_resnet_v2_56",
        "paths digits_resnet_v2_56 --draws 8 --n 360 --html paths.html",
        "paths digits_resnet_v2_56 --show shares --png shares.png",
        "paths resnet_v2_110 --data cifar10 --longest 20 --draws 0 --json",
        "paths resnet_v2_56 --show toy --html toy.html        r is a slider there",
    )

    n_images: int = images(64)
    draws: int = option(
        4,
        "Draws an image",
        "number of random paths of every length, and of random signs, for every image; 0 for the "
        "exact curve alone",
        least=0,
        most=100,
    )
    longest: int | None = option(
        None,
        "Longest path",
        "greatest length that is measured, from 0 on, which is quicker than all",
        least=1,
        doors=("shell", "python"),
    )
    seed: int = seed("the draws")

    @classmethod
    def not_for(cls, plan: Blueprint) -> str | None:
        two_way = sum(unit.parts_ways for unit in plan.units)
        if two_way == 0:
            return (
                f"A {plan.spec.family} net has a single path, because nothing passes its blocks "
                "by: look at its gradients, or choose a residual, highway or dense net, such as "
                "digits_resnet_v2_56."
            )
        if two_way > MOST_UNITS:
            return (
                f"This net has {two_way:,} units with two ways, and {MOST_UNITS:,} are the limit, "
                "because the number of paths is then no number of double precision: choose less "
                "depth."
            )
        return None


class Show(contract.Show):
    show: Literal["curves", "per_path", "shares", "toy"] = option(
        "curves",
        "Show",
        "curves that the figure shows; per_path is divided by C(n, k), shares are beside those of "
        "all paths",
        words={
            "curves": "gradient of a length",
            "per_path": "of one path",
            "shares": "shares",
            "toy": "toy",
        },
        flags=["of"],
    )
    r: float = option(
        0.25,
        "r of the toy",
        "factor by which every block of the toy multiplies the gradient. " + says("paths.toy"),
        least=0.01,
        most=1.5,
        step=0.01,
        slider=True,
        when=lambda values: values["show"] == "toy",
        flags=["ratio"],
    )
