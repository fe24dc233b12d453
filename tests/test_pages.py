"""The pages' logic under Streamlit's own test harness: controls write the address and back."""

from __future__ import annotations

import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from streamlit.testing.v1 import AppTest
from torchvision import models

import explorer
from explorer.pages.compare.presets import PRESETS
from explorer.results import ForwardTiming
from explorer.runs.serve.service import get_service
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import DataSpec, ExperimentSpec, fit_to_data

# Page by page: the harness does not follow `st.navigation` through a second run.
MAIN = Path(explorer.__file__).parent / "pages" / "main.py"
COMPARE = "from explorer.pages.compare import page as compare\ncompare.page()\n"


@pytest.fixture(scope="module", autouse=True)
def _workers(_own_home: Path, worker_threads: None) -> Iterator[None]:
    yield
    get_service().close()


def open_page(**query: str) -> AppTest:
    test = AppTest.from_string(COMPARE, default_timeout=60)
    for name, value in query.items():
        test.query_params[name] = value
    for drawer in ("training", "data", "lane0", "lane1", "lane2", "lane3"):
        test.session_state[f"{drawer}.open"] = True  # closed popovers draw nothing
    return test.run()


def first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) else value)


def test_the_entry_script_opens_the_compare_page() -> None:
    test = AppTest.from_file(str(MAIN), default_timeout=60).run()
    assert not test.exception
    assert test.title[0].value.startswith("Why do very deep nets fail")


def test_every_preset_is_found_again_by_its_nets() -> None:
    for name, lanes in PRESETS.items():
        assert tuple(token_of(spec_of(token)) for token in lanes) == lanes, name


def test_the_first_page_has_three_lanes_and_no_problem() -> None:
    test = open_page()
    assert not test.exception
    assert not test.warning
    assert test.title[0].value.startswith("Why do very deep nets fail")
    assert test.selectbox(key="lane2.family").value == "residual"
    assert [test.selectbox(key=f"lane{i}.depth").value for i in range(3)] == [20, 110, 110]


def test_a_changed_choice_is_in_the_address_and_on_the_page() -> None:
    test = open_page(lanes="plain_20,resnet_v2_20")
    test.selectbox(key="lane0.depth").select(32).run()
    assert first(test.query_params["lanes"]) == "plain_32,resnet_v2_20"
    test.selectbox(key="lane1.order").select("original").run()
    assert first(test.query_params["lanes"]) == "plain_32,resnet_v1_20"
    test.toggle(key="lane1.batch_norm").set_value(False).run()
    assert "batch_norm=false" in first(test.query_params["lanes"])
    assert not test.exception


def test_a_family_can_be_changed_to_every_other() -> None:
    test = open_page(lanes="plain_56")
    for family in ("dense", "highway", "residual", "plain"):
        test.selectbox(key="lane0.family").select(family).run()
        assert not test.exception
        assert not test.warning
        assert test.selectbox(key="lane0.family").value == family


def test_choices_that_exclude_each_other_are_a_sentence() -> None:
    test = open_page(lanes="resnet_v2_20;order=bn_after_addition")
    test.toggle(key="lane0.batch_norm").set_value(False).run()
    assert not test.exception
    assert "batch norm" in test.warning[0].value
    assert test.toggle(key="lane0.batch_norm").value is True  # nothing was changed


def test_lanes_are_added_up_to_four_and_removed_down_to_one() -> None:
    test = open_page(lanes="plain_8")
    add = next(b for b in test.button if b.label == "Add a net")
    for _ in range(3):
        add.click().run()
        add = next(b for b in test.button if b.label == "Add a net")
    assert first(test.query_params["lanes"]).count("plain_8") == 4
    assert add.disabled
    for lane in (3, 0, 1):
        test.button(key=f"lane{lane}.remove").click().run()
    assert first(test.query_params["lanes"]) == "plain_8"
    assert test.button(key="lane0.remove").disabled


def test_a_lessons_link_leaves_controls_out_and_keeps_doing_so() -> None:
    test = open_page(lanes="plain_8,resnet_v2_8", hide="start.data.nets.charts")
    labels = {button.label for button in test.button}
    assert not labels & {"Add a net", "Look inside", "Remove this net"}
    assert [box.label for box in test.selectbox if box.label in ("Start from", "Data set")] == []
    test.number_input(key="train.steps").set_value(77).run()
    assert first(test.query_params["hide"]) == "start.data.nets.charts"
    assert "steps=77" in first(test.query_params["train"])


def test_the_share_drawer_writes_the_link_for_a_class() -> None:
    test = AppTest.from_string(COMPARE, default_timeout=60)
    test.query_params["lanes"] = "plain_8"
    test.session_state["share.open"] = True
    test.run()
    assert test.code[0].value.endswith("?lanes=plain_8")
    test.button_group(key="share.hide").set_value(["play", "data"]).run()
    assert test.code[0].value.endswith("?lanes=plain_8&hide=data.play")
    assert "hide" not in test.query_params  # this page keeps its controls


def test_a_preset_fills_the_lanes() -> None:
    test = open_page()
    test.selectbox(key="preset").select("Batch norm off").run()
    assert first(test.query_params["lanes"]).count("batch_norm=false") == 3
    assert test.selectbox(key="preset").value == "Batch norm off"


def test_a_training_is_marked_to_go_on_unwatched() -> None:
    assert "keep" not in {toggle.key for toggle in open_page().toggle}
    service = get_service()
    net = fit_to_data(spec_of("plain_8;width=4"), DataSpec())
    run = service.create(ExperimentSpec(lanes=(net,)), start=False)
    test = open_page(run=run)
    assert test.toggle(key="keep").value is False
    test.toggle(key="keep").set_value(True).run()
    assert not test.exception
    assert service.experiment(run).kept
    service.delete(run)


def test_training_choices_are_kept_in_the_link() -> None:
    test = open_page(lanes="plain_8")
    test.selectbox(key="train.recipe").select("adam_25").run()
    test.number_input(key="train.steps").set_value(50).run()
    assert first(test.query_params["train"]) == "adam_25;steps=50"
    test.number_input(key="seed").set_value(11).run()
    assert first(test.query_params["seed"]) == "11"


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"lanes": "plain_55"}, "50 and 56"),
        ({"run": "nothing"}, "not stored here"),
        ({"data": "folder;path=/no/where"}, "/no/where"),
        ({"train": "one_cycle;batch_size=1e99"}, "batch_size"),
    ],
)
def test_a_wrong_link_is_one_warning(query: dict[str, str], word: str) -> None:
    test = open_page(**query)
    assert not test.exception
    assert len(test.warning) == 1
    assert word in test.warning[0].value.replace("\\", "")


def test_the_runs_page_says_when_there_is_nothing() -> None:
    test = AppTest.from_string(
        "from explorer.pages.runs import page as runs\nruns.page()\n", default_timeout=60
    ).run()
    assert not test.exception
    assert "press Play" in test.info[0].value


def test_a_folder_is_asked_for_and_a_wrong_one_is_a_sentence() -> None:
    test = open_page(lanes="plain_8")
    test.selectbox(key="data.name").select("folder").run()
    assert not test.exception
    test.text_input(key="data.path").input("/no/such/folder").run()
    assert not test.exception
    assert "/no/such/folder" in test.warning[0].value
    test.text_input(key="data.path").input("").run()
    assert not test.exception
    test.selectbox(key="data.name").select("mnist").run()
    assert first(test.query_params["data"]) == "mnist"


def test_a_zip_of_images_is_dropped_on_the_page(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for split in ("train", "test"):
            for name in ("cat", "dog"):
                archive.writestr(f"pets/{split}/{name}/1.png", b"not looked at yet")
    test = open_page(lanes="plain_8")
    test.selectbox(key="data.name").select("folder").run()
    test.file_uploader(key="data.zip").set_value(
        ("pets.zip", made.getvalue(), "application/zip")
    ).run()
    assert not test.exception
    assert not test.warning
    token = first(test.query_params["data"])
    assert re.fullmatch(r"folder;path=[0-9a-f]{16}\.images", token)
    again = open_page(lanes="plain_8", data=token)  # the link carries it
    assert not again.exception
    assert not again.warning
    test.file_uploader(key="data.zip").set_value(("no.zip", b"no archive", "application/zip")).run()
    assert not test.exception
    assert "is damaged or no zip archive" in test.warning[0].value
    assert first(test.query_params["data"]) == token


NET = "from explorer.pages.net import page as net\nnet.page()\n"


def test_a_net_is_shown_whole_opened_and_beside_another() -> None:
    test = AppTest.from_string(NET, default_timeout=60)
    test.query_params["net"] = "resnet_v1_20;width=8"
    test.query_params["open"] = "stages.1.units.0"
    test.run()
    assert not test.exception
    assert not test.warning
    assert test.selectbox(key="net.open").value == "stages.1.units.0"
    assert 'label="stages.1.units.0"' in test.get("graphviz_chart")[0].proto.spec
    test.selectbox(key="net.beside").select("resnet_v2_20").run()
    assert not test.exception
    assert first(test.query_params["beside"]) == "resnet_v2_20"
    assert "cluster_right" in test.get("graphviz_chart")[0].proto.spec


def test_a_papers_error_is_shown_with_its_protocol() -> None:
    test = AppTest.from_string(NET, default_timeout=120)
    test.query_params["net"] = "resnet_v1_110"
    test.run()
    assert not test.exception
    said = [info.value.replace("\\", "") for info in test.info]
    assert any("6.43 % (best of 5)" in text and "6.61 % (mean of 5)" in text for text in said)


def test_nets_of_other_libraries_are_shown(tmp_path: Path) -> None:
    """A worker reads them; their weights may be a visitor's own."""
    test = AppTest.from_string(NET, default_timeout=120)
    test.query_params["net"] = "torchvision_resnet18"
    test.run()
    assert not test.exception
    assert not test.warning
    assert "layer4.1" in test.get("graphviz_chart")[0].proto.spec
    assert "11,689,512 parameters" in test.get("html")[1].proto.body
    assert [button.proto.label for button in test.get("download_button")] == [
        "Graph, DOT",
        *(("Graph, SVG", "Graph, PNG") if shutil.which("dot") else ()),  # Graphviz draws these
        "Blocks, SVG",
    ]
    assert any("its library&#x27;s" in part.proto.body for part in test.get("html"))
    assert "net?net=torchvision_resnet18&open=layer4.1" in test.get("graphviz_chart")[0].proto.spec
    test.selectbox(key="net.beside").select("imagenet_resnet_v1_18").run()
    assert not test.exception
    assert "cluster_right" in test.get("graphviz_chart")[0].proto.spec

    save_file(models.resnet18(num_classes=4).state_dict(), tmp_path / "four.safetensors")
    content = (tmp_path / "four.safetensors").read_bytes()
    upload = get_service().keep_weights("four.safetensors", content)
    test.query_params["net"] = f"torchvision_resnet18;weights={upload}"
    test.run()
    assert not test.exception
    assert "122 tensors with 11,188,184 values" in test.info[0].value
    test.query_params["net"] = f"torchvision_vgg11;weights={upload}"
    test.run()
    assert "is not this net" in test.warning[0].value


def test_vision_transformers_are_shown_in_tokens() -> None:
    test = AppTest.from_string(NET, default_timeout=120)
    test.query_params["net"] = "torchvision_vit_b_16"
    test.run()
    assert not test.exception
    assert not test.warning
    assert "197 tokens × 768" in test.get("graphviz_chart")[0].proto.spec
    assert "86,567,656 parameters" in test.get("html")[1].proto.body
    outputs = test.dataframe[0].value["output"]
    assert set(outputs) == {"197 tokens × 768"}


def test_trained_weights_of_ours_are_found_at_their_own_shape(tmp_path: Path) -> None:
    net = explorer.create_net("plain_8;width=4", input_shape=(1, 8, 8), seed=1)
    save_file(dict(net.state_dict()), tmp_path / "own.safetensors")
    upload = get_service().keep_weights(
        "own.safetensors", (tmp_path / "own.safetensors").read_bytes()
    )
    test = AppTest.from_string(NET, default_timeout=120)
    test.query_params["net"] = f"plain_8;width=4;weights={upload}"
    test.run()
    assert not test.exception
    assert not test.warning
    assert "for images of 1×8×8 and 10 classes" in test.info[0].value
    test.query_params["net"] = "plain_8;weights=/etc/passwd"
    test.run()
    assert "is not the name of uploaded weights" in test.warning[0].value


def test_without_graphviz_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    test = AppTest.from_string(NET, default_timeout=120)
    test.query_params["net"] = "plain_8"
    test.run()
    assert not test.exception
    labels = [button.proto.label for button in test.get("download_button")]
    assert labels[:2] == ["Graph, DOT", "Blocks, SVG"]
    assert any("install Graphviz" in part.proto.body for part in test.get("html"))


def test_a_net_that_is_none_is_a_sentence() -> None:
    test = AppTest.from_string(NET, default_timeout=60)
    test.query_params["net"] = "resnet_v7_20"
    test.run()
    assert not test.exception
    assert "did you mean" in test.warning[0].value


def test_the_service_writes_code_and_times_forward_passes() -> None:
    spec = {"spec": spec_of("plain_8;width=4").model_dump(mode="json")}
    service = get_service()
    written = service.submit("code", spec).wait(60)
    assert written is not None
    compile(written["code"], "net.py", "exec")
    job = service.submit("timing", {**spec, "images": 4, "steps": 23, "burn_in": 2})
    result = job.wait(60)
    assert result is not None
    timing = ForwardTiming.from_json(result)
    assert len(timing.seconds) == 23
    assert len(timing.lines()) == 2
    assert "n = 23 after 2 of burn-in" in timing.summary()


def test_the_timing_page_starts_and_refuses() -> None:
    test = AppTest.from_string(
        "from explorer.pages.timing import page as timing\ntiming.page()\n", default_timeout=60
    ).run()
    assert not test.exception
    test.number_input[1].set_value(3)
    test.selectbox[0].select("plain_20")
    test.button[0].click().run()
    assert not test.exception
    assert "timing.job" in test.session_state
    test.session_state["timing.job"].cancel()
    test.selectbox[0].select("torchvision_resnet18")
    test.number_input[0].set_value(1)
    test.button[0].click().run()
    assert not test.exception
    result = test.session_state["timing.job"].wait(120)
    assert result["multiply_adds"] == 1_814_073_344
    asked = {"net": "torchvision_resnet18", "images": "1", "steps": "3"}
    told = {key: [value] for key, value in asked.items()}
    assert {k: v if isinstance(v, list) else [v] for k, v in test.query_params.items()} == told
    again = AppTest.from_string("from explorer.pages.timing import page as timing\ntiming.page()\n")
    again.query_params.update({**asked, "fast": "1", "burn_in": "many"})
    again.run()
    assert again.selectbox[0].value == "torchvision_resnet18"
    assert [box.value for box in again.number_input] == [1, 3, 10]
    assert again.toggle[0].value
    said = again.warning[0].value.replace("\\", "")
    assert "whole number between 0 and 1,000, not 'many'" in said
