"""What can be asked of fresh nets against depth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import model_validator

from explorer.instruments import contract
from explorer.instruments.contract import images, option, seed
from explorer.instruments.fresh_seeds import FromSeeds, seeds
from explorer.instruments.gradient_scales import Of, of_fresh_nets
from explorer.structure.named_nets import Shipped, named
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import MAX_DEPTH, NetBase, NetSpec

Norms = Literal["both", "with", "without"]
NORMS: Mapping[Norms, tuple[bool, ...]] = {
    "both": (True, False),
    "with": (True,),
    "without": (False,),
}


class Ask(FromSeeds):
    """Measure gradients of fresh nets against depth.

    Of each family, with and without batch norm, from several seeds: the first layer's gradient on
    one batch of training images, before any training. The default, 120 nets, takes one core about
    half a minute on digits.
    """

    subject = "data"
    split = "train"
    priority = "sweep"
    was = ("at_init", "gradients --view init")
    examples = (
        "gradients_at_init",
        "gradients_at_init plain_20 resnet_v2_20 --depths 8,20,32,56 --of outputs",
        "gradients_at_init 'plain_20;batch_norm=false' --batch-norm without --padding zeros --csv",
    )

    nets: tuple[str, ...] = option(
        ("plain_20", "resnet_v2_20", "highway_19", "densenet_40_k12"),
        "Nets",
        "names or tokens of nets, whose depth is replaced",
        longest=8,
        doors=("shell", "python"),
        bare=True,
    )
    depths: tuple[int, ...] = option(
        (8, 20, 32, 44, 56),
        "Depths",
        "depths, in layers; of each family the nearest that it has",
        least=2,
        most=MAX_DEPTH,
        longest=12,
        doors=("shell", "python"),
    )
    batch_norm: Norms = option(
        "both", "Batch norm", "nets with batch norm, without it, or both", was={"norm": {}}
    )
    padding: Literal["circular", "zeros"] = option(
        "circular",
        "Padding",
        "padding of convolutions, where a net's name does not say it. Circular: at a map's edges "
        "they find the other side, so that nothing is lost there; zeros, the usual choice, hide "
        "what depth does on small maps",
    )
    seeds: int = seeds(3)
    seed: int = seed("the first net of each, which those of the others follow")
    n_images: int = images(64, "number of training images, each class in its share")

    @model_validator(mode="before")
    @classmethod
    def _earlier_values(cls, value: Any) -> Any:
        """Specs for names, and a list of switches for the choice of norm."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        nets = value.get("nets")
        if isinstance(nets, (list, tuple)):
            value["nets"] = tuple(_named(net) for net in nets)
        norms = value.get("batch_norm")
        if isinstance(norms, (list, tuple)):
            both = {frozenset(on): word for word, on in NORMS.items()}
            value["batch_norm"] = both.get(frozenset(norms), norms)
        return value

    def specs(self) -> list[NetSpec]:
        """The nets, with the padding where their name says none."""
        return [
            spec_of(name if _says_padding(name) else f"{name};padding={self.padding}")
            for name in self.nets
        ]


def _named(net: Any) -> Any:
    """A net's name; of a spec one that says its padding, of a trained net that of its spec.

    Raises:
        SpecError: One sentence: there is no net of this name.
    """
    if isinstance(net, str):
        found = named(net)
        if isinstance(found, Shipped):
            return _named(found.spec)
        spec_of(net)
        return net
    if isinstance(net, NetBase):
        token = token_of(net)
        return token if _says_padding(token) else f"{token};padding={net.padding}"
    return net


def _says_padding(name: str) -> bool:
    return "padding=" in name or spec_of(name).layout == "fc"


class Show(contract.Show):
    of: Of = of_fresh_nets()


assert set(NORMS) == set(get_args(Norms))
