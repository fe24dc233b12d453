"""``skipscope responses``: what layers and branches answer, and how near the end a unit is."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.choices import Loaded
from explorer.cli.gradients import title_of, together, weights_of
from explorer.cli.outputs import deliver
from explorer.cli.several import load_all
from explorer.errors import SpecError

if TYPE_CHECKING:
    from explorer.results import (
        BranchResponses,
        ClassifierByUnit,
        EstimationError,
        LayerResponses,
    )

VIEWS = ("layers", "branches", "classifier", "estimation")
BRANCH_QUANTITIES = ("ratio", "cosine", "cut")


def run_responses(args: argparse.Namespace) -> None:
    """One of ``VIEWS``."""
    if args.sorted and args.view != "layers":
        raise SpecError("--sorted is for --view layers; leave it out, or take that view.")
    if args.of is not None and args.view != "branches":
        raise SpecError("--of is for --view branches; leave it out, or take that view.")
    from explorer.probes import responses as measures

    nets = load_all(args)
    measure: Callable[..., Any] = {
        "layers": measures.layer_responses,
        "branches": measures.branch_responses,
        "classifier": measures.classifier_by_unit,
        "estimation": measures.estimation_error,
    }[args.view]
    usual = {"layers": 1000, "branches": 256, "classifier": None, "estimation": 256}[args.view]
    results = [
        measure(net.net, net.dataset, n_images=args.n or usual, name=net.name) for net in nets
    ]
    title = title_of(results, _TITLES[args.view])
    also = weights_of(nets)
    if deliver(
        args, together(results), lambda: _figure(args, nets, results), title=title, also=also
    ):
        return
    pages: dict[str, Callable[[Any], None]] = {
        "layers": _layers,
        "branches": _branches,
        "classifier": _classifier,
        "estimation": _estimation,
    }
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        pages[args.view](result)


_TITLES = {
    "layers": "Responses by layer",
    "branches": "Branches",
    "classifier": "The classifier after each unit",
    "estimation": "Estimation error",
}


def _figure(args: argparse.Namespace, nets: list[Loaded], results: list[Any]) -> Any:
    from explorer import charts

    if args.view == "layers":
        lanes = [(i, r.net, r) for i, r in enumerate(results)]
        return charts.response_figure(lanes, ordered="by size" if args.sorted else "by layer")
    by_unit = [
        (i, r.net, net.net.unit_names, r)
        for i, (net, r) in enumerate(zip(nets, results, strict=True))
    ]
    if args.view == "branches":
        return charts.branch_figure(by_unit, of=args.of or "ratio")
    if args.view == "classifier":
        return charts.classifier_figure(by_unit, chance=1 / len(nets[0].dataset.info.classes))
    return charts.estimation_figure(by_unit)


def _measured_on(result: Any) -> str:
    return f"Measured on {result.n_images} test images of {result.data}{text.norms(result)}"


def _layers(result: LayerResponses) -> None:
    text.write(
        "Standard deviation of each layer's response, after batch norm, before activation and "
        f"addition\n{_measured_on(result)}.\n"
    )
    most = max(float(result.sd.max()), 1e-30)
    rows = [
        [str(depth), layer, f"{sd:.4g}", text.bar(sd / most)]
        for depth, layer, sd in zip(result.depth_index, result.layers, result.sd, strict=True)
    ]
    text.write(text.table(["depth", "layer", "sd", ""], rows, "r r") + "\n")


def _branches(result: BranchResponses) -> None:
    text.write(
        "F, what each unit adds to its input h: its size, its direction against the loss "
        f"gradient, and the share\nthat the ReLU after the addition cuts\n{_measured_on(result)}; "
        "mean ± standard deviation over images.\n"
    )

    def spread(mean: float, sd: float, digits: int) -> str:
        return "" if math.isnan(mean) else f"{mean:.{digits}f} ± {sd:.{digits}f}"

    rows = [
        [unit, spread(ratio, ratio_sd, 3), spread(cosine, cosine_sd, 3), _share(cut)]
        for unit, ratio, ratio_sd, cosine, cosine_sd, cut in zip(
            result.units,
            result.ratio,
            result.ratio_sd,
            result.cosine,
            result.cosine_sd,
            result.cut,
            strict=True,
        )
    ]
    text.write(text.table(["unit", "‖F‖ / ‖h‖", "cos(F, ∂ℓ/∂h)", "cut"], rows, " rrr") + "\n")


def _share(value: float) -> str:
    return "" if math.isnan(value) else text.percent(value)


def _classifier(result: ClassifierByUnit) -> None:
    text.write(
        f"Accuracy of the classifier applied after each unit of the last stage\n"
        f"{_measured_on(result)}; 95 % interval beside.\n"
    )
    rows = [
        [
            unit,
            text.percent(accuracy),
            f"{100 * low:.1f} – {100 * high:.1f}",
            f"{loss:.4g}",
            text.bar(accuracy),
        ]
        for unit, accuracy, (low, high), loss in zip(
            result.units, result.accuracy, result.intervals(), result.loss, strict=True
        )
    ]
    header = ["after unit", "accuracy", "interval", "loss", ""]
    text.write(text.table(header, rows, " rrr") + "\n")


def _estimation(result: EstimationError) -> None:
    text.write(
        "Each unit's output less that of its stage's last unit, in units of that one's root mean "
        f"square\n{_measured_on(result)}.\n"
    )
    rows = [
        [unit, f"{mean / scale:.3f}", f"{sd / scale:.3f}", text.bar(min(1.0, sd / scale / 2))]
        for unit, mean, sd, scale in zip(
            result.units, result.mean, result.sd, result.scale, strict=True
        )
    ]
    text.write(text.table(["unit", "mean", "sd", ""], rows, " rr") + "\n")
