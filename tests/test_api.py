"""What ``import explorer`` offers, and that it costs nothing until it is used."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import explorer
from explorer.instruments import functions

NAMES = {
    *("DataSpec", "DenseSpec", "ExperimentSpec", "HighwaySpec", "NetSpec", "PlainSpec"),
    *("ResidualSpec", "Session", "SkipscopeError", "TrainSpec", "blueprint", "create_net"),
    *("evaluate_program", "load_checkpoint", "load_data"),
    *("load_pretrained", "load_weights", "predict", "spec_of", "title_of", "token_of", "train"),
    *("WorkedExample",),
    *("adapt", "end_points", "export_code", "load_external", "sweep", "SweepSpec"),
    *("gradients_by_length", "multiplicity", "path_lengths"),
}


def test_the_exported_names() -> None:
    assert set(explorer.__all__) == NAMES
    assert list(explorer.__all__) == sorted(explorer.__all__)
    assert set(dir(explorer)) >= NAMES | set(dir(functions))
    for name in {*NAMES, *dir(functions)}:
        assert getattr(explorer, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'wings'"):
        _ = explorer.wings  # type: ignore[attr-defined]


def test_importing_loads_nothing_heavy() -> None:
    heavy = "('torch', 'numpy', 'pandas', 'pydantic', 'streamlit', 'sklearn')"
    check = f"import sys, explorer; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "first", ["import explorer", "import explorer.nets", "import explorer.cli"]
)
def test_blueprint_is_a_function_whatever_was_imported(first: str) -> None:
    check = (
        f"{first}; import explorer; plan = explorer.blueprint('resnet_v1_56');"
        "print(plan.parameters, explorer.blueprint(explorer.spec_of('plain_20')).parameters);"
        "from explorer.structure.blueprint import blueprint; print(blueprint(plan.spec) is plan)"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout == "853018 269722\nTrue\n"


def test_a_notebook_session() -> None:
    dataset = explorer.load_data(explorer.DataSpec(name="digits", train_limit=200))
    training = explorer.TrainSpec(steps=20, batch_size=32)
    kinds: set[str] = set()
    session = explorer.train(
        ["plain_8;width=4", explorer.spec_of("highway_7;width=4")],
        dataset,
        training,
        device="cpu",
        on_record=lambda record: kinds.add(record.kind),
    )
    assert session.step == 20
    assert kinds == {"step", "eval", "layers", "gates", "responses", "lesions"}
    plain, highway = session.nets
    curve = explorer.lesions(plain, dataset, n_images=100)
    assert curve.net == "plain_8;width=4"
    assert list(curve.to_frame().columns)[:4] == ["unit", "accuracy", "low_95", "high_95"]
    named = explorer.lesions(plain, "digits", n_images=100)
    assert named.n_images == 100
    assert explorer.layer_gradients(plain, dataset).loss > 0
    assert explorer.gate_means(highway, dataset).units[0] == "stages.0.units.0"
    program = [name for name in highway.unit_names if name != "stages.0.units.0"]
    result = explorer.evaluate_program(highway, dataset, program)
    assert result.program == tuple(program)
    rows = explorer.predict(plain, dataset.test_images[:3], dataset)
    np.testing.assert_allclose(rows.sum(1), 1)


def test_data_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(
        explorer.SkipscopeError, match=r"no data set or folder 'digit': give digits"
    ):
        explorer.load_data("digit")
    with pytest.raises(explorer.SkipscopeError, match="lanes"):
        explorer.train([], "digits")
