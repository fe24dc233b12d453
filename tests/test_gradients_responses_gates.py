"""Gradients, responses and gates from a shell, from a notebook and as jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import explorer
from explorer.cli import main
from explorer.errors import NotApplicableError, RunError, SkipscopeError
from explorer.names import spec_of
from explorer.results import (
    BranchResponses,
    ClassifierByUnit,
    EstimationError,
    GateDistribution,
    GateImage,
    GateMaps,
    GradientsAtInit,
    GradientTerms,
    LayerHistory,
    LayerResponses,
    Record,
    ShortcutScaling,
    VanishingCauses,
)
from explorer.results.attribution import from_png
from explorer.runs.jobs import JOBS, Context, Shelf
from explorer.runs.protocol import decode, encode
from explorer.runs.requests import parse_request
from explorer.runs.service import RunService
from explorer.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data

DIGITS = DataSpec()
PLAIN = "plain_8;width=2"
RESIDUAL = "resnet_v1_14;width=2"
HIGHWAY = "highway_10;width=2"
GATED = "resnet_v2_8;width=2;shortcut=exclusive_gating"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    done = capsys.readouterr()
    return code, done.out, done.err


def json_of(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = run(capsys, *argv, "--json")
    assert code == 0, err
    return json.loads(out)


# ---------------------------------------------------------------------------------- the shell

VIEWS = (
    ("gradients", RESIDUAL, "--n", "20"),
    ("gradients", RESIDUAL, "--view", "terms", "--n", "20"),
    ("gradients", PLAIN, "--view", "init", "--depths", "8,14", "--seeds", "1", "--n", "10"),
    ("gradients", RESIDUAL, "--view", "scaling", "--scales", "0.5,1", "--n", "10"),
    ("responses", RESIDUAL, "--n", "20"),
    ("responses", RESIDUAL, "--view", "branches", "--n", "20"),
    ("responses", RESIDUAL, "--view", "classifier", "--n", "20"),
    ("responses", RESIDUAL, "--view", "estimation", "--n", "20"),
    ("gates", HIGHWAY, "--n", "20"),
    ("gates", HIGHWAY, "--view", "maps", "--image", "3", "--class", "8", "--n", "100"),
    ("gates", HIGHWAY, "--view", "distribution", "--n", "20"),
    ("gates", HIGHWAY, "--view", "image", "--image", "3", "--channel", "1"),
)


@pytest.mark.parametrize("argv", VIEWS, ids=[" ".join(v[:1] + v[2:4]) for v in VIEWS])
def test_every_view_as_text_json_table_and_page(
    argv: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, page, err = run(capsys, *argv)
    assert (code, err) == (0, "")
    assert "digits" in page
    assert max(map(len, page.splitlines())) < 140
    told = json_of(capsys, *argv)
    assert told["data"] == "digits"
    code, table, _ = run(capsys, *argv, "--csv")
    assert code == 0
    rows = told.get("rows") or told.get("scales") or told.get("layers") or told["units"]
    assert len(table.splitlines()) > len(rows)
    file = tmp_path / "figure.html"
    code, _, err = run(capsys, *argv, "--html", str(file))
    assert code == 0
    assert err == f"Wrote {file}.\n"
    assert "Plotly.newPlot" in file.read_text("utf-8")


def test_gates_keep_the_keys_of_their_json(capsys: pytest.CaptureFixture[str]) -> None:
    told = json_of(capsys, "gates", "fc_highway_4;width=5;transform_bias=-3")
    assert {"net", "data", "n_images", "units", "weights"} <= set(told)
    assert {"name", "mean", "sd", "bias"} == set(told["units"][0])
    assert told["weights"] == "untrained, seed 7"
    gated = json_of(capsys, "gates", GATED)
    assert gated["gate"] == "shortcut"
    assert [row["name"] for row in gated["units"]] == ["stages.0.units.0"]  # the rest are strided


def test_nets_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    both = json_of(capsys, "responses", PLAIN, RESIDUAL, "--n", "20")
    assert [one["net"] for one in both["nets"]] == [PLAIN, RESIDUAL]
    assert both["weights"] == ["untrained, seed 7"] * 2
    code, table, _ = run(capsys, "gradients", PLAIN, RESIDUAL, "--n", "20", "--csv")
    assert code == 0
    assert table.splitlines()[0] == "net,layer,depth_index,parameter_rms"
    assert len(table.splitlines()) == 1 + 8 + 14
    code, _, err = run(capsys, "gradients", PLAIN, RESIDUAL, "--weights", "a.safetensors")
    assert code == 2
    assert "--weights are of one net" in err


def test_a_trainings_folder_as_layer_by_step(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = str(tmp_path / "run")
    argv = ("train", PLAIN, HIGHWAY, "--steps", "21", "--batch", "32", "--out", folder)
    assert run(capsys, *argv)[0] == 0
    told = json_of(capsys, "gradients", folder, "--view", "history")["nets"]
    assert [one["net"] for one in told] == [PLAIN, HIGHWAY]
    assert told[0]["steps"] == [0, 10, 20]
    assert told[0]["n_images"] == 32
    assert [row["name"] for row in told[0]["layers"]][:2] == ["stem.conv", "stages.0.units.0.conv1"]
    assert not any("gate" in row["name"] for row in told[1]["layers"])
    kept = LayerHistory.from_json(told[0])
    records = [
        json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    ]
    first = next(r for r in records if (r["kind"], r["lane"], r["step"]) == ("layers", 0, 10))
    np.testing.assert_allclose(kept.values[:, 1], first["parameter_rms"])
    of = ("gradients", folder, "--view", "history", "--lane", "2", "--of")
    assert json_of(capsys, *of, "gates")["quantity"] == "gate_mean"
    assert len(json_of(capsys, *of, "outputs")["layers"]) == 8
    responses = json_of(capsys, *of, "responses")
    assert (responses["quantity"], responses["n_images"]) == ("response_sd", 100)
    assert [row["name"] for row in responses["layers"]][-1] == "stages.2.units.1.transform.conv"
    code, page, _ = run(capsys, "gradients", folder, "--view", "history")
    assert code == 0
    assert "step 20" in page
    for wrong, sentence in (
        ((folder, "--lane", "3"), "no lane 3: this training has 2"),
        ((folder, "--of", "gates"), "records no transform gates"),
        ((str(tmp_path),), "not the folder of a training"),
        ((folder, PLAIN), "takes one folder"),
    ):
        code, _, err = run(capsys, "gradients", *wrong, "--view", "history")
        assert code == 2
        assert sentence in err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("gradients", PLAIN, "--view", "terms"), "has no shortcuts"),
        (("gradients", PLAIN, "--view", "scaling"), "such as resnet_v2_56"),
        (("gradients", PLAIN, "--depths", "8"), "--depths is for --view init"),
        (("gradients", PLAIN, "--scales", "1"), "--scales is for --view scaling"),
        (("gradients", PLAIN, "--of", "gates"), "--of gates is for --view history"),
        (("gradients", PLAIN, "--lane", "1"), "--lane is for --view history"),
        (("gradients", PLAIN, "--view", "init", "--depths", "8,x"), "whole number"),
        (("gradients", PLAIN, "--view", "scaling", "--scales", "-1"), "numbers from 0"),
        (("gradients", RESIDUAL, "--view", "scaling", "--scales", "7"), "shortcut_scale"),
        (("gradients", "nonsense_8", "--view", "init"), "There is no net"),
        (("responses", PLAIN, "--view", "branches"), "digits_resnet_v2_56"),
        (("responses", "densenet_10_k3", "--view", "estimation"), "digits_resnet_v2_56"),
        (("responses", "densenet_10_k3", "--view", "classifier"), "digits_resnet_v2_56"),
        (("responses", PLAIN, "--sorted", "--view", "branches"), "--sorted is for --view layers"),
        (("responses", PLAIN, "--of", "cut"), "--of is for --view branches"),
        (("responses", PLAIN, "--view", "layer"), "layers, branches, classifier or estimation"),
        (("gates", PLAIN), "no transform gates; measure its gradients"),
        (("gates", PLAIN, "--view", "maps"), "digits_fc_highway_50"),
        (("gates", "fc_highway_4", "--view", "image"), "highway_25"),
        (("gates", HIGHWAY, "--view", "image", "--channel", "2"), "from 0 to 1"),
        (("gates", HIGHWAY, "--view", "image", "--image", "999"), "no test image 999"),
        (("gates", HIGHWAY, "--view", "image", "--image", "no.png"), "no.png"),
        (("gates", HIGHWAY, "--view", "image", "--n", "5"), "looks at one image"),
        (("gates", HIGHWAY, HIGHWAY, "--view", "image"), "takes one net"),
        (("gates", HIGHWAY, "--view", "maps", "--class", "eleven"), "no class 'eleven'"),
        (("gates", HIGHWAY, "--image", "3"), "--image is for --view maps or --view image"),
        (("gates", HIGHWAY, "--train"), "--train is for --view maps"),
    ],
)
def test_wrong_input_is_one_sentence(
    argv: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


# -------------------------------------------------------------------------------- the notebook


def test_each_is_a_function_of_the_package() -> None:
    data = explorer.load_data("digits")
    made = {"input_shape": (1, 8, 8), "classes": 10, "seed": 0}
    residual = explorer.create_net(RESIDUAL, **made)
    highway = explorer.create_net(HIGHWAY, **made)
    assert explorer.gradient_terms(residual, data, n_images=9).units == residual.unit_names
    assert explorer.shortcut_scaling(RESIDUAL, data, scales=(1.0,), n_images=9).n_units == 6
    sweep = explorer.gradients_at_init([PLAIN], data, depths=(8,), seeds=(1,), n_images=9)
    assert [row.batch_norm for row in sweep.rows] == [True, False]
    assert len(explorer.layer_responses(residual, data, n_images=9).sd) == 13
    assert len(explorer.branch_responses(residual, data, n_images=9).ratio) == 6
    assert len(explorer.classifier_by_unit(residual, data, n_images=9).units) == 2
    assert len(explorer.estimation_error(residual, data, n_images=9).units) == 6
    assert explorer.gate_maps(highway, data, n_images=9).sample_name == "test image 0"
    assert explorer.gate_distribution(highway, data, n_images=9).share.shape == (6, 40)
    assert len(explorer.gate_image(highway, data, 5).maps) == 6


# -------------------------------------------------------------------------------------- jobs


def fresh(name: str) -> dict[str, Any]:
    spec = fit_to_data(spec_of(name), DIGITS)
    return {"source": "fresh", "spec": spec.model_dump(mode="json"), "seed": 7}


def asked(kind: str, partial: list[Any] | None = None, **payload: Any) -> dict[str, Any]:
    """A job's result, as it arrives in the server."""
    told = [] if partial is None else partial
    context = Context(Shelf(), 0, lambda: False, lambda share, text: None, told.append)
    request = parse_request(kind, payload)
    data = DIGITS.model_dump(mode="json")
    value = JOBS[kind](context, {**request.model_dump(mode="json"), "data": data})
    return decode(encode(value))


def test_jobs_end_as_the_functions_do(tmp_path: Path) -> None:
    residual, highway = fresh(RESIDUAL), fresh(HIGHWAY)
    net = explorer.create_net(RESIDUAL, input_shape=(1, 8, 8), classes=10, seed=7)
    for kind, result, function in (
        ("gradient_terms", GradientTerms, explorer.gradient_terms),
        ("responses", LayerResponses, explorer.layer_responses),
        ("branches", BranchResponses, explorer.branch_responses),
        ("classifier_by_unit", ClassifierByUnit, explorer.classifier_by_unit),
        ("estimation_error", EstimationError, explorer.estimation_error),
    ):
        value = asked(kind, net=residual, n_images=20)
        expected = decode(encode(function(net, "digits", n_images=20).to_json()))
        for key, wanted in expected.items():
            assert value[key] == wanted, (kind, key)
        assert value["step"] is None
        assert result.from_json(value).net == RESIDUAL
    assert len(GateDistribution.from_json(asked("gate_distribution", net=highway)).units) == 6
    maps = GateMaps.from_json(asked("gate_maps", net=highway, index=2, of_class="3", train=True))
    assert (maps.sample_name, maps.class_name, maps.images) == ("test image 2", "3", "train")
    file = tmp_path / "mine.png"
    Image.new("L", (9, 9), 200).save(file)
    value = asked("gate_image", net=highway, image_path=str(file), channel=1)
    assert GateImage.from_json(value).channel == 1
    assert from_png(value["picture"]).shape[:2] == (8, 8)
    assert asked("gates", net=fresh(GATED))["gate"] == "shortcut"


def test_sweeps_stream() -> None:
    partial: list[Any] = []
    value = asked(
        "gradients_at_init", partial, nets=[PLAIN], depths=[8, 14], seeds=[0], n_images=10
    )
    assert [len(part["rows"]) for part in partial] == [1, 2, 3, 4]
    assert GradientsAtInit.from_json(value) == GradientsAtInit.from_json(partial[-1])
    partial.clear()
    few = {"layers": "fc", "depths": [3, 5], "seeds": [0], "width": 6, "n_images": 10}
    value = asked("vanishing", partial, **few)
    assert [len(part["rows"]) for part in partial] == list(range(1, 33))
    assert VanishingCauses.from_json(value).to_json() == partial[-1]
    partial.clear()
    spec = residual_spec()
    value = asked("shortcut_scaling", partial, spec=spec, scales=[1.0, 0.5], n_images=10)
    assert [len(part["scales"]) for part in partial] == [1, 2]
    assert ShortcutScaling.from_json(value).n_units == 6


def residual_spec() -> dict[str, Any]:
    value: dict[str, Any] = fit_to_data(spec_of(RESIDUAL), DIGITS).model_dump(mode="json")
    return value


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("gate_maps", {"net": fresh(HIGHWAY)}),
        ("gate_maps", {"net": fresh(HIGHWAY), "index": 0, "deleted": ["stages.0.units.0"]}),
        ("gate_image", {"net": fresh(HIGHWAY), "index": 0, "channel": -1}),
        ("gradients_at_init", {"nets": []}),
        ("gradients_at_init", {"nets": ["plain_20"], "depths": [1]}),
        ("shortcut_scaling", {"spec": residual_spec(), "scales": [3.0]}),
        ("vanishing", {"gain": 0}),
        ("vanishing", {"layers": "attention"}),
        ("vanishing", {"depths": []}),
        ("responses", {"net": fresh(PLAIN), "n_images": 0}),
    ],
)
def test_requests_that_make_no_sense(kind: str, payload: dict[str, Any]) -> None:
    with pytest.raises(SkipscopeError) as caught:
        parse_request(kind, payload)
    assert "\n" not in str(caught.value)


def test_the_service_has_the_history_of_what_was_recorded(tmp_path: Path) -> None:
    service = RunService(tmp_path, threads=1)
    try:
        nets = tuple(fit_to_data(spec_of(name), DIGITS) for name in (PLAIN, HIGHWAY))
        spec = ExperimentSpec(lanes=nets, training=TrainSpec(steps=40, batch_size=16))
        experiment = service.create(spec, start=False)
        with pytest.raises(RunError, match="no records of gradients by layer yet"):
            service.layer_history(experiment, 0)
        plans = [explorer.blueprint(net) for net in nets]
        for step in (0, 10, 20):
            service._store.append(
                experiment,
                [
                    Record(
                        "layers",
                        lane,
                        step,
                        {
                            "parameter_rms": [step + lane + i for i in range(99)][: len(p)],
                            "output_rms": [1.0] * len(plan.units),
                        },
                    )
                    for lane, plan in enumerate(plans)
                    for p in [plan.weight_layers]
                ]
                + [Record("gates", 1, step, {"mean": [0.1 * step] * 6})],
            )
        history = service.layer_history(experiment, 1)
        counted = [i for i, layer in enumerate(plans[1].weight_layers) if layer.depth_index]
        np.testing.assert_array_equal(history.values[:, 2], [21 + i for i in counted])
        np.testing.assert_array_equal(history.steps, [0, 10, 20])
        assert (history.net, history.n_images) == (HIGHWAY, 16)
        gates = service.layer_history(experiment, 1, "gate_mean")
        np.testing.assert_allclose(gates.values[3], [0, 1, 2])
        assert len(service.layer_history(experiment, 0, "output_rms").rows) == 3
        with pytest.raises(NotApplicableError, match="records no transform gates"):
            service.layer_history(experiment, 0, "gate_mean")
        for lane in (2, -1):
            with pytest.raises(RunError, match="no lane"):
                service.layer_history(experiment, lane)
        with pytest.raises(RunError, match="no experiment"):
            service.layer_history("nothing", 0)
    finally:
        service._store.close()  # its workers were never started


def test_a_picture_of_a_figure_is_as_tall_as_the_figure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import plotly.graph_objects as go

    drawn: dict[str, Any] = {}
    monkeypatch.setattr(go.Figure, "write_image", lambda self, path, **how: drawn.update(how))
    argv = ("gates", HIGHWAY, "--view", "maps", "--class", "1", "--n", "50")
    assert run(capsys, *argv, "--png", str(tmp_path / "a.png"))[0] == 0
    assert drawn["height"] > 850
