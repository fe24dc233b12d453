"""Gradient by path length (Veit16 Fig 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.blueprint import Blueprint
from explorer.charts import Theme, path_gradient_figure, path_share_figure, toy_figure
from explorer.claims import says
from explorer.path_counts import parts_ways
from explorer.results import CurveKind, PathCurve, PathGradients, PathLengths, PathToy
from explorer.ui.instruments.blocks import how
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row, one_net
from explorer.ui.instruments.options import Choice, Number, Options, Whole
from explorer.ui.instruments.words import count, percent, power, so_far

ABOUT_ONE = (0.9, 1.1)  # what seeds move the factor of a net by that neither fades nor grows
SAID: dict[CurveKind, str] = {
    "coherent": "Summed by length, exactly",
    "incoherent": "As a root of summed squares",
    "sampled": "As C(n, k) × one path (Veit et al.)",
}


def _measured(lane: Lane) -> PathGradients:
    return PathGradients.from_json(lane.result)


def _lengths(lane: Lane) -> PathLengths:
    return PathLengths.from_json(lane.result["path_lengths"])


def payload(asking: Asking) -> dict[str, Any]:
    return {**one_net(asking), "draws": asking.options["draws"], "seed": asking.seed}


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    measured = [(lane.index, lane.name, _measured(lane)) for lane in lanes]
    if options["show"] == "shares":
        return path_share_figure(
            [(lane.index, lane.name, _lengths(lane), _measured(lane)) for lane in lanes],
            theme=theme,
        )
    if options["show"] == "toy":
        toys = [(index, name, result.two_way, result) for index, name, result in measured]
        return toy_figure(toys, ratio=options["r"], theme=theme)
    made = path_gradient_figure(measured, per_path=options["show"] == "per_path", theme=theme)
    if options.get("narrow"):  # they would lie on the curves; the sentences below say the same
        made.layout.annotations = ()
    return made


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        result = _measured(lane)
        if options["show"] == "toy":
            said.append(_toy_words(lane, result, options["r"]))
            continue
        words = (
            f"{lane.name}, {power(2, result.two_way)} paths, {count(result.n_images, 'test image')}"
            f"{how(result)}{so_far(lane)}."
        )
        for curve in result.curves():
            found = result.effective(curve)
            if found is not None:
                words += (
                    f" {SAID[curve.kind]}{_draws(curve)}, the gradient is on lengths {found.low} "
                    f"to {found.high} ({percent(found.held)} of it): {_fine(found.paths)} of all "
                    "paths."
                )
        said.append(words + _fading(result))
    return said


def _fading(result: PathGradients) -> str:
    """What one branch more does to the gradient of one path; empty where none was drawn."""
    ratio = float("nan") if result.sampled is None else result.ratio(result.sampled)
    if not np.isfinite(ratio):
        return ""
    goes = (
        "neither fades nor grows"
        if ABOUT_ONE[0] <= ratio <= ABOUT_ONE[1]
        else ("fades" if ratio < 1 else "grows")
    )
    return (
        f" One branch more multiplies the gradient of one path by {ratio:.2f}, where most of it "
        f"is: it {goes} with length."
    )


def _draws(curve: PathCurve) -> str:
    if not curve.draws:
        return ""
    return f" ({count(curve.draws, 'draw')} for each of {curve.n_images:,} images)"


def _fine(share: float) -> str:
    """Of shares that may be very small."""
    return f"{100 * share:.2g} %" if share < 0.0995 else percent(share, 0)


def _toy_words(lane: Lane, result: PathGradients, ratio: float) -> str:
    toy, curve = PathToy(lane.name, result.two_way, ratio).effective(), result.leading()
    words = (
        f"{lane.name}: with r = {ratio:.3g} the toy has {percent(toy.held)} of its gradient on "
        f"lengths {toy.low} to {toy.high}, {_fine(toy.paths)} of all paths."
    )
    fitted, found = result.ratio(curve), result.effective(curve)
    if np.isfinite(fitted) and found is not None:
        words += (
            f" {SAID[curve.kind]}{_draws(curve)}, the net's own is on lengths {found.low} to "
            f"{found.high}; r = {fitted:.3g} fits it ({result.n_images:,} test images"
            f"{so_far(lane)})."
        )
    return words


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "a block's Jacobian is P + J, its shortcut's and its branch's; v_k ← Pᵀ·v_k + Jᵀ·v_{k−1}",
        "summed (coherent): ‖v_k‖, v_k = Σ g over the paths of length k; squares summed "
        "(incoherent): √(Σ ‖g‖²); Veit et al. (sampled): C(n, k) · mean ‖g‖; g the part of "
        "∂ℓ/∂image along one path",
        "toy: C(n, k)·rᵏ",
    ]
    for lane in lanes:
        result = _measured(lane)
        if result.mismatch is not None:
            lines.append(
                f"{lane.name}: ‖Σ v_k − ∂ℓ/∂image‖ ÷ ‖∂ℓ/∂image‖ = {result.mismatch:.1e} at most, "
                f"mean ‖∂ℓ/∂image‖ = {result.gradient_norm:.3g}"
            )
        fits = [f"{curve.kind} {result.ratio(curve):.3g}" for curve in result.curves()]
        lines.append(f"{lane.name}: r that fits: {', '.join(fits)}")
    return lines


def table(result: Result) -> list[Row]:
    measured = PathGradients.from_json(result)
    rows: list[Row] = []
    for k, share in enumerate(measured.path_shares):
        row: dict[str, str | int | float | None] = {
            "length": k,
            "% of all paths": float(f"{share * 100:.3g}"),
        }
        for kind in SAID:
            curve = measured.curve(kind)
            row[kind] = None if curve is None else _digits(curve.value[k])
            row[f"± {kind}"] = None if curve is None else _digits(curve.standard_error[k])
        rows.append(row)
    return rows


def _digits(value: float) -> float | None:
    return float(f"{value:.3g}") if np.isfinite(value) else None


def not_for(plan: Blueprint) -> str | None:
    if any(map(parts_ways, plan.units)):
        return None
    return (
        f"A {plan.spec.family} net has a single path, because nothing passes its blocks by: look "
        "at its gradients, or choose a residual, highway or dense net, such as "
        "digits_resnet_v2_56."
    )


INSTRUMENT = Instrument(
    key="paths",
    title="Gradient by path",
    group="paths",
    order=10,
    question="Do the long paths through a deep net carry any gradient?",
    explains=(
        "A net of n blocks with shortcuts has 2ⁿ paths, and a path's length is how many blocks it "
        "goes through instead of round; the curves say how much gradient reaches the image along "
        "all paths of a length, counted in three ways. Look where they peak, shaded, and which "
        "share of all paths that is."
    ),
    figure_of=says(
        "veit16.lengths",
        "veit16.effective",
        "veit16.sampled",
        "paths.untrained_20",
        "paths.untrained_56",
    ),
    job="paths",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="evaluation mode; gradient of each image's own loss",
    options=(
        Choice(
            "show",
            "Show",
            {
                "curves": "gradient of a length",
                "per_path": "of one path",
                "shares": "shares",
                "toy": "toy",
            },
        ),
        Number(
            "r",
            "r of the toy",
            0.25,
            0.01,
            1.5,
            0.01,
            help="What every block multiplies the gradient by. " + says("paths.toy"),
            when=lambda options: options["show"] == "toy",
            slider=True,
        ),
        Whole(
            "draws",
            "Draws an image",
            4,
            0,
            50,
            help="Random paths of every length, and random signs; 0 for the exact curve alone.",
        ),
    ),
    payload=payload,
    not_for=not_for,
)
