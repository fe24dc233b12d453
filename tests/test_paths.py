"""Paths counted, told, drawn and asked for: closed forms, results, figures, commands, jobs."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import drawn

from explorer.cli import main
from explorer.errors import NotApplicableError, SkipscopeError
from explorer.instruments.counted_paths import Multiplicity, PathLengths, multiplicity, path_lengths
from explorer.instruments.path_counts.result import PathCounts
from explorer.instruments.paths.result import PathCurve, PathGradients, PathToy
from explorer.instruments.unravelled.result import PathEffect, UnravelledView
from explorer.nets import create_net
from explorer.results import Floats
from explorer.runs.serve.requests import parse_request
from explorer.structure.blueprint import blueprint
from explorer.structure.library_nets import ExternalSpec
from explorer.structure.names import spec_of
from explorer.structure.path_combinatorics import (
    binomial,
    effective_range,
    fitted_ratio,
    log_counts,
    poisson_binomial,
    toy,
)
from explorer.structure.specs import DataSpec

# ------------------------------------------------------------------------------- closed forms


def test_path_lengths_are_as_veit_et_al_count_them() -> None:
    """Veit16 §4.1 and §4.2, of 54 modules."""
    lengths = path_lengths(blueprint(spec_of("resnet_v2_110")))
    assert lengths.two_way == 54
    assert lengths.mean == pytest.approx(27)
    assert lengths.between(19, 35) == pytest.approx(0.980, abs=5e-4)
    assert lengths.between(5, 17) == pytest.approx(0.004537, abs=5e-7)
    np.testing.assert_allclose(lengths.shares.sum(), 1)
    assert lengths.shares[27] == comb(54, 27) / 2**54
    assert lengths.in_training is None
    np.testing.assert_allclose(poisson_binomial([0.5] * 54), binomial(54))
    assert poisson_binomial([1.0, 0.0, 0.25]).tolist() == [0, 0.75, 0.25, 0]
    np.testing.assert_allclose(np.exp(log_counts(9)), [comb(9, k) for k in range(10)])
    assert np.isfinite(log_counts(1500)).all()


def test_the_toy_puts_the_gradient_on_short_paths() -> None:
    assert toy(54, 0.25)[5:18].sum() == pytest.approx(0.97, abs=0.006)
    np.testing.assert_allclose(toy(7, 1.0), binomial(7))
    assert toy(3, 0.0).tolist() == [1, 0, 0, 0]
    counts = np.asarray([comb(20, k) for k in range(21)])
    shares = counts * 0.3 ** np.arange(21)
    np.testing.assert_allclose(toy(20, 0.3), shares / shares.sum())
    for ratio in (0.05, 0.25, 1.4):  # the r that made a curve is found again, also of a part
        assert fitted_ratio(toy(54, ratio) * 17, 54) == pytest.approx(ratio)
        assert fitted_ratio(toy(54, ratio)[:9], 54) == pytest.approx(ratio)
    assert np.isnan(fitted_ratio(np.asarray([1.0, 0, 0]), 2))
    assert np.isnan(fitted_ratio(np.asarray([np.nan, np.nan]), 1))
    found = PathToy("net", 54, 0.25).effective()
    assert (found.low, found.high) == (5, 16)
    assert 0.95 <= found.held < 0.97


def test_the_effective_range_is_the_narrowest() -> None:
    curve = np.asarray([0.0, 1, 50, 30, 16, 2, 1])
    assert effective_range(curve) == (2, 4)
    assert effective_range(curve, 0.5) == (2, 2)
    assert effective_range(curve, 1.0) == (1, 6)
    assert effective_range(np.asarray([3.0])) == (0, 0)
    assert effective_range(np.zeros(4)) is None
    assert effective_range(np.asarray([1.0, np.nan])) is None
    low, high = effective_range(binomial(54)) or (0, 0)
    assert binomial(54)[low : high + 1].sum() >= 0.95
    narrower = high - low  # no window of one length less holds as much
    sums = [binomial(54)[i : i + narrower].sum() for i in range(55 - narrower + 1)]
    assert max(sums) < 0.95


def test_stochastic_depth_shortens_the_paths_of_training() -> None:
    plan = blueprint(spec_of("resnet_v2_110;survival_prob=0.5"))
    lengths = path_lengths(plan, "mine")
    assert lengths.net == "mine"
    assert lengths.mean == pytest.approx(27)  # in testing every branch is there
    assert lengths.in_training is not None
    # SD16 §3: 40.25 of 54 blocks stay on average, and a path takes half of these.
    assert np.arange(55) @ lengths.in_training == pytest.approx(40.25 / 2)
    uniform = path_lengths(
        blueprint(spec_of("resnet_v2_20;survival_prob=0.5;survival_decay=uniform"))
    )
    assert uniform.in_training is not None
    np.testing.assert_allclose(uniform.in_training, poisson_binomial([0.25] * 9))


@pytest.mark.parametrize(
    ("name", "two_way", "one_way"),
    [
        ("plain_20", 0, 9),
        ("resnet_v1_20", 9, 0),
        ("highway_25", 21, 2),
        ("densenet_40_k12", 36, 2),
        ("reference_residual_25", 25, 5),
    ],
)
def test_units_with_one_way_add_no_length(name: str, two_way: int, one_way: int) -> None:
    lengths = path_lengths(blueprint(spec_of(name)))
    assert (lengths.two_way, lengths.one_way) == (two_way, one_way)
    assert len(lengths.shares) == two_way + 1


def test_depth_multiplies_paths_and_width_does_not() -> None:
    found = multiplicity(spec_of("resnet_v2_56"))
    assert found.net.two_way == 27
    assert found.net in found.deeper
    assert found.net in found.wider
    assert {net.width for net in found.deeper} == {16}
    assert {net.depth for net in found.wider} == {56}
    assert {net.two_way for net in found.wider} == {27}
    assert all((net.depth - 2) / 2 == net.two_way for net in found.deeper)
    assert max(net.depth for net in found.deeper) > 56 > min(net.depth for net in found.deeper)
    depths = [net.depth for net in multiplicity(spec_of("imagenet_resnet_v2_50")).deeper]
    assert depths == [50, 101, 152, 200]
    dense = multiplicity(spec_of("densenet_40_k12"))
    assert [net.width for net in dense.wider] == [3, 6, 12, 24, 48]
    assert {net.two_way for net in multiplicity(spec_of("plain_20")).deeper} == {0}
    external = ExternalSpec(
        family="residual",
        name="torchvision_resnet18",
        depth=18,
        input_shape=(3, 224, 224),
        classes=1000,
        batch_norm=True,
    )
    with pytest.raises(NotApplicableError, match="torchvision_resnet18 is another library's net"):
        multiplicity(external)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------ results


def curve(kind: Any, values: Floats, draws: int = 0) -> PathCurve:
    return PathCurve(kind, values, values / 10, 64, draws)


def gradients(n: int = 9, *, drawn: bool = True) -> PathGradients:
    return PathGradients(
        "net",
        "digits",
        64,
        n,
        0.5,
        1e-7,
        (
            curve("coherent", toy(n, 0.2)),
            *([curve("incoherent", toy(n, 0.15), 2)] if drawn else []),
            *([curve("sampled", toy(n, 0.4) * 7, 2)] if drawn else []),
        ),
    )


def test_results_survive_json() -> None:
    view = UnravelledView(
        "net",
        "digits",
        90,
        ("a", "b"),
        ("01",),
        0.9,
        PathEffect("", 0.8, 0.1, 0.2),
        tuple(PathEffect(path, 0.5, 0.4, float("nan")) for path in ("00", "10", "01", "11")),
    )
    lengths = path_lengths(blueprint(spec_of("resnet_v2_14;survival_prob=0.5")))
    some: list[tuple[Any, Any]] = [
        (PathGradients, gradients()),
        (PathGradients, gradients(drawn=False)),
        (PathLengths, lengths),
        (PathLengths, path_lengths(blueprint(spec_of("plain_8")))),
        (PathCounts, PathCounts(**vars(lengths), multiplicity=multiplicity(spec_of("plain_8")))),
        (Multiplicity, multiplicity(spec_of("resnet_v2_14"))),
        (UnravelledView, view),
    ]
    for kind, result in some:
        told = json.loads(json.dumps(result.to_json()).replace("NaN", "null"))
        again = kind.from_json(told)
        assert json.dumps(again.to_json()) == json.dumps(result.to_json())
        assert len(result.to_frame()) == len(again.to_frame()) > 0
    assert list(view.to_frame()["length"]) == [0, 1, 1, 2]
    # Wilson's for 45 of 90
    assert view.interval(view.single[0]) == pytest.approx((0.399, 0.601), abs=1e-3)


def test_gradients_say_where_they_are() -> None:
    result = gradients()
    assert result.leading().kind == "sampled"
    assert gradients(drawn=False).leading().kind == "coherent"
    assert [round(result.ratio(c), 6) for c in result.curves] == [0.2, 0.15, 0.4]
    found = result.effective(result.leading())
    assert found is not None
    assert (found.low, found.high) == effective_range(toy(9, 0.4))
    assert found.paths == pytest.approx(binomial(9)[found.low : found.high + 1].sum())
    per_path = result.per_path(result.leading())
    np.testing.assert_allclose(per_path[1:] / per_path[:-1], 0.4)
    frame = result.to_frame()
    assert {"length", "share_of_paths", "coherent", "sampled_per_path"} <= set(frame.columns)


# ------------------------------------------------------------------------------------ figures


def test_figures() -> None:
    one, two = gradients(), gradients(drawn=False)
    figure = drawn("paths", [one, two])
    assert figure.layout.yaxis.type == "log"
    assert len(figure.data) == 4
    assert len(figure.layout.shapes) == 2  # an effective range each
    alone = drawn("paths", [one])
    found = one.effective(one.leading())
    assert found is not None
    assert (alone.layout.shapes[0].x0, alone.layout.shapes[0].x1) == (
        found.low - 0.5,
        found.high + 0.5,
    )
    assert f"lengths {found.low}–{found.high}" in alone.layout.annotations[0].text
    assert not drawn("paths", [one], narrow=True).layout.annotations
    assert not drawn("paths", [one, two], show="per_path").layout.shapes
    assert [t.line.dash for t in alone.data] == ["solid", "dash", "dot"]
    exact = drawn("paths", [two])
    assert len(exact.data) == 1
    np.testing.assert_allclose(exact.data[0].y, two.coherent.value)

    thinned = create_net("resnet_v2_20;width=2;survival_prob=0.5", seed=0)
    shares = drawn("paths", [one], nets=[thinned], show="shares")
    np.testing.assert_allclose(shares.data[0].y, binomial(9) * 100)
    assert sum(shares.data[1].y) == pytest.approx(100)
    assert [trace.name.split(",")[0] for trace in shares.data] == [
        *("all paths", "paths of a training step", "gradient")
    ]
    assert drawn("paths", [one], show="shares").data  # of a net that only its library knows
    both = drawn("path_counts", [counts("resnet_v2_20"), counts("resnet_v2_26")])
    assert [trace.name for trace in both.data if trace.type == "bar"] == [
        "all paths, n = 9",
        "all paths, n = 12",
    ]
    assert len(drawn("path_counts", [counts("resnet_v2_20")] * 2).data) == 1  # the bars once

    slider = drawn("paths", [one], show="toy", alone=True)
    assert len(slider.layout.sliders[0].steps) == len(slider.data) - 2
    for i, step in enumerate(slider.layout.sliders[0].steps):
        shown = step.args[0]["visible"]
        assert shown == [True, *(j == i for j in range(len(shown) - 2)), True]
    for alone_or_not in (True, False):
        told = drawn("paths", [one], show="toy", r=0.3, alone=alone_or_not)
        assert not told.layout.sliders
        np.testing.assert_allclose(told.data[1].y, toy(9, 0.3) * 100)

    many = drawn("path_counts", [counts("resnet_v2_20")], show="nets")
    assert many.layout.xaxis.type == "log"
    assert set(many.data[1].y) == {9}
    assert many.layout.yaxis.tickprefix == "2<sup>"
    huge = counts("fc_residual_1300")
    assert huge.two_way == 1299
    assert drawn("path_counts", [huge], show="nets").data
    for key, show in (
        *(("paths", show) for show in ("curves", "per_path", "shares", "toy")),
        *(("path_counts", show) for show in ("lengths", "nets")),
    ):
        assert not drawn(key, [], theme="dark", show=show).data
    assert not drawn("unravelled", []).data


def counts(name: str) -> PathCounts:
    plan = blueprint(spec_of(name))
    return PathCounts(**vars(path_lengths(plan)), multiplicity=multiplicity(plan.spec))


# ---------------------------------------------------------------------------------- commands

SMALL = "resnet_v2_8;width=2"
SIX = ",".join(f"stages.{stage}.units.{unit}" for stage in range(3) for unit in range(2))


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["paths", *argv])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, SMALL, "--n", "4", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["weights"] == "untrained, seed 7"
    result = PathGradients.from_json(told)
    assert (result.n_images, result.two_way, len(result.curves)) == (4, 3, 3)
    code, out, _ = run(capsys, SMALL, "--n", "4", "--draws", "0", "--longest", "2", "--csv")
    assert code == 0
    assert out.splitlines()[0].startswith("length,share_of_paths,coherent")
    assert len(out.splitlines()) == 4
    code, out, _ = run(capsys, SMALL, "--n", "4")
    assert "the sum over lengths is autograd's within" in out
    assert "2^3 paths" in out
    for of in ("curves", "per-path", "shares"):
        page = tmp_path / f"{of}.html"
        code, out, err = run(capsys, SMALL, SMALL, "--n", "2", "--of", of, "--html", str(page))
        assert (code, out) == (0, ""), err
        assert page.stat().st_size > 1_000_000

    toy_page = tmp_path / "toy.html"
    code, _, _ = run(capsys, SMALL, "--n", "2", "--view", "toy", "--html", str(toy_page))
    assert code == 0
    assert '"sliders"' in toy_page.read_text("utf-8")
    code, out, _ = run(capsys, "resnet_v2_110;width=2", "--view", "lengths")
    assert "2^54 paths, of 27.0 branches on average" in out
    assert "seed" not in out  # no weights were looked at
    code, out, _ = run(capsys, "resnet_v2_20", "highway_13", "--view", "multiplicity")
    assert code == 0
    assert "highway_13" in out
    assert "2^9" in out
    code, out, _ = run(capsys, "resnet_v2_20;survival_prob=0.5", "--view", "lengths", "--csv")
    assert out.splitlines()[0] == "length,share_of_paths,share_in_training"


def test_the_unravelled_view_by_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(
        capsys, SMALL, "--view", "unravelled", "--n", "20", "--off", "010,110", "--json"
    )
    assert code == 0
    view = UnravelledView.from_json(json.loads(out))
    assert view.off == ("010", "110")
    assert len(view.single) == 8
    code, out, _ = run(capsys, SMALL, "--view", "unravelled", "--n", "20")
    assert "digit 3: stages.2.units.0" in out
    code, out, _ = run(capsys, SMALL, "--view", "unravelled", "--off", "000", "--dot")
    assert out.startswith("digraph unravelled")
    code, out, _ = run(capsys, SMALL, "--view", "unravelled", "--svg")
    assert out.count('role="switch"') == 8
    page = tmp_path / "tree.html"
    code, _, _ = run(capsys, SMALL, "--view", "unravelled", "--n", "9", "--html", str(page))
    assert code == 0
    assert page.exists()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["plain_8;width=2"], "A plain net has a single path"),
        (["plain_8", "--view", "unravelled"], "A plain net has a single path"),
        (["resnet_v2_14;width=2", "--view", "unravelled", "--units", SIX], "6 units would be 2^6"),
        (["plain_8", "--view", "unravelled", "--dot"], "A plain net has a single path"),
        ([SMALL, "--view", "unravelled", "--units", "stem"], "'stem' is no unit with two ways"),
        ([SMALL, "--view", "unravelled", "--off", "01"], "'01' is no path of 3 units"),
        ([SMALL, "--off", "010"], "`skipscope paths` takes no option '--off'"),
        ([SMALL, "--view", "lengths", "--draws", "0"], "path_counts` takes no option '--draws'"),
        ([SMALL, SMALL, "--view", "unravelled", "--dot"], "draw one net"),
        ([SMALL, "--longest", "0"], "whole number of at least 1"),
        (
            [SMALL, "--view", "paths"],
            "each view is a command of its own: pa",
        ),
        ([SMALL, "--view", "unravelled", "--picture", "a.bmp"], ".png, .svg or .pdf"),
    ],
)
def test_wrong_input_is_one_sentence(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


def test_bench_rows(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["bench", "paths", "--net", SMALL, "--size", "8", "--images", "2", "--repeats", "1"]
    assert main([*argv, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["case"] for row in told["rows"]] == [
        f"4 path lengths, {case}" for case in ("exact", "random signs", "random paths")
    ]
    for row in told["rows"]:
        assert row["passes"] == pytest.approx(row["ours_s"] / row["plain_s"])
        assert (row["n"], row["dtype"], row["input_shape"]) == (2, "float32", [3, 8, 8])
    assert told["rows"][0]["mismatch"] < 1e-5
    assert main(["bench", "paths", "--net", "plain_8", "--size", "8"]) == 2


# -------------------------------------------------------------------------------------- jobs


def job(kind: str, **payload: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    from explorer.runs.worker.jobs import run as run_job
    from explorer.runs.worker.warm import Context, Shelf

    spec = {"source": "fresh", "spec": fitted(SMALL), "seed": 1}
    data = {} if kind == "path_counts" else {"data": DataSpec().model_dump(mode="json")}
    given = {"net": spec, **data, **payload}
    request = parse_request(kind, given).model_dump(mode="json")
    parts: list[dict[str, Any]] = []
    context = Context(Shelf(), 0, lambda: False, lambda *_: None, parts.append)
    return run_job(context, kind, request), parts


def fitted(name: str) -> dict[str, Any]:
    net = create_net(name, input_shape=(1, 8, 8), classes=10, seed=0)
    return net.spec.model_dump(mode="json")


def test_jobs_stream_the_exact_curve_first() -> None:
    value, parts = job("paths", n_images=5, draws=2)
    assert (len(parts[0]["curves"]), len(parts[-1]["curves"])) == (1, 3)
    result = PathGradients.from_json(value)
    assert result.sampled is not None
    assert result.sampled.draws == 2
    assert json.dumps(value, allow_nan=False)

    value, _ = job("path_counts")
    found = PathCounts.from_json(value)
    assert found.two_way == 3
    assert found.multiplicity is not None
    assert found.multiplicity.net.two_way == 3
    assert PathLengths.from_json(value).two_way == 3
    value, parts = job("unravelled", n_images=150, off=["000"])
    view = UnravelledView.from_json(value)
    assert (view.n_images, view.off) == (150, ("000",))
    assert [part["n_images"] for part in parts] == [128, 150]
    for wrong in ({"draws": -1}, {"longest": 0}, {"seed": -1}, {"wings": 2}):
        with pytest.raises(SkipscopeError):
            job("paths", **wrong)
