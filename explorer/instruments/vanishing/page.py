"""Why does it vanish? Activation, weight scale and padding apart, against depth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from explorer.claims import says
from explorer.instruments.contract import Column, Lane, Page, Table
from explorer.instruments.vanishing.ask import Ask, Show
from explorer.instruments.vanishing.result import PANELS, Panel, VanishingCauses
from explorer.instruments.vanishing.texts import CEILING, FLOOR, cause_words, panel_words
from explorer.instruments.words import count, listed, so_far
from explorer.writing.text_tables import scientific, table

FAR = 100.0  # from the shallowest depth to the deepest: said to vanish or to grow beyond this


def caption(lanes: Sequence[Lane[VanishingCauses]], ask: Ask, show: Show) -> list[str]:
    said = []
    for lane in lanes:
        causes = lane.result
        deepest: list[int] = []
        for panel in PANELS:
            sentence = _panel_sentence(causes, panel, show)
            if sentence:
                said.append(sentence)
                deepest.append(max(causes.depth))
        if said:
            said.append(
                f"Factors: of one layer more, median of {count(causes.seeds, 'seed')}, slope over "
                f"{min(causes.depth)} to {max(deepest)} layers; {causes.n_images} training images "
                f"of {causes.data}{so_far(lane)}. It vanishes or grows where it falls or climbs by "
                f"more than {FAR:g} × on that way in every seed; else it is said to stay."
            )
        beyond = _beyond(causes, show)
        if beyond:
            said.append(f"Beyond the figure's edge: {beyond}.")
    return said


def _panel_sentence(causes: VanishingCauses, panel: Panel, show: Show) -> str:
    """Which causes make it vanish, which make it grow, with what was derived beside it."""
    words = {**cause_words(causes), "none": "nothing changed"}
    kinds: dict[str, list[str]] = {"vanishes": [], "grows": [], "stays": []}
    for cause, (depth, *_) in causes.curves(panel, show.of).items():
        factor, least, most = causes.factor_a_layer(panel, cause, show.of)
        if not np.isfinite(factor):
            continue
        derived = causes.factor_derived(panel, cause)
        beside = "" if derived is None else f", derived {derived:.2f}"
        span = depth[-1] - depth[0]
        kind = "stays"
        if most**span < 1 / FAR:
            kind = "vanishes"
        elif least**span > FAR:
            kind = "grows"
        kinds[kind].append(f"{words[cause]} (× {factor:.2f}{beside})")
    parts = [f"it {kind} with {listed(names)}" for kind, names in kinds.items() if names]
    return f"{panel_words(*panel)}: {'; '.join(parts)}." if parts else ""


def _beyond(causes: VanishingCauses, show: Show) -> str:
    words = cause_words(causes)
    found = []
    for panel in PANELS:
        for cause, (depth, middle, *_) in causes.curves(panel, show.of).items():
            last = middle[-1]
            if np.isfinite(last) and last > 0 and not FLOOR <= np.log10(last) <= CEILING:
                found.append(
                    f"{words[cause]}, {panel_words(*panel).lower()}, {last:.1g} at "
                    f"{depth[-1]:.0f} layers"
                )
    return "; ".join(found)


def formula(lanes: Sequence[Lane[VanishingCauses]], ask: Ask, show: Show) -> list[str]:
    lines = [
        "derived, a plain layer of infinite width: √χ, χ = σ_w² s E[φ′(√q z)²] with "
        "q = σ_w² s E[φ(√q z)²] of the layer before, σ_w² = 2 (He) × gain², s the share of the "
        "kernel that lies on the map",
        "with batch norm: χ = E[φ′(z)²] / Var φ(z), for ReLUs π / (π − 1), √χ = 1.21",
    ]
    for lane in lanes:
        causes = lane.result
        for panel in PANELS[:2]:
            for cause, name in cause_words(causes).items():
                derived = causes.factor_derived(panel, cause)
                factor = causes.factor_a_layer(panel, cause, "outputs")[0]
                if derived is not None and np.isfinite(factor):
                    lines.append(
                        f"{panel_words(*panel)}, {name}: derived {derived:.3f}, measured "
                        f"{factor:.3f} (of block outputs)"
                    )
    return lines


def over_seeds(causes: VanishingCauses) -> Table:
    """A row for each panel, cause and depth."""
    rows = []
    for panel in PANELS:
        for cause, curve in causes.curves(panel).items():
            factor = float(causes.factor_a_layer(panel, cause)[0])
            rows += [
                (
                    *panel,
                    cause_words(causes)[cause],
                    int(depth),
                    *map(float, values),
                    factor,
                    causes.factor_derived(panel, cause),
                )
                for depth, *values in zip(*curve, strict=True)
            ]
    columns = (
        Column("shortcuts"),
        Column("batch norm"),
        Column("changed"),
        Column("depth"),
        Column("first layer's gradient", digits=3),
        Column("least", digits=3),
        Column("greatest", digits=3),
        Column("factor a layer", digits=3),
        Column("derived", digits=3),
    )
    return Table(columns, rows)


def terminal(lane: Lane[VanishingCauses], ask: Ask, show: Show) -> str:
    """A table for shortcuts and batch norm on and off: a line a cause, a column a depth."""
    causes = lane.result
    depths = sorted(set(causes.depth))
    what = "of the first layer's ∂L/∂w" if show.of == "parameters" else "of ∂ℓ/∂y, first ÷ last"
    blocks = [
        f"Root mean square {what}, median of {count(causes.seeds, 'seed')}. a layer: the factor of "
        "one layer\nmore, and its least and greatest seed; derived: in infinitely wide plain nets."
    ]
    for panel in PANELS:
        rows = []
        for cause, (depth, middle, _, _) in causes.curves(panel, show.of).items():
            by_depth = dict(zip(depth, middle, strict=True))
            factor, least, most = causes.factor_a_layer(panel, cause, show.of)
            derived = causes.factor_derived(panel, cause)
            rows.append(
                [
                    cause_words(causes)[cause],
                    *(scientific(by_depth[d]) if d in by_depth else "" for d in depths),
                    f"× {factor:.3f}",
                    f"{least:.3f} – {most:.3f}",
                    "" if derived is None else f"× {derived:.3f}",
                ]
            )
        header = ["changed", *(f"{d} layers" for d in depths), "a layer", "over seeds", "derived"]
        right = " " + "r" * (len(header) - 1)
        blocks.append(f"{panel_words(*panel)}\n{table(header, rows, right)}")
    return "\n\n".join(blocks)


PAGE = Page(
    result=VanishingCauses,
    title="Why it vanishes",
    group="start",
    order=12,
    question="Why does the gradient vanish with depth?",
    explains=(
        "Untrained nets against depth, on one log scale: the curve with open circles has ReLUs, "
        "He's initial weights and nothing lost at the edges, each other one thing changed, with "
        "and without shortcuts and batch norm. Look in the first panel for what falls, and whether "
        "it still falls in the others; bars reach from the least to the greatest of three seeds, "
        "pale lines are derived."
    ),
    figure_of=says("he15.healthy", "vanishing.factor", "vanishing.edges"),
    caption=caption,
    formula=formula,
    mode="untrained nets, as in a training step",
    step=True,
    table=over_seeds,
    terminal=terminal,
)
