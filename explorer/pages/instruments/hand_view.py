"""The block graphs of the nets, in which a person deletes blocks and lets them change places."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import lru_cache
from html import escape

import streamlit as st

from explorer.instruments.by_hand.rearranged import Rearranged
from explorer.pages.instruments.controls import Present
from explorer.pages.instruments.links import Look, Scene
from explorer.pages.instruments.picks import HAND, hand_of
from explorer.pages.instruments.view import part
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.sources import SourceNet
from explorer.structure.graph import to_svg
from explorer.structure.specs import NetSpec

Update = Callable[[Callable[[Look], Look]], None]
Change = Callable[[Rearranged], Rearranged]
_UNDO = "hand.undo"
UNDO_KEPT = 100

_HTML = """
<div class="sk-hand">
  <p class="sk-row"><span class="sk-big">–</span><span class="sk-label"></span></p>
  <div class="sk-graph"></div>
  <p class="sk-status" role="status"></p>
</div>
"""


def hand_editor(shown: Scene, update: Update) -> None:
    """A graph for each net, and dice, undo and restore for all."""
    fitting = [
        (index, net)
        for index, net in enumerate(shown.subjects)
        if index not in shown.refused and net.plan is not None
    ]
    if not fitting:
        return
    columns = st.columns(max(2, len(fitting)), gap="small")
    for column, (index, net) in zip(columns, fitting, strict=False):
        with column:
            _graph(shown, index, net, update)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        _dice(shown, [index for index, _ in fitting], update)


def _graph(shown: Scene, index: int, net: SourceNet, update: Update) -> None:
    plan, done = net.plan, hand_of(shown.options, index)
    assert plan is not None
    n = len(plan.units)
    order = done.order(n) if all(b < n for b in (*done.moved, *done.moved.values())) else range(n)
    names = [unit.name for unit in plan.units]
    gone = tuple(names[place] for place, block in enumerate(order) if block in done.deleted)
    key = f"hand.graph{index}"

    def event(name: str) -> str:
        return str((st.session_state[key] or {}).get(name) or "")

    def toggle() -> None:
        name = event("toggle")
        if name in names:
            block = order[names.index(name)]
            if plan.units[block].deletable:
                _do({index: lambda now: now.toggled(block)}, update)

    def swap() -> None:
        one, _, other = event("swap").partition(" ")
        if one in names and other in names:
            places = names.index(one), names.index(other)
            groups = {plan.units[place].swap_group for place in places}
            if len(groups) == 1 and None not in groups:
                _do({index: lambda now: now.swapped(*places)}, update)

    st.html(
        f'<p class="sk-origin"><span class="sk-dot sk-dot-{index} sk-dot-small"></span> '
        f"{escape(net.name)}</p>"
    )
    part("hand", _HTML)(
        key=key,
        data={
            "lane": index,
            "svg": _svg(plan.spec, gone),
            "moved": {names[place]: block + 1 for place, block in done.moved.items() if block < n},
            "groups": {unit.name: unit.swap_group for unit in plan.units if unit.swap_group},
        },
        on_toggle_change=toggle,
        on_swap_change=swap,
    )


@lru_cache(maxsize=128)
def _svg(spec: NetSpec, deleted: tuple[str, ...]) -> str:
    return to_svg(plan_of(spec), deleted=deleted)


def _dice(shown: Scene, lanes: list[int], update: Update) -> None:
    """Buttons that act on every net."""
    plans = {index: shown.subjects[index].plan for index in lanes}
    st.number_input("How many, in each net", 1, 1000, 1, key="hand.k", width=170)
    k = int(st.session_state["hand.k"])
    draw = random.Random()

    def all_of(change: Callable[[int, Rearranged], Rearranged]) -> dict[int, Change]:
        return {
            index: lambda now, index=index: change(index, now)  # type: ignore[misc]
            for index in lanes
        }

    def fewer(index: int, now: Rearranged) -> Rearranged:
        plan = plans[index]
        return now if plan is None else now.fewer(plan, k, draw)

    def shuffled(index: int, now: Rearranged) -> Rearranged:
        plan = plans[index]
        return now if plan is None else now.shuffled(plan, k, draw)

    st.button("Delete at random", key="hand.delete", on_click=lambda: _do(all_of(fewer), update))
    st.button(
        "Swap pairs at random",
        key="hand.shuffle",
        help="Pairs of blocks that map the same shape to the same shape.",
        on_click=lambda: _do(all_of(shuffled), update),
    )
    st.button(
        "Undo",
        key="hand.back",
        disabled=not st.session_state.get(_UNDO),
        on_click=lambda: _undo(update),
    )
    st.button(
        "Restore all",
        key="hand.restore",
        disabled=not any(hand_of(shown.options, index) != Rearranged() for index in lanes),
        on_click=lambda: _do(all_of(lambda _, now: Rearranged()), update),
    )


def _do(changes: dict[int, Change], update: Update) -> None:
    """Applies changes by net to what is in the address now, and remembers what was before."""

    def change(now: Look) -> Look:
        text = now.chosen.get("hand")
        hand = dict(HAND.read(text or "", Present()))
        for index, done in changes.items():
            hand[index] = done(hand.get(index, Rearranged()))
        kept = [*st.session_state.get(_UNDO, []), (now.nets, text)]
        st.session_state[_UNDO] = kept[-UNDO_KEPT:]
        return now.with_option("hand", HAND.write(hand) or None)

    update(change)


def _undo(update: Update) -> None:
    nets, text = st.session_state[_UNDO].pop()
    update(lambda now: now.with_option("hand", text) if now.nets == nets else now)
