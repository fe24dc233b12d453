"""The link is the page's only state: it round-trips, and rubbish in it is a sentence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explorer.pages.compare.net_choices import KINDS, changed, depths_of, layouts_of
from explorer.pages.shared.state import PageState, default_state, from_query, to_query
from explorer.structure.names import spec_of
from explorer.structure.specs import RECIPES, DataSpec, fit


def rich_state() -> PageState:
    state = default_state().with_lanes(
        (spec_of("resnet_v1_20;width=8;shortcut=B"), spec_of("densenet_22_k12"))
    )
    training = RECIPES["adam_25"].model_copy(update={"steps": 44, "milestones": (0.25, 0.5)})
    state = replace(
        state, training=training, seed=123, device="cpu", run="abc123", image=17, colour="lesion"
    )
    state = replace(state, hide=("data", "play"), at=40)
    return state.with_cut(0, (3, 1)).with_cut(1, (0,))


def test_everything_chosen_is_in_the_link() -> None:
    state = rich_state()
    again, problems = from_query(to_query(state))
    assert problems == []
    assert again == state


def test_a_link_without_anything_is_the_first_screen() -> None:
    state, problems = from_query({})
    assert (state, problems) == (default_state(), [])


def test_the_link_is_short_enough_to_paste() -> None:
    query = to_query(rich_state())
    assert len("&".join(f"{k}={v}" for k, v in query.items())) < 300


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"lanes": "plain_55"}, "56"),
        ({"lanes": "resnet_v9_20"}, "resnet_v2_20"),
        ({"lanes": "plain_20;gate=3"}, "gate"),
        ({"lanes": "plain_20,plain_20,plain_20,plain_20,plain_20"}, "first 4"),
        ({"train": "he99"}, "he15"),
        ({"train": "one_cycle;steps=-5"}, "steps"),
        ({"train": "one_cycle;learning_rate=1e9"}, "learning_rate"),
        ({"train": "one_cycle;nonsense"}, "field=value"),
        ({"seed": "abc"}, "whole number"),
        ({"seed": "-1"}, "between"),
        ({"device": "tpu"}, "cuda"),
        ({"data": "imagenet"}, "digits"),
        ({"data": "folder;path=/nowhere/at/all"}, "/nowhere/at/all"),
        ({"cut": "x"}, "LANE"),
        ({"cut": "0:a"}, "whole number"),
        ({"cut": "0:999"}, "left in"),
        ({"cut": "0:9"}, "left in"),
        ({"cut": "3:1"}, "not here"),
        ({"data": "digits;colour=1"}, "augment"),
        ({"train": "adam_25;speed=1"}, "learning_rate"),
        ({"colour": "red"}, "gradient"),
        ({"image": "1e99"}, "whole number"),
    ],
)
def test_rubbish_in_a_link_is_one_sentence(query: dict[str, str], word: str) -> None:
    state, problems = from_query(query)
    assert len(problems) == 1
    assert word in problems[0]
    assert problems[0].endswith((".", "?"))
    assert "\n" not in problems[0]
    assert state.lanes


def test_other_data_refits_every_net() -> None:
    state = default_state().with_data(DataSpec(name="cifar100"))
    assert {(net.input_shape, net.classes) for net in state.lanes} == {((3, 32, 32), 100)}
    assert state.run is None


def test_a_changed_net_keeps_its_neighbours_deletions() -> None:
    state = default_state().with_cut(0, (1,)).with_cut(1, (2,))
    state = state.with_lanes((state.lanes[0], spec_of("resnet_v2_20")))
    assert (state.cut(0), state.cut(1)) == ((1,), ())


@pytest.mark.parametrize("start", ["plain_56", "resnet_v2_56", "highway_25", "densenet_40_k12"])
@pytest.mark.parametrize("family", ["plain", "residual", "highway", "dense"])
def test_every_family_can_follow_every_other(start: str, family: str) -> None:
    net = changed(spec_of(start), family=family)
    assert net.family == family
    assert abs(net.depth - spec_of(start).depth) <= 4


@pytest.mark.parametrize("family", KINDS)
def test_every_layout_of_a_family_can_be_chosen_from_every_other(family: str) -> None:
    for start in layouts_of(family):
        for end in layouts_of(family):
            first = changed(spec_of("resnet_v2_20"), family=family)
            first = fit(changed(first, layout=start), (3, 32, 32), 10)
            net = changed(first, layout=end)
            assert (net.family, net.layout) == (family, end)
            assert (net.input_shape, net.classes) == ((3, 32, 32), 10)
            assert net.depth in depths_of(net)
            for other in KINDS:
                assert changed(net, family=other).family == other


def test_a_changed_layout_brings_its_own_width_and_unit() -> None:
    net = changed(spec_of("resnet_v1_56;width=8"), layout="imagenet")
    assert net == spec_of("imagenet_resnet_v1_50").model_copy(
        update={"input_shape": (3, 32, 32), "classes": 10}
    )
    assert changed(net, unit="basic").depth == 34
    assert changed(net, layout="fc") == fit(spec_of("fc_residual_50"), (3, 32, 32), 10)
    assert changed(net, layout="reference").order == "full_preact"
    fitnet = changed(spec_of("highway_25"), layout="fitnet", depth=11)
    assert fitnet == spec_of("highway_fitnet_11")
    assert changed(fitnet, depth=19) == spec_of("highway_fitnet_19")
    assert changed(changed(fitnet, width=8), depth=19).width == 8


@pytest.mark.parametrize(
    "name",
    [
        *("plain_56", "fc_highway_50", "densenet_40_k12", "highway_25", "reference_plain_25"),
        *("imagenet_resnet_v2_152", "imagenet_plain_34", "small_resnet_v1", "highway_fitnet_19"),
    ],
)
def test_every_depth_offered_is_possible(name: str) -> None:
    net = spec_of(name)
    for depth in depths_of(net):
        assert changed(net, depth=depth).depth == depth
