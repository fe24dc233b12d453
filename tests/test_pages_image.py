"""One image through Compare's nets: in the link, asked once, with blocks deleted and without."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from explorer.drawing import probability_figure
from explorer.pages.compare import feed
from explorer.pages.compare.predictions import Predictions
from explorer.pages.instruments import links
from explorer.pages.shared.state import default_state, from_query, to_query
from explorer.results import Prediction
from explorer.runs.serve.service import get_service

pytestmark = pytest.mark.usefixtures("worker_threads")

OWN = "0123456789abcdef.picture"
COMPARE = "from explorer.pages.compare import page as compare\ncompare.page()\n"


class FakeJob:
    """A predict job that was answered at once: class k for the k-th net."""

    error = None
    state = "done"

    def __init__(self, nets: int) -> None:
        self.nets = nets
        self.shared = object()  # nobody else asks the same

    def cancel(self) -> None:
        """There is nothing left to give up."""

    def wait(self, timeout: float) -> dict[str, Any]:
        rows = [Prediction("", np.eye(10)[k], 3).to_json() for k in range(self.nets)]
        classes = list("0123456789")
        return {"predictions": rows, "classes": classes, "true_class": 3, "n_test": 9, "image": "x"}


class FakeService:
    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def submit(self, kind: str, payload: dict[str, Any]) -> FakeJob:
        self.asked.append(payload)
        return FakeJob(len(payload["nets"]))


def seen(cuts: dict[int, list[str]], image: str) -> tuple[FakeService, Any]:
    service: Any = FakeService()
    sources = [{"source": "shipped", "name": name} for name in ("a", "b", "c")]
    feed._predictions = Predictions()
    data = default_state().data
    feed._seen(service, sources, data, cuts, {"image": image}, ())
    return service, feed._seen(service, sources, data, cuts, {"image": image}, ())


def test_a_net_with_deleted_blocks_is_shown_intact_too() -> None:
    service, answer = seen({1: ["stages.0.units.0"]}, "4")
    [asked] = service.asked  # twice looked at, once asked
    assert [net["name"] for net in asked["nets"]] == ["a", "b", "c", "b"]
    assert asked["deleted"] == [[], ["stages.0.units.0"], [], []]
    assert (asked["index"], asked["image_path"]) == (4, None)
    assert [int(p.probabilities.argmax()) for p in answer.predictions] == [0, 1, 2]
    assert {lane: int(p.probabilities.argmax()) for lane, p in answer.intact.items()} == {1: 3}
    assert (
        answer.words(["A", "B", "C"]) == "A: 0 (100 %); B: 1 (100 %), intact 3 (100 %); "
        "C: 2 (100 %)."
    )
    figure = probability_figure(
        [(i, name, p) for i, (name, p) in enumerate(zip("ABC", answer.predictions, strict=True))],
        answer.classes,
        intact=answer.intact,
    )
    assert [bar.name for bar in figure.data] == ["A", "B, intact", "B, blocks deleted", "C"]
    assert figure.data[1].y[3] == 100


def test_an_image_of_ones_own_goes_through_the_nets_by_its_name() -> None:
    service, _ = seen({}, OWN)
    [asked] = service.asked
    assert (asked["index"], asked["image_path"]) == (None, OWN)
    assert seen({}, "../../etc/passwd")[1] is None


def test_the_link_holds_the_image_and_refuses_what_is_none() -> None:
    state, problems = from_query({"lanes": "plain_8", "own": OWN})
    assert problems == []
    assert state.own == OWN
    assert to_query(state)["own"] == OWN
    state, [problem] = from_query({"lanes": "plain_8", "own": "/etc/passwd"})
    assert state.own == ""
    assert "choose the file again" in problem


def test_the_instruments_get_the_same_image_and_the_only_deleted_block() -> None:
    state, _ = from_query({"lanes": "plain_56,resnet_v2_56", "own": OWN, "cut": "1:3"})
    query = links.look_at_image(state, [0, 1], "attribution")
    assert query["nets"] == "digits_plain_56,digits_resnet_v2_56"
    assert query["instrument"] == f"attribution;own={OWN};without=stages.0.units.3"
    there, problems = links.from_query(query)
    assert problems == []
    assert there.chosen == {"own": OWN, "without": "stages.0.units.3"}
    numbered, _ = from_query({"lanes": "plain_56", "image": "12"})
    assert links.look_at_image(numbered, [0], "activations")["instrument"] == "activations;image=12"


def test_the_page_offers_the_way_back_and_no_camera_unasked() -> None:
    test = AppTest.from_string(COMPARE, default_timeout=60)
    test.query_params["lanes"] = "plain_8,fc_highway_6"
    test.query_params["own"] = OWN
    test.run()
    assert not test.exception
    assert test.number_input(key="image").disabled
    assert len(test.get("camera_input")) == 0
    labels = {button.label for button in test.button}
    assert {"Which pixels it was", "Activation maps", "Gate maps"} <= labels
    test.toggle(key="image.camera").set_value(True).run()
    assert len(test.get("camera_input")) == 1
    test.button(key="image.back").click().run()
    assert "own" not in test.query_params
    assert not test.number_input(key="image").disabled
    get_service().close()


@pytest.mark.parametrize("name", [OWN, "fedcba9876543210.picture"])
def test_a_kept_image_that_is_gone_is_a_sentence(name: str) -> None:
    service = get_service()
    feed._predictions = Predictions()
    query = {"lanes": "plain_8", "image": name, "charts": "probabilities"}
    answer = json.loads(feed.answer(query))
    assert "choose the file again" in answer["image"]["problem"]
    assert answer["empty"]["probabilities"] == "Without an image there is nothing to show."
    service.close()
