"""Sweep: families of nets at several depths, and their error against depth as it comes in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from typing import Any

import streamlit as st

from explorer.drawing import depth_figure, sweep_curves_figure
from explorer.drawing.config import PLOT_CONFIG
from explorer.errors import SkipscopeError
from explorer.pages.server.visitors import get_service, may
from explorer.pages.shared import address
from explorer.pages.shared.escape import note, plain, warn
from explorer.pages.shared.state import data_token, parse_data, parse_training, training_token
from explorer.pages.shared.style import theme
from explorer.pages.shared.words import duration
from explorer.results import SweepResult
from explorer.runs.sweeps.plan import differences, plan
from explorer.runs.sweeps.presets import SWEEP_PRESETS
from explorer.runs.sweeps.server_sweeps import SweepView
from explorer.structure.specs import (
    DATASETS,
    MAX_DEPTH,
    MAX_SEED,
    MAX_STEPS,
    RECIPES,
    SweepSpec,
    TrainSpec,
    parse,
)
from explorer.system.bounded import parameters, whole_number

USUAL = SWEEP_PRESETS["degradation"].spec
FAMILIES = (
    *("plain_N", "resnet_v1_N", "resnet_v2_N", "highway_N", "densenet_N_k6", "densenet_N_k12"),
    *("fc_plain_N", "fc_residual_N", "fc_highway_N", "fc_highway_N;transform_bias=-5"),
)
MOVING = ("queued", "running", "stopping")
FIGURES = {"depth": "Error against depth", "curves": "Every training"}


def page() -> None:
    """The choices, the sweeps that are kept here, and the one that the address names."""
    st.title("How does the error change with depth?")
    st.html(
        '<p class="sk-lead">Every net is trained at every depth with one recipe, and each point '
        "is drawn as soon as its training is over. It may take minutes or hours; stop it and go "
        "on whenever you like, also after the app was closed. Several sweeps wait for each "
        "other.</p>"
    )
    # On the dark theme's light blue, white could not be read.
    st.html("<style>.stApp .stMultiSelect span[title] {color: var(--sk-on-primary)}</style>")
    said = st.session_state.pop("sweep.problem", None)
    if said:
        warn(said)
    _form()
    kept = get_service().sweeps.ids()
    if not kept:
        note("No sweep is kept here yet: press Start.")
        return
    _show(_choose(kept))


# ------------------------------------------------------------------------------- the choices


def _form() -> None:
    if "sweep.nets" not in st.session_state:
        spec, problems = _asked()
        _fill(spec)
        for problem in problems:
            warn(problem)
    with st.container(horizontal=True, vertical_alignment="center"):
        for name, preset in SWEEP_PRESETS.items():
            st.button(
                preset.title,
                key=f"sweep.preset.{name}",
                help=preset.about,
                on_click=lambda spec=preset.spec: _fill(spec),
            )
    state = st.session_state
    recipes = list(dict.fromkeys([*RECIPES, state["sweep.recipe"]]))
    sources = list(dict.fromkeys([*DATASETS, state["sweep.data"]]))
    with st.form("sweep.form"):
        st.multiselect(
            "Nets, with N for the depth",
            list(dict.fromkeys([*FAMILIES, *state["sweep.nets"]])),
            key="sweep.nets",
            accept_new_options=True,
            max_selections=4,
            help="Up to four names or tokens, such as plain_N;batch_norm=false.",
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            st.text_input(
                "Depths",
                key="sweep.depths",
                help="Layers, with commas between. Where a family has no net of this depth, the "
                "nearest is taken.",
            )
            st.number_input("Seeds of each net", 1, 16, key="sweep.seeds")
            st.number_input("First seed", 0, MAX_SEED, key="sweep.seed")
            st.selectbox("Images", sources, key="sweep.data")
            st.selectbox("Recipe", recipes, key="sweep.recipe")
            st.number_input("Steps", 1, MAX_STEPS, key="sweep.steps")
        if st.form_submit_button("Start", type="primary"):
            _start()


def _asked() -> tuple[SweepSpec, list[str]]:
    """The choices of the address, or of the sweep that it names."""
    sweeps, query = get_service().sweeps, address.present()
    named = query.get("sweep")
    if "nets" not in query and named in sweeps.ids():
        with suppress(SkipscopeError):
            return sweeps.view(named).spec, []
    return from_query(query)


def _fill(spec: SweepSpec) -> None:
    """Writes a sweep into the form."""
    st.session_state.update(
        {
            "sweep.nets": list(spec.nets),
            "sweep.depths": ", ".join(map(str, spec.depths)),
            "sweep.seeds": spec.seeds,
            "sweep.seed": spec.seed,
            "sweep.data": data_token(spec.data),
            "sweep.recipe": _without_steps(spec.training),
            "sweep.steps": spec.training.steps,
        }
    )


def _without_steps(training: TrainSpec) -> str:
    """The recipe's token; the number of steps has a box of its own."""
    usual = RECIPES.get(training.recipe, RECIPES["one_cycle"])
    return training_token(training.model_copy(update={"steps": usual.steps}))


def chosen() -> SweepSpec:
    """What the form says.

    Raises:
        SkipscopeError: One sentence: what is not possible.
    """
    state = st.session_state
    training = parse_training(state["sweep.recipe"])
    return parse(
        SweepSpec,
        {
            "nets": list(state["sweep.nets"]),
            "depths": _depths(state["sweep.depths"]),
            "seeds": int(state["sweep.seeds"]),
            "seed": int(state["sweep.seed"]),
            "data": parse_data(state["sweep.data"]).model_dump(),
            "training": {**training.model_dump(), "steps": int(state["sweep.steps"])},
        },
    )


def _depths(text: str) -> list[int]:
    parts = text.replace(",", " ").split()
    return [whole_number(part, "A depth", 2, MAX_DEPTH) for part in parts]


def _start() -> None:
    try:
        spec = chosen()
        sweep = get_service().sweeps.start(spec)
    except SkipscopeError as error:
        warn(str(error))
        return
    address.write({**to_query(spec), "sweep": sweep})
    st.rerun()


# -------------------------------------------------------------------------------- the address


def to_query(spec: SweepSpec) -> dict[str, str]:
    """The address's parameters; what is as usual is left out, but never nets and depths."""
    query = {"nets": ",".join(spec.nets), "depths": ",".join(map(str, spec.depths))}
    if spec.data != USUAL.data:
        query["data"] = data_token(spec.data)
    if spec.training != USUAL.training:
        query["training"] = training_token(spec.training)
    if spec.seeds != USUAL.seeds:
        query["seeds"] = str(spec.seeds)
    if spec.seed != USUAL.seed:
        query["seed"] = str(spec.seed)
    return query


def from_query(query: Mapping[str, str]) -> tuple[SweepSpec, list[str]]:
    """The sweep that a link describes, else the usual one and a sentence that says why."""
    query, problems = parameters(query)
    try:
        values: dict[str, Any] = USUAL.model_dump()
        if query.get("nets"):
            values["nets"] = query["nets"].split(",")
        if query.get("depths"):
            values["depths"] = _depths(query["depths"])
        if query.get("data"):
            values["data"] = parse_data(query["data"]).model_dump()
        if query.get("training"):
            values["training"] = parse_training(query["training"]).model_dump()
        for name in ("seeds", "seed"):
            if query.get(name):
                values[name] = query[name]
        spec = parse(SweepSpec, values)
        plan(spec)
    except SkipscopeError as error:
        return USUAL, [*problems, f"The link's choices were left out: {error}"]
    return spec, problems


# ------------------------------------------------------------------------------ what is kept


def _choose(kept: tuple[str, ...]) -> str:
    """The sweep that is shown: that of the address, else the newest."""
    asked = address.present().get("sweep")
    if asked is not None and asked not in kept:
        warn(f"The sweep {asked[:60]!r} is not kept on this machine: press Start to make it here.")
    shown = asked if asked in kept else kept[0]
    # Another list, or another choice by a link, makes another widget: an old answer of the
    # browser cannot be taken for a click.
    key = f"sweep.shown.{shown}.{len(kept)}"

    def choose() -> None:
        sweep = st.session_state[key]
        try:
            spec = get_service().sweeps.view(sweep).spec
        except SkipscopeError:
            address.write({"sweep": sweep})
            return
        address.write({**to_query(spec), "sweep": sweep})
        _fill(spec)

    return st.selectbox(
        "Sweeps kept here",
        kept,
        index=kept.index(shown),
        key=key,
        on_change=choose,
        format_func=_name,
    )


def _name(sweep: str) -> str:
    try:
        view = get_service().sweeps.view(sweep)
    except SkipscopeError:
        return f"{sweep} (cannot be read)"
    depths = ", ".join(map(str, view.spec.depths))
    return f"{sweep}: {', '.join(view.spec.nets)} at {depths} layers, {view.spec.data.name}"


def _show(sweep: str) -> None:
    """The figure, the table and the buttons; asked anew every second while it is under way."""
    try:
        moving = get_service().sweeps.view(sweep).status in MOVING
    except SkipscopeError as error:
        warn(str(error))
        _delete(sweep)
        return
    st.fragment(_body, run_every=1.0 if moving else None)(sweep, moving)


def _body(sweep: str, moving: bool) -> None:
    try:
        view = get_service().sweeps.view(sweep)
    except SkipscopeError:
        st.rerun()  # it was deleted just now
    # A click in here runs this part alone: the whole page must hear of what it changed.
    if moving != (view.status in MOVING) or "sweep.problem" in st.session_state:
        st.rerun()
    _transport(view)
    with st.container(key="card-sweep", border=True):
        which = st.segmented_control(
            "Figure",
            list(FIGURES),
            default="depth",
            required=True,
            key="sweep.figure",
            format_func=FIGURES.__getitem__,
            label_visibility="collapsed",
        )
        differ = differences(view.spec)
        if differ:
            st.html(f'<p class="sk-caption">{escape(differ)}</p>')
        draw = sweep_curves_figure if which == "curves" else depth_figure
        st.plotly_chart(
            draw(view.result, theme=theme()),
            theme=None,
            key=f"sweep.chart.{which}",
            config=PLOT_CONFIG,
        )
        st.html(f'<p class="sk-caption">{escape(_caption(view, which == "curves"))}</p>')
    _table(view)


def _caption(view: SweepView, curves: bool) -> str:
    marks = (
        "Solid: test images. Dotted: training images. The deeper the net, the stronger the line. "
        if curves
        else "Solid: test images. Dotted, open: training images. "
    )
    return marks + view.result.caption()


def _transport(view: SweepView) -> None:
    sweeps = get_service().sweeps
    result = view.result
    done = f"{len(result.runs)} of {result.planned} trainings"
    with st.container(horizontal=True, vertical_alignment="center"):
        if view.status == "finished":
            st.write(f"Done: {done}.")
        else:
            st.progress(view.share, _progress_words(view, done))
        if view.status in MOVING:
            st.button(
                "Wait no more" if view.status == "queued" else "Stop",
                key="sweep.stop",
                disabled=view.status == "stopping",
                on_click=lambda: _try(lambda: sweeps.stop(view.id)),
            )
        elif view.status == "stopped":
            st.button(
                "Go on",
                key="sweep.resume",
                type="primary",
                on_click=lambda: _try(lambda: sweeps.resume(view.id)),
            )
    if view.problem:
        warn(view.problem)


def _progress_words(view: SweepView, done: str) -> str:
    if view.status == "stopped":
        return f"Stopped: {done} done, the rest is kept"
    if view.status == "queued":
        others = "the sweep" if view.ahead == 1 else f"{view.ahead} sweeps"
        return f"Waiting for {others} before it: {done} done"
    if view.status == "stopping":
        return f"Saving what is under way: {done} done"
    left = "" if view.seconds_left is None else f", about {duration(view.seconds_left)} left"
    now = f"; now {' and '.join(view.running)}" if view.running else ""
    return plain(f"{done} done{left}{now}")


def _table(view: SweepView) -> None:
    result: SweepResult = view.result
    if result.runs:
        frame = result.to_frame()
        columns = ["title", "depth", "seed", "parameters", "steps"]
        errors = ["train_error", "test_error"]
        shown = frame[[*columns, *errors, "seconds", "ended"]].copy()
        shown[errors] = (shown[errors] * 100).round(2)
        shown["seconds"] = shown["seconds"].round(1)
        names = {"title": "net", "train_error": "training error, %", "test_error": "test error, %"}
        with st.expander("The numbers"):
            st.dataframe(shown.rename(columns=names), hide_index=True, width="stretch")
    with st.container(horizontal=True):
        if result.runs:
            st.download_button(
                "Table (CSV)",
                lambda: result.to_frame().to_csv(index=False),
                f"sweep-{view.id}.csv",
                "text/csv",
                on_click="ignore",
            )
            st.download_button(
                "Everything (JSON)",
                lambda: json.dumps(result.to_json()),
                f"sweep-{view.id}.json",
                "application/json",
                on_click="ignore",
            )
        if view.status not in MOVING and may("sweeps.delete", view.id):
            _delete(view.id)


def _delete(sweep: str) -> None:
    with st.popover("Delete"):
        st.write("This removes the sweep from this machine for good.")
        st.button(
            "Delete this sweep",
            key="sweep.delete",
            on_click=lambda: _try(lambda: get_service().sweeps.delete(sweep)),
        )


def _try(action: Any) -> None:
    try:
        action()
    except SkipscopeError as error:
        st.session_state["sweep.problem"] = str(error)
