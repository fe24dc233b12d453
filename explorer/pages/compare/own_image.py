"""The image that Compare sends through its nets: a test image, a file, or one from the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from explorer.errors import SkipscopeError
from explorer.pages.instruments.links import look_at_image
from explorer.pages.server.visitors import get_service
from explorer.pages.shared import widgets
from explorer.pages.shared.plans import plan_of
from explorer.pages.shared.state import PageState
from explorer.writing.formats import IMAGE_SUFFIXES, endings

Change = Callable[[Callable[[PageState], PageState]], None]
# Instruments that look at one image, in words.
INSIDE = {
    "attribution": "Which pixels it was",
    "activations": "Activation maps",
    "gate_image": "Gate maps",
}


def choose_image(state: PageState, update: Change, refuse: Callable[[str], None]) -> None:
    """Number of a test image, or an image of the visitor's own.

    Args:
        update: Applies a change to the page's address.
        refuse: Shows a sentence on the page.
    """
    st.session_state["image"] = state.image
    st.number_input(
        "Test image",
        min_value=0,
        key="image",
        disabled=bool(state.own),
        help="Its number in the test set, from 0.",
        on_change=lambda: update(lambda s: replace(s, image=int(st.session_state["image"]))),
    )

    def take(key: str) -> None:
        file: Any = st.session_state[key]
        if file is None:
            return
        try:
            kept = get_service().keep_picture(file.getbuffer())
        except SkipscopeError as error:
            refuse(str(error))
        else:
            update(lambda s: replace(s, own=kept))

    with widgets.drawer("Your image", "image.open"):
        st.file_uploader(
            "An image file",
            type=endings(IMAGE_SUFFIXES),
            key="image.file",
            help="It is made as large as the nets' images are. Take what resembles those: the "
            "digits that come with Skipscope are light on dark.",
            on_change=lambda: take("image.file"),
            width=300,
        )
        # A browser asks for the camera as soon as its picture is drawn: only where it is wanted.
        if st.toggle("Use the camera", key="image.camera"):
            st.camera_input(
                "A photograph", key="image.photo", on_change=lambda: take("image.photo"), width=300
            )
    if state.own:
        st.button(
            "Back to the test images",
            key="image.back",
            on_click=lambda: update(lambda s: replace(s, own="")),
        )


def inside_links(state: PageState) -> None:
    """Buttons to the instruments that look at this image."""
    with st.container(key="image-inside", horizontal=True, gap="small"):
        for key, words in INSIDE.items():
            lanes = [
                lane
                for lane, net in enumerate(state.lanes)
                if key != "gate_image" or plan_of(net).gated_units
            ]
            if lanes and st.button(words, key=f"image.{key}", help="On the Instruments page."):
                st.switch_page(
                    st.session_state["pages"]["instruments"],
                    query_params=look_at_image(state, lanes, key),
                )
