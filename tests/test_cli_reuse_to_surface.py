"""`skipscope reuse`, `propagation`, `shattering`, `surface` and `sensitivity` as typed."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from explorer.cli import main
from explorer.instruments import instrument
from explorer.instruments.amplifier.result import WorkedExample
from explorer.instruments.reuse.result import FeatureReuse
from explorer.instruments.sensitivity.result import Sensitivity
from explorer.instruments.surface.result import LossSurface

NET = "resnet_v2_8;width=4"


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(list(argv))
    done = capsys.readouterr()
    return code, done.out, done.err


def json_of(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    code, out, err = run(capsys, *argv, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_reuse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "reuse", "digits_densenet_40_k12")
    assert code == 0
    assert "trained on digits" in out
    assert "block 3: in is its input, the last column the classifier" in out
    nets = json_of(capsys, "reuse", "densenet_7_k4", "digits_densenet_40_k12", "--scaled")["nets"]
    reuse = [FeatureReuse.from_json(value) for value in nets]
    assert [one.net for one in reuse] == ["densenet_7_k4", "digits_densenet_40_k12"]
    assert all(one.scaled for one in reuse)
    code, out, _ = run(capsys, "reuse", "densenet_7_k4", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert list(rows[0]) == ["block", "source", "maps", "target", "mean_abs_weight"]
    assert len(rows) == 3 * 3  # one layer a block: input → layer, input and layer → what follows
    page = tmp_path / "reuse.html"
    assert run(capsys, "reuse", "densenet_7_k4", "--html", str(page))[0] == 0
    assert "block 3" in page.read_text("utf-8")


def test_another_librarys_net_needs_no_images(capsys: pytest.CaptureFixture[str]) -> None:
    net = json_of(capsys, "reuse", "torchvision_densenet121")
    assert [len(block["targets"]) for block in net["blocks"]] == [7, 13, 25, 17]


def test_propagation(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("--seeds", "2", "--n", "20")
    nets = json_of(capsys, "propagation", "plain_8;width=4", NET, *few)["nets"]
    assert [instrument("propagation").result.from_json(value).seeds for value in nets] == [2, 2]
    code, out, _ = run(capsys, "propagation", NET, *few)
    assert code == 0
    assert "median of 2 fresh nets" in " ".join(out.split())
    assert "stages.2.units.0" in out
    code, out, _ = run(capsys, "propagation", NET, "--own-weights", "--csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 5  # image, stem, three units


def test_shattering(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = ("--depths", "2", "4", "--width", "16", "--seeds", "2")
    code, out, _ = run(capsys, "shattering", *small, "--transform-bias", "-4")
    assert code == 0
    assert "highway, b_T = −4, batch norm" in out
    assert "0.0625" in out  # 2^-4
    nets = json_of(capsys, "shattering", *small, "--families", "residual", "--beta", "0.1")[
        "families"
    ]
    assert [(one["family"], one["beta"]) for one in nets] == [("residual", 0.1)]
    for show in ("autocorrelation", "gradient", "likeness"):
        page = tmp_path / f"{show}.html"
        assert run(capsys, "shattering", *small, "--show", show, "--html", str(page))[0] == 0
        assert page.stat().st_size > 1_000_000  # opens offline: plotly is in it


def test_a_surface_is_kept_and_goes_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "deep" / "surface.json"
    common = ("surface", NET, "--n", "20", "--keep", str(kept))
    coarse = json_of(capsys, *common, "--resolution", "3")
    stored = json.loads(kept.read_text("utf-8"))["surfaces"]
    assert stored == [
        {name: value for name, value in coarse.items() if name not in ("weights", "normalised")}
        | {"weights": stored[0]["weights"]}
    ]
    stored[0]["points"][0][2] = 123.0  # so that one sees that it is taken, not measured again
    kept.write_text(json.dumps({"surfaces": stored}), "utf-8")
    fine = LossSurface.from_json(json_of(capsys, *common, "--resolution", "5"))
    assert fine.complete
    assert fine.loss[0, 0] == 123.0
    code, out, _ = run(capsys, *common, "--resolution", "5")
    assert code == 0
    assert "123" in out
    assert "Median loss by distance from the weights" in out

    code, _, err = run(capsys, *common, "--resolution", "5", "--seed", "8")
    assert code == 2
    assert "of other weights than the net has" in err
    for text in ("no json", "[1]", '{"surfaces": [{}]}'):
        kept.write_text(text, "utf-8")
        code, _, err = run(capsys, *common)
        assert (code, err.count("\n")) == (2, 1)
        assert "holds nothing that could be gone on from" in err


def test_surfaces_side_by_side(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    few = ("--n", "20", "--resolution", "3")
    for view in ("contour", "surface", "line"):
        page = tmp_path / f"{view}.html"
        argv = ("surface", NET, "plain_8;width=4", *few, "--view", view, "--html", str(page))
        assert run(capsys, *argv)[0] == 0
        assert "plain_8;width=4" in page.read_text("utf-8")
    code, out, _ = run(capsys, "surface", NET, *few, "--line", "--norm", "batch")
    assert code == 0
    assert "batch norm by the batch itself" in " ".join(out.split())
    assert "batch norm at each point anew" in out
    page = tmp_path / "a_line.html"
    argv = ("surface", NET, *few, "--line", "--show", "space", "--html", str(page))
    assert run(capsys, *argv)[0] == 0
    assert "along one random direction" in page.read_text("utf-8")  # it is no surface


def test_sensitivity(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["sensitivity"], ["amplifier"]):
        code, out, _ = run(capsys, *argv)
        assert code == 0
        rows = [line.split() for line in out.splitlines()]
        assert ["plain", "map", "5.1", "5.2", "1.96"] in rows
        assert ["residual", "F", "0.1", "0.2", "100.00"] in rows
        assert "51 times as much" in out
    for argv in (
        ["sensitivity", "--example", "10", "9", "8.5"],
        ["amplifier", "--x", "10", "--before", "9", "--after", "8.5"],
    ):
        example = WorkedExample.from_json(json_of(capsys, *argv))
        assert (example.x, example.before, example.after) == (10, 9, 8.5)
        assert example.residual_change == 0.5
    assert run(capsys, "sensitivity", "--csv")[1].startswith("map,before,after,change")
    code, out, _ = run(capsys, "sensitivity", NET, "--n", "20")
    assert code == 0
    assert "stages.2.units.0" in out
    net = json_of(capsys, "sensitivity", NET, "--n", "20", "--nudge", "0.1")
    assert Sensitivity.from_json(net).nudge == 0.1
    code, out, _ = run(capsys, "sensitivity", NET, "--n", "20", "--csv")
    assert {"unit", "output_change_high_90"} <= set(out.splitlines()[0].split(","))


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["reuse", NET], "such as digits_densenet_40_k12."),
        (["sensitivity", "plain_8"], "such as digits_resnet_v2_56."),
        (["sensitivity", "--example", "5", "6"], "expected 3 arguments"),
        (["sensitivity", NET, "--example", "5", "5.1", "5.2"], "takes no further argument"),
        (["sensitivity", NET, "--nudge", "0"], "give a number from 0.0001 to 1, not '0'"),
        (["sensitivity", "--example", "5", "5", "6"], "neither 0 nor the input"),
        (
            ["sensitivity", "--example", "5", "x", "6"],
            "--example: give a number from -1000000 to 1000000, not 'x'",
        ),
        (["shattering", "--depths", "101"], "from 1 to 100, not '101'"),
        (["shattering", "--families", "dense"], "choose plain, residual or highway"),
        (["surface", NET, "--resolution", "2"], "a whole number from 3 to 101, not '2'"),
        (["surface", NET, "--span", "0"], "a number from 0.01 to 100"),
        (["surface", NET, "--norm", "layer"], "choose running or batch"),
        (["propagation", NET, "--seeds", "101"], "from 1 to 100, not '101'"),
        (["reuse", "a", "b", "--weights", "w.safetensors"], "--weights are of one net"),
    ],
)
def test_wrong_input_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert sentence in err
