"""``skipscope lesions``, ``gradients`` and ``gates``: the instruments from a shell."""

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


def run_gradients(args: argparse.Namespace) -> None:
    """Gradient magnitude by layer."""
    from explorer.probes.gradients import layer_gradients

    loaded = load(args)
    result = layer_gradients(
        loaded.net, loaded.dataset, n_images=args.n, seed=args.seed, name=loaded.name
    )
    if args.json:
        text.write_json({**result.to_json(), "weights": loaded.weights})
        return
    _headline(loaded, "Gradient magnitude by layer: root mean square of ∂L/∂w over its weights")
    text.write(
        f"One batch of {result.n_images} training images of {result.data}, batch statistics as in "
        f"a training step; loss {result.loss:.4f}.\n"
    )
    marks = _log_marks(result.parameter_rms.tolist())
    rows = [
        [str(depth or ""), layer, text.scientific(value), mark]
        for depth, layer, value, mark in zip(
            result.depth_index, result.layers, result.parameter_rms, marks, strict=True
        )
    ]
    text.write(text.table(["depth", "layer", "rms", "log scale"], rows, "r r"))
    text.write("\nRoot mean square of ∂ℓ/∂y over each unit's output y, ℓ the loss of one image\n")
    marks = _log_marks(result.output_rms.tolist())
    rows = [
        [unit, text.scientific(value), mark]
        for unit, value, mark in zip(result.units, result.output_rms, marks, strict=True)
    ]
    text.write(text.table(["unit", "rms", "log scale"], rows, " r"))


def run_gates(args: argparse.Namespace) -> None:
    """Transform gates by unit."""
    from explorer.probes.gates import gate_means

    loaded = load(args)
    result = gate_means(loaded.net, loaded.dataset, n_images=args.n, name=loaded.name)
    if args.json:
        text.write_json({**result.to_json(), "weights": loaded.weights})
        return
    _headline(
        loaded, "Transform gates T(x): near 0 a unit carries its input on, near 1 replaces it"
    )
    text.write(
        f"Mean and standard deviation over {result.n_images} test images of {result.data} and "
        "all entries; bias: the mean of b_T.\n"
    )
    rows = [
        [unit, f"{mean:.3f}", f"{sd:.3f}", f"{bias:.2f}", text.bar(mean)]
        for unit, mean, sd, bias in zip(
            result.units, result.mean, result.sd, result.bias, strict=True
        )
    ]
    text.write(text.table(["unit", "mean", "sd", "bias", ""], rows, " rrr"))


def _headline(loaded: Loaded, what: str) -> None:
    text.write(f"{loaded.name} ({loaded.weights})")
    text.write(what)


def _log_marks(values: list[float], width: int = 24) -> list[str]:
    """A dot a value, from the least at the left to the greatest at the right, log scale."""
    import math

    logs = [math.log10(value) if value > 0 else None for value in values]
    finite = [value for value in logs if value is not None and math.isfinite(value)]
    if not finite:
        return ["" for _ in values]
    low, span = min(finite), (max(finite) - min(finite)) or 1.0
    return [
        ""
        if value is None or not math.isfinite(value)
        else "·" * round((value - low) / span * (width - 1)) + "●"
        for value in logs
    ]
