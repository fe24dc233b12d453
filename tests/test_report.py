"""A training as one HTML file, as CSV and as JSON: complete, inert, and the same as recorded."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explorer.cli import main
from explorer.cli.train import CHECKPOINT
from explorer.errors import RunError
from explorer.instruments.lesions.result import LesionCurve
from explorer.report.figures import part, parts, titles
from explorer.report.material import ReportLane, of_folder
from explorer.report.page import report_html
from explorer.report.tables import COLUMNS, csv_text, json_text
from explorer.results import Record
from explorer.runs.serve.recorded_as_results import places
from explorer.runs.store import ResultRow, Store
from explorer.structure.blueprint import blueprint
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import DataSpec, ExperimentSpec, TrainSpec, fit_to_data

HOSTILE = "</script><script>alert(1)</script>"
NETS = tuple(
    fit_to_data(spec_of(name), DataSpec())
    for name in ("plain_8;width=4", "fc_highway_6;transform_bias=-2")
)
SPEC = ExperimentSpec(lanes=NETS, training=TrainSpec(steps=4, batch_size=32))


def recorded() -> list[Record]:
    """What a training of four steps would have recorded, one loss not finite."""
    found = []
    for lane, net in enumerate(NETS):
        plan = blueprint(net)
        weights, units = len(plan.weight_layers), len(plan.units)
        deletable = [unit for unit in plan.units if unit.deletable]
        inner = len(places(plan, "responses", "sd"))
        for step in range(4):
            loss = None if (lane, step) == (0, 3) else 2.0 - step / 4
            values = {"loss": loss, "error": 0.5, "learning_rate": 0.1}
            found.append(Record("step", lane, step, values))
            layers = [0.1 * (i + 1) for i in range(weights)]
            outputs = [0.01 * (step + 1)] * units
            found.append(
                Record("layers", lane, step, {"parameter_rms": layers, "output_rms": outputs})
            )
            found.append(Record("responses", lane, step, {"sd": [1.0] * inner}))
            if lane == 1:
                found.append(Record("gates", lane, step, {"mean": [0.1] * units}))
        measured = {"train_loss": 1.0, "train_error": 0.2, "test_loss": 1.5, "test_error": 0.25}
        found.append(Record("eval", lane, 4, {**measured, "n_train": 500, "n_test": 360}))
        lesions = {"accuracy": [0.5] * len(deletable), "baseline": 0.75, "n": 100}
        found.append(Record("lesions", lane, 4, lesions))
    found.append(Record("diverged", 0, 3, {"message": "Its loss is not finite since step 3."}))
    return found


@pytest.fixture
def lanes(tmp_path: Path) -> list[ReportLane]:
    return of_folder(str(tmp_path / "a pair"), SPEC, recorded())


def figures_of(text: str) -> dict[str, Any]:
    pieces = re.findall(r'<script type="application/json" id="data-(\w+)">(.*?)</script>', text)
    return {key: json.loads(body) for key, body in pieces}


def test_the_page_has_every_figure_and_what_was_chosen(lanes: list[ReportLane]) -> None:
    text = report_html(lanes)
    figures = figures_of(text)
    assert list(figures) == list(titles(lanes))
    assert {"error", "loss", "lesion", "gate", "gradients_over_time"} <= set(figures)
    for key, figure in figures.items():
        assert figure["data"], key
        assert f'data-figure="{key}"' in text
    words = unescape(text)
    assert "The lanes differ in family (plain / highway)" in words
    assert "Its loss is not finite since step 3." in words
    assert "25.00</td><td>20.8 to 29.7, n = 360" in words  # Wilson's interval of 90 of 360
    assert "batch size</td><td>32" in words
    assert all(token_of(net) in words for net in NETS)


def test_the_page_asks_for_nothing_and_runs_nothing_that_people_wrote(tmp_path: Path) -> None:
    lanes = of_folder(str(tmp_path / "x"), SPEC, recorded())
    training = lanes[0].training
    for field in ("name", "note"):
        object.__setattr__(training, field, HOSTILE)  # frozen: shared by the lanes
    text = report_html(lanes)
    assert "alert(1)</script>" not in text
    assert "default-src 'none'" in text
    assert "showSendToCloud: false" in text
    # Plotly's own script apart, no address is named at all.
    assert not re.search(r'(src|href)="(?!data:)', text.partition("<script>")[0])


def test_the_table_has_every_number_with_its_place(lanes: list[ReportLane]) -> None:
    records = recorded()
    rows = list(csv.DictReader(io.StringIO("".join(csv_text(lanes, lambda _: records)))))
    assert tuple(rows[0]) == COLUMNS
    assert {row["net"] for row in rows} == {token_of(net) for net in NETS}
    [lost] = [r for r in rows if r["quantity"] == "loss" and r["lane"] == "0" and r["step"] == "3"]
    assert lost["value"] == ""
    first = blueprint(NETS[0]).weight_layers[0].name
    assert [
        float(r["value"])
        for r in rows
        if (r["lane"], r["quantity"], r["of"]) == ("0", "parameter_rms", first)
    ] == [0.1] * 4
    numbers = sum(
        len(value) if isinstance(value, list) else 1
        for record in records
        for value in record.values.values()
    )
    assert len(rows) == numbers


def test_the_json_gives_every_record_back(lanes: list[ReportLane]) -> None:
    document = json.loads("".join(json_text(lanes, lambda _: recorded())))
    [run] = document["runs"]
    assert ExperimentSpec.model_validate(run["experiment"]) == SPEC
    assert [Record.from_json(value) for value in run["records"]] == recorded()
    one = json.loads("".join(json_text(lanes[1:], lambda _: recorded())))["runs"][0]
    assert {value["lane"] for value in one["records"]} == {1}


def test_lanes_of_one_name_are_told_apart(tmp_path: Path) -> None:
    twice = ExperimentSpec(lanes=(NETS[0], NETS[0]), training=SPEC.training)
    names = [lane.name for lane in of_folder(str(tmp_path), twice, [])]
    assert len(set(names)) == 2
    lanes = of_folder(str(tmp_path), twice, [])
    assert titles(lanes) == {}  # nothing was recorded: no empty figures
    assert "not evaluated yet" in report_html(lanes)
    with pytest.raises(RunError, match="no lane 5: this training has 2"):
        of_folder(str(tmp_path), twice, [], [5])
    with pytest.raises(RunError, match="not 5: choose fewer"):
        of_folder(str(tmp_path), twice, [], [0, 1, 0, 1, 0])


def test_a_caption_says_what_its_figure_shows(lanes: list[ReportLane]) -> None:
    lesion = part("lesion", lanes)
    assert "25.0 (weights of step 4)" in lesion.caption
    assert lesion.rows[0][2:] == (50.0, 40.38, 59.62)  # Wilson's interval of 50 of 100
    assert "360 test images" in part("error", lanes).caption
    assert part("error", lanes).caption.startswith("The lanes differ in family (plain / highway)")
    assert "differ" not in next(iter(parts(lanes))).caption  # the report says so above them all
    other = replace(lanes[1].training, id="b", spec=SPEC.model_copy(update={"seed": 9}))
    two = part("error", [lanes[0], replace(lanes[1], training=other, forked=False)]).caption
    assert "Lane 2 starts from another seed's weights." in two
    assert "Besides their nets they differ in seed (7 / 9)." in two


def test_the_command_line_writes_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors.numpy import save_file

    folder = tmp_path / "pair"
    folder.mkdir()
    last = max(record.step for record in recorded())
    state = {"experiment": SPEC.model_dump(mode="json"), "step": last}
    state = {"skipscope": json.dumps(state)}
    save_file({}, folder / CHECKPOINT, state)
    lines = [json.dumps(record.to_json()) for record in recorded()]
    (folder / "records.jsonl").write_text("\n".join(lines), "utf-8")
    out = tmp_path / "pair.html"
    assert main(["report", str(folder), "--html", str(out)]) == 0
    assert "opens in any browser" in capsys.readouterr().err
    assert len(figures_of(out.read_text("utf-8"))) == 9
    assert main(["report", str(folder), "--csv"]) == 0
    assert capsys.readouterr().out.startswith(",".join(COLUMNS))
    assert main(["report", str(folder), "--html", str(tmp_path / "no" / "x.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 2
    assert "is not the folder of a training" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "nothing")]) == 2
    assert "There is no folder" in capsys.readouterr().err


def test_the_command_line_reports_runs_of_the_app_while_it_is_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIPSCOPE_HOME", str(tmp_path / "home"))
    assert main(["report", "abc"]) == 2
    assert "No runs are stored" in capsys.readouterr().err
    store = Store(tmp_path / "home")  # held open, as the app holds it
    try:
        ids = [store.create(name, SPEC.model_dump_json(), 4) for name in ("a pair", "two")]
        for run in ids:
            store.append(run, recorded())
            store.update(run, "running")
        curve = LesionCurve(
            net="x",
            data="digits",
            n_images=60,
            baseline_accuracy=0.5,
            units=("stages.0.units.0",),
            accuracy=np.array([0.25]),
        )
        store.add_result(ResultRow(ids[0], 0, "lesions", 9, {**curve.to_json(), "step": 9}))

        assert main(["report", f"{ids[0]}.1", "--json"]) == 0
        [told] = json.loads(capsys.readouterr().out)["runs"]
        assert (told["name"], told["status"], told["step"]) == ("a pair", "running", 4)
        assert [value["lane"] for value in told["lanes"]] == [1]
        assert [Record.from_json(r) for r in told["records"]] == [
            record for record in recorded() if record.lane == 1
        ]
        assert main(["report", ids[0], f"{ids[1]}.0", f"{ids[0]}.0", "--json"]) == 0
        one, two = json.loads(capsys.readouterr().out)["runs"]
        assert [[x["lane"] for x in run["lanes"]] for run in (one, two)] == [[0, 1], [0]]
        assert one["lanes"][0]["lesions"]["step"] == 9  # newer than what the training recorded
        out = tmp_path / "x.html"
        assert main(["report", ids[0], "--html", str(out)]) == 0
        assert len(figures_of(out.read_text("utf-8"))) == 9
        capsys.readouterr()

        assert main(["report", *ids, f"{ids[1]}.7"]) == 2
        assert "not 5: choose fewer" in capsys.readouterr().err
        assert main(["report", f"{ids[1]}.7"]) == 2
        assert "There is no lane 7: this training has 2" in capsys.readouterr().err
        assert main(["report", "abc"]) == 2
        assert f"There is no stored run 'abc': the newest are {ids[1]} (two)" in (
            capsys.readouterr().err
        )
    finally:
        store.close()
