"""``skipscope attribute``: which pixels, or which units, carried a decision; nets side by side."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.bounded import MOST_INDEX, local_path, whole_number
from explorer.cli import text
from explorer.cli.choices import Loaded
from explorer.cli.outputs import deliver
from explorer.cli.several import Several, load_all
from explorer.errors import DataError, SpecError

if TYPE_CHECKING:
    from explorer.results import Attribution, UnitConductance

CONDUCTANCE = "conductance"
WIDEST = 32  # signs a row of a map in the terminal


def run_attribute(args: argparse.Namespace) -> None:
    """Maps over one image, or the conductance of every unit."""
    method = args.method
    units = for_each(args.unit, len(args.nets), "--unit")
    deleted = [names_of(names) for names in for_each(args.delete, len(args.nets), "--delete")]
    image = image_of(args.image)
    nets = load_all(args)
    asked = {"target": getattr(args, "class"), "baseline": args.baseline, "steps": args.steps}
    if method == CONDUCTANCE:
        _conductance(args, nets, image, deleted, units, asked)
        return

    from explorer.probes.attribution import attribute

    results: list[Attribution] = []
    for net, unit, gone in zip(nets, units, deleted, strict=True):
        with text.progress(net.name) as bar:
            results.append(
                attribute(
                    net.net,
                    net.dataset,
                    image,
                    method=method,
                    unit=unit,
                    deleted=gone,
                    window=args.window,
                    name=net.name,
                    on_progress=_steps(bar),
                    **asked,
                )
            )

    def figure() -> Any:
        from explorer.charts import attribution_figure

        lanes = [(i, result.decision.net, result) for i, result in enumerate(results)]
        return attribution_figure(lanes, columns=4)

    if deliver(args, Several(results), figure, title=_title(results[0])):
        return
    for result, net in zip(results, nets, strict=True):
        _headline(result, net)
        text.write(_about(result))
        text.write("\n" + drawn(result) + "\n")
    text.write(
        "░▒▓█ speak for the class, -=≡# against it, on the scale of each map; --html FILE has the "
        "picture."
    )


def _conductance(
    args: argparse.Namespace,
    nets: Sequence[Loaded],
    image: int | Path,
    deleted: Sequence[tuple[str, ...]],
    units: Sequence[str | None],
    asked: dict[str, Any],
) -> None:
    from explorer.probes.attribution import unit_conductance

    if any(units) or args.window is not None:
        what = "--unit" if any(units) else "--window"
        raise SpecError(f"Conductance is measured of every unit, so {what} means nothing with it.")
    results: list[UnitConductance] = []
    for net, gone in zip(nets, deleted, strict=True):
        with text.progress(net.name) as bar:
            results.append(
                unit_conductance(
                    net.net,
                    net.dataset,
                    image,
                    deleted=gone,
                    name=net.name,
                    on_progress=_steps(bar),
                    **asked,
                )
            )

    def figure() -> Any:
        from explorer.charts import conductance_figure

        return conductance_figure([(i, r.decision.net, r) for i, r in enumerate(results)])

    if deliver(args, Several(results), figure, title=_title(results[0])):
        return
    for result, net in zip(results, nets, strict=True):
        _headline(result, net)
        error = float(abs(result.errors()).max())
        text.write(
            f"f(x) − f(x′) = {result.whole:.4g} logits, x′ {result.baseline}; what flows through "
            f"each unit's own layers, and what passes it by ({result.n_steps} steps, error at most "
            f"{error:.2g}).\n"
        )
        scale = max(abs(result.branch).max(), 1e-30)
        rows = [
            [
                unit,
                "deleted" if unit in result.decision.deleted else f"{branch:.3f}",
                f"{shortcut:.3f}",
                ("−" if branch < 0 else "") + text.bar(abs(branch) / scale),
            ]
            for unit, branch, shortcut in zip(
                result.units, result.branch, result.shortcut, strict=True
            )
        ]
        text.write(text.table(["unit", "through", "around", ""], rows, " rr") + "\n")


def _steps(bar: text.Bar) -> Callable[[Attribution | UnitConductance, float], None]:
    return lambda part, share: bar(share, f"{part.n_steps} steps")


# ------------------------------------------------------------------------- options and one image


def image_of(given: str) -> int | Path:
    """The position of a test image, or a path."""
    if given.isascii() and given.isdigit():
        return whole_number(given, "the number of a test image", 0, MOST_INDEX)
    return local_path(given, DataError)


def names_of(given: str | None) -> tuple[str, ...]:
    """Units of a list with commas; none where nothing was said."""
    return tuple(name.strip() for name in (given or "").split(",") if name.strip())


def for_each(given: Sequence[str] | None, n: int, option: str) -> list[str | None]:
    """What was said once for all nets, or once for each, in order."""
    if not given:
        return [None] * n
    if len(given) == 1:
        return [given[0]] * n
    if len(given) != n:
        raise SpecError(
            f"{option} was given {len(given)} times for {n} nets: give it once for all of them, "
            "or once for each, in their order."
        )
    return [*given]


# -------------------------------------------------------------------------------------- words


def _title(result: Attribution | UnitConductance) -> str:
    decision = result.decision
    method = getattr(result, "method", CONDUCTANCE).replace("_", " ")
    return f"{method[0].upper()}{method[1:]}, {decision.image} of {decision.data}"


def _headline(result: Attribution | UnitConductance, net: Loaded) -> None:
    decision = result.decision
    text.write(f"{net.name} ({net.weights}), {decision.image} of {decision.data}")
    if decision.deleted:
        text.write(f"Without {', '.join(decision.deleted)}.")
    true = decision.true_class
    known = "" if true is None else f"; true class {net.dataset.info.classes[true]}"
    text.write(
        f"Explained: the logit of {decision.target_name}, {decision.logit:.4g} (probability "
        f"{text.percent(decision.probability)}); predicted {decision.predicted_name}{known}"
        f"{text.norms(decision)}."
    )


def _about(result: Attribution) -> str:
    if result.method == "saliency":
        return "The greatest |∂f/∂x| of each pixel's channels, x as the net takes it."
    if result.method == "grad_cam":
        height, width = result.values.shape
        return f"Maps of {result.unit}, {height}×{width}, weighted by their mean gradient."
    if result.method == "occlusion":
        return (
            f"What f loses where a window of {result.window} pixels is filled with "
            f"{result.baseline}."
        )
    error = result.error() or 0.0
    return (
        f"Adds up to {result.values.sum():.4g}, and f(x) − f(x′) is "
        f"{result.decision.logit - (result.baseline_logit or 0):.4g}, x′ {result.baseline} (error "
        f"{error:.2g} after {result.n_steps} steps)."
    )


def drawn(result: Attribution) -> str:
    """The map in signs, two to a pixel; wide ones are averaged to at most 32 columns."""
    import numpy as np

    values = result.values
    width = values.shape[1]
    block = -(-width // WIDEST)
    if block > 1:
        height = values.shape[0] // block * block
        values = values[:height, : width // block * block]
        values = values.reshape(height // block, block, -1, block).mean((1, 3))
    most = float(np.abs(values).max()) or 1.0
    level = np.ceil(np.abs(values) / most * 4 - 0.5).clip(0, 4).astype(int)
    return "\n".join(
        "  "
        + "".join(("·░▒▓█" if v >= 0 else "·-=≡#")[k] * 2 for v, k in zip(row, steps, strict=True))
        for row, steps in zip(values, level, strict=True)
    )
