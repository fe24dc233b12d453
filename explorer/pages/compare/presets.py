"""Sets of nets to start from: what works beside what fails."""

from __future__ import annotations

from dataclasses import replace

from explorer.pages.server.visitors import data_info
from explorer.pages.shared.state import PageState
from explorer.structure.cards import Card, shipped
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import MAX_LANES, NetSpec

PRESETS: dict[str, tuple[str, ...]] = {
    "Deeper: plain and residual": ("plain_20", "plain_110", "resnet_v2_110"),
    "Plain, residual, highway": ("plain_56", "resnet_v2_56", "fc_highway_50;transform_bias=-4"),
    "Four families": (
        "plain_56",
        "resnet_v2_56",
        "fc_highway_50;transform_bias=-4",
        "densenet_40_k12",
    ),
    "Plain nets, deeper and deeper": ("plain_8", "plain_20", "plain_56", "plain_110"),
    "Residual nets, deeper and deeper": (
        "resnet_v2_8",
        "resnet_v2_20",
        "resnet_v2_56",
        "resnet_v2_110",
    ),
    "Vanishing gradients: batch norm off and on": (
        "plain_56;batch_norm=false",
        "plain_56",
        "resnet_v2_56",
    ),
    "Batch norm off": (
        "plain_20;batch_norm=false",
        "resnet_v2_20;batch_norm=false",
        "resnet_v2_20;batch_norm=false;init=branch_scaled",
    ),
    "Highway: how shut the gates start": (
        "fc_plain_20",
        "fc_highway_20;transform_bias=0",
        "fc_highway_20",
        "fc_highway_20;transform_bias=-6",
    ),
    "v1 beside v2, 56 layers": ("resnet_v1_56", "resnet_v2_56"),
    "v1 beside v2, 110 layers": ("resnet_v1_110", "resnet_v2_110"),
    "The reference nets, 25 layers": (
        "reference_plain_25",
        "reference_residual_25",
        "reference_highway_25",
        "reference_dense_25",
    ),
}


def preset_nets(name: str) -> tuple[NetSpec, ...]:
    return tuple(spec_of(token) for token in PRESETS[name])


def shipped_elsewhere() -> dict[str, tuple[Card, ...]]:
    """Shipped nets for other images than the digits, by words: a set each that trained alike,
    if not all as long."""
    found: dict[str, tuple[Card, ...]] = {}
    for card in sorted(shipped().values(), key=lambda card: (card.spec.family, card.spec.depth)):
        if card.data.name == "digits":
            continue
        name = f"{data_info(card.data).title}: trained nets"
        like = found.get(name, ())
        first = like[0] if like else card
        alike = (first.data, first.seed) == (card.data, card.seed)
        alike = alike and first.recipe.is_but_for_length(card.recipe)
        if alike and len(like) < MAX_LANES:
            found[name] = (*like, card)
    return found


def offered() -> list[str]:
    """Every set of nets to start from."""
    return [*PRESETS, *shipped_elsewhere()]


def start_from(state: PageState, name: str) -> PageState:
    """The page with a set of nets; shipped ones bring their images, recipe and seed."""
    if name in PRESETS:
        return state.with_lanes(preset_nets(name))
    cards = shipped_elsewhere()[name]
    first = cards[0]
    other = replace(
        state,
        data=first.data,
        info=data_info(first.data),
        training=first.recipe,
        seed=first.seed,
        image=0,
        own="",
    )
    return other.with_lanes(tuple(card.spec for card in cards))


def preset_of(state: PageState) -> str | None:
    """The preset that is on the screen; None where somebody chose nets of their own."""
    for name, cards in shipped_elsewhere().items():
        if state.data == cards[0].data and state.lanes == tuple(card.spec for card in cards):
            return name
    shown = tuple(token_of(net) for net in state.lanes)
    return next((name for name, tokens in PRESETS.items() if tokens == shown), None)
