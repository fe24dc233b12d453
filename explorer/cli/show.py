"""``skipscope list`` and ``skipscope show``: what there is, and what it amounts to. No torch."""

from __future__ import annotations

import argparse
from itertools import groupby
from typing import Any

from explorer import names, shipped
from explorer.blueprint import Blueprint, Layer, UnitPlan, blueprint
from explorer.cli import text
from explorer.cli.choices import choose, data_spec, fitted
from explorer.graph import count_text, shape_text, to_dot, to_svg
from explorer.specs import DATASETS, RECIPES


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
                        "error": row.error,
                        "measured_on": row.measured_on,
                        "source": row.source,
                        "depth": row.spec.depth,
                        "parameters": blueprint(row.spec).parameters,
                        "multiply_adds": blueprint(row.spec).multiply_adds,
                    }
                    for row in names.NETS.values()
                ],
                "patterns": [pattern.text for pattern in names.PATTERNS],
                "trained": [
                    {
                        "name": name,
                        "net": names.token_of(card.spec),
                        "data": card.data.name,
                        "accuracy": card.accuracy,
                        "n_images": card.n_images,
                    }
                    for name, card in shipped.shipped().items()
                ],
                "data": [{"name": name, "title": info.title} for name, info in DATASETS.items()],
                "recipes": list(RECIPES),
            }
        )
        return
    text.write(_papers())
    patterns = ", ".join(pattern.text for pattern in names.PATTERNS)
    text.write(f"\nAny depth N (growth rate K): {patterns}")
    text.write("Any change after a semicolon: 'resnet_v2_56;width=8;batch_norm=false'")
    if shipped.shipped():
        text.write("\nTrained nets that come with the program\n")
        trained = [
            [name, card.data.name, text.percent(card.accuracy), str(card.n_images)]
            for name, card in shipped.shipped().items()
        ]
        text.write(text.table(["name", "data", "accuracy", "test images"], trained, "  rr"))
    text.write(f"\nData: {', '.join(DATASETS)}, or a folder with train/CLASS and test/CLASS")
    text.write(f"Recipes: {', '.join(RECIPES)}")


def _papers() -> str:
    """The nets of each paper under its title; columns are aligned across all of them."""
    header = ["name", "depth", "parameters", "multiply-adds", "error", "what it is"]
    nets = sorted(names.NETS.values(), key=lambda row: list(names.PAPERS).index(row.paper))
    head, rule, *lines = text.table(header, [_net(row) for row in nets], " rrrr").splitlines()
    parts = [
        "Nets of the papers; error: the paper's own, in percent, on the test images of CIFAR-10 "
        "or (i) ImageNet, top-1",
        "",
        head,
        rule,
    ]
    for paper, inside in groupby(zip(nets, lines, strict=True), key=lambda pair: pair[0].paper):
        parts += ["", f"{paper}: {names.PAPERS[paper]}", *(line for _, line in inside)]
    return "\n".join(parts)


def _net(row: names.NetRow) -> list[str]:
    plan = blueprint(row.spec)
    mark = "i" if row.measured_on == "ImageNet" else " "
    return [
        row.name,
        str(row.spec.depth),
        count_text(plan.parameters),
        count_text(plan.multiply_adds),
        "" if row.error is None else f"{row.error:.2f} {mark}",
        row.summary,
    ]


def run_show(args: argparse.Namespace) -> None:
    """A net's units, shapes, parameters and multiply-adds; its graph as DOT or SVG."""
    choice = choose(args.net)
    spec = choice.spec if args.data is None else fitted(choice, data_spec(args))
    plan = blueprint(spec)
    if args.dot or args.svg:
        text.write(to_dot(plan) if args.dot else to_svg(plan))
    elif args.json:
        text.write_json(describe(choice.name, plan))
    else:
        text.write(_page(choice.name, plan))


def describe(name: str, plan: Blueprint) -> dict[str, Any]:
    """The JSON of ``show``."""
    return {
        "name": name,
        "title": names.title_of(plan.spec),
        "depth": plan.spec.depth,
        "parameters": plan.parameters,
        "multiply_adds": plan.multiply_adds,
        "spec": plan.spec.model_dump(mode="json"),
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
    return "\n".join(lines)


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
