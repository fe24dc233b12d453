"""``skipscope gates``: gates by unit, by channel, by place, and how they are spread."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from explorer.cli import text
from explorer.cli.attribution import image_of
from explorer.cli.gradients import title_of, together, weights_of
from explorer.cli.outputs import deliver
from explorer.cli.several import load_all
from explorer.errors import SpecError

if TYPE_CHECKING:
    from explorer.results import GateDistribution, GateImage, GateMaps, GateMeans

VIEWS = ("mean", "maps", "distribution", "image")
_KINDS = {
    "transform": "Transform gates T(x): near 0 a unit carries its input on, near 1 replaces it",
    "shortcut": "Gates g(x) of the shortcuts: near 0 a shortcut passes all on, near 1 nothing",
}
# options by the views that they are for
_FOR = {
    "image": ("maps", "image"),
    "class": ("maps",),
    "train": ("maps",),
    "channel": ("image",),
}


def run_gates(args: argparse.Namespace) -> None:
    """One of ``VIEWS``."""
    for option, views in _FOR.items():
        if getattr(args, option) not in (None, False) and args.view not in views:
            allowed = " or ".join(f"--view {view}" for view in views)
            raise SpecError(f"--{option} is for {allowed}; leave it out, or take that view.")
    if args.view == "image" and args.n is not None:
        raise SpecError("--view image looks at one image: leave --n out, or take --image N.")
    nets = load_all(args)
    results, figure = _measured(args, nets)
    shown = results[0]
    title = (
        f"Gates over {shown.image_name} of {shown.data}: {shown.net}"
        if args.view == "image"
        else title_of(results, "Gates")
    )
    if deliver(args, together(results), figure, title=title, also=weights_of(nets)):
        return
    page: Any = {"mean": _mean, "maps": _maps, "distribution": _distribution, "image": _image}
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        text.write(_KINDS[result.gate])
        page[args.view](result)


def _measured(args: argparse.Namespace, nets: list[Any]) -> tuple[list[Any], Any]:
    """The results of a view, and what draws them."""
    from explorer import charts
    from explorer.probes import gates
    from explorer.results.attribution import to_png

    image = image_of(args.image or "0")
    if args.view == "image":
        if len(nets) > 1:
            raise SpecError("--view image takes one net; its figure has a map for every unit.")
        result, shown = gates.gate_image(
            nets[0].net, nets[0].dataset, image=image, channel=args.channel, name=nets[0].name
        )
        png = to_png(shown.pixels.permute(1, 2, 0).cpu().numpy())
        return [result], lambda: charts.gate_image_figure(result, picture=png)
    results: list[Any] = []
    for net in nets:
        given = {"n_images": args.n or 1000, "name": net.name}
        if args.view == "mean":
            results.append(gates.gate_means(net.net, net.dataset, **given))
        elif args.view == "distribution":
            results.append(gates.gate_distribution(net.net, net.dataset, **given))
        else:
            maps = {
                "image": image,
                "of_class": getattr(args, "class"),
                "train": args.train,
                **given,
                "n_images": args.n,
            }
            results.append(gates.gate_maps(net.net, net.dataset, **maps))
    draw: dict[str, Any] = {
        "mean": charts.gate_figure,
        "maps": charts.gate_map_figure,
        "distribution": charts.gate_distribution_figure,
    }
    return results, lambda: draw[args.view]([(i, r.net, r) for i, r in enumerate(results)])


def _mean(result: GateMeans) -> None:
    text.write(
        f"Mean and standard deviation over {result.n_images} test images of {result.data} and "
        f"all entries{text.norms(result)};\nbias: the mean over the gate's own.\n"
    )
    rows = [
        [unit, f"{mean:.3f}", f"{sd:.3f}", f"{bias:.2f}", text.bar(mean)]
        for unit, mean, sd, bias in zip(
            result.units, result.mean, result.sd, result.bias, strict=True
        )
    ]
    text.write(text.table(["unit", "mean", "sd", "bias", ""], rows, " rrr") + "\n")


def _maps(result: GateMaps) -> None:
    text.write(
        f"Means over each unit's channels; gates over {result.n_images} {result.images} images of "
        f"{result.data}{text.norms(result)}.\n--csv has every channel, --html the heat maps.\n"
    )
    names = {
        "bias_before": "bias before",
        "bias": "bias now",
        "mean": "mean gate",
        "sample": result.sample_name or "",
        "class_difference": f"class {result.class_name}: greatest |difference|",
        "output": "its output",
    }
    tables = result.tables()
    rows = []
    for i, unit in enumerate(result.units):
        cells = [
            abs(table[i]).max() if key == "class_difference" else table[i].mean()
            for key, table in tables.items()
        ]
        rows.append([unit, *(f"{cell:.3f}" for cell in cells)])
    header = ["unit", *(names[key] for key in tables)]
    text.write(text.table(header, rows, " " + "r" * len(tables)) + "\n")


def _distribution(result: GateDistribution) -> None:
    text.write(
        f"Quantiles over {result.n_images} test images of {result.data} and all entries"
        f"{text.norms(result)}.\n"
    )
    rows = [
        [unit, *(f"{value:.3f}" for value in quantiles)]
        for unit, quantiles in zip(result.units, result.quantiles, strict=True)
    ]
    header = ["unit", *(f"{100 * level:g} %" for level in result.levels)]
    text.write(text.table(header, rows, " " + "r" * len(result.levels)) + "\n")


def _image(result: GateImage) -> None:
    channel = "the mean over channels" if result.channel is None else f"channel {result.channel}"
    text.write(
        f"Over {result.image_name} of {result.data}, {channel}{text.norms(result)}; --html FILE "
        "has the maps.\n"
    )
    rows = [
        [unit, f"{values.min():.3f}", f"{values.mean():.3f}", f"{values.max():.3f}"]
        for unit, values in zip(result.units, result.maps, strict=True)
    ]
    text.write(text.table(["unit", "least", "mean", "greatest"], rows, " rrr") + "\n")
