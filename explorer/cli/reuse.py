"""``skipscope reuse``: how strongly the layers of dense nets use each earlier one."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.choices import load_alone
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, refuse_shared_weights


def run_reuse(args: argparse.Namespace) -> None:
    """Triangular maps of mean absolute weights, block by block."""
    from explorer.probes.reuse import feature_reuse

    refuse_shared_weights(args)
    loaded = [load_alone(argparse.Namespace(**{**vars(args), "net": name})) for name in args.nets]
    results = [feature_reuse(net, scaled=args.scaled, name=name) for name, net, _ in loaded]

    def figure() -> Any:
        from explorer.charts import reuse_figure

        lanes = [(i, result.net, result) for i, result in enumerate(results)]
        return reuse_figure(lanes, relative=not args.absolute)

    if deliver(args, Named(results), figure, title="Feature reuse"):
        return
    for result, (_, _, weights) in zip(results, loaded, strict=True):
        text.write(f"{result.net} ({weights})")
        text.write(
            "Mean |w| from each source (row) to each layer (column), "
            + ("times the scale of the batch norm before it, " if args.scaled else "")
            + ("as it is." if args.absolute else "in % of the layer's strongest source.")
        )
        for block in result.blocks:
            ending = "the classifier" if block.targets[-1] == "head" else "the transition"
            text.write(f"\n{block.name}: in is its input, the last column {ending}")
            shown = block.weight if args.absolute else block.relative() * 100
            header = ["", *map(str, range(1, len(block.targets))), "→"]
            rows = [
                ["in" if i == 0 else str(i), *(_cell(value, args.absolute) for value in row)]
                for i, row in enumerate(shown)
            ]
            text.write(text.table(header, rows, "r" * len(header)))
        text.write("")


def _cell(value: float, absolute: bool) -> str:
    if value != value:  # not connected
        return ""
    return f"{value:.3f}" if absolute else f"{value:.0f}"
