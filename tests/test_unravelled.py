"""The unravelled view against the net itself, against lesions, and against a plain recursion."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from asking import asked as ask_of
from asking import drawn
from torch import Tensor

from explorer.data.dataset import Dataset
from explorer.data.load import load_data
from explorer.errors import Cancelled, NotApplicableError, SpecError
from explorer.instruments.unravelled import measure
from explorer.instruments.unravelled.graph import (
    all_paths,
    checked_paths,
    path_label,
    to_dot,
    to_svg,
    tree,
    unravelled_units,
)
from explorer.instruments.unravelled.measure import Unravelled
from explorer.measuring.programs import evaluate_program, without
from explorer.nets import Net, create_net
from explorer.nets.residual import ResidualUnit
from explorer.structure.blueprint import blueprint
from explorer.structure.graph import render
from explorer.structure.names import spec_of
from explorer.structure.specs import DataSpec

GOLDEN = Path(__file__).parent / "golden" / "unravelled_3.dot"
NAMES = ("stages.0.units.0", "stages.1.units.0", "stages.2.units.0")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_data(DataSpec(name="digits"))


def a_net(name: str) -> Net:
    return create_net(name, input_shape=(1, 8, 8), classes=10, seed=3).double().eval()


# ------------------------------------------------------------------------------------ the view


def test_paths_are_told_by_their_digits() -> None:
    assert all_paths(2) == ("00", "10", "01", "11")
    assert [path.count("1") for path in all_paths(4)] == sorted(p.count("1") for p in all_paths(4))
    assert len(set(all_paths(4))) == 16
    assert checked_paths(2, {"11", "00"}) == ("00", "11")
    with pytest.raises(SpecError, match="'2' is no path of 1 units: give 1 digit, 1 where"):
        checked_paths(1, ["2"])
    with pytest.raises(SpecError, match="nothing reaches the output: leave one on"):
        checked_paths(1, ["0", "1"])
    assert path_label("010", NAMES) == "Path 010, of length 1: through stages.1.units.0"
    assert path_label("000", NAMES) == "Path 000, of length 0: by the shortcuts alone"


def test_which_units_can_be_unravelled() -> None:
    plan = blueprint(spec_of("resnet_v2_14"))
    chosen = unravelled_units(plan, ["stages.2.units.1", "stages.0.units.0", "stages.0.units.0"])
    assert chosen == ("stages.0.units.0", "stages.2.units.1")
    assert unravelled_units(blueprint(spec_of("resnet_v2_8"))) == NAMES
    with pytest.raises(NotApplicableError, match=r"6 units would be 2\^6 paths.*stages.2.units.1"):
        unravelled_units(plan)
    with pytest.raises(NotApplicableError, match="0 units"):
        unravelled_units(plan, [])
    with pytest.raises(NotApplicableError, match="'stem' is no unit with two ways"):
        unravelled_units(plan, ["stem"])
    with pytest.raises(NotApplicableError, match="A plain net has a single path"):
        unravelled_units(blueprint(spec_of("plain_8")))


def test_the_tree_has_a_row_for_each_path() -> None:
    nodes = tree(3, ["010", "110"])
    starts = [node for node in nodes.values() if len(node.later) == 3]
    assert sorted(node.row for node in starts) == list(range(8))
    assert {node.later for node in starts} == set(all_paths(3))
    assert nodes[""].row == 3.5
    assert {later for later, node in nodes.items() if not node.on} == {"010", "110", "10"}
    # unit i has 2ⁿ⁻ⁱ copies: as many as the digits after it
    assert [sum(len(later) == k for later in nodes) for k in range(4)] == [1, 2, 4, 8]


def test_the_graph_is_the_same_every_time(tmp_path: Path) -> None:
    dot = to_dot(NAMES, ["110", "010"])
    assert dot == to_dot(NAMES, ["010", "110"]) == GOLDEN.read_text("utf-8")
    assert dot.count("-> output") == 2
    if shutil.which("dot"):
        assert render(dot, tmp_path / "view.svg").stat().st_size > 1000
    with pytest.raises(SpecError):
        to_dot(NAMES, ["01"])


def test_the_svg_is_a_row_of_switches() -> None:
    root = ElementTree.fromstring(to_svg(NAMES, ["010"]))
    space = "{http://www.w3.org/2000/svg}"
    switches = [g for g in root.iter(f"{space}g") if g.get("role") == "switch"]
    assert [g.get("data-path") for g in switches] == sorted(
        all_paths(3), key=lambda path: path[::-1]
    )
    assert [g.get("tabindex") for g in switches] == ["0", *["-1"] * 7]
    off = [g for g in switches if g.get("aria-checked") == "false"]
    assert [g.get("data-path") for g in off] == ["010"]
    assert "switched off" in str(off[0].get("aria-label"))
    copies = [g.get("data-unit") for g in root.iter(f"{space}g") if g.get("class") == "copy"]
    assert [copies.count(name) for name in NAMES] == [4, 2, 1]


# ------------------------------------------------------------------------------- the computing


def plainly(net: Net, x: Tensor, on: frozenset[str]) -> Tensor:
    """The unravelled net written out from its output, every copy computed anew."""
    units, start = net.units, net.stem(x)

    def state(upto: int, later: str) -> Tensor | None:
        if upto == 0:
            return start if later in on else None
        unit = units[upto - 1]
        assert isinstance(unit, ResidualUnit)
        by, through = state(upto - 1, "0" + later), state(upto - 1, "1" + later)
        addends = [] if by is None else [unit.branches(by)[0]]
        addends += [] if through is None else [unit.branches(through)[1]]
        return unit.after(sum(addends)) if addends else None

    last = state(len(units), "")
    assert last is not None
    logits: Tensor = net.head(last)
    return logits


@pytest.mark.parametrize("name", ["resnet_v2_8;width=3", "resnet_v1_8;width=3;shortcut=B"])
def test_every_set_of_paths_is_the_net_written_out(name: str) -> None:
    net = a_net(name)
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    paths = all_paths(3)
    sets = [
        frozenset(path for i, path in enumerate(paths) if number >> i & 1)
        for number in range(1, 256, 7)
    ]
    given = Unravelled(net, NAMES).logits(x, sets)
    with torch.no_grad():
        wanted = torch.stack([plainly(net, x, on) for on in sets])
    torch.testing.assert_close(given, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "resnet_v2_14;width=3",
        "resnet_v1_14;width=3;shortcut=B",
        "resnet_v2_14;width=3;shortcut=exclusive_gating;survival_prob=0.5",
        "densenet_10_k3",
        "highway_10;width=3",
    ],
)
def test_no_path_off_is_the_net_and_a_units_paths_off_are_the_unit_deleted(name: str) -> None:
    net = a_net(name)
    parting = [unit.name for unit in net.blueprint.units if unit.kind != "transition"]
    chosen = (parting[0], parting[2], parting[5])
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    paths = frozenset(all_paths(3))
    without_one = [frozenset(p for p in paths if p[digit] == "0") for digit in range(3)]
    intact, *lesioned = Unravelled(net, chosen).logits(x, [paths, *without_one])
    with torch.no_grad():
        torch.testing.assert_close(intact, net(x), rtol=1e-12, atol=1e-12)
        for gone, given in zip(chosen, lesioned, strict=True):
            y = net.stem(x)
            for unit_name, unit in zip(net.unit_names, net.units, strict=True):
                if unit_name != gone:
                    y = unit(y)
                elif name.startswith("highway"):  # its carry gate stays
                    y = y * (1 - unit.transform_gate(y))
                else:
                    y = unit.bypass(y)
            torch.testing.assert_close(given, net.head(y), rtol=1e-12, atol=1e-12)


def test_the_effects(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    net = create_net("resnet_v2_14;width=3", input_shape=(1, 8, 8), classes=10, seed=3).train()
    weights = {key: value.clone() for key, value in net.state_dict().items()}
    units = ["stages.1.units.0", "stages.0.units.1"]
    off = ["01", "11"]  # all through the second
    seen: list[float] = []
    view = ask_of(
        "unravelled",
        net,
        digits,
        units=units,
        off=off,
        name="mine",
        on_part=lambda _, share, text: seen.append(share),
    )
    assert seen == pytest.approx([128 / 360, 256 / 360, 1])
    assert all(module.training for module in net.modules())
    assert all(torch.equal(weights[key], value) for key, value in net.state_dict().items())
    assert (view.net, view.data, view.n_images) == ("mine", "digits", 360)
    assert view.units == ("stages.0.units.1", "stages.1.units.0")
    assert [effect.path for effect in view.single] == ["00", "10", "01", "11"]
    assert [effect.length for effect in view.single] == [0, 1, 1, 2]
    names = net.blueprint
    intact = evaluate_program(net, digits, [unit.name for unit in names.units])
    lesioned = evaluate_program(net, digits, without(names, ["stages.1.units.0"]))
    assert view.intact_accuracy == pytest.approx(intact.accuracy, abs=1e-9)
    assert view.without.accuracy == pytest.approx(lesioned.accuracy, abs=1e-9)
    assert view.without.shift > 0
    assert all(0 <= effect.changed <= 1 for effect in view.single)

    monkeypatch.setattr(measure, "_ROOM_BYTES", 1)  # one image at a time
    one_by_one = ask_of("unravelled", net, digits, units=units, off=off, n_images=5)
    monkeypatch.setattr(measure, "_ROOM_BYTES", 1 << 30)
    at_once = ask_of("unravelled", net, digits, units=units, off=off, n_images=5)
    for one, other in zip(one_by_one.single, at_once.single, strict=True):
        assert one.shift == pytest.approx(other.shift, rel=1e-4)
    nothing = ask_of("unravelled", net, digits, units=units, n_images=5).without
    assert (nothing.changed, nothing.shift) == (0, 0)
    asked = iter([False] * 4 + [True] * 99)
    with pytest.raises(Cancelled):
        ask_of("unravelled", net, digits, units=units, cancelled=lambda: next(asked))

    figure = drawn("unravelled", [view, view])
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert [len(trace.x) for trace in dots] == [4, 4]
    struck = [note.text for note in figure.layout.annotations if note.text.startswith("<s>")]
    assert struck == ["<s>01</s>", "<s>11</s>"] * 2
