"""Answers without some units, image by image: against straight evaluation, and through the page."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from asking import asked, drawn
from asking import page_of as instrument

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, NotApplicableError, SpecError
from explorer.instruments.by_hand.rearranged import Rearranged
from explorer.instruments.by_hand.result import ProgramAnswers
from explorer.measuring.predict import predict
from explorer.measuring.select import some_images
from explorer.nets import create_net
from explorer.pages.instruments.on_page import Asking
from explorer.pages.instruments.picks import HandPick
from explorer.results import wilson_interval
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, fit


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec())


def net_of(token: str) -> torch.nn.Module:
    return create_net(fit(spec_of(token), (1, 8, 8), 10), seed=3).eval()


@pytest.mark.parametrize("token", ["resnet_v2_14;width=4", "plain_14;width=4", "fc_highway_6"])
def test_every_answer_is_that_of_the_plain_way(token: str, digits: Dataset) -> None:
    net = net_of(token)
    names = [unit.name for unit in net.blueprint.units]
    gone = next(i for i, unit in enumerate(net.blueprint.units) if unit.deletable)
    program = [name for i, name in enumerate(names) if i != gone]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    result = asked("by_hand", net, digits, program=program, n_images=120)

    images, labels = some_images(net, digits, 120)
    x = digits.normalise(images)
    truth = labels.numpy()
    intact = predict(net, x).argmax(1)
    now = predict(net, x, program=program).argmax(1)
    assert result.n_images == 120
    assert result.deleted == (names[gone],)
    assert result.accuracy == np.mean(now == truth)
    assert result.baseline_accuracy == np.mean(intact == truth)
    for c in range(10):
        assert result.right[c] == np.sum((now == truth) & (truth == c))
    assert result.changed == np.sum(intact != now)
    assert result.broken == np.sum((intact == truth) & (now != truth))
    assert result.mended == np.sum((intact != truth) & (now == truth))
    assert len(result.flips) == min(12, result.changed)
    lost = [flip for flip in result.flips if flip.before == flip.true]
    assert len(lost) == min(12, result.broken)  # the broken come first
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())


def test_the_intact_net_changes_nothing_and_the_result_comes_back_from_json(
    digits: Dataset,
) -> None:
    net = net_of("resnet_v2_8;width=4")
    result = asked("by_hand", net, digits, n_images=50)
    assert (result.changed, result.broken, result.mended, result.flips) == (0, 0, 0, ())
    assert result.accuracy == result.baseline_accuracy
    other = asked("by_hand", net, digits, program=net.unit_names[1:], n_images=50)
    again = ProgramAnswers.from_json(other.to_json())
    assert again.to_json() == other.to_json()
    assert list(other.to_frame()["images"]) == [5] * 10
    low, high = other.intervals().T
    assert [wilson_interval(n / 5, 5) for n in other.right] == list(zip(low, high, strict=True))
    figure = drawn("by_hand", [other])
    assert figure.layout.yaxis.title.text == "right, % of 5 test images"
    assert np.allclose(figure.data[0].error_y.array, high * 100 - figure.data[0].y)


def test_it_streams_is_cancelled_and_refuses(digits: Dataset) -> None:
    net = net_of("resnet_v2_8;width=4")
    seen: list[tuple[int, float]] = []
    two = [net.unit_names[0], net.unit_names[2]]
    asked(
        "by_hand",
        net,
        digits,
        program=two,
        on_part=lambda r, s, _: seen.append((r.n_images, s)),
    )
    assert seen[-1] == (360, 1.0)
    assert len(seen) > 1
    with pytest.raises(Cancelled):
        asked("by_hand", net, digits, program=two, cancelled=lambda: True)
    with pytest.raises(NotApplicableError, match="no unit 'x'"):
        asked("by_hand", net, digits, program=["x"])


def test_by_hand_is_the_program_that_it_says(digits: Dataset) -> None:
    net = net_of("resnet_v2_8;width=4")
    names = net.unit_names
    by_hand = asked("by_hand", net, digits, hand="0:-1|1:-0", n_images=50)  # the first net's
    assert by_hand.deleted == (names[1],)
    assert (
        by_hand.to_json()
        == asked("by_hand", net, digits, program=(names[0], names[2]), n_images=50).to_json()
    )
    with pytest.raises(SpecError, match="either hand or program"):
        asked("by_hand", net, digits, hand="0:-1", program=names)


def test_what_is_done_to_another_net_is_not_asked_of_this_one() -> None:
    one, plan = instrument("by_hand"), blueprint(spec_of("resnet_v2_20"))
    hand = {"hand": {0: Rearranged().toggled(1), 1: Rearranged().toggled(2)}}
    asking = Asking(1, {"source": "fresh"}, DataSpec(), None, 7, hand, plan)
    names = [unit.name for unit in plan.units]
    payload = one.payload(asking)
    assert payload["hand"] is None  # a change of the other measures nothing anew
    assert payload["program"] == [name for i, name in enumerate(names) if i != 2]


# ------------------------------------------------------------------------------------ by hand

PLAN = blueprint(spec_of("resnet_v2_20"))  # three stages of three


def test_what_was_done_by_hand_is_short_in_a_link_and_read_again() -> None:
    done = Rearranged().toggled(4).swapped(0, 2).toggled(8)
    assert done.write() == "-4.-8.0_2.2_0"
    assert Rearranged.read(done.write()) == done
    assert done.order(9) == [2, 1, 0, 3, 4, 5, 6, 7, 8]
    done.check(PLAN)
    names = [unit.name for unit in PLAN.units]
    assert done.program(PLAN) == [names[i] for i in (2, 1, 0, 3, 5, 6, 7)]
    assert done.toggled(4).toggled(8).swapped(0, 2) == Rearranged()
    pick = HandPick()
    assert pick.write({0: Rearranged(), 2: done}) == "2:-4.-8.0_2.2_0"
    assert pick.read("2:-4.-8.0_2.2_0", None) == {2: done}  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["x", "9:-1", "0:3", "0:-", "0:1_", "0:--1", "0", "0:1_2_3"])
def test_rubbish_for_hands_is_a_sentence(text: str) -> None:
    with pytest.raises(SpecError, match="should read"):
        HandPick().read(text, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-9", "9 blocks"),
        ("0_1", "9 blocks"),  # nothing stands in place 1
        ("0_4.4_0", "same shape"),
    ],
)
def test_what_cannot_be_done_to_a_net_is_a_sentence(text: str, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        Rearranged.read(text).check(PLAN)


def test_dice_do_only_what_is_possible() -> None:
    draw = random.Random(1)
    for _ in range(20):
        done = Rearranged().fewer(PLAN, 4, draw).shuffled(PLAN, 5, draw)
        done.check(PLAN)
        assert len(done.deleted) == 4
    assert len(Rearranged().fewer(PLAN, 99, draw).deleted) == 9
    plain = blueprint(spec_of("plain_14"))
    done = Rearranged().fewer(plain, 99, draw)
    done.check(plain)
    assert 0 < len(done.deleted) < len(plain.units)
