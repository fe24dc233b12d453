"""``skipscope sensitivity``: the differential amplifier, by numbers and in nets."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, load_all
from explorer.errors import SpecError
from explorer.results import WorkedExample


def run_sensitivity(args: argparse.Namespace) -> None:
    """The worked example; and, where nets are named, the same measured in their units."""
    example = WorkedExample(*args.example)
    if not args.nets:
        if args.json or args.csv or args.html or args.png:
            raise SpecError(
                "Name a net to measure, such as digits_resnet_v2_56; without one the worked "
                "example is printed as text."
            )
        _example(example)
        return

    from explorer.probes.sensitivity import sensitivity

    nets = load_all(args)
    results = [
        sensitivity(net.net, net.dataset, n_images=args.n, nudge=args.nudge, name=net.name)
        for net in nets
    ]

    def figure() -> Any:
        from explorer.charts import sensitivity_figure

        return sensitivity_figure(
            [
                (i, net.name, net.net.unit_names, result)
                for i, (net, result) in enumerate(zip(nets, results, strict=True))
            ],
            of=args.of,
        )

    title = f"Sensitivity, {results[0].data}, {results[0].n_images} test images"
    if deliver(args, Named(results), figure, title=title):
        return
    _example(example)
    for net, result in zip(nets, results, strict=True):
        text.write(f"\n{net.name} ({net.weights})")
        text.write(
            f"Medians over {result.n_images} test images of {result.data}{text.norms(result)}.\n"
            "‖H‖/‖F‖: where a unit's wanted output moves by 1 %, F must move by so many %. Right: "
            "by how much F and H = shortcut + F move where the unit's input does by "
            f"{text.percent(result.nudge)}.\n"
        )
        rows = [
            [
                unit,
                f"{result.amplification[i, 0]:.2f}",
                f"{result.amplification[i, 1]:.2f} – {result.amplification[i, 2]:.2f}",
                text.percent(result.residual_change[i, 0]),
                text.percent(result.output_change[i, 0]),
            ]
            for i, unit in enumerate(result.units)
        ]
        header = ["unit", "‖H‖/‖F‖", "middle 80 %", "ΔF", "ΔH"]
        text.write(text.table(header, rows, " rrrr"))


def _example(example: WorkedExample) -> None:
    before, after = example.residual_before, example.residual_after
    text.write(
        f"A unit maps {example.x:g} to {example.before:g} and is to map it to {example.after:g}:"
    )
    rows = [
        [
            "plain map",
            f"{example.before:g} → {example.after:g}",
            f"{example.plain_change * 100:.3g} %",
        ],
        ["residual F", f"{before:.4g} → {after:.4g}", f"{example.residual_change * 100:.3g} %"],
    ]
    text.write(text.table(["", "output", "change"], rows, " rr"))
