"""Figures have room for their words: legends of many lines, axes that can be read from afar."""

from __future__ import annotations

import re
from collections.abc import Sequence

import plotly.graph_objects as go
import pytest
from asking import pages_of_all as instruments

from explorer.drawing.palette import base_figure, one_two_five
from explorer.drawing.room import LINE, legend_lines, room_for_legend
from explorer.structure.blueprint import Blueprint, blueprint
from explorer.structure.cards import shipped
from explorer.structure.names import spec_of


def drawn(groups: Sequence[Sequence[str]]) -> go.Figure:
    """A curve for each name, grouped in the legend."""
    figure = base_figure("light", x="x", y="y", height=380)
    for place, names in enumerate(groups):
        for name in names:
            figure.add_scatter(x=[0, 1], y=[0, 1], name=name, legendgroup=f"lane{place}")
    return figure


@pytest.mark.parametrize("width", [280, 640])
def test_a_long_legend_takes_nothing_from_the_plot(width: float) -> None:
    names = [[f"Highway 50, fully connected, lane {i}: {what}" for what in "abc"] for i in range(4)]
    figure = drawn(names)
    before = figure.layout.height - figure.layout.margin.t - figure.layout.margin.b
    room_for_legend(figure, width)
    layout = figure.layout
    assert layout.height - layout.margin.t - layout.margin.b == before
    assert layout.margin.b >= -layout.legend.y * before + legend_lines(figure, width) * LINE
    again = layout.height
    assert room_for_legend(figure, width).layout.height == again


def test_lines_of_a_legend() -> None:
    assert legend_lines(drawn([]), 280) == 0
    assert legend_lines(drawn([["one"]]), 280) == 0  # a single curve has no legend
    assert legend_lines(drawn([["one"]]).update_layout(showlegend=True), 280) == 1
    assert legend_lines(drawn([["one"], ["two"], ["three"]]), 280) == 1
    assert legend_lines(drawn([["one"], ["two"]]).update_layout(showlegend=False), 280) == 0
    long = "a name that takes a whole line"
    two = drawn([[f"{long}, and then a second one"], ["b"]])
    room_for_legend(two, 280)
    assert two.data[0].name == "a name that takes a whole line,<br>and then a second one"
    assert legend_lines(two, 280) == 3
    assert legend_lines(drawn([[long], [long]]), 280) == 2
    assert legend_lines(drawn([[long, long], [long]]), 280) == 3
    assert legend_lines(drawn([[long, long], [long]]), 640) == 2
    hidden = drawn([["one"], ["two"]])
    hidden.data[0].showlegend = False
    assert legend_lines(hidden.add_heatmap(z=[[1]], name="a map"), 280) == 0
    short = drawn([["one"], ["two"]])
    assert room_for_legend(short, 280).layout.height == 380


def test_ticks_of_a_log_axis_are_all_of_one_size() -> None:
    ticks = one_two_five()
    assert [*zip(ticks["tickvals"], ticks["ticktext"], strict=True)][10:16] == [
        (pytest.approx(0.2), "0.2"),
        (pytest.approx(0.5), "0.5"),
        *((1.0, "1"), (2.0, "2"), (5.0, "5"), (10.0, "10")),
    ]
    words = one_two_five(1, 3)["ticktext"]
    assert words[8:22] == [
        *("1", "3", "10", "30", "100", "300", "1000", "3000"),
        *("10k", "30k", "100k", "300k", "1M", "3M"),
    ]


def plan_named(name: str) -> Blueprint:
    cards = shipped()
    return blueprint(cards[name].spec if name in cards else spec_of(name))


@pytest.mark.parametrize("key", sorted(instruments()))
def test_where_an_instrument_means_nothing_the_net_it_names_is_one_for_it(key: str) -> None:
    one = instruments()[key]
    refused = 0
    for name in ("plain_8", "fc_plain_6", "fc_highway_5", "resnet_v2_8", "densenet_10_k3"):
        said = one.not_for(plan_named(name))
        if said is None:
            continue
        refused += 1
        assert said.endswith(".")
        assert re.search(r"look at|delete|take a deeper net", said), said
        for other in re.findall(r"\b[a-z]+(?:_[a-z0-9]+)+\b(?:;[\w=;]+)?", said):
            assert one.not_for(plan_named(other)) is None, said
    if refused:
        assert all(one.not_for(plan_named(token)) is None for token in one.suggests)
