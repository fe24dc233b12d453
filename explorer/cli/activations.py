"""``skipscope activations``: the maps of units for one image; nets side by side."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.attribution import for_each, image_of, names_of
from explorer.cli.outputs import deliver
from explorer.cli.several import Several, load_all


def run_activations(args: argparse.Namespace) -> None:
    """Maps of some units, or how strong their channels are."""
    units = [names_of(names) for names in for_each(args.unit, len(args.nets), "--unit")]
    deleted = [names_of(names) for names in for_each(args.delete, len(args.nets), "--delete")]
    image = image_of(args.image)
    nets = load_all(args)

    from explorer.probes.activations import activation_maps

    results = [
        activation_maps(
            net.net,
            net.dataset,
            image,
            units=chosen or None,
            part=args.part,
            channels=args.channels,
            k=args.k,
            deleted=gone,
            name=net.name,
        )
        for net, chosen, gone in zip(nets, units, deleted, strict=True)
    ]

    def figure() -> Any:
        from explorer.charts import activation_figure

        return activation_figure([(i, result.net, result) for i, result in enumerate(results)])

    first = results[0]
    title = f"Maps of blocks ({first.part}), {first.image} of {first.data}"
    if deliver(args, Several(results), figure, title=title):
        return
    for result, net in zip(results, nets, strict=True):
        text.write(f"{net.name} ({net.weights}), {result.image} of {result.data}")
        if result.deleted:
            text.write(f"Without {', '.join(result.deleted)}.")
        text.write(
            f"Mean |activation| of each unit's {result.part}, and of its kept channels"
            f"{text.norms(result)}.\n"
        )
        rows = []
        for unit in result.units:
            shown = [f"{c}: {unit.magnitude[c]:.3g}" for c in unit.channels[:6]]
            more = " …" if len(unit.channels) > len(shown) else ""
            rows.append(
                [
                    unit.name,
                    "×".join(map(str, unit.shape)),
                    f"{unit.magnitude.mean():.3g}",
                    text.percent(unit.negative),
                    ", ".join(shown) + more,
                ]
            )
        header = ["unit", "maps", "mean", "below 0", "channels"]
        text.write(text.table(header, rows, "  rr") + "\n")
    text.write("--html FILE has the maps themselves.")
