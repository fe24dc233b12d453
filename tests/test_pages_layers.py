"""Pages on gradients, responses and gates: their sentences say what the results say, no more."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from asking import Lane
from asking import page_of as instrument

from explorer.errors import NotApplicableError
from explorer.instruments.history.measure import RESPONSE_IMAGES
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.links import from_query
from explorer.pages.instruments.on_page import Asking
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of
from explorer.structure.specs import DATASETS, DataSpec


def lane(token: str, result: dict[str, Any], done: bool = True) -> Lane:
    return Lane(0, token, blueprint(spec_of(token)), DATASETS["digits"], result, done)


def units(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = [{"name": f"stages.0.units.{i}", **row} for i, row in enumerate(rows)]
    told = {"net": "", "data": "digits", "n_images": 50, "statistics": "running"}
    return {**told, "units": named, **more}


def term(whole: float, direct: float, residual: float) -> dict[str, Any]:
    return {"whole": whole, "direct": direct, "residual": residual, "cosine": 0.0}


def test_terms() -> None:
    one = instrument("terms")
    result = units(
        term(2.0, 1.0, 1.7), term(1.2, 1.0, 0.5), end=1.0, shortcut_scale=1.0, unscaled=[1.0, 1.0]
    )
    (said,) = one.caption([lane("resnet_v2_14", result)], {})
    assert "norm is 2, and that of its direct term 1 (50 training images)" in said
    assert "the larger one in 1 of 2 blocks" in said
    assert one.table(result)[0]["direct ÷ whole, %"] == 50.0
    diverged = units(term(math.inf, 1.0, 1.0), end=1.0, shortcut_scale=None, unscaled=None)
    assert one.caption([lane("resnet_v2_14", diverged)], {}) == []
    assert "no shortcuts" in (one.not_for(blueprint(spec_of("plain_8"))) or "")


def test_scaling_asks_for_the_chosen_scale_first() -> None:
    one = instrument("scaling")
    plan = blueprint(spec_of("resnet_v2_14"))
    source = {"source": "shipped", "name": "x"}
    payload = one.payload(Asking(0, source, DataSpec(), None, 3, {"scale": 0.45}, plan))
    assert (payload["scale"], payload["seed"], payload["net"]) == (0.45, 3, source)
    assert one.was["lambda"][0] == "scale"
    rows = [{"scale": 0.5, "theory": 0.5**6, "direct": 0.0156, "whole": 3.0}]
    result = {"net": "", "data": "digits", "n_images": 64, "n_units": 6, "scales": rows}
    (said,) = one.caption([lane("resnet_v2_14", result, done=False)], {"scale": 0.5})
    assert "Eq 8 says 0.0156 for the direct term, measured 0.0156" in said
    assert "so far" in said
    assert one.not_for(blueprint(spec_of("fc_residual_5"))) is not None


def fresh(depth: int, norm: bool, seed: int, value: float) -> dict[str, Any]:
    return {
        "family": "plain_N",
        "depth": depth,
        "batch_norm": norm,
        "seed": seed,
        "loss": 2.3,
        "first_layer": value,
        "last_layer": 1.0,
        "first_unit": value,
        "last_unit": 1.0,
    }


def test_fresh_nets_are_compared_where_there_are_two_depths() -> None:
    one = instrument("at_init")
    rows = [fresh(8, False, 0, 1.0), fresh(56, False, 0, 1e-4), fresh(8, True, 0, 1.0)]
    result = {"data": "digits", "n_images": 64, "rows": rows}
    said = one.caption([lane("plain_8", result)], {"of": "parameters"})
    assert said == [
        "plain_N without batch norm: at 56 layers 1/10,000 what it is at 8 (median of 1 seed, "
        "64 images).",
        "Convolutions find zeros at the edges, which without batch norm take a share of the "
        "gradient away at every layer: circular padding shows depth alone.",
    ]
    apart = [*rows, fresh(8, False, 1, 1.0), fresh(56, False, 1, 1e-2)]  # two seeds, unlike
    said = one.caption([lane("plain_8", {**result, "rows": apart})], {"of": "parameters"})
    assert said[0].endswith("(median of 2 seeds, from 1/10,000 to 1/100, 64 images).")
    circular = [{**row, "family": f"{row['family']};padding=circular"} for row in rows]
    said = one.caption([lane("plain_8", {**result, "rows": circular})], {"of": "parameters"})
    assert said[0].startswith("plain_N without batch norm: at 56 layers 1/10,000")
    assert said[1:] == ["Circular padding: nothing is lost at the edges."]
    vanished = {**result, "rows": [fresh(8, False, 0, 1.0), fresh(56, False, 0, 0.0)]}
    assert one.caption([lane("plain_8", vanished)], {"of": "parameters"}) == []
    asked = one.payload(
        Asking(0, {}, DataSpec(), None, 5, {"batch_norm": "with", "padding": "zeros"}, None)
    )
    assert (asked["seeds"], asked["seed"], asked["batch_norm"]) == (3, 5, "with")
    assert (asked["nets"][0], asked["padding"]) == ("plain_20", "zeros")
    assert one.was["norm"][0] == "batch_norm"


def branch(ratio: float, cosine: float, cut: float | None) -> dict[str, Any]:
    return {"ratio": ratio, "ratio_sd": 0.1, "cosine": cosine, "cosine_sd": 0.1, "cut": cut}


@pytest.mark.parametrize(
    ("of", "words"),
    [
        ("ratio", "‖F‖/‖h‖ lies between 0.2 and 0.5 (50 test images)"),
        ("cosine", "below 0 in 1 of 2 blocks"),
        ("cut", "cuts 10.0 % to 30.0 % of the entries"),
    ],
)
def test_branches(of: str, words: str) -> None:
    one = instrument("branches")
    result = units(branch(0.5, -0.1, 0.1), branch(0.2, 0.1, 0.3))
    (said,) = one.caption([lane("resnet_v1_14", result)], {"of": of})
    assert words in said
    none = units(branch(0.5, -0.1, None), statistics="batch")
    (said,) = one.caption([lane("resnet_v2_14", none)], {"of": "cut"})
    assert "no ReLU follows the addition" in said
    assert "untrained" in said


def test_estimates_count_the_stages_that_shrink() -> None:
    rows = [
        {"stage": stage, "mean": 0.0, "sd": sd, "scale": 2.0}
        for stage, sd in ((0, 1.0), (0, 0.5), (0, 0.0), (1, 0.5), (1, 0.7), (1, 0.0))
    ]
    (said,) = instrument("estimation").caption([lane("resnet_v2_20", units(*rows))], {})
    assert "in 1 of 2 stages" in said
    assert "0.50 of the size" in said


def test_gates_have_their_letter_and_their_spread() -> None:
    one = instrument("gates")
    rows = [{"mean": 0.05, "sd": 0.1, "bias": -3.0}, {"mean": 0.4, "sd": 0.1, "bias": -3.0}]
    shortcut = units(*rows, gate="shortcut")
    (said,) = one.caption([lane("resnet_v2_14", shortcut)], {"view": "mean"})
    assert "below 0.1 in 1 of 2 blocks" in said
    assert "with g = 0.40" in said
    lines = one.formula([lane("resnet_v2_14", shortcut)], {"view": "mean"})
    assert lines[0].startswith("Gated shortcut")
    levels = [0.05, 0.25, 0.5, 0.75, 0.95]
    quantiles = [[0.0, 0.1, 0.2, 0.3, 0.4], [0.1, 0.1, 0.1, 0.2, 0.9]]
    spread = units(*rows, gate="transform", levels=levels, quantiles=quantiles)
    (said,) = one.caption([lane("highway_7", spread)], {"view": "distribution"})
    assert "medians from 0.100 to 0.200" in said
    assert "between 0.100 and 0.900" in said
    assert one.not_for(blueprint(spec_of("resnet_v2_14;shortcut=exclusive_gating"))) is None
    assert one.not_for(blueprint(spec_of("resnet_v2_14"))) is not None


def test_a_history_is_of_runs_alone(tmp_path: Path) -> None:
    from explorer.training.recording import IMAGES

    assert RESPONSE_IMAGES == IMAGES
    one = instrument("history")
    assert one.is_recorded
    service = RunService(tmp_path, threads=1)
    try:
        source = {"source": "fresh"}
        asking = Asking(0, source, DataSpec(), None, 7, {"of": "parameters"}, None)
        with pytest.raises(NotApplicableError, match="choose a shipped net or a lane of a run"):
            one.recorded(service, asking)
    finally:
        service._store.close()  # its workers were never started
    rows = [{"name": f"l{i}", "values": [10.0 ** (-i // 3), 1.0]} for i in range(6)]
    result = {
        "net": "",
        "data": "digits",
        "n_images": 64,
        "quantity": "parameter_rms",
        "steps": [0, 30],
        "layers": rows,
    }
    map_of = {"of": "parameters", "drawn": "map"}
    (said,) = one.caption([lane("plain_8", result)], {**map_of, "drawn": "ends"})
    assert "÷ of the last three: 10 at step 0, at most 10 (step 0), 1 in the second half" in said
    lines = one.figure([lane("plain_8", result)], {**map_of, "drawn": "ends"}, "light").data
    assert [list(line.y) for line in lines] == [[0.1, 1.0], [0.01, 1.0]]
    assert len(one.figure([lane("plain_8", result)], map_of, "dark").data) == 1
    (said,) = one.caption([lane("plain_8", result)], map_of)
    assert "at 2 moments, step 0 to 30" in said
    assert "At step 30 the first three are 1 × the last three" in said


@pytest.mark.parametrize(
    ("link", "key", "wanted"),
    [
        ("history;of=gate_mean;as=ends", "history", {"of": "gates", "drawn": "ends"}),
        ("scaling;lambda=0.5", "shortcut_scaling", {"scale": 0.5}),
        (
            "at_init;of=outputs;norm=with;padding=zeros",
            "gradients_at_init",
            {"of": "outputs", "batch_norm": "with", "padding": "zeros"},
        ),
        ("terms", "gradient_terms", {}),
        ("propagation;of=gradient;weights=own", "propagation", {"of": "gradient", "start": "own"}),
        (
            "shattering;show=depth;depth=24;batch_norm=no;beta=0.1;seeds=3;bias=-4",
            "shattering",
            {"show": "depth", "depth": "24", "batch_norm": False, "seeds": 3, "beta": 0.1}
            | {"transform_bias": -4.0},
        ),
        ("vanishing;layers=fc;gain=0.9;order=original", "vanishing", {"layers": "fc", "gain": 0.9}),
    ],
)
def test_links_of_earlier_days_ask_the_same(link: str, key: str, wanted: dict[str, Any]) -> None:
    look, problems = from_query({"instrument": link, "nets": "plain_8"})
    assert (look.instrument, problems) == (key, [])
    one, present = instrument(key), Present((blueprint(spec_of("plain_8")),))
    read = {name: one.option(name).read(text, present) for name, text in look.chosen.items()}
    assert {name: read[name] for name in wanted} == wanted
