"""One image through every lane: class probabilities, with the lanes' deletions applied."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import streamlit as st

from explorer.charts import probability_figure
from explorer.names import title_of
from explorer.results import Prediction
from explorer.runs.service import RunService
from explorer.ui import feed
from explorer.ui.plans import plan_of
from explorer.ui.state import PageState
from explorer.ui.style import theme


@st.fragment
def image_section(service: RunService, state: PageState, set_image: Callable[[int], None]) -> None:
    """The image picker and the bars. A fragment: choosing an image redraws nothing else."""
    index = int(st.session_state.get("image", state.image))
    with st.container(key="card-image", border=True, gap="small"):
        st.html('<h2 class="sk-title">One image through every net</h2>')
        left, right = st.columns([1, 4], gap="medium")
        job = service.submit("predict", _payload(service, state, index))
        with right, st.spinner("Computing…", show_time=False):
            result = job.wait(20)
        with left:
            st.session_state["image"] = index
            st.number_input(
                "Test image",
                min_value=0,
                key="image",
                help="Its number in the test set, from 0.",
                on_change=lambda: set_image(int(st.session_state["image"])),
            )
            if result is not None:
                _picture(result)
        with right:
            if result is None:
                st.warning(
                    job.error or "This takes longer than 20 seconds; change the image to ask again."
                )
            else:
                _bars(state, result)


def _payload(service: RunService, state: PageState, index: int) -> dict[str, Any]:
    cuts = []
    for lane, net in enumerate(state.lanes):
        units = plan_of(net).units
        cuts.append(
            [units[i].name for i in state.cut(lane) if i < len(units) and units[i].deletable]
        )
    return {
        "nets": [feed.lane_source(service, state, lane) for lane in range(len(state.lanes))],
        "data": state.data.model_dump(mode="json"),
        "index": index,
        "deleted": cuts,
    }


def _picture(result: dict[str, Any]) -> None:
    true = result["true_class"]
    name = result["classes"][true] if true is not None else None
    alt = f"Test image of the class {name}" if name else "The image"
    st.html(
        f'<img class="sk-picture" alt="{escape(alt)}" '
        f'src="data:image/png;base64,{result["image"]}">'
    )
    if name:
        st.caption(f"True class: **{name}**")


def _bars(state: PageState, result: dict[str, Any]) -> None:
    lanes = [
        (lane, title_of(net), Prediction.from_json(prediction))
        for lane, (net, prediction) in enumerate(
            zip(state.lanes, result["predictions"], strict=True)
        )
    ]
    answers = []
    for _, name, prediction in lanes:
        best = int(prediction.probabilities.argmax())
        answers.append(
            f"{name}: {result['classes'][best]} ({prediction.probabilities[best] * 100:.0f} %)"
        )
    words = "; ".join(answers)
    cut = any(state.cut(lane) for lane in range(len(state.lanes)))
    st.html(
        f'<p class="sk-caption">{escape(words)}.'
        f"{' With the deleted blocks left out.' if cut else ''}</p>"
    )
    st.plotly_chart(
        probability_figure(lanes, result["classes"], theme=theme()),
        key="chart.probabilities",
        theme=None,
        config={"displayModeBar": False},
        alt=f"Class probabilities. {words}",
    )
