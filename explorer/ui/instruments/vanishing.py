"""Why does it vanish? Activation, weight scale and padding apart, against depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from explorer.charts import Theme, cause_words, panel_words, vanishing_figure
from explorer.charts.vanishing import CEILING, FLOOR
from explorer.claims import says
from explorer.results import VanishingCauses
from explorer.results.vanishing import PANELS, Panel
from explorer.ui.instruments.blocks import kept, rounded
from explorer.ui.instruments.contract import Asking, Instrument, Lane, Result, Row
from explorer.ui.instruments.options import Choice, Number, Options
from explorer.ui.instruments.words import count, listed, so_far

FAR = 100.0  # from the shallowest depth to the deepest: said to vanish or to grow beyond this


def _measured(lane: Lane) -> VanishingCauses:
    return VanishingCauses.from_json(lane.result)


def figure(lanes: Sequence[Lane], options: Options, theme: Theme) -> go.Figure:
    empty = {"data": "", "n_images": 0, "layers": options["layers"], "gain": options["gain"]}
    result = lanes[0].result if lanes else {**empty, "rows": [], "expected": []}
    columns = 1 if options.get("narrow") else 2
    causes = VanishingCauses.from_json(result)
    return vanishing_figure(causes, of=options["of"], columns=columns, theme=theme)


def caption(lanes: Sequence[Lane], options: Options) -> list[str]:
    said = []
    for lane in lanes:
        causes = _measured(lane)
        deepest: list[int] = []
        for panel in PANELS:
            sentence = _panel_sentence(causes, panel, options)
            if sentence:
                said.append(sentence)
                deepest.append(max(row.depth for row in causes.rows))
        if said:
            shallow = min(row.depth for row in causes.rows)
            said.append(
                f"Factors: of one layer more, median of {count(causes.seeds, 'seed')}, slope over "
                f"{shallow} to {max(deepest)} layers; {causes.n_images} training images of "
                f"{causes.data}{so_far(lane)}. It vanishes or grows where it falls or climbs by "
                f"more than {FAR:g} × on that way in every seed; else it is said to stay."
            )
        beyond = _beyond(causes, options)
        if beyond:
            said.append(f"Beyond the figure's edge: {beyond}.")
    return said


def _panel_sentence(causes: VanishingCauses, panel: Panel, options: Options) -> str:
    """Which causes make it vanish, which make it grow, with what was derived beside it."""
    words = {**cause_words(causes), "none": "nothing changed"}
    kinds: dict[str, list[str]] = {"vanishes": [], "grows": [], "stays": []}
    for cause, (depth, *_) in causes.curves(panel, options["of"]).items():
        factor, least, most = causes.factor_a_layer(panel, cause, options["of"])
        if not np.isfinite(factor):
            continue
        derived = None if panel[0] else causes.expected.get((cause, panel[1]))
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


def _beyond(causes: VanishingCauses, options: Options) -> str:
    words = cause_words(causes)
    found = []
    for panel in PANELS:
        for cause, (depth, middle, *_) in causes.curves(panel, options["of"]).items():
            last = middle[-1]
            if np.isfinite(last) and last > 0 and not FLOOR <= np.log10(last) <= CEILING:
                found.append(
                    f"{words[cause]}, {panel_words(*panel).lower()}, {last:.1g} at "
                    f"{depth[-1]:.0f} layers"
                )
    return "; ".join(found)


def formula(lanes: Sequence[Lane], options: Options) -> list[str]:
    lines = [
        "derived, a plain layer of infinite width: √χ, χ = σ_w² s E[φ′(√q z)²] with "
        "q = σ_w² s E[φ(√q z)²] of the layer before, σ_w² = 2 (He) × gain², s the share of the "
        "kernel that lies on the map",
        "with batch norm: χ = E[φ′(z)²] / Var φ(z), for ReLUs π / (π − 1), √χ = 1.21",
    ]
    for lane in lanes:
        causes = _measured(lane)
        for panel in PANELS[:2]:
            for cause, name in cause_words(causes).items():
                derived = causes.expected.get((cause, panel[1]))
                factor = causes.factor_a_layer(panel, cause, "outputs")[0]
                if derived is not None and np.isfinite(factor):
                    lines.append(
                        f"{panel_words(*panel)}, {name}: derived {derived:.3f}, measured "
                        f"{factor:.3f} (of block outputs)"
                    )
    return lines


def table(result: Result) -> list[Row]:
    causes = VanishingCauses.from_json(result)
    rows: list[Row] = []
    for panel in PANELS:
        for cause, name in cause_words(causes).items():
            curve = causes.curves(panel).get(cause)
            if curve is None:
                continue
            depth, middle, least, most = curve
            factor = causes.factor_a_layer(panel, cause)
            derived = None if panel[0] else causes.expected.get((cause, panel[1]))
            rows += [
                {
                    "shortcuts": "yes" if panel[0] else "no",
                    "batch norm": "yes" if panel[1] else "no",
                    "changed": name,
                    "depth": int(depth[i]),
                    "first layer's gradient": rounded(float(middle[i]), 3),
                    "least": rounded(float(least[i]), 3),
                    "greatest": rounded(float(most[i]), 3),
                    "factor a layer": rounded(float(factor[0]), 3),
                    "derived": None if derived is None else rounded(derived, 3),
                }
                for i in range(len(depth))
            ]
    return rows


def payload(asking: Asking) -> dict[str, Any]:
    return {
        **kept(asking),
        "layers": asking.options["layers"],
        "gain": asking.options["gain"],
        "order": asking.options["order"],
        "seeds": [asking.seed + i for i in range(3)],
    }


def _convolutional(options: Options) -> bool:
    return bool(options["layers"] == "conv")


INSTRUMENT = Instrument(
    key="vanishing",
    title="Why it vanishes",
    group="start",
    order=12,
    question="Why does the gradient vanish with depth?",
    explains=(
        "Untrained nets against depth, on one log scale: the black curve has ReLUs, He's initial "
        "weights and nothing lost at the edges, each other one thing changed, with and without "
        "shortcuts and batch norm. Look in the first panel for what falls, and whether it still "
        "falls in the others; bars reach from the least to the greatest of three seeds, pale lines "
        "are derived."
    ),
    figure_of=says("he15.healthy", "vanishing.factor", "vanishing.edges"),
    job="vanishing",
    figure=figure,
    caption=caption,
    formula=formula,
    table=table,
    mode="untrained nets, as in a training step",
    step=True,
    payload=payload,
    options=(
        Choice(
            "of",
            "Gradient of",
            {"parameters": "first layer's weights", "outputs": "first block ÷ last block"},
        ),
        Choice(
            "layers",
            "Layers",
            {"conv": "convolutions", "fc": "fully connected"},
            help="Fully connected layers have no padding. The first figure is there after about "
            "8 s on one core, all three seeds after 20; fully connected in a third of that.",
        ),
        Number(
            "gain",
            "Weights ×",
            0.8,
            0.1,
            2.0,
            0.05,
            help="The factor on the standard deviation of the initial weights.",
        ),
        Choice(
            "order",
            "Shortcut nets",
            {
                "full_preact": "v2: nothing between two additions",
                "original": "v1: an activation after each addition",
            },
            when=_convolutional,
        ),
    ),
    needs_net=False,
)
