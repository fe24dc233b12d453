"""The Instruments page under Streamlit's test harness, and what its figure asks for."""

from __future__ import annotations

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import pages_of_all as instruments
from PIL import Image
from streamlit.testing.v1 import AppTest

from explorer.pages.instruments import feed
from explorer.results import Record
from explorer.runs.serve.service import get_service
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, fit_to_data

PAGE = "from explorer.pages.instruments import page as instruments\ninstruments.page()\n"
RUN = "a recorded run"
# Small nets: one that the instrument means something for, and one that it does not (None where
# it means something for every net). Of an instrument that is not listed: a net that it suggests.
NETS: dict[str, tuple[str, str | None]] = {
    "amplifier": ("resnet_v2_8;width=4", None),
    "activations": ("resnet_v2_8;width=4", "fc_plain_6;width=8"),
    "attribution": ("resnet_v2_8;width=4", None),
    "conductance": ("highway_10;width=4", None),
    "by_hand": ("resnet_v2_8;width=4", None),
    "gates": ("fc_highway_5;width=8", "plain_8;width=4"),
    "gradients": ("resnet_v2_8;width=4", None),
    "lesions": ("resnet_v2_8;width=4", None),
    "gradients_at_init": ("", None),
    "branches": ("resnet_v1_8;width=4", "plain_8;width=4"),
    "classifier_by_unit": ("resnet_v2_14;width=4", "densenet_10_k3"),
    "estimation_error": ("resnet_v2_14;width=4", "densenet_10_k3"),
    "gate_image": ("highway_7;width=4", "fc_highway_5;width=8"),
    "gate_maps": ("fc_highway_5;width=8", "plain_8;width=4"),
    "history": (RUN, None),
    "responses": ("plain_8;width=4", None),
    "shortcut_scaling": ("resnet_v2_8;width=4", "plain_8;width=4"),
    "path_counts": ("resnet_v2_8;width=4", None),
    "paths": ("resnet_v2_8;width=4", "plain_8;width=4"),
    "propagation": ("plain_8;width=4", None),
    "reuse": ("densenet_10_k3", "plain_8;width=4"),
    "sensitivity": ("resnet_v2_8;width=4", "plain_8;width=4"),
    "shattering": ("", None),
    "surface": ("resnet_v2_8;width=4", None),
    "gradient_terms": ("resnet_v2_8;width=4", "plain_8;width=4"),
    "unravelled": ("resnet_v2_8;width=4", "plain_8;width=4"),
    "vanishing": ("", None),
    "random_lesions": ("resnet_v2_8;width=4", None),
    "shuffle_lesions": ("resnet_v2_14;width=4", "densenet_10_k3"),
    "swap_lesions": ("resnet_v2_14;width=4", "densenet_10_k3"),
    "stage_lesions": ("resnet_v2_8;width=4", None),
    "gate_lesions": ("fc_highway_5;width=8", "plain_8;width=4"),
}


CHEAPLY = {
    "gradients_at_init": ";norm=with",
    "shattering": ";seeds=1",
    "surface": ";points=9",
    "vanishing": ";layers=fc",
}


@pytest.fixture(scope="module", autouse=True)
def _workers(_own_home: Path, worker_threads: None) -> Iterator[None]:
    yield
    get_service().close()


def open_page(**query: str) -> AppTest:
    test = AppTest.from_string(PAGE, default_timeout=60)
    for name, value in query.items():
        test.query_params[name] = value
    for drawer in ("nets.add", "instruments.images", "net0", "net1"):
        test.session_state[f"{drawer}.open"] = True  # closed popovers draw nothing
    return test.run()


def first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def followed(**query: str) -> dict[str, Any]:
    """The figure's last answer, as the page's script would get it."""
    deadline = time.monotonic() + 120
    while True:
        answer: dict[str, Any] = json.loads(feed.answer(query))
        if all(lane["done"] for lane in answer["lanes"]):
            return answer
        assert time.monotonic() < deadline, answer["lanes"]
        time.sleep(0.05)


def net_for(key: str) -> str:
    """A net that the instrument means something for; where it takes a run, one with records."""
    one = instruments()[key]
    usual = one.suggests[0] if one.needs_net else ""
    token, _ = NETS.get(key, (usual, None))
    if token != RUN:
        return token
    service = get_service()
    net = fit_to_data(spec_of("plain_8;width=4"), DataSpec())
    run = service.create(ExperimentSpec(lanes=(net,)), start=False)
    values = {"parameter_rms": [0.1] * 8, "output_rms": [0.2] * 3}
    service._store.append(run, [Record("layers", 0, step, values) for step in (0, 10)])
    return f"run:{run}.0"


def test_the_nets_to_try_are_of_instruments_that_there_are() -> None:
    assert set(NETS) <= set(instruments())


@pytest.mark.parametrize("key", list(instruments()))
def test_every_instrument_answers_on_a_net_that_it_fits(key: str) -> None:
    query = {"nets": net_for(key), "instrument": key + CHEAPLY.get(key, ""), "n": "20"}
    test = open_page(**query)
    assert not test.exception
    assert not test.warning
    assert not test.info
    answer = followed(**query)
    assert [lane["error"] for lane in answer["lanes"]] == [None]
    assert answer["figure"]["data"]
    assert answer["captions"]
    assert answer["formula"]
    assert answer["tables"][0]["rows"]
    assert all(
        len(row) == len(answer["tables"][0]["columns"]) for row in answer["tables"][0]["rows"]
    )


@pytest.mark.parametrize("key", [key for key, (_, unfit) in NETS.items() if unfit])
def test_every_instrument_says_for_which_nets_it_means_nothing(key: str) -> None:
    unfit = NETS[key][1]
    assert unfit is not None
    test = open_page(nets=unfit, instrument=key)
    assert not test.exception
    assert not test.warning
    assert len(test.info) == 1  # the sentence beside the net
    way_on = next(button for button in test.button if button.key.startswith("suggest."))
    way_on.click().run()
    assert not test.info
    assert first(test.query_params["nets"]) == way_on.key.removeprefix("suggest.")


def test_the_first_page_needs_no_choice() -> None:
    test = open_page()
    assert not test.exception
    assert not test.warning
    assert test.title[0].value == "Look inside a net"


def test_choices_are_in_the_address() -> None:
    test = open_page(nets="plain_8;width=4", instrument="gradients")
    test.button_group(key="option.gradients.of").set_value("outputs").run()
    assert first(test.query_params["instrument"]) == "gradients;of=outputs"
    test.button_group(key="option.gradients.of").set_value("parameters").run()
    assert first(test.query_params["instrument"]) == "gradients"
    test.button_group(key="instruments.group").set_value("blocks").run()
    assert first(test.query_params["instrument"]) == next(
        key for key, one in instruments().items() if one.group == "blocks"
    )
    test.number_input(key="instruments.n").set_value(40).run()
    assert first(test.query_params["n"]) == "40"
    test.number_input(key="instruments.seed").set_value(11).run()
    assert first(test.query_params["seed"]) == "11"
    assert not test.exception
    assert not test.warning


def test_nets_are_changed_added_and_removed() -> None:
    test = open_page(nets="plain_8;width=4")
    test.selectbox(key="net.choose.new").select("digits_resnet_v2_56").run()
    assert first(test.query_params["nets"]) == "plain_8;width=4,digits_resnet_v2_56"
    test.selectbox(key="net.choose.0").select("resnet_v1_20").run()
    assert first(test.query_params["nets"]) == "resnet_v1_20,digits_resnet_v2_56"
    test.button(key="net0.remove").click().run()
    assert first(test.query_params["nets"]) == "digits_resnet_v2_56"
    assert test.button(key="net0.remove").disabled
    assert not test.exception
    assert not test.warning


def test_images_that_do_not_fit_are_a_sentence_and_the_page_goes_on() -> None:
    test = open_page(nets="digits_plain_56,plain_8;width=4")
    test.selectbox(key="instruments.data").select("mnist").run()
    assert not test.exception
    assert len(test.info) == 1
    assert "1×8×8" in test.info[0].value.replace("\\", "")
    assert first(test.query_params["data"]) == "mnist"
    test.selectbox(key="instruments.data").select("").run()
    assert not test.info


def test_a_folder_is_asked_for_and_a_wrong_one_is_a_sentence() -> None:
    test = open_page(nets="plain_8;width=4")
    test.selectbox(key="instruments.data").select("folder").run()
    test.text_input(key="instruments.path").input("/no/such/folder").run()
    assert not test.exception
    assert "/no/such/folder" in test.warning[0].value
    assert "data" not in test.query_params


def test_a_zip_is_dropped_sized_and_balanced() -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for split in ("train", "test"):
            for name, n in (("cat", 6), ("dog", 2)):
                for i in range(n):
                    picture = io.BytesIO()
                    Image.effect_noise((16, 16), 40).save(picture, "PNG")
                    archive.writestr(f"pets/{split}/{name}/{i}.png", picture.getvalue())
    test = open_page(nets="plain_8;width=4", instrument="accuracy")
    test.selectbox(key="instruments.data").select("folder").run()
    pets = ("pets.zip", made.getvalue(), "application/zip")
    test.file_uploader(key="instruments.zip").set_value(pets).run()
    test.number_input(key="instruments.side").set_value(16).run()
    test.toggle(key="instruments.balanced").set_value(True).run()
    assert not test.exception
    assert not test.warning
    shown = first(test.query_params["data"])
    assert re.fullmatch(r"folder;path=[0-9a-f]{16}\.images;image_size=16;balanced=true", shown)
    assert test.text_input(key="instruments.path").value == ""
    answer = followed(
        **{key: first(test.query_params[key]) for key in ("nets", "instrument", "data")}
    )
    assert [lane["error"] for lane in answer["lanes"]] == [None]
    said = json.dumps(answer, ensure_ascii=False)
    assert "4 test images of pets, 3×16×16" in said
    assert "equally many images of each class, as chosen" in said


def test_another_librarys_net_asks_for_images_and_is_measured_on_them(tmp_path: Path) -> None:
    net = "torchvision_resnet18"
    test = open_page(nets=net, instrument="gates")
    assert not test.exception
    assert not test.warning
    assert len(test.info) == 1
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            picture = Image.effect_noise((16, 16), 40).convert("RGB")
            picture.save(tmp_path / split / name / "1.png")
    test = open_page(nets=net, instrument="gradients")
    test.session_state["instruments.folder wanted"] = True
    test.run()
    test.number_input(key="instruments.side").set_value(32).run()
    test.text_input(key="instruments.path").input(str(tmp_path)).run()
    assert not test.exception
    assert not test.info
    answer = followed(
        **{key: first(test.query_params[key]) for key in ("nets", "instrument", "data")}
    )
    assert [lane["error"] for lane in answer["lanes"]] == [None]
    assert answer["lanes"][0]["name"] == f"{net}, untrained"
    assert len(answer["figure"]["data"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        {"nets": "![x](http://example.com/x.png)"},
        {"nets": "run:'; drop.0"},
        {"instrument": "<b>"},
        {"instrument": "gradients;of"},
        {"n": "99999999999999999999"},
        {"data": "folder"},
        {"hide": "everything"},
    ],
)
def test_a_wrong_link_is_a_warning_on_a_working_page(query: dict[str, str]) -> None:
    test = open_page(**query)
    assert not test.exception
    assert len(test.warning) == 1
    assert "![x](" not in test.warning[0].value  # never markup


def test_blocks_are_deleted_and_swapped_at_random_undone_and_restored() -> None:
    test = open_page(nets="resnet_v2_20;width=4,plain_14;width=4", instrument="by_hand")
    test.number_input(key="hand.k").set_value(2).run()
    test.button(key="hand.delete").click().run()
    once = first(test.query_params["instrument"])
    assert once.startswith("by_hand;hand=0:-")
    assert once.count("-") == 4  # two in each net
    test.button(key="hand.shuffle").click().run()
    assert "_" in first(test.query_params["instrument"])
    test.button(key="hand.back").click().run()
    assert first(test.query_params["instrument"]) == once
    test.button(key="hand.restore").click().run()
    assert first(test.query_params["instrument"]) == "by_hand"
    assert test.button(key="hand.restore").disabled
    test.button(key="hand.back").click().run()
    assert first(test.query_params["instrument"]) == once
    test.button(key="net0.remove").click().run()  # the blocks were those of the nets before
    assert first(test.query_params["instrument"]) == "by_hand"
    assert not test.exception
    assert not test.warning


def test_what_a_link_does_to_the_wrong_net_is_a_sentence() -> None:
    query = {"nets": "resnet_v2_8;width=4", "instrument": "by_hand;hand=0:-99"}
    test = open_page(**query)
    assert not test.exception
    (lane,) = followed(**query)["lanes"]
    assert "3 blocks" in lane["error"]


def test_a_class_is_shown_what_its_teacher_left_in() -> None:
    query = {"nets": "plain_8;width=4", "instrument": "gradients"}
    test = open_page(**query, hide="nets.instrument.options")
    assert not test.exception
    assert not test.warning
    assert not test.button_group
    assert [box.key for box in test.selectbox] == ["instruments.data"]
    test.number_input(key="instruments.n").set_value(40).run()
    assert first(test.query_params["hide"]) == "nets.instrument.options"
    shared = AppTest.from_string(PAGE, default_timeout=60)
    shared.session_state["instruments.share.open"] = True
    shared.run()
    shared.button_group(key="instruments.share").set_value(["images"]).run()
    assert shared.code[0].value.endswith("&instrument=lesions&hide=images")
