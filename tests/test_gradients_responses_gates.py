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
from explorer.instruments import instrument
from explorer.instruments.history.measure import layer_history
from explorer.instruments.history.result import LayerHistory, Quantity
from explorer.results import (
    Record,
)
from explorer.results.png import from_png
from explorer.runs.protocol import decode, encode
from explorer.runs.serve.requests import parse_request
from explorer.runs.serve.service import RunService
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data

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
    ("gate_maps", GATED, "--train", "--show", "all", "--n", "100"),
    ("gate_image", GATED, "--of-channel", "0"),
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
    assert table.splitlines()[0] == "net,of,kind,depth,rms"
    assert len(table.splitlines()) == 1 + (8 + 3) + (14 + 6)
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
    kept = instrument("history").result.from_json(told[0])
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
    code, page, _ = run(capsys, "gradients", folder, "--view", "history", "--ends")
    assert code == 0
    assert "first ÷ last" in page
    code, table, _ = run(capsys, "history", folder, "--lane", "1", "--csv")
    assert table.splitlines()[0] == "layer,step_0,step_10,step_20"
    assert explorer.history(folder, 2, of="gates").to_json() == json_of(
        capsys, "history", folder, "--lane", "2", "--of", "gates"
    )
    for wrong, sentence in (
        ((folder, "--lane", "3"), "no lane 3: this training has 2, counted from 1"),
        ((folder, "--of", "gates"), "without gates records none"),
        ((str(tmp_path),), "not the folder of a training"),
        ((folder, PLAIN), "`skipscope history` takes no further argument"),
    ):
        code, _, err = run(capsys, "gradients", *wrong, "--view", "history")
        assert code == 2
        assert sentence in err


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (("gradients", PLAIN, "--view", "terms"), "has no shortcuts"),
        (("gradients", PLAIN, "--view", "scaling"), "such as resnet_v2_20"),
        (("gradients", PLAIN, "--depths", "8"), "`skipscope gradients` takes no option '--depths'"),
        (("gradients", PLAIN, "--of", "gates"), "choose parameters or outputs, not 'gates'"),
        (("gradients", PLAIN, "--view", "term"), "each view is a command of its own: gradient"),
        (("gradients", PLAIN, "--view", "init", "--depths", "8,x"), "whole number"),
        (("gradients", PLAIN, "--view", "scaling", "--scales", "-1"), "a number from 0 to 2"),
        (("gradients", RESIDUAL, "--view", "scaling", "--scale", "7"), "a number from 0 to 2"),
        (("gradients", "nonsense_8", "--view", "init"), "There is no net"),
        (("responses", PLAIN, "--view", "branches"), "digits_resnet_v2_56"),
        (("responses", "densenet_10_k3", "--view", "estimation"), "digits_resnet_v2_56"),
        (("responses", "densenet_10_k3", "--view", "classifier"), "digits_resnet_v2_56"),
        (
            ("responses", PLAIN, "--sorted", "--view", "branches"),
            "`skipscope branches` takes no option",
        ),
        (("responses", PLAIN, "--of", "cut"), "`skipscope responses` takes no option '--of'"),
        (("responses", PLAIN, "--view", "layer"), "each view is a command of its own: branches"),
        (("gates", PLAIN), "This plain net has no gates: look at its gradients or responses"),
        (("gates", PLAIN, "--view", "maps"), "digits_fc_highway_50"),
        (("gates", "fc_highway_4", "--view", "image"), "highway_25"),
        (("gates", HIGHWAY, "--view", "image", "--channel", "2"), "from 0 to 1"),
        (("gates", HIGHWAY, "--view", "image", "--image", "999"), "no test image 999"),
        (("gates", HIGHWAY, "--view", "image", "--image", "no.png"), "no.png"),
        (("gates", HIGHWAY, "--view", "image", "--n", "5"), "takes no option '--n'"),
        (("gate_image", HIGHWAY, "--delete", "stages.0.units.0"), "takes no option '--delete'"),
        (("gates", HIGHWAY, "--view", "maps", "--class", "eleven"), "no class 'eleven'"),
        (("gates", HIGHWAY, "--image", "3"), "takes no option '--image'"),
        (("gates", HIGHWAY, "--view", "spread"), "mean or distribution"),
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
    sweep = explorer.gradients_at_init(data, nets=[PLAIN], depths=(8,), seeds=(1,), n_images=9)
    assert sweep.batch_norm == (True, False)
    assert sweep.seed == (1, 1)
    assert explorer.layer_gradients("plain_8;width=2", data, n_images=9).units == (
        explorer.gradients(spec_of("plain_8;width=2"), n_images=9).units
    )
    assert len(explorer.layer_responses(residual, data, n_images=9).sd) == 13
    assert len(explorer.branch_responses(residual, data, n_images=9).ratio) == 6
    assert len(explorer.classifier_by_unit(residual, data, n_images=9).units) == 2
    assert len(explorer.estimation_error(residual, data, n_images=9).units) == 6
    assert explorer.gate_maps(highway, data, n_images=9).sample_name == "test image 0"
    spread = explorer.gate_distribution(highway, data, n_images=9)
    assert spread.share is not None
    assert spread.share.shape == (6, 40)
    assert explorer.gate_means is explorer.gate_distribution
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
    value = run_job(context, kind, {**request.model_dump(mode="json"), "data": data})
    return decode(encode(value))


def test_jobs_end_as_the_functions_do(tmp_path: Path) -> None:
    residual, highway = fresh(RESIDUAL), fresh(HIGHWAY)
    net = explorer.create_net(RESIDUAL, input_shape=(1, 8, 8), classes=10, seed=7)
    for kind, result, function in (
        ("gradient_terms", instrument("terms").result, explorer.gradient_terms),
        ("responses", instrument("responses").result, explorer.layer_responses),
        ("branches", instrument("branches").result, explorer.branch_responses),
        ("classifier", instrument("classifier").result, explorer.classifier_by_unit),
        ("estimation_error", instrument("estimation").result, explorer.estimation_error),
    ):
        value = asked(kind, net=residual, n_images=20)
        expected = decode(encode(function(net, "digits", n_images=20).to_json()))
        for key, wanted in expected.items():
            assert value[key] == wanted, (kind, key)
        assert value["step"] is None
        assert result.from_json(value).net == RESIDUAL
    for kind in ("gates", "gate_distribution"):
        assert np.shape(asked(kind, net=highway)["quantiles"]) == (6, 5)
    maps = instrument("gate_maps").result.from_json(
        asked("gate_maps", net=highway, index=2, of_class="3", train=True)
    )
    assert (maps.sample_name, maps.class_name, maps.images) == ("test image 2", "3", "train")
    file = tmp_path / "mine.png"
    Image.new("L", (9, 9), 200).save(file)
    value = asked("gate_image", net=highway, image_path=str(file), of_channel=1)
    assert instrument("gate_image").result.from_json(value).channel == 1
    assert from_png(value["picture"]).shape[:2] == (8, 8)
    assert asked("gates", net=fresh(GATED))["gate"] == "shortcut"


def grows(rows: list[int], whole: int) -> bool:
    """From the first row to all of them; what comes sooner than anybody sees is left out."""
    return (rows[0], rows[-1]) == (1, whole) and rows == sorted(set(rows))


def test_sweeps_stream() -> None:
    partial: list[Any] = []
    value = asked(
        "gradients_at_init", partial, nets=[PLAIN], depths=[8, 14], seeds=[0], n_images=10
    )
    assert grows([len(part["rows"]) for part in partial], 4)
    assert instrument("gradients_at_init").result.from_json(value).to_json() == partial[-1]
    partial.clear()
    few = {"layers": "fc", "depths": [3, 5], "seeds": [0], "width": 6, "n_images": 10}
    value = asked("vanishing", partial, **few)
    assert grows([len(part["rows"]) for part in partial], 32)
    assert instrument("vanishing").result.from_json(value).to_json() == partial[-1]
    partial.clear()
    net = fresh(RESIDUAL)
    value = asked("shortcut_scaling", partial, net=net, scale=1.0, scales=[0.5], n_images=10)
    assert grows([len(part["scales"]) for part in partial], 2)
    assert value["n_units"] == 6


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        ("gate_maps", {"net": fresh(HIGHWAY)}),
        ("gate_maps", {"net": fresh(HIGHWAY), "index": 0, "deleted": ["stages.0.units.0"]}),
        ("gate_image", {"net": fresh(HIGHWAY), "index": 0, "of_channel": -1}),
        ("gradients_at_init", {"nets": []}),
        ("gradients_at_init", {"nets": ["plain_20"], "depths": [1]}),
        ("shortcut_scaling", {"net": fresh(RESIDUAL), "scales": [3.0]}),
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

        def of(lane: int, quantity: Quantity = "parameter_rms") -> LayerHistory:
            return layer_history(service.recorded_training(experiment, lane), quantity)

        with pytest.raises(RunError, match="no records of gradients by layer yet"):
            of(0)
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
        history = of(1)
        counted = [i for i, layer in enumerate(plans[1].weight_layers) if layer.depth_index]
        np.testing.assert_array_equal(history.values[:, 2], [21 + i for i in counted])
        np.testing.assert_array_equal(history.steps, [0, 10, 20])
        assert (history.net, history.n_images) == (HIGHWAY, 16)
        gates = of(1, "gate_mean")
        np.testing.assert_allclose(gates.values[3], [0, 1, 2])
        assert len(of(0, "output_rms").layers) == 3
        with pytest.raises(NotApplicableError, match="without gates records none"):
            of(0, "gate_mean")
        for lane in (2, -1):
            with pytest.raises(RunError, match="no lane"):
                of(lane)
        with pytest.raises(RunError, match="no experiment"):
            service.recorded_training("nothing", 0)
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
