"""Gradient by path length (Veit16 Fig 6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Lane, Page
from explorer.instruments.paths.ask import Ask, Show
from explorer.instruments.paths.result import (
    CURVES,
    CurveKind,
    PathCurve,
    PathGradients,
    PathToy,
)
from explorer.instruments.words import count, how, percent, power, so_far
from explorer.writing.text_tables import table

ABOUT_ONE = (0.9, 1.1)  # what seeds move the factor of a net by that neither fades nor grows
SAID: dict[CurveKind, str] = {
    "coherent": "Summed by length, exactly",
    "incoherent": "As a root of summed squares",
    "sampled": "As C(n, k) × one path (Veit et al.)",
}


def caption(lanes: Sequence[Lane[PathGradients]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        result = lane.result
        if show.show == "toy":
            said.append(_toy_words(lane, result, show.r))
            continue
        words = (
            f"{lane.name}, {power(2, result.two_way)} paths, {count(result.n_images, 'test image')}"
            f"{how(result)}{so_far(lane)}."
        )
        for curve in result.curves:
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
    """Of shares that may be very small, or all but a whole."""
    if share < 0.0995:
        return f"{100 * share:.2g} %"
    return "over 99.9 %" if 0.9995 <= share < 1 else percent(share, 0 if share < 0.995 else 1)


def _toy_words(lane: Lane[PathGradients], result: PathGradients, ratio: float) -> str:
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


def formula(lanes: Sequence[Lane[PathGradients]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "a block's Jacobian is P + J, its shortcut's and its branch's; v_k ← Pᵀ·v_k + Jᵀ·v_{k−1}",
        "summed (coherent): ‖v_k‖, v_k = Σ g over the paths of length k; squares summed "
        "(incoherent): √(Σ ‖g‖²); Veit et al. (sampled): C(n, k) · mean ‖g‖; g the part of "
        "∂ℓ/∂image along one path",
        "toy: C(n, k)·rᵏ",
    ]
    for lane in lanes:
        result = lane.result
        if result.mismatch is not None:
            lines.append(
                f"{lane.name}: ‖Σ v_k − ∂ℓ/∂image‖ ÷ ‖∂ℓ/∂image‖ = {result.mismatch:.1e} at most, "
                f"mean ‖∂ℓ/∂image‖ = {result.gradient_norm:.3g}"
            )
        fits = [f"{curve.kind} {result.ratio(curve):.3g}" for curve in result.curves]
        lines.append(f"{lane.name}: r that fits: {', '.join(fits)}")
    return lines


def terminal(lane: Lane[PathGradients], ask: Ask, show: Show) -> str:
    """The curves side by side, then what each is; the caption says where they are."""
    result = lane.result
    whole = (
        ""
        if result.mismatch is None
        else f"; the sum over lengths is autograd's within {result.mismatch:.1e}"
    )
    rows = []
    for k, share in enumerate(result.path_shares):
        cells = [f"{curve.value[k]:.2e} ± {curve.standard_error[k]:.0e}" for curve in result.curves]
        rows.append([str(k), percent(share), *cells])
    header = ["length", "of all paths", *(curve.kind for curve in result.curves)]
    lines = [
        f"Norm of the gradient at the input by path length, of 2^{result.two_way} paths: means "
        f"over images,\n± standard error{whole}.\n",
        table(header, rows, "r" * len(header)) + "\n",
    ]
    for curve in result.curves:
        drawn = f" ({count(curve.draws, 'draw')} an image)" if curve.draws else ""
        ratio = result.ratio(curve)
        fits = f"; C(n, k)·r^k with r = {ratio:.3f} fits it" if np.isfinite(ratio) else ""
        lines.append(f"{CURVES[curve.kind]}{drawn}{fits}")
    return "\n".join(lines)


PAGE = Page(
    result=PathGradients,
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
    caption=caption,
    formula=formula,
    terminal=terminal,
    mode="evaluation mode; gradient of each image's own loss",
)
