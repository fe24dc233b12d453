"""What differs between lanes, in words; and that twins do start from the same weights."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from explorer.nets import create_net
from explorer.structure.names import spec_of
from explorer.structure.shared_start import same_start, what_differs, what_differs_between
from explorer.structure.specs import RECIPES, DataSpec, ExperimentSpec, NetSpec, fit


def nets(*tokens: str) -> list[NetSpec]:
    return [fit(spec_of(token), (1, 8, 8), 10) for token in tokens]


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        (
            ("plain_20", "resnet_v1_20"),
            "The lanes differ in family (plain / residual) and order (– / original). "
            "All 20 layers start from the same weights.",
        ),
        (
            ("plain_20", "resnet_v2_20"),
            "The lanes differ in family (plain / residual). "
            "All 20 layers start from the same weights.",
        ),
        (
            ("resnet_v2_20", "resnet_v2_20;shortcut=B"),
            "The lanes differ in shortcut (A / B). All 20 layers start from the same weights.",
        ),
        (
            ("fc_plain_10", "fc_residual_10", "fc_highway_10;transform_bias=-3"),
            "The lanes differ in family (plain / residual / highway), init (he / branch scaled / "
            "he), width (71 / 71 / 50) and transform bias (– / – / −3). Lane 2 starts from the "
            "same weights as lane 1 in 1 of 10 layers, lane 3 in none of 10 layers.",
        ),
        (
            ("plain_8", "plain_8"),
            "The lanes are all alike. All 8 layers start from the same weights.",
        ),
        (
            ("plain_20", "plain_20;padding=circular"),
            "The lanes differ in padding (zeros / circular). "
            "All 20 layers start from the same weights.",
        ),
        (
            ("plain_20", "plain_20;init_gain=0.5"),
            "The lanes differ in init gain (1 / 0.5). "
            "Lane 2 starts from the same weights as lane 1 in none of 20 layers.",
        ),
        (("plain_8",), "There is one lane, so nothing is compared."),
    ],
)  # fmt: skip
def test_what_differs(tokens: tuple[str, ...], sentence: str) -> None:
    assert what_differs(nets(*tokens)) == sentence


def test_a_duplicate_does_not_start_from_the_seed() -> None:
    lanes = nets("plain_8", "resnet_v2_8", "plain_8")
    assert what_differs(lanes, [2]) == (
        "The lanes differ in family (plain / residual / plain). Lane 2 starts from the same "
        "weights as lane 1 in all 8 layers. Lane 3 went on from another lane's weights."
    )
    assert what_differs(lanes[:2], [1]).endswith(
        "(plain / residual). Lane 2 went on from another lane's weights."
    )


def test_other_seeds_do_not_start_alike() -> None:
    lanes = nets("plain_8", "plain_8", "resnet_v2_8", "plain_8")
    assert what_differs(lanes, forked=[3], reseeded=[1, 2, 3]) == (
        "The lanes differ in family (plain / plain / residual / plain). Lanes 2 and 3 start from "
        "another seed's weights. Lane 4 went on from another lane's weights."
    )


TOKENS = (
    "plain_14",
    "plain_14;init=xavier",
    "plain_14;init_gain=0.5",
    "plain_14;padding=circular",
    "resnet_v1_14",
    "resnet_v2_14;init=zero_last_scale",
    "resnet_v1_14;init=zero_last_scale",
    "resnet_v2_14;init=branch_scaled",
    "resnet_v2_20",
    "highway_13",
    "densenet_13_k12",
    "fc_plain_14;width=20",
    "fc_residual_14;width=20",
    "fc_highway_14;width=20",
)


@pytest.mark.parametrize(("left", "right"), [*combinations(TOKENS, 2)])
def test_layers_said_to_start_alike_do(left: str, right: str) -> None:
    """Counted on the nets themselves: weights at the same place of the depth, bit for bit."""
    specs = nets(left, right)

    def drawn(spec: NetSpec) -> dict[int, torch.Tensor]:
        net = create_net(spec, seed=3)
        layers = net.blueprint.weight_layers
        return {
            x.depth_index: net.get_parameter(f"{x.name}.weight") for x in layers if x.depth_index
        }

    ours, theirs = map(drawn, specs)
    same = sum(i in theirs and torch.equal(w, theirs[i]) for i, w in ours.items())
    assert same_start(*specs) == (same, max(len(ours), len(theirs)))


def test_what_differs_between_experiments() -> None:
    left = ExperimentSpec(lanes=nets("plain_8"))  # type: ignore[arg-type]
    assert what_differs_between(left, left) == "They have the same data, recipe and seeds."
    right = ExperimentSpec(
        lanes=left.lanes,
        data=DataSpec(train_limit=100),
        training=RECIPES["one_cycle"].model_copy(update={"learning_rate": 0.01}),
        seed=8,
    )
    assert what_differs_between(left, right) == (
        "Besides their nets they differ in train limit (none / 100), learning rate (0.1 / 0.01) "
        "and seed (7 / 8)."
    )
