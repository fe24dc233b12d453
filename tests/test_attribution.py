"""Attribution from a shell, from a notebook, as a job, and as a figure."""

from __future__ import annotations

import base64
import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from asking import Lane
from asking import page_of as instrument
from PIL import Image

import explorer
from explorer.cli import main
from explorer.data.images import MAX_FILE_BYTES
from explorer.data.load import load_data
from explorer.errors import DataError, RunError, SkipscopeError
from explorer.instruments import functions
from explorer.instruments import instrument as declared
from explorer.instruments.attribution.ask import Method
from explorer.instruments.attribution.result import Attribution
from explorer.instruments.conductance.result import UnitConductance
from explorer.instruments.contract import Lane as Drawn
from explorer.instruments.contract import Style
from explorer.instruments.decisions import Decision
from explorer.nets import Net, create_net
from explorer.pages.instruments.on_page import Asking
from explorer.results.png import from_png, to_png
from explorer.runs.serve import pictures
from explorer.runs.serve.requests import parse_request, priority_of
from explorer.runs.worker.jobs import run as run_job
from explorer.runs.worker.warm import Context, Shelf
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec, fit_to_data

METHODS = get_args(Method)
PLAIN, RESIDUAL = "plain_8;width=2", "resnet_v2_14;width=2"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def typed(*argv: str) -> tuple[int, str, str]:
        code = main(["attribute", *argv])
        done = capsys.readouterr()
        return code, done.out, done.err

    return typed


@pytest.fixture(scope="module")
def net() -> Net:
    return create_net(RESIDUAL, input_shape=(1, 8, 8), classes=10, seed=7)


# ------------------------------------------------------------------------------------- shell


def test_maps_in_the_terminal(run: Run) -> None:
    code, out, err = run(PLAIN, RESIDUAL, "--image", "3", "--steps", "8", "--class", "true")
    assert (code, err) == (0, "")
    assert "plain_8;width=2 (untrained, seed 7)\ntest image 3 of digits; normalised by the" in out
    said = " ".join(out.split())
    assert "untrained, so batch norm by the statistics of a batch" in said
    assert "Explained is 8" in said
    assert said.count("it is 8.") == 2
    assert said.count(", 8 steps)") == 2
    maps = [line.strip() for line in out.splitlines() if set(line.strip()) & set("·")]
    assert len(maps) == 16
    assert {len(row) for row in maps} == {16}
    assert all(set(row) <= set("·░▒▓█-=≡#") for row in maps)


def test_the_shells_numbers_are_the_functions(run: Run, net: Net) -> None:
    for method in METHODS:
        shown = method.replace("_", "-")
        code, out, err = run(RESIDUAL, "--image", "2", "--method", shown, "--json")
        assert (code, err) == (0, "")
        given = json.loads(out)
        expected = functions.attribution(net, "digits", 2, method=method, name=RESIDUAL)
        assert Attribution.from_json(given).decision == expected.decision
        np.testing.assert_allclose(given["values"], expected.values, rtol=1e-4, atol=1e-6)
    code, out, _ = run(RESIDUAL, "--image", "2", "--method", "conductance", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    units = explorer.unit_conductance(net, "digits", 2)
    assert [row["unit"] for row in rows] == list(net.unit_names)
    np.testing.assert_allclose([float(r["branch"]) for r in rows], units.branch, rtol=1e-4)


def test_conductance_in_the_terminal_with_a_lesion_of_ones_own_image(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "five.png"
    Image.effect_noise((40, 30), 90).save(file)
    code, out, err = run(
        *(PLAIN, RESIDUAL, "--image", str(file), "--method", "conductance", "--steps", "4"),
        *("--delete", "stages.0.units.0", "--delete", "stages.0.units.1,stages.1.units.1"),
    )
    assert (code, err) == (0, "")
    assert "five.png of digits" in out
    said = " ".join(out.split())
    assert "to five.png, without stages.0.units.0. Explained" in said
    assert "without stages.0.units.1 and stages.1.units.1. Explained" in said
    assert out.count("deleted  ") == 3
    assert "it is" not in said


def test_a_page_that_opens_offline(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "map.html"
    code, out, err = run(
        PLAIN, "--method", "grad_cam", "--unit", "stages.0.units.0", "--html", str(file)
    )
    assert (code, out, err) == (0, "", f"Wrote {file}.\n")
    page = file.read_text("utf-8")
    assert "Pixels: plain_8;width=2 (test image 0 of digits)" in page
    assert "data:image" in page


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ((PLAIN, "--image", "360"), "There is no test image 360: Handwritten digits has 360"),
        ((PLAIN, "--image", "no.png"), "'no.png' cannot be read: No such file"),
        ((PLAIN, "--image", "pyproject.toml"), "is not an image that can be read"),
        ((PLAIN, "--method", "magic"), "integrated_gradients, grad_cam, occlusion"),
        ((PLAIN, "--class", "eleven"), "There is no class 'eleven'"),
        ((PLAIN, "--unit", "stages.0.units.0"), "A unit is chosen for grad_cam alone"),
        ((PLAIN, "--method", "conductance", "--unit", "x"), "takes no option '--unit'"),
        ((PLAIN, "--method", "conductance", "--window", "2"), "takes no option '--window'"),
        ((PLAIN, RESIDUAL, "--delete", "a", "--delete", "b", "--delete", "c"), "3 times for 2"),
        ((PLAIN, "--delete", "stages.1.units.0"), "cannot be deleted"),
        ((PLAIN, RESIDUAL, "--weights", "w.safetensors"), "--weights are of one net"),
        (("fc_plain_6", "--method", "grad-cam"), "Grad-CAM weighs maps, and these units"),
        ((), "he following arguments are required: NAME"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(argv: tuple[str, ...], sentence: str, run: Run) -> None:
    code, out, err = run(*argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_captum_is_imported_by_its_instrument_alone() -> None:
    root = Path(explorer.__file__).parent
    users = [
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"^\s*(from|import) captum", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert users == ["instruments/attribution/measure.py"]


# -------------------------------------------------------------------------------------- jobs


def source(name: str) -> dict[str, Any]:
    spec = fit_to_data(spec_of(name), DataSpec())
    return {"source": "fresh", "spec": spec.model_dump(mode="json"), "seed": 7}


def test_jobs_stream_and_end_as_the_functions_do(net: Net, tmp_path: Path) -> None:
    partial: list[dict[str, Any]] = []
    context = Context(Shelf(), 0, lambda: False, lambda share, text: None, partial.append)

    def asked(kind: str, **more: Any) -> dict[str, Any]:
        request = parse_request(kind, {"net": source(RESIDUAL), **more})
        payload = {**request.model_dump(mode="json"), "data": DataSpec().model_dump(mode="json")}
        value = run_job(context, kind, payload)
        json.dumps(value, allow_nan=False)
        return value

    map_ = asked("attribution", index=2, target="true", deleted=["stages.0.units.1"])
    expected = explorer.attribute(net, "digits", 2, target="true", deleted=["stages.0.units.1"])
    np.testing.assert_allclose(map_["values"], expected.values, rtol=1e-4, atol=1e-6)
    assert map_["decision"]["deleted"] == ["stages.0.units.1"]
    units = asked("conductance", index=2)
    assert all(part["n_steps"] >= 64 and part["step"] is None for part in partial)
    np.testing.assert_allclose(
        UnitConductance.from_json(units).branch,
        explorer.unit_conductance(net, "digits", 2).branch,
        rtol=1e-4,
    )
    file = tmp_path / "mine.png"
    file.write_bytes(base64.b64decode(to_png(np.zeros((9, 9, 3), np.uint8))))
    own = asked("attribution", image_path=str(file), method="saliency")
    assert own["decision"]["image"] == "mine.png"
    assert not from_png(own["picture"]).any()
    kept = pictures.picture_path(tmp_path, pictures.keep_picture(tmp_path, file.read_bytes()))
    own = asked("attribution", image_path=str(kept), method="saliency")
    assert own["decision"]["image"] == "your image"


def test_what_takes_long_lets_clicks_come_first() -> None:
    quick = {
        method: parse_request("attribution", {"net": source(PLAIN), "index": 0, "method": method})
        for method in METHODS
    }
    ways = {method: priority_of("attribution", asked) for method, asked in quick.items()}
    assert {method for method, way in ways.items() if way == "click"} == {"saliency", "grad_cam"}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"index": 1, "image_path": "a.png"},
        {"index": -1},
        {"index": 0, "method": "magic"},
        {"index": 0, "baseline": "grey"},
        {"index": 0, "steps": 0},
    ],
)
def test_requests_that_make_no_sense(more: dict[str, Any]) -> None:
    with pytest.raises(SkipscopeError) as caught:
        parse_request("attribution", {"net": source(PLAIN), **more})
    assert not isinstance(caught.value, RunError)
    assert "\n" not in str(caught.value)


# -------------------------------------------------------------------------------------- page


def asking(**options: Any) -> Asking:
    spec = fit_to_data(spec_of(RESIDUAL), DataSpec())
    chosen = {
        "image": 2,
        "own": "",
        "target": "true",
        "without": "",
        "baseline": "black",
        **options,
    }
    return Asking(
        0, {"source": "shipped", "name": "x"}, DataSpec(), None, 7, chosen, blueprint(spec)
    )


def test_a_page_asks_for_what_was_chosen() -> None:
    one = instrument("attribution")
    asked = one.payload(asking(method="grad_cam", unit="stages.0.units.1"))
    assert asked["unit"] == "stages.0.units.1"
    assert (asked["index"], asked["image_path"], asked["deleted"]) == (2, None, [])
    parse_request("attribution", asked)
    # Names of another net's blocks mean the last block, and none left out.
    asked = one.payload(asking(method="grad_cam", unit="layer1.0", without="layer1.0"))
    assert (asked["unit"], asked["deleted"]) == (None, [])
    # A block that was chosen for Grad-CAM is not asked of another method.
    assert one.payload(asking(method="saliency", unit="stages.0.units.1"))["unit"] is None
    own = "0123456789abcdef.picture"
    asked = instrument("conductance").payload(asking(own=own, without="stages.0.units.1"))
    assert (asked["index"], asked["image_path"]) == (None, own)
    assert asked["deleted"] == ["stages.0.units.1"]
    parse_request("conductance", asked)


def test_sentences_say_what_the_numbers_do(net: Net) -> None:
    def said(key: str, result: Any) -> str:
        spec = fit_to_data(spec_of(RESIDUAL), DataSpec())
        lane = Lane(0, "Mine", blueprint(spec), DATASETS["digits"], result.to_json())
        method = getattr(result, "method", "integrated_gradients")
        options = {"method": method, "target": "true", "narrow": True}
        one = instrument(key)
        assert one.figure([lane], options, "light").data
        assert one.table(lane.result)
        assert len(one.formula([lane], options)) == 2
        return one.caption([lane], options)[0]

    true = int(load_data(DataSpec()).test_labels[3])
    right = explorer.attribute(net, "digits", 3, target="true", steps=16)
    wrong = right.decision.predicted != true
    words = said("attribution", right)
    assert (f"; it is {true}" in words) == wrong
    assert f"Explained is {true}" in words
    assert f"error {right.error():.2g}, 16 steps" in words
    without = explorer.attribute(net, "digits", 3, method="grad_cam", deleted=[1])
    words = said("attribution", without)
    assert "without stages.0.units.1" in words
    assert "Maps of stages.2.units.1, 2×2." in words
    units = explorer.unit_conductance(net, "digits", 3)
    ways = units.shortcut != 0
    assert (
        f"Of {units.whole:.3g} logits, {units.branch[ways].max():.3g} pass through block"
        in said("conductance", units)
    )
    plain = create_net(PLAIN, input_shape=(1, 8, 8), classes=10, seed=7)
    words = said("conductance", explorer.unit_conductance(plain, "digits", 3, steps=8))
    assert "logits pass through each of its blocks (error at most" in words


def test_images_that_people_bring_have_names_of_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = pictures.keep_picture(tmp_path, b"an image")
    assert pictures.is_picture(name)
    assert pictures.keep_picture(tmp_path, memoryview(b"an image")) == name
    assert pictures.kept_picture(pictures.picture_path(tmp_path, name)) == b"an image"
    for wrong in ("0123456789abcdef.picture", "../weights/a", "/etc/passwd"):
        with pytest.raises(DataError, match="not stored here: choose the file again"):
            pictures.picture_path(tmp_path, wrong)
    with pytest.raises(DataError, match="is empty: choose another"):
        pictures.keep_picture(tmp_path, b"")
    with pytest.raises(DataError, match=r"has 64\.0 MB, more than the 64 MB that are read"):
        pictures.keep_picture(tmp_path, b"x" * (MAX_FILE_BYTES + 1))
    monkeypatch.setattr(pictures, "BYTES_KEPT", 10)
    other = pictures.keep_picture(tmp_path, b"another")
    with pytest.raises(DataError, match="not stored here"):
        pictures.picture_path(tmp_path, name)
    assert pictures.picture_path(tmp_path, other).is_file()
    with pytest.raises(DataError, match="any more"):
        pictures.kept_picture(tmp_path / name)


# ----------------------------------------------------------------------------------- figures


def decision(name: str = "a", deleted: tuple[str, ...] = ()) -> Decision:
    return Decision(name, "digits", "test image 3", deleted, 8, "8", 8, "8", 8, 4.5, 0.975)


def map_over(side: int, cells: int, method: Any = "grad_cam") -> Attribution:
    values = np.linspace(-2, 1, cells**2).reshape(cells, cells)
    pixels = np.arange(side * side * 3, dtype=np.uint8).reshape(side, side, 3)
    return Attribution(
        decision(), method, pixels, np.abs(values) if method == "saliency" else values
    )


def figure_of(key: str, lanes: list[tuple[int, str, Any]], **style: Any) -> go.Figure:
    one = declared(key)
    plain = [Drawn(i, name, None, DATASETS["digits"], result) for i, name, result in lanes]
    return one.figure(plain, one.asked({}), one.shown({}), Style(**style))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("side", "cells", "smooth"), [(8, 2, False), (224, 7, "best")])
def test_maps_lie_over_their_pictures(
    theme: Any, side: int, cells: int, smooth: str | bool
) -> None:
    lanes = [(i, f"net {i}", map_over(side, cells)) for i in range(3)]
    figure = figure_of("attribution", lanes, narrow=True, theme=theme)
    pictures = [trace for trace in figure.data if isinstance(trace, go.Image)]
    maps = [trace for trace in figure.data if isinstance(trace, go.Heatmap)]
    assert (len(pictures), len(maps)) == (4, 3)
    seen = from_png(pictures[0].source.removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(seen, lanes[0][2].picture)
    for picture, heat in zip(pictures[1:], maps, strict=True):
        assert (picture.xaxis, picture.yaxis) == (heat.xaxis, heat.yaxis)
        edges = heat.x0 - heat.dx / 2, heat.x0 + (cells - 0.5) * heat.dx
        assert edges == pytest.approx((-0.5, side - 0.5))
        assert heat.zsmooth == smooth
        assert (np.min(heat.z), np.max(np.abs(heat.z))) == (-1, 1)
        np.testing.assert_allclose(heat.customdata, lanes[0][2].values, rtol=1e-6)
    words = [note.text for note in figure.layout.annotations]
    assert words[0] == "test image 3"
    assert words[1] == "<b>net 0</b><br>for 8, 97.5 %"
    stops = figure.layout.coloraxis.colorscale
    assert [at for at, _ in stops] == sorted(at for at, _ in stops)
    assert (stops[0][0], stops[-1][0]) == (0, 1)
    assert figure.layout.coloraxis.cmin == -1
    json.loads(figure.to_json())


def test_saliency_has_no_sign_and_a_map_of_zeros_no_colour() -> None:
    figure = figure_of("attribution", [(0, "a", map_over(8, 8, "saliency"))])
    assert figure.layout.coloraxis.cmin == 0
    assert [stop[0] for stop in figure.layout.coloraxis.colorscale] == [0, 0.5, 1]
    nothing = Attribution(decision(), "occlusion", np.zeros((8, 8, 1), np.uint8), np.zeros((8, 8)))
    assert not np.any(figure_of("attribution", [(0, "a", nothing)]).data[-1].z)
    assert not figure_of("attribution", []).data


def test_bars_stand_at_their_units_and_deleted_ones_are_missing() -> None:
    names = tuple(f"stages.0.units.{i}" for i in range(4))

    def result(deleted: tuple[str, ...], shortcut: list[float]) -> UnitConductance:
        around = np.asarray(shortcut)
        return UnitConductance(decision("a", deleted), "black", 0.5, 64, names, 4 - around, around)

    lanes = [
        (0, "plain", result((), [0, 0, 0, 0])),
        (2, "residual", result((names[1],), [3, 4, 0, 5])),
    ]
    figure = figure_of("conductance", lanes, theme="dark")
    plain, residual = figure.data
    assert (plain.x.tolist(), plain.y.tolist()) == ([1, 2, 3, 4], [4, 4, 4, 4])
    assert plain.marker.opacity.tolist() == [1, 1, 1, 1]
    assert (residual.x.tolist(), residual.y.tolist()) == ([1, 3, 4], [1, 4, -1])
    assert residual.marker.opacity.tolist() == [1, 0.35, 1]  # all goes through the third
    assert residual.xaxis == "x2"
    assert [note.text.split(" · ")[-1] for note in figure.layout.annotations] == ["all: 4"] * 2
    assert [shape.y0 for shape in figure.layout.shapes] == [4, 0, 4, 0]
    assert not figure_of("conductance", []).data


@pytest.mark.parametrize("n", range(1, 9))
def test_any_number_of_nets_share_the_height(n: int, net: Net) -> None:
    """Of five the last axis began a rounding error below the figure, which Plotly refuses."""
    result = explorer.unit_conductance(net, "digits", 0, steps=2)
    drawn = figure_of("conductance", [(i % 4, f"net {i}", result) for i in range(n)])
    ends = [drawn.layout[f"yaxis{i or ''}"].domain for i in (0, *range(2, n + 1))]
    assert ends[-1][0] == 0
    assert ends[0][1] == 1
    assert all(low[1] <= high[0] for high, low in itertools.pairwise(ends))
