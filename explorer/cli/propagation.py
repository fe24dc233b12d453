"""``skipscope propagation`` and ``skipscope shattering``: what holds before any training."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, Several, load_all


def run_propagation(args: argparse.Namespace) -> None:
    """Variance of the signal and size of its gradient, unit by unit."""
    from explorer.probes.propagation import propagation
    from explorer.results import Propagation
    from explorer.results.arrays import band

    results: list[Propagation] = []
    for net in load_all(args):
        with text.progress(net.name) as bar:
            results.append(
                propagation(
                    net.net,
                    net.dataset,
                    n_images=args.n,
                    seeds=None if args.own_weights else args.seeds,
                    name=net.name,
                    on_progress=lambda _, share, bar=bar: bar(share),  # type: ignore[misc]
                )
            )

    def figure() -> Any:
        from explorer.charts import propagation_figure

        lanes = [(i, result.net, result) for i, result in enumerate(results)]
        return propagation_figure(lanes, of=args.of)

    first = results[0]
    title = f"{args.of} by block, {first.data}, {first.n_images} images"
    if deliver(args, Named(results), figure, title=title[0].upper() + title[1:]):
        return
    for result in results:
        many = f"median of {result.seeds} fresh nets" if result.fresh else "with its own weights"
        text.write(f"{result.net}, {many}")
        text.write(
            f"One batch of {result.n_images} training images of {result.data}"
            f"{text.norms(result, step=True)}; "
            "variance of what flows there, and RMS of n·∂L/∂y.\n"
        )
        least, middle, most = band(result.variance)
        low, slope, high = band(result.gradient)
        rows = [
            [
                place,
                text.scientific(middle[i]),
                f"{text.scientific(least[i])} – {text.scientific(most[i])}",
                text.scientific(slope[i]),
                f"{text.scientific(low[i])} – {text.scientific(high[i])}",
            ]
            for i, place in enumerate(result.positions)
        ]
        header = ["after", "variance", "over seeds", "gradient", "over seeds"]
        text.write(text.table(header, rows, " rrrr") + "\n")


def run_shattering(args: argparse.Namespace) -> None:
    """How alike dy/dx is at two inputs, in scalar nets with and without shortcuts."""
    from explorer.probes.shattering import shattered_gradients

    results = [
        shattered_gradients(
            family,
            depths=args.depths,
            batch_norm=not args.no_batch_norm,
            width=args.width,
            seeds=args.seeds,
            beta=args.beta if family == "residual" else 1.0,
            transform_bias=args.transform_bias,
        )
        for family in args.families
    ]

    def figure() -> Any:
        from explorer.charts import (
            autocorrelation_figure,
            gradient_likeness_figure,
            input_gradient_figure,
        )

        lanes = [(i, result.title, result) for i, result in enumerate(results)]
        if args.show == "likeness":
            return gradient_likeness_figure(lanes)
        if args.show == "gradient":
            return input_gradient_figure(lanes)
        return autocorrelation_figure(lanes, of=args.show)

    title = f"Shattered gradients, width {args.width}, {args.seeds} seeds"
    if deliver(args, Several(results), figure, title=title):
        return
    text.write(
        f"y = net(x), x one number in [−2, 2]; width {args.width}, {args.seeds} seeds each, "
        "untrained"
    )
    text.write(
        "beside: correlation of dy/dx at neighbouring inputs (1/64 apart); half: distance at which "
        "it falls below ½; pairs: mean cosine of dh/dx over all pairs of inputs, 2^-L in theory "
        "for plain nets; largest: the largest point's share of Σ|dh/dx|², beyond one half of "
        "which the correlations are its own.\n"
    )
    rows = []
    for result in results:
        halves = result.half_distance()
        for i, depth in enumerate(result.depths):
            rows.append(
                [
                    result.title if i == 0 else "",
                    str(depth),
                    "–" if result.one_point(i) else f"{result.autocorrelation[i, 0, 1]:.3f}",
                    "–"
                    if result.one_point(i)
                    else ("beyond 2" if halves[i] != halves[i] else f"{halves[i]:.3f}"),
                    text.scientific(result.pair_cosine[depth - 1, 0]),
                    text.scientific(0.5**depth),
                    f"{result.largest_share[depth - 1]:.3f}",
                ]
            )
    header = ["net", "layers", "beside", "half", "pairs", "2^-L", "largest"]
    text.write(text.table(header, rows, " rrrrrr"))
