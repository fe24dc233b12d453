"""``skipscope vanishing``: activation, weight scale and padding apart, against depth."""

from __future__ import annotations

import argparse
from typing import Any

from explorer.cli import text
from explorer.cli.gradients import chosen_dataset
from explorer.cli.outputs import deliver


def run_vanishing(args: argparse.Namespace) -> None:
    """First layer's gradient of fresh nets, one thing changed at a time."""
    from explorer.charts.vanishing import cause_words, panel_words
    from explorer.probes.vanishing import vanishing_causes
    from explorer.results.vanishing import PANELS

    dataset = chosen_dataset(args)
    with text.progress("fresh nets") as bar:
        causes = vanishing_causes(
            dataset,
            layers=args.layers,
            depths=args.depths,
            seeds=range(args.seed, args.seed + args.seeds),
            gain=args.gain,
            width=args.width,
            order=args.order,
            n_images=args.n,
            on_progress=lambda part, share: bar(share, f"{len(part.rows)} nets"),
        )

    def figure() -> Any:
        from explorer.charts import vanishing_figure

        return vanishing_figure(causes, of=args.of)

    title = f"Why the gradient vanishes ({causes.n_images} images of {causes.data})"
    if deliver(args, causes, figure, title=title):
        return
    what = "of the first layer's ∂L/∂w" if args.of == "parameters" else "of ∂ℓ/∂y, first ÷ last"
    text.write(
        f"Gradient of fresh nets against depth: root mean square {what}, median of "
        f"{causes.seeds} seeds; one batch of {causes.n_images} training images of {causes.data}"
        f"{text.norms(causes, step=True)}."
    )
    text.write(
        "a layer: the factor of one layer more, and its least and greatest seed; derived: in "
        "infinitely wide plain nets.\n"
    )
    depths = sorted({row.depth for row in causes.rows})
    for panel in PANELS:
        rows = []
        for cause, (depth, middle, _, _) in causes.curves(panel, args.of).items():
            by_depth = dict(zip(depth, middle, strict=True))
            factor, least, most = causes.factor_a_layer(panel, cause, args.of)
            derived = None if panel[0] else causes.expected.get((cause, panel[1]))
            rows.append(
                [
                    cause_words(causes)[cause],
                    *(text.scientific(by_depth[d]) if d in by_depth else "" for d in depths),
                    f"× {factor:.3f}",
                    f"{least:.3f} – {most:.3f}",
                    "" if derived is None else f"× {derived:.3f}",
                ]
            )
        header = ["changed", *(f"{d} layers" for d in depths), "a layer", "over seeds", "derived"]
        text.write(panel_words(*panel))
        text.write(text.table(header, rows, " " + "r" * (len(header) - 1)) + "\n")
