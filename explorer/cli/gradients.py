"""``skipscope gradients``: by layer, by term, of fresh nets against depth, over a training."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.choices import Loaded, choose, data_spec, fitted
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, load_all
from explorer.errors import DataError, RunError, SpecError

if TYPE_CHECKING:
    from explorer.data.dataset import Dataset
    from explorer.results import GradientTerms, LayerGradients, LayerHistory

VIEWS = ("layers", "terms", "init", "scaling", "history")


def run_gradients(args: argparse.Namespace) -> None:
    """One of ``VIEWS``."""
    _refuse_what_means_nothing(args)
    views: dict[str, Callable[[argparse.Namespace], None]] = {
        "layers": _layers,
        "terms": _terms,
        "init": _at_init,
        "scaling": _scaling,
        "history": _history,
    }
    views[args.view](args)


def _refuse_what_means_nothing(args: argparse.Namespace) -> None:
    for option, view in (("depths", "init"), ("seeds", "init"), ("scales", "scaling")):
        if getattr(args, option) is not None and args.view != view:
            raise SpecError(f"--{option} is for --view {view}; leave it out, or take that view.")
    if args.ends and args.view != "history":
        raise SpecError("--ends is for --view history; leave it out, or take that view.")
    if args.lane is not None and args.view != "history":
        raise SpecError("--lane is for --view history; leave it out, or take that view.")
    if args.of in ("gates", "responses") and args.view != "history":
        raise SpecError(
            f"--of {args.of} is for --view history; `skipscope {args.of}` has the other views."
        )
    if args.weights is not None and args.view in ("init", "scaling", "history"):
        raise SpecError(f"--view {args.view} takes no --weights: leave them out.")


def weights_of(nets: list[Loaded]) -> dict[str, Any]:
    """Where the values of one net come from, or of each of several."""
    words = [net.weights for net in nets]
    return {"weights": words[0] if len(words) == 1 else words}


def together(results: list[Any]) -> Any:
    """One result as it is, several as one document and one table."""
    return results[0] if len(results) == 1 else Named(results)


def title_of(results: list[Any], what: str) -> str:
    names = ", ".join(result.net for result in results)
    return f"{what}: {names} ({results[0].n_images:,} images of {results[0].data})"


# ------------------------------------------------------------------------------------ by layer


def _layers(args: argparse.Namespace) -> None:
    from explorer.probes.gradients import layer_gradients

    nets = load_all(args)
    results = [
        layer_gradients(net.net, net.dataset, n_images=args.n or 256, seed=args.seed, name=net.name)
        for net in nets
    ]

    def figure() -> Any:
        from explorer.charts import gradient_figure

        return gradient_figure([(i, r.net, r) for i, r in enumerate(results)], of=args.of)

    also = weights_of(nets)
    title = title_of(results, "Gradient magnitude")
    if deliver(args, together(results), figure, title=title, also=also):
        return
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        _layers_page(result)


def _layers_page(result: LayerGradients) -> None:
    text.write("Gradient magnitude by layer: root mean square of ∂L/∂w over its weights")
    text.write(
        f"One batch of {result.n_images} training images of {result.data}, as in a training "
        f"step{text.norms(result, step=True)}; loss {result.loss:.4f}.\n"
    )
    marks = log_marks(result.parameter_rms.tolist())
    rows = [
        [str(depth or ""), layer, text.scientific(value), mark]
        for depth, layer, value, mark in zip(
            result.depth_index, result.layers, result.parameter_rms, marks, strict=True
        )
    ]
    text.write(text.table(["depth", "layer", "rms", "log scale"], rows, "r r"))
    text.write("\nRoot mean square of ∂ℓ/∂y over each unit's output y, ℓ the loss of one image\n")
    marks = log_marks(result.output_rms.tolist())
    rows = [
        [unit, text.scientific(value), mark]
        for unit, value, mark in zip(result.units, result.output_rms, marks, strict=True)
    ]
    text.write(text.table(["unit", "rms", "log scale"], rows, " r"))
    text.write(
        f"\nFirst three layers ÷ last three (medians): {result.first_to_last():.3g}; of units "
        f"{result.first_to_last('outputs'):.3g}. A layer more towards the input: "
        f"× {result.factor_a_layer():.3g}; a unit × {result.factor_a_layer('outputs'):.3g}.\n"
    )


def log_marks(values: list[float], width: int = 24) -> list[str]:
    """A dot a value, from the least at the left to the greatest at the right, log scale."""
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


# ------------------------------------------------------------------------------------ by term


def _terms(args: argparse.Namespace) -> None:
    from explorer.probes.gradient_terms import gradient_terms

    nets = load_all(args)
    results = [
        gradient_terms(net.net, net.dataset, n_images=args.n or 128, seed=args.seed, name=net.name)
        for net in nets
    ]

    def figure() -> Any:
        from explorer.charts import gradient_terms_figure

        return gradient_terms_figure([(i, r.net, r) for i, r in enumerate(results)])

    also = weights_of(nets)
    title = title_of(results, "He16 Eq 5")
    if deliver(args, together(results), figure, title=title, also=also):
        return
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        _terms_page(result)


def _terms_page(result: GradientTerms) -> None:
    text.write(
        "∂E/∂x at every unit's input: what comes by the shortcuts alone, and by the branches\n"
        f"Root mean square over {result.n_images} training images of {result.data} of each norm; "
        f"at the last unit's output {result.end:.3g}.\nAs in a training step"
        f"{text.norms(result, step=True)}.\n"
    )
    theory = result.theory()
    header = ["unit", "whole", "direct", "residual", "cosine"]
    rows = [
        [unit, *(text.scientific(v) for v in (whole, direct, residual)), f"{cosine:.3f}"]
        for unit, whole, direct, residual, cosine in zip(
            result.units, result.whole, result.direct, result.residual, result.cosine, strict=True
        )
    ]
    if theory is not None:
        header.append(f"Eq 8, λ = {result.shortcut_scale:g}")
        rows = [[*row, text.scientific(value)] for row, value in zip(rows, theory, strict=True)]
    text.write(text.table(header, rows, " rrrrr") + "\n")


# --------------------------------------------------------------------------------- fresh nets


def chosen_dataset(args: argparse.Namespace) -> Dataset:
    """The images of commands that make their nets themselves."""
    from explorer.data.load import load_data
    from explorer.training.devices import resolve

    with text.progress("data") as bar:
        dataset = load_data(data_spec(args), lambda what, share: bar(share, what))
    return dataset.to(resolve(args.device))


def _at_init(args: argparse.Namespace) -> None:
    from explorer.probes.gradients_at_init import DEPTHS, gradients_at_init

    specs = [choose(name).spec for name in args.nets]
    dataset = chosen_dataset(args)
    with text.progress("fresh nets") as bar:
        sweep = gradients_at_init(
            dataset,
            specs,
            depths=args.depths or DEPTHS,
            seeds=range(args.seed, args.seed + (args.seeds or 3)),
            n_images=args.n or 64,
            on_progress=lambda part, share: bar(share, f"{len(part.rows)} nets"),
        )

    def figure() -> Any:
        from explorer.charts import gradients_at_init_figure

        return gradients_at_init_figure(sweep, of=args.of)

    title = f"Fresh nets against depth ({sweep.n_images} images of {sweep.data})"
    if deliver(args, sweep, figure, title=title):
        return
    what = (
        "root mean square of ∂L/∂w of the first layer"
        if args.of == "parameters"
        else "root mean square of ∂ℓ/∂y, first unit ÷ last unit"
    )
    text.write(f"Gradients of fresh nets against depth: {what}")
    text.write(
        f"One batch of {sweep.n_images} training images of {sweep.data}"
        f"{text.norms(sweep, step=True)}; median, least and greatest of {args.seeds or 3} seeds.\n"
    )
    rows = [
        [family, "yes" if norm else "no", f"{depth:.0f}", *(text.scientific(v) for v in values)]
        for (family, norm), curve in sweep.curves(args.of).items()
        for depth, *values in zip(*curve, strict=True)
    ]
    header = ["net", "batch norm", "depth", "median", "least", "greatest"]
    text.write(text.table(header, rows, "  rrrr"))


def _scaling(args: argparse.Namespace) -> None:
    from explorer.probes.gradient_terms import SCALES, shortcut_scaling

    data = data_spec(args)
    specs = [fitted(choose(name), data) for name in args.nets]
    dataset = chosen_dataset(args)
    results = []
    for name, spec in zip(args.nets, specs, strict=True):
        with text.progress(name) as bar:
            results.append(
                shortcut_scaling(
                    spec,
                    dataset,
                    scales=args.scales or SCALES,
                    n_images=args.n or 64,
                    seed=args.seed,
                    on_progress=lambda part, share, bar=bar: bar(share),  # type: ignore[misc]
                )
            )

    def figure() -> Any:
        from explorer.charts import shortcut_scaling_figure

        return shortcut_scaling_figure([(i, r.net, r) for i, r in enumerate(results)])

    if deliver(args, together(results), figure, title=title_of(results, "He16 Eq 8")):
        return
    for result in results:
        text.write(
            f"{result.net} with every shortcut λ·x (untrained, seed {args.seed})\n"
            f"Gradient at the first unit's input, in units of what shortcuts with λ = 1 hand on;\n"
            f"{result.n_images} training images of {result.data}{text.norms(result, step=True)}.\n"
        )
        rows = [
            [f"{scale:g}", *(text.scientific(v) for v in values)]
            for scale, *values in zip(
                result.scale, result.theory(), result.direct, result.whole, strict=True
            )
        ]
        header = ["λ", f"λ^{result.n_units} (Eq 8)", "direct, measured", "whole, measured"]
        text.write(text.table(header, rows, "rrrr") + "\n")


# -------------------------------------------------------------------------------- over a training


def _history(args: argparse.Namespace) -> None:
    from explorer.blueprint import blueprint
    from explorer.cli.folder import read_folder
    from explorer.names import token_of
    from explorer.runs.layers import layer_history

    if len(args.nets) > 1 or args.data is not None:
        raise DataError(
            "--view history takes one folder of `skipscope train --out`, with the nets and images "
            "that it was trained on; --lane N takes one of its nets."
        )
    experiment, records = read_folder(args.nets[0])
    lanes = range(len(experiment.lanes))
    if args.lane is not None:
        if args.lane > len(lanes):
            raise RunError(f"There is no lane {args.lane}: this training has {len(lanes)}, from 1.")
        lanes = range(args.lane - 1, args.lane)
    quantity: Any = {
        "parameters": "parameter_rms",
        "outputs": "output_rms",
        "gates": "gate_mean",
        "responses": "response_sd",
    }[args.of]
    results = [
        layer_history(
            blueprint(experiment.lanes[lane]),
            [record for record in records if record.lane == lane],
            quantity,
            net=token_of(experiment.lanes[lane]),
            data=experiment.data.name,
            batch_size=experiment.training.batch_size,
        )
        for lane in lanes
    ]

    def figure() -> Any:
        from explorer.charts import history_ends_figure, history_figure

        drawn = [(lane, r.net, r) for lane, r in zip(lanes, results, strict=True)]
        return history_ends_figure(drawn) if args.ends else history_figure(drawn)

    if deliver(args, together(results), figure, title=title_of(results, "While it trained")):
        return
    for result in results:
        (_ends_page if args.ends else _history_page)(result)


def _ends_page(result: LayerHistory) -> None:
    """About sixteen moments of the training, one below the other."""
    first, last = result.ends()
    n = len(result.steps)
    moments = sorted({round(i * (n - 1) / 15) for i in range(16)})
    text.write(
        f"{result.net}: {result.quantity} at {len(moments)} of {n} recorded steps, on "
        f"{result.n_images} images of {result.data}; medians of three rows\n"
    )
    rows = [
        [
            f"{result.steps[i]:.0f}",
            text.scientific(first[i]),
            text.scientific(last[i]),
            f"{first[i] / last[i]:.3g}" if last[i] > 0 else "",
        ]
        for i in moments
    ]
    text.write(text.table(["step", "first three", "last three", "first ÷ last"], rows, "rrrr"))


def _history_page(result: LayerHistory) -> None:
    """About eight moments of the training, side by side."""
    n = len(result.steps)
    moments = sorted({round(i * (n - 1) / 7) for i in range(8)})
    text.write(
        f"{result.net}: {result.quantity} at {len(moments)} of {n} recorded steps, on "
        f"{result.n_images} images of {result.data} (--csv has all)\n"
    )
    rows = [
        [name, *(text.scientific(values[i]) for i in moments)]
        for name, values in zip(result.rows, result.values, strict=True)
    ]
    header = ["layer", *(f"step {result.steps[i]:.0f}" for i in moments)]
    text.write(text.table(header, rows, " " + "r" * len(moments)) + "\n")
