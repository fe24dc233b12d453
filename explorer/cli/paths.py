"""``skipscope paths``: how long a net's paths are, and which of them carry the gradient."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from explorer import unravelled
from explorer.blueprint import Blueprint, blueprint
from explorer.cli import text
from explorer.cli.choices import choose
from explorer.cli.gradients import title_of, together, weights_of
from explorer.cli.outputs import deliver
from explorer.cli.several import Named, load_all
from explorer.errors import SpecError
from explorer.external import is_external
from explorer.graph import render
from explorer.path_counts import multiplicity, path_lengths
from explorer.results import CURVES, PathToy

if TYPE_CHECKING:
    from explorer.results import EffectiveRange, PathGradients, PathLengths, UnravelledView

VIEWS = ("gradient", "lengths", "toy", "multiplicity", "unravelled")
# options by the views that they are for
_FOR = {
    "draws": ("gradient",),
    "longest": ("gradient",),
    "of": ("gradient",),
    "n": ("gradient", "unravelled"),
    "ratio": ("toy",),
    "units": ("unravelled",),
    "off": ("unravelled",),
    "dot": ("unravelled",),
    "svg": ("unravelled",),
    "picture": ("unravelled",),
}
TOY_RATIO = 0.25


def run_paths(args: argparse.Namespace) -> None:
    """One of ``VIEWS``."""
    for option, views in _FOR.items():
        value = getattr(args, option)
        if value is not None and value is not False and args.view not in views:
            allowed = " or ".join(f"--view {view}" for view in views)
            raise SpecError(f"--{option} is for {allowed}; leave it out, or take that view.")
    page: Any = {
        "gradient": _gradient,
        "lengths": _lengths,
        "toy": _toy,
        "multiplicity": _multiplicity,
        "unravelled": _unravelled,
    }
    page[args.view](args)


def _plan(name: str) -> tuple[str, Blueprint]:
    """A net's structure, which needs neither weights nor images."""
    if is_external(name):
        from explorer.nets.adapters import external_blueprint

        return name.strip(), external_blueprint(name)
    choice = choose(name)
    return choice.name, blueprint(choice.spec)


# ----------------------------------------------------------------------------------- gradient


def _gradient(args: argparse.Namespace) -> None:
    from explorer.probes.paths import path_gradients

    nets = load_all(args)
    results = []
    with text.progress("paths") as bar:
        for i, net in enumerate(nets):
            results.append(
                path_gradients(
                    net.net,
                    net.dataset,
                    n_images=args.n or 64,
                    draws=1 if args.draws is None else args.draws,
                    longest=args.longest,
                    seed=args.seed,
                    name=net.name,
                    on_progress=lambda _, share, i=i: bar((i + share) / len(nets)),  # type: ignore[misc]
                )
            )

    def figure() -> Any:
        from explorer.charts import path_gradient_figure, path_share_figure

        lanes = [(i, result.net, result) for i, result in enumerate(results)]
        if args.of == "shares":
            lengths = [path_lengths(net.net.blueprint) for net in nets]
            return path_share_figure(
                [
                    (i, name, of, result)
                    for (i, name, result), of in zip(lanes, lengths, strict=True)
                ]
            )
        return path_gradient_figure(lanes, per_path=args.of == "per_path")

    title = title_of(results, "Gradient by path length")
    if deliver(args, together(results), figure, title=title, also=weights_of(nets)):
        return
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        _gradient_page(result)


def _gradient_page(result: PathGradients) -> None:
    whole = (
        ""
        if result.mismatch is None
        else (f"; the sum over lengths is autograd's within {result.mismatch:.1e}")
    )
    text.write(
        f"Norm of the gradient at the input by path length, of 2^{result.two_way} paths: means "
        f"over {result.n_images} test images\nof {result.data}, ± standard error{whole}"
        f"{text.norms(result)}.\n"
    )
    curves = result.curves()
    rows = []
    for k, share in enumerate(result.path_shares):
        cells = [f"{curve.value[k]:.2e} ± {curve.standard_error[k]:.0e}" for curve in curves]
        rows.append([str(k), text.percent(share), *cells])
    header = ["length", "of all paths", *(curve.kind for curve in curves)]
    text.write(text.table(header, rows, "r" * len(header)))
    text.write("")
    for curve in curves:
        drawn = f" ({curve.draws} draw{'s' if curve.draws > 1 else ''} an image)"
        text.write(f"{CURVES[curve.kind]}{drawn if curve.draws else ''}")
        found = result.effective(curve)
        if found is not None:
            text.write(f"  {_said(found)}; C(n, k)·r^k with r = {result.ratio(curve):.3f} fits it")
    text.write("")


def _said(found: EffectiveRange) -> str:
    return (
        f"lengths {found.low} to {found.high} hold {text.percent(found.held)}, and are "
        f"{100 * found.paths:.3g} % of all paths"
    )


# ------------------------------------------------------------------------------- closed forms


def _lengths(args: argparse.Namespace) -> None:
    results = [path_lengths(plan, name) for name, plan in map(_plan, args.nets)]

    def figure() -> Any:
        from explorer.charts import path_share_figure

        return path_share_figure([(i, r.net, r, None) for i, r in enumerate(results)])

    if deliver(args, together(results), figure, title="Path lengths"):
        return
    for result in results:
        _lengths_page(result)


def _lengths_page(result: PathLengths) -> None:
    text.write(
        f"{result.net}: 2^{result.two_way} paths, of {result.mean:.1f} branches on average; "
        f"{result.one_way} units have one way alone."
    )
    rows = [
        [str(k), f"{100 * share:.3g}", text.bar(share / result.shares.max())]
        for k, share in enumerate(result.shares)
    ]
    header, right = ["length", "% of all paths", ""], "rr"
    if result.in_training is not None:
        for row, share in zip(rows, result.in_training, strict=True):
            row.insert(2, f"{100 * share:.3g}")
        header.insert(2, "% in training")
        right = "rrr"
    text.write(text.table(header, rows, right) + "\n")


def _toy(args: argparse.Namespace) -> None:
    plans = [_plan(name) for name in args.nets]
    ratio = TOY_RATIO if args.ratio is None else args.ratio
    results = [PathToy(name, path_lengths(plan).two_way, ratio) for name, plan in plans]

    def figure() -> Any:
        from explorer.charts import toy_figure

        lanes = [(i, r.net, r.two_way, None) for i, r in enumerate(results)]
        return toy_figure(lanes, ratio=args.ratio)

    if deliver(args, together(results), figure, title="Were each branch to scale by r"):
        return
    for result in results:
        text.write(f"{result.net}: 2^{result.two_way} paths, the gradient ∝ C(n, k)·{ratio:g}^k")
        text.write(f"{_said(result.effective())}\n")
        rows = [
            [str(k), f"{100 * share:.3g}", text.bar(share / result.shares.max())]
            for k, share in enumerate(result.shares)
        ]
        text.write(text.table(["length", "% of the gradient", ""], rows, "rr") + "\n")


def _multiplicity(args: argparse.Namespace) -> None:
    results = [multiplicity(_plan(name)[1].spec) for name in args.nets]

    def figure() -> Any:
        from explorer.charts import multiplicity_figure

        return multiplicity_figure([(i, r.net.net, r) for i, r in enumerate(results)])

    both = results[0] if len(results) == 1 else _Tables(results)
    if deliver(args, both, figure, title="Multiplicity"):
        return
    for result in results:
        text.write(f"{result.net.net}: a net of its kind of other depths, and of other widths")
        rows = [
            [
                net.net,
                str(net.depth),
                str(net.width),
                text.count(net.parameters),
                f"2^{net.two_way}",
            ]
            for net in dict.fromkeys((*result.deeper, *result.wider))
        ]
        header = ["net", "depth", "width", "parameters", "paths"]
        text.write(text.table(header, rows, " rrrr") + "\n")


class _Tables(Named):
    """Tables that name their nets already."""

    def to_frame(self) -> Any:
        import pandas as pd

        return pd.concat([result.to_frame() for result in self.results], ignore_index=True)


# --------------------------------------------------------------------------------- unravelled


def _unravelled(args: argparse.Namespace) -> None:
    units = None if args.units is None else args.units.split(",")
    if args.dot or args.svg or args.picture is not None:
        _graph(args, units)
        return
    from explorer.probes.unravelled import unravelled_view

    nets = load_all(args)
    results = []
    with text.progress("paths") as bar:
        for i, net in enumerate(nets):
            results.append(
                unravelled_view(
                    net.net,
                    net.dataset,
                    units=units,
                    off=_off(args),
                    n_images=args.n,
                    name=net.name,
                    on_progress=lambda _, share, i=i: bar((i + share) / len(nets)),  # type: ignore[misc]
                )
            )

    def figure() -> Any:
        from explorer.charts import unravelled_figure

        return unravelled_figure([(i, result.net, result) for i, result in enumerate(results)])

    title = title_of(results, "Without a path")
    if deliver(args, together(results), figure, title=title, also=weights_of(nets)):
        return
    for net, result in zip(nets, results, strict=True):
        text.write(f"{net.name} ({net.weights})")
        _unravelled_page(result)


def _unravelled_page(view: UnravelledView) -> None:
    text.write(
        f"Accuracy on {view.n_images} test images of {view.data} with one path switched off"
        f"{text.norms(view)}; 95 % interval beside.\n"
        "A path has a digit for each of these units, 1 where it goes through the branch:"
    )
    for i, name in enumerate(view.units):
        text.write(f"  digit {i + 1}: {name}")
    text.write("")
    rows = [["(none)", "", text.percent(view.intact_accuracy), "", "", ""]]
    if view.off:
        rows.append(_row(view, ", ".join(view.off), view.together))
    rows += [_row(view, effect.path, effect) for effect in view.single]
    header = ["off", "length", "accuracy", "interval", "answers changed", "logits moved"]
    text.write(text.table(header, rows, " rrrrr") + "\n")


def _row(view: UnravelledView, off: str, effect: Any) -> list[str]:
    low, high = view.interval(effect)
    return [
        off,
        str(effect.length) if effect.path else "",
        text.percent(effect.accuracy),
        f"{100 * low:.1f} – {100 * high:.1f}",
        text.percent(effect.changed),
        text.percent(effect.shift),
    ]


def _graph(args: argparse.Namespace, units: list[str] | None) -> None:
    """The unravelled view drawn: of one net, and no weights."""
    if len(args.nets) > 1:
        raise SpecError("--dot, --svg and --picture draw one net: give one.")
    _, plan = _plan(args.nets[0])
    names = unravelled.unravelled_units(plan, units)
    if args.svg:
        text.write(unravelled.to_svg(names, _off(args)))
        return
    dot = unravelled.to_dot(names, _off(args))
    if args.dot:
        text.write(dot.rstrip())
    else:
        text.note(f"Wrote {render(dot, args.picture)}.")


def _off(args: argparse.Namespace) -> tuple[str, ...]:
    return () if args.off is None else tuple(args.off.split(","))
