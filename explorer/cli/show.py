"""``skipscope list`` and ``skipscope show``: what there is, and what it amounts to. No torch."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from itertools import groupby
from typing import Any

from explorer.claims import says
from explorer.cli import text
from explorer.cli.choices import choose, data_spec, external_data, fitted
from explorer.data.catalog import data_info
from explorer.errors import SpecError
from explorer.structure import cards, conventions, names
from explorer.structure.blueprint import Blueprint, Layer, UnitPlan, blueprint
from explorer.structure.differences import UnitPair, compare, runs
from explorer.structure.graph import (
    Direction,
    comparison_dot,
    count_text,
    render,
    shape_text,
    to_dot,
    to_svg,
)
from explorer.structure.library_nets import TIMM, TORCHVISION, is_external
from explorer.structure.specs import DATASETS, RECIPES, SOURCES
from explorer.writing.formats import OWN_IMAGES


def run_list(args: argparse.Namespace) -> None:
    """Names of nets, patterns, trained nets, data sets and recipes."""
    if args.json:
        text.write_json(
            {
                "nets": [
                    {
                        "name": row.name,
                        "summary": row.summary,
                        "paper": row.paper,
                        "errors": errors(row),
                        "measured_on": row.measured_on,
                        "source": row.source,
                        "note": row.note,
                        "depth": row.spec.depth,
                        "parameters": blueprint(row.spec).parameters,
                        "multiply_adds": blueprint(row.spec).multiply_adds,
                    }
                    for row in names.NETS.values()
                ],
                "patterns": [pattern.text for pattern in names.PATTERNS],
                "other_libraries": [
                    *(f"torchvision_{name}" for name in TORCHVISION),
                    *(f"timm_{name}" for name in TIMM),
                ],
                "trained": [
                    {
                        "name": name,
                        "net": names.token_of(card.spec),
                        "data": card.data.name,
                        "accuracy": card.accuracy,
                        "n_images": card.n_images,
                        "steps": card.recipe.steps,
                        "meant_to_fail": card.meant_to_fail,
                        "precision": card.precision,
                        "trials": [trial.model_dump(mode="json") for trial in card.trials],
                    }
                    for name, card in cards.shipped().items()
                ],
                "data": [{"name": name, "title": info.title} for name, info in DATASETS.items()],
                "recipes": [{"name": name, "source": SOURCES[name]} for name in RECIPES],
            }
        )
        return
    text.write(_papers())
    patterns = ", ".join(pattern.text for pattern in names.PATTERNS)
    text.write(f"\nAny depth N (growth rate K): {patterns}")
    text.write("Any change after a semicolon: 'resnet_v2_56;width=8;batch_norm=false'")
    text.write("\nOther libraries' nets, to show, measure and time:")
    text.write(f"torchvision_NAME, with NAME one of {', '.join(TORCHVISION)}")
    text.write(f"timm_NAME (pip install timm), with NAME such as {', '.join(TIMM)}")
    if cards.shipped():
        text.write("\nTrained nets that come with the program\n")
        trained = [
            [
                f"{name}{' (meant to fail)' * card.meant_to_fail}",
                card.data.name,
                f"{card.recipe.steps:,}",
                text.percent(card.accuracy),
                str(card.n_images),
                "; ".join(trial.words() for trial in card.trials),
            ]
            for name, card in cards.shipped().items()
        ]
        head = ["name", "data", "steps", "accuracy", "test images", "test error of other seeds"]
        text.write(text.table(head, trained, "  rrr"))
    text.write(f"\nData: {', '.join(DATASETS)}, or {OWN_IMAGES}")
    text.write("\nRecipes")
    for name in RECIPES:
        text.write(f"  {name}: {SOURCES[name]}")


def _papers() -> str:
    """The nets of each paper under its title; columns are aligned across all of them."""
    header = ["name", "depth", "parameters", "multiply-adds", "error, %", "what it is"]
    nets = sorted(names.NETS.values(), key=lambda row: list(names.PAPERS).index(row.paper))
    head, rule, *lines = text.table(header, [_net(row) for row in nets], " rrr").splitlines()
    parts = [
        "Nets of the papers; error: the paper's own, on the test images of CIFAR-10 or the "
        "validation images of ImageNet (top-1, by crops); failed: over 20 %.",
        "Only errors with the same words beside them can be compared; with none, the paper prints "
        "one number, and not of how many runs.",
        says("names.preact"),
        "Parameters and multiply-adds are for such images, 3×32×32 or 3×224×224; for others: "
        "skipscope show fc_highway_50 --data mnist",
        "",
        head,
        rule,
    ]
    for paper, inside in groupby(zip(nets, lines, strict=True), key=lambda pair: pair[0].paper):
        rows = list(inside)
        parts += ["", f"{paper}: {names.PAPERS[paper]}", *(line for _, line in rows)]
        parts += [f"  {row.name}: {row.note}" for row, _ in rows if row.note]
    return "\n".join(parts)


def _net(row: names.NetRow) -> list[str]:
    plan = blueprint(row.spec)
    return [
        row.name,
        str(row.spec.depth),
        count_text(plan.parameters),
        count_text(plan.multiply_adds),
        "; ".join(map(str, row.errors)),
        row.summary,
    ]


def errors(row: names.NetRow | None) -> list[dict[str, Any]]:
    """What the papers print for a net, each number with how it came about, for JSON."""
    found = () if row is None else row.errors
    return [{**asdict(error), "protocol": error.protocol} for error in found]


def run_show(args: argparse.Namespace) -> None:
    """A net's units, shapes, parameters and multiply-adds; its graph as DOT or SVG."""
    name, plan = chosen(args, args.net)
    if args.against is not None:
        _show_two(args, (name, plan), chosen(args, args.against))
    elif args.svg:
        _refuse_drawing_options(args, "--svg wraps its rows and opens no unit: take --picture")
        text.write(to_svg(plan))
    elif args.dot or args.picture:
        _draw(args, to_dot(plan, args.open, direction=_direction(args)))
    else:
        _refuse_drawing_options(args, "give --dot or --picture with it")
        if args.json:
            text.write_json(describe(name, plan))
        else:
            text.write(_page(name, plan))


def chosen(args: argparse.Namespace, net: str) -> tuple[str, Blueprint]:
    """The name and blueprint of a net, of ours or another library's, for ``args.data``."""
    if is_external(net):
        return net.strip(), _external(args, net)
    choice = choose(net)
    spec = choice.spec if args.data is None else fitted(choice, data_spec(args))
    return choice.name, blueprint(spec)


def _external(args: argparse.Namespace, net: str) -> Blueprint:
    """The blueprint of another library's net; only that library knows it, so torch is needed."""
    from explorer.nets.adapters import external_blueprint

    if args.data is None:
        return external_blueprint(net)
    info = data_info(external_data(args))
    return external_blueprint(net, input_shape=info.input_shape, classes=len(info.classes))


def _show_two(
    args: argparse.Namespace, left: tuple[str, Blueprint], right: tuple[str, Blueprint]
) -> None:
    """What differs between two nets: as a table, JSON or a drawing."""
    if args.svg or args.open:
        raise SpecError(
            "--against goes with --json, --dot or --picture, not with --svg or --open; "
            "leave these out."
        )
    if args.dot or args.picture:
        _draw(args, comparison_dot(left[1], right[1], direction=_direction(args)))
        return
    _refuse_drawing_options(args, "give --dot or --picture with it")
    groups = list(runs(compare(left[1], right[1])))
    if args.json:
        text.write_json(_described(left[0], right[0], groups))
        return
    text.write(f"{left[0]} / {right[0]}: what differs, left / right\n")
    alike = sum(len(group) for group in groups if not group[0].differences)
    for group in groups:
        if group[0].differences:
            text.write(_places(group))
            for difference in group[0].differences:
                text.write(f"  {difference}")
    text.write(f"\n{alike} of {sum(map(len, groups))} pairs of units are alike.")


def _described(left: str, right: str, groups: list[list[UnitPair]]) -> dict[str, Any]:
    """The JSON of ``show --against``."""
    return {
        "left": left,
        "right": right,
        "pairs": [
            {
                "left": None if pair.left is None else pair.left.name,
                "right": None if pair.right is None else pair.right.name,
                "differences": [
                    {"what": d.what, "left": d.left, "right": d.right} for d in pair.differences
                ],
            }
            for group in groups
            for pair in group
        ],
    }


def _places(group: list[UnitPair]) -> str:
    """``stages.0.units.1 … 8``."""
    names = [(pair.left or pair.right) for pair in group]
    first, last = (unit.name if unit else "" for unit in (names[0], names[-1]))
    return first if first == last else f"{first} … {last.rpartition('.')[2]}"


def _direction(args: argparse.Namespace) -> Direction:
    return "left-right" if args.left_right else "top-down"


def _draw(args: argparse.Namespace, dot: str) -> None:
    if args.dot:
        text.write(dot)
    else:
        text.note(f"Written: {render(dot, args.picture)}")


def _refuse_drawing_options(args: argparse.Namespace, instead: str) -> None:
    given = [flag for flag, on in (("--open", args.open), ("--left-right", args.left_right)) if on]
    if given:
        raise SpecError(f"{given[0]} is for a drawing by Graphviz: {instead}.")


def describe(name: str, plan: Blueprint) -> dict[str, Any]:
    """The JSON of ``show``."""
    return {
        "name": name,
        "title": names.title_of(plan.spec),
        "errors": errors(names.NETS.get(names.token_of(plan.spec))),
        "depth": plan.spec.depth,
        "parameters": plan.parameters,
        "multiply_adds": plan.multiply_adds,
        "spec": plan.spec.model_dump(mode="json"),
        "conventions": list(_conventions(plan)),
        "stem": _part(plan.stem),
        "units": [
            {
                "name": unit.name,
                "kind": unit.kind,
                "parameters": unit.parameters,
                "multiply_adds": unit.multiply_adds,
                "input_shape": list(unit.input_shape),
                "output_shape": list(unit.output_shape),
                "shortcut": unit.shortcut,
                "deletable": unit.deletable,
            }
            for unit in plan.units
        ],
        "head": _part(plan.head),
    }


def _part(layers: tuple[Layer, ...]) -> dict[str, Any]:
    return {
        "parameters": sum(layer.parameters for layer in layers),
        "multiply_adds": sum(layer.multiply_adds for layer in layers),
        "output_shape": list(layers[-1].output_shape),
    }


def _page(name: str, plan: Blueprint) -> str:
    spec = plan.spec
    title = names.title_of(spec)
    lines = [
        f"{name}: {title}" if title != name else name,
        f"{spec.family} net of depth {spec.depth} for images of {shape_text(spec.input_shape)} "
        f"and {spec.classes} classes",
        f"{text.count(plan.parameters)} parameters, "
        f"{text.count(plan.multiply_adds)} multiply-adds an image",
        *names.printed(plan.spec),
        *([f"Its weights: {cards.shipped()[name].words()}"] if name in cards.shipped() else []),
        "",
    ]
    rows = [_row("stem", "", plan.stem, _details(plan.stem), "")]
    # Neighbours that differ in nothing but their number share a line.
    for _, group in groupby(plan.units, key=_likeness):
        alike = list(group)
        first, last = alike[0], alike[-1]
        more = "" if len(alike) == 1 else f" … {last.name.rpartition('.')[2]}"
        times = "" if len(alike) == 1 else f" × {len(alike)}"
        rows.append(
            _row(
                first.name + more,
                first.kind + times,
                first.layers,
                _details(first.layers),
                "yes" if first.deletable else "no",
            )
        )
    rows.append(_row("head", "", plan.head, _details(plan.head), ""))
    header = ["unit", "kind", "layers with weights", "output", "parameters", "multiply-adds"]
    lines.append(text.table([*header, "deletable"], rows, "    rr"))
    lines.append("")
    lines.append("Numbers are of one unit. Deletable: the rest still computes without it.")
    row = names.NETS.get(name)
    if row is not None and row.note:
        lines.append(f"Note: {row.note}.")
    if own := _conventions(plan):
        lines += ["", "Otherwise than in PyTorch's and the papers' nets here:"]
        lines += [f"  {sentence}" for sentence in own]
    return "\n".join(lines)


def _conventions(plan: Blueprint) -> tuple[str, ...]:
    return () if is_external(names.token_of(plan.spec)) else conventions.sentences(plan.spec)


def _likeness(unit: UnitPlan) -> tuple[object, ...]:
    inner = tuple((layer.kind, layer.branch, layer.detail) for layer in unit.layers)
    return unit.kind, unit.stage, unit.input_shape, unit.output_shape, inner


def _details(layers: tuple[Layer, ...]) -> str:
    weighty = [layer for layer in layers if layer.kind in ("conv", "linear")]
    marks = {"shortcut": " on the shortcut", "transform_gate": " gate"}
    return "; ".join(layer.detail + marks.get(layer.branch, "") for layer in weighty)


def _row(
    name: str, kind: str, layers: tuple[Layer, ...], details: str, deletable: str
) -> list[str]:
    return [
        name,
        kind,
        details,
        shape_text(layers[-1].output_shape),
        text.count(sum(layer.parameters for layer in layers)),
        text.count(sum(layer.multiply_adds for layer in layers)),
        deletable,
    ]
