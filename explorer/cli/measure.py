"""``skipscope lesions``: the instrument from a shell."""

from __future__ import annotations

import argparse

from explorer.cli import text
from explorer.cli.choices import Loaded, load


def run_lesions(args: argparse.Namespace) -> None:
    """Accuracy after deleting each unit."""
    from explorer.probes.lesions import lesion_curve

    loaded = load(args)
    with text.progress("lesions") as bar:
        curve = lesion_curve(
            loaded.net,
            loaded.dataset,
            n_images=args.n,
            name=loaded.name,
            on_progress=lambda part, share: bar(share, f"{part.n_images} images"),
        )
    if args.json:
        text.write_json({**curve.to_json(), "weights": loaded.weights})
        return
    _headline(loaded, "Accuracy after deleting each unit (the others stay, nothing is retrained)")
    text.write(f"Measured on {curve.n_images} test images of {curve.data}; 95 % interval beside.\n")
    rows = [
        ["(intact)", text.percent(curve.baseline_accuracy), "", text.bar(curve.baseline_accuracy)]
    ]
    for unit, accuracy, (low, high) in zip(
        curve.units, curve.accuracy, curve.intervals(), strict=True
    ):
        interval = f"{100 * low:.1f} – {100 * high:.1f}"
        rows.append([unit, text.percent(accuracy), interval, text.bar(accuracy)])
    text.write(text.table(["deleted unit", "accuracy", "interval", ""], rows, " rr"))
    kept = [unit.name for unit in loaded.net.blueprint.units if not unit.deletable]
    if kept:
        text.write(f"\nNot deletable, because they change the shape: {', '.join(kept)}.")


def _headline(loaded: Loaded, what: str) -> None:
    text.write(f"{loaded.name} ({loaded.weights})")
    text.write(what)
