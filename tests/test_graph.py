"""Block graphs: DOT and SVG, against the blueprint and against stored drawings."""

from __future__ import annotations

import os
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from explorer.errors import SkipscopeError, SpecError
from explorer.nets import create_net
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.differences import compare
from explorer.structure.graph import (
    COLLAPSE_ABOVE,
    RANKS,
    WIDTH,
    comparison_dot,
    count_text,
    picture,
    render,
    to_dot,
    to_svg,
)
from explorer.structure.names import spec_of

GOLDEN = Path(__file__).parent / "golden"
REFRESH = bool(os.environ.get("SKIPSCOPE_REFRESH_GOLDEN"))
NAMES = [
    "plain_56",
    "resnet_v1_110",
    "resnet_v2_56",
    "resnet_v2_20;shortcut=B",
    "resnet_110_exclusive_gating",
    "resnet_v2_1001",
    "highway_25",
    "densenet_40_k12",
    "densenet_bc_250_k24",
    "imagenet_resnet_v2_152",
    "imagenet_densenet_121",
    "reference_dense_25",
    "small_resnet_v2",
    "fc_plain_2",
    "fc_highway_50",
    "fc_highway_100",
]


def plan_of(name: str) -> Blueprint:
    return blueprint(spec_of(name))


def elements(svg: str, css: str) -> list[ET.Element]:
    """The elements that have all the given classes."""
    wanted = set(css.split())
    root = ET.fromstring(svg)
    return [e for e in root.iter() if wanted <= set(e.get("class", "").split())]


def node_ids(dot: str) -> list[str]:
    """Ids of all nodes of a DOT text (statements that are no edges and no defaults)."""
    pattern = r'^\s*"?([\w.]+)"? \[(?!.*rankdir)'
    found = re.findall(pattern, dot, flags=re.MULTILINE)
    return [name for name in found if name not in ("graph", "node", "edge")]


# ----------------------------------------------------------------------------------------- DOT


@pytest.mark.parametrize("name", NAMES)
def test_dot_nodes_are_modules_of_the_net(name: str) -> None:
    plan = plan_of(name)
    nodes = node_ids(to_dot(plan))
    assert nodes[0] == "stem"
    assert nodes[-1] == "head"
    joins = {layer.name for layer in plan.layers if layer.kind in ("add", "gate", "concatenate")}
    assert set(nodes[1:-1]) - joins <= {unit.name for unit in plan.units}
    if plan.spec.depth <= 56:
        modules = dict(create_net(plan.spec, seed=0).named_modules())
        assert set(nodes) - joins <= set(modules)


@pytest.mark.parametrize("name", NAMES)
def test_shortcuts_go_round_their_units(name: str) -> None:
    """Each join has two lines: through the unit, and from where the unit's own comes."""
    plan = plan_of(name)
    edges = re.findall(r'"?([\w.]+)"? -> "?([\w.]+)"?', to_dot(plan))
    for unit in plan.units:
        if ("stem", unit.name) in edges or any(b == unit.name for _, b in edges):
            into = [a for a, b in edges if b == unit.name]
            joins = [b for a, b in edges if a == unit.name and b.startswith(f"{unit.name}.")]
            assert len(into) == 1
            alone = unit.kind in ("plain", "transition")
            assert len(joins) == (0 if alone else 1), unit.name
            if joins:
                assert sorted(a for a, b in edges if b == joins[0]) == sorted([unit.name, *into])


def test_dot_collapses_repeats() -> None:
    dot = to_dot(plan_of("resnet_v1_110"))
    assert node_ids(dot) == [
        "stem",
        "stages.0.units.0",
        "stages.0.units.0.add",
        "stages.1.units.0",
        "stages.1.units.0.add",
        "stages.1.units.1",
        "stages.1.units.1.add",
        "stages.2.units.0",
        "stages.2.units.0.add",
        "stages.2.units.1",
        "stages.2.units.1.add",
        "head",
    ]
    assert "Residual × 18\n16×32×32 → 16×32×32\n84.1 k parameters in all" in dot
    assert "Residual × 17" in dot
    assert 'label="  identity  " penwidth=1.6 style=solid' in dot
    assert 'label="  zero pad  " penwidth=1.6 style=dashed' in dot
    assert 'label="+, activation relu"' in dot  # v1 ends its units so, v2 does not
    assert 'label="+"' in to_dot(plan_of("resnet_v2_110"))


def test_what_grows_by_rule_is_drawn_once() -> None:
    """Dense units take in more maps one after the other; stochastic depth keeps fewer."""
    dense = to_dot(plan_of("densenet_bc_250_k24"))
    assert len(node_ids(dense)) == 2 + 3 * 2 + 2  # each block with its join, two transitions
    assert "Dense × 41\n48×32×32 → 1032×32×32\n" in dense
    opened = to_dot(plan_of("densenet_40_k12"), "stages.1.units.5")
    assert "Dense × 5\n" in opened
    assert "Dense × 6\n" in opened
    stochastic = to_dot(plan_of("resnet_110_stochastic_depth"))
    assert len(node_ids(stochastic)) == len(node_ids(to_dot(plan_of("resnet_v1_110"))))
    assert "kept with probability 0.991 … 0.833" in stochastic
    assert "kept with probability" not in to_dot(plan_of("resnet_v1_110"))
    both = comparison_dot(plan_of("densenet_40_k12"), plan_of("densenet_40_k12"))
    assert both.count("Dense × 12") == 6


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("resnet_v2_20", "stages.0.units.1"),
        ("resnet_v2_20;shortcut=B", "stages.1.units.0"),
        ("resnet_110_exclusive_gating", "stages.0.units.5"),
        ("highway_25", "stages.1.units.3"),
        ("highway_25", "stages.0.transition"),
        ("imagenet_resnet_v2_50", "stages.0.units.2"),
        ("reference_dense_10", "stages.1.transition"),
        ("densenet_40_k12", "stages.2.units.11"),
        ("plain_56", "stages.0.units.0"),
    ],
)
def test_one_unit_opens_to_its_layers(name: str, unit: str) -> None:
    plan = plan_of(name)
    opened = next(u for u in plan.units if u.name == unit)
    dot = to_dot(plan, unit)
    nodes = node_ids(dot)
    inside = [layer.name for layer in opened.layers if layer.kind != "identity"]  # a bare line
    assert [n for n in nodes if n in inside] == inside
    assert f'subgraph "cluster_{unit}"' in dot
    # everything inside is reached from the unit's input, and only its last layer leads on
    edges = re.findall(r'"?([\w.]+)"? -> "?([\w.]+)"?', dot)
    targets = {b for _, b in edges}
    assert set(inside) <= targets
    leaving = {a for a, b in edges if a in inside and b not in inside}
    assert leaving == {inside[-1]}
    joins = {"add": 2, "gate": 3, "concatenate": 2}
    for layer in opened.layers:
        if layer.kind in joins:
            into = sum(b == layer.name for _, b in edges)
            assert into == joins[layer.kind], layer.name


def test_an_unknown_unit_is_refused() -> None:
    with pytest.raises(SpecError, match=r"There is no unit 'stages\.9' in this net: units are"):
        to_dot(plan_of("plain_8"), "stages.9")


@pytest.mark.parametrize("name", ["resnet_v2_20;shortcut=B", "highway_25", "densenet_10_k4"])
def test_dot_is_what_it_was(name: str) -> None:
    """Set SKIPSCOPE_REFRESH_GOLDEN=1 to write the files anew after a meant change."""
    dot = to_dot(plan_of(name), "stages.1.units.0")
    assert dot == to_dot(plan_of(name), "stages.1.units.0")
    file = GOLDEN / f"{re.sub(r'[;=]', '_', name)}.dot"
    if REFRESH:
        file.write_text(dot, "utf-8")
    assert dot == file.read_text("utf-8")


@pytest.mark.parametrize("name", ["imagenet_resnet_v2_50", "reference_dense_10", "resnet_v2_20"])
def test_either_direction_draws_the_same_graph(name: str) -> None:
    down, right = to_dot(plan_of(name)), to_dot(plan_of(name), direction="left-right")
    assert "rankdir=TB" in down
    assert down.replace("rankdir=TB", "rankdir=LR") == right


def test_a_click_on_a_unit_leads_where_it_is_told() -> None:
    plan = plan_of("resnet_v2_20")
    dot = to_dot(plan, "stages.1.units.0", link=lambda name: f"net?open={name}")
    assert 'URL="net?open=stages.0.units.0"' in dot
    assert 'URL="net?open="' in dot  # the opened one closes
    assert dot.count("URL") == 6  # five nodes for eight units, and the box
    assert "URL" not in to_dot(plan, "stages.1.units.0")
    links = (lambda name: f"l{name}", lambda name: f"r{name}")
    both = comparison_dot(plan, plan_of("plain_20"), links=links)
    assert 'URL="lstages.0.units.0"' in both
    assert 'URL="rstages.0.units.0"' in both


def test_a_stride_on_the_shortcut_is_drawn_dashed() -> None:
    dot = to_dot(plan_of("imagenet_resnet_v2_50"))
    assert dot.count('label="  max pool  " penwidth=1.6 style=dashed') == 3
    opened = to_dot(plan_of("imagenet_resnet_v2_50"), "stages.0.units.2")
    assert "max pool 1×1, stride 2" in opened
    assert len(elements(to_svg(plan_of("imagenet_resnet_v2_50")), "shortcut max_pool")) == 3


# ---------------------------------------------------------------------------------- comparison


def differences(left: str, right: str) -> dict[str, list[str]]:
    """What differs, by the name of the left unit."""
    pairs = compare(plan_of(left), plan_of(right))
    return {p.left.name: [str(d) for d in p.differences] for p in pairs if p.left is not None}


def test_a_net_does_not_differ_from_itself() -> None:
    for name in ("highway_25", "densenet_40_k12", "imagenet_resnet_v2_152"):
        assert not any(differences(name, name).values())
        assert "dotted" not in comparison_dot(plan_of(name), plan_of(name))


def test_what_differs_is_said() -> None:
    orders = differences("resnet_v1_20", "resnet_v2_20")
    assert orders["stages.0.units.1"] == [
        "layers: 3×3, BN, ReLU, 3×3, BN / BN, ReLU, 3×3, BN, ReLU, 3×3",
        "join: +, ReLU / +",
    ]
    twins = differences("plain_20", "resnet_v1_20")
    assert twins["stages.1.units.0"][:2] == ["kind: plain / residual", "shortcut: none / zero pad"]
    strides = differences("imagenet_resnet_v2_50", "imagenet_resnet_v2_50;stride_unit=first")
    assert [name for name, told in strides.items() if told] == [
        *("stages.0.units.2", "stages.1.units.0", "stages.1.units.3", "stages.2.units.0"),
        *("stages.2.units.5", "stages.3.units.0"),
    ]
    assert strides["stages.0.units.2"][:2] == [
        "shortcut: max pool / identity",
        "output: 256×28×28 / 256×56×56",
    ]
    survival = differences("resnet_v2_20", "resnet_v2_20;survival_prob=0.5")
    assert survival["stages.2.units.2"][-1] == "kept with probability: 1 / 0.5"
    bias = differences("highway_25", "highway_25;batch_norm=false")
    assert bias["stages.0.units.0"][0] == "layers: 3×3, BN, ReLU / 3×3, ReLU"


def test_nets_of_unequal_length_are_paired_as_far_as_they_go() -> None:
    pairs = compare(plan_of("plain_20"), plan_of("highway_25"))
    lonely = [p for p in pairs if p.left is None]
    assert [p.right.name for p in lonely if p.right is not None][:2] == [
        "stages.0.units.3",
        "stages.0.units.4",
    ]
    transition = next(p for p in lonely if p.right is not None and p.right.kind == "transition")
    assert [str(d) for d in transition.differences] == ["unit: none / transition"]
    dot = comparison_dot(plan_of("plain_20"), plan_of("highway_25"))
    assert '"right.stages.0.transition" [label=' in dot
    assert "left.stages.0.transition" not in dot


def test_the_comparison_is_what_it_was() -> None:
    """Set SKIPSCOPE_REFRESH_GOLDEN=1 to write the file anew after a meant change."""
    dot = comparison_dot(plan_of("resnet_v1_20"), plan_of("resnet_v2_20"), direction="left-right")
    file = GOLDEN / "resnet_v1_20_and_v2.dot"
    if REFRESH:
        file.write_text(dot, "utf-8")
    assert dot == file.read_text("utf-8")


# ------------------------------------------------------------------------------------ pictures


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
def test_graphviz_draws_pictures(tmp_path: Path) -> None:
    dot = comparison_dot(plan_of("plain_20"), plan_of("resnet_v1_20"))
    assert render(dot, tmp_path / "two.png").read_bytes().startswith(b"\x89PNG")
    svg = render(dot, tmp_path / "two.svg").read_text("utf-8")
    drawn = "".join(ET.fromstring(svg).itertext())
    assert "Plain × 2" in drawn
    assert "shortcut: none / zero pad" in drawn
    with pytest.raises(SkipscopeError, match="cannot be written"):
        render(dot, tmp_path / "none" / "two.png")


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's program dot is not installed")
def test_pictures_follow_the_direction() -> None:
    plan = blueprint(spec_of("plain_20"))
    sizes = []
    for direction in RANKS:
        data = picture(to_dot(plan, direction=direction), "png")
        assert data.startswith(b"\x89PNG")
        sizes.append((int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")))
    (width, height), (wide, low) = sizes
    assert height > 2 * width
    assert wide > 2 * low
    with pytest.raises(SkipscopeError, match=r"`dot` cannot draw this .*syntax error"):
        picture("digraph { a -> ", "png")


def test_what_keeps_a_picture_from_being_drawn_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SkipscopeError, match=r"is a \.png, \.svg or \.pdf file, not 'net\.jpg'"):
        render("digraph {}", tmp_path / "net.jpg")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SkipscopeError, match="needs Graphviz's program `dot`, which is not on"):
        render("digraph {}", tmp_path / "net.png")


# ----------------------------------------------------------------------------------------- SVG


@pytest.mark.parametrize("name", NAMES)
def test_svg_shows_every_unit_as_a_button(name: str) -> None:
    plan = plan_of(name)
    svg = to_svg(plan)
    units = elements(svg, "unit")
    by_name = {unit.name: (i, unit) for i, unit in enumerate(plan.units)}
    shown = [element.get("data-unit") for element in units]
    if len(plan.units) <= COLLAPSE_ABOVE:
        assert shown == [unit.name for unit in plan.units]
    else:
        assert len(shown) < 40
        hidden = sum(
            int(text.text.removeprefix("× "))
            for repeat in elements(svg, "repeat")
            for text in repeat.iter("{http://www.w3.org/2000/svg}text")
            if text.text
        )
        assert len(shown) + hidden == len(plan.units)
    for element in units:
        index, unit = by_name[str(element.get("data-unit"))]
        assert element.get("role") == "button"
        assert element.get("data-index") == str(index)
        assert element.get("tabindex") == ("0" if index == 0 else "-1")
        label = str(element.get("aria-label"))
        assert label.startswith(f"Block {index + 1} of {len(plan.units)}, ")
        assert unit.kind in label
        assert label.endswith(", deletable" if unit.deletable else ", not deletable")
        assert (element.get("aria-disabled") == "true") == (not unit.deletable)
        assert bool(element.get("data-why")) == (not unit.deletable)
        assert element[0].tag.endswith("title")
        assert element[1].tag.endswith("rect")
    assert len(elements(svg, "end")) == 2
    assert len(elements(svg, "stage-label")) == len(plan.stage_names)


def test_svg_labels_say_what_the_unit_is() -> None:
    svg = to_svg(plan_of("resnet_v2_56"))
    labels = [element.get("aria-label") for element in elements(svg, "unit")]
    assert labels[11] == "Block 12 of 27, stage 2: residual, 32→32, deletable"
    plain = elements(to_svg(plan_of("plain_56")), "unit")[9]
    assert plain.get("data-why") == (
        "This plain block changes the shape from 16×32×32 to 32×16×16, so the net cannot compute "
        "without it."
    )


def test_svg_draws_shortcuts_by_their_kind() -> None:
    assert not elements(to_svg(plan_of("plain_56")), "shortcut")
    residual = to_svg(plan_of("resnet_v2_56"))
    assert len(elements(residual, "shortcut identity")) == 25
    assert len(elements(residual, "shortcut zero_pad")) == 2
    assert not elements(residual, "gate")
    highway = to_svg(plan_of("fc_highway_50"))
    assert len(elements(highway, "shortcut gated")) == len(elements(highway, "gate")) == 49
    cut = "resnet_v2_56;shortcut=constant_scaling;shortcut_scale=0"
    assert not elements(to_svg(plan_of(cut)), "shortcut")
    dense = to_svg(plan_of("densenet_40_k12"))
    assert len(elements(dense, "transition")) == 2
    assert len(elements(dense, "shortcut concatenate")) > 36


def test_svg_marks_what_is_deleted() -> None:
    plan = plan_of("resnet_v2_56")
    svg = to_svg(plan, deleted=("stages.0.units.4",))
    marked = elements(svg, "deleted")
    assert [element.get("data-unit") for element in marked] == ["stages.0.units.4"]
    assert str(marked[0].get("aria-label")).endswith(", deleted")
    # also inside a collapsed run
    long = to_svg(plan_of("resnet_v2_1001"), deleted=("stages.1.units.50",))
    (run,) = elements(long, "deleted")
    assert "1 deleted" in str(run.get("aria-label"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("per_row", [None, 5, 12])
def test_svg_stays_inside_its_frame_and_boxes_do_not_overlap(
    name: str, per_row: int | None
) -> None:
    svg = to_svg(plan_of(name), per_row=per_row)
    root = ET.fromstring(svg)
    _, _, width, height = (float(v) for v in str(root.get("viewBox")).split())
    assert width == WIDTH
    boxes = []
    for group in root.iter():
        if group.get("class", "").split()[:1] in (["unit"], ["end"], ["repeat"]):
            rect = [e for e in group if e.tag.endswith("rect")][-1]
            x, y, w, h = (float(rect.get(k, "nan")) for k in ("x", "y", "width", "height"))
            assert 0 <= x < x + w <= width
            assert 0 <= y < y + h <= height
            boxes.append((x, y, w, h))
    for i, (x, y, w, h) in enumerate(boxes):
        for x2, y2, w2, h2 in boxes[i + 1 :]:
            apart = x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
            assert apart
    for path in root.iter("{http://www.w3.org/2000/svg}path"):
        starts = re.findall(r"[MC]?(-?[\d.]+) (-?[\d.]+)", str(path.get("d")))
        assert all(0 <= float(x) <= width and 0 <= float(y) <= height for x, y in starts)


def test_svg_has_no_colours_of_its_own() -> None:
    for name in NAMES:
        svg = to_svg(plan_of(name))
        assert not re.search(r"style=|fill=|stroke=|#[0-9a-f]{3}", svg)
        assert svg == to_svg(plan_of(name))


def test_the_svg_of_a_thousand_layers_is_small() -> None:
    assert len(to_svg(plan_of("resnet_v2_1001"))) < 30_000


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (4640, "4.64 k"), (853_018, "853 k"), (12_548_569, "12.5 M"), (999_999, "1 M")],
)
def test_counts_are_short(value: int, text: str) -> None:
    assert count_text(value) == text
