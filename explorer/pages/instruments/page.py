"""Instruments: one question at a time, asked of up to four nets side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from explorer.data.uploaded import is_kept_zip
from explorer.errors import SkipscopeError, SpecError
from explorer.pages.instruments import GROUPS, feed, instruments
from explorer.pages.instruments.controls import (
    Choice,
    Control,
    Flag,
    Number,
    OwnImage,
    Several,
    Whole,
)
from explorer.pages.instruments.hand_view import hand_editor
from explorer.pages.instruments.links import (
    CONTROLS,
    MOST_IMAGES,
    Look,
    Scene,
    from_query,
    scene,
    to_query,
)
from explorer.pages.instruments.picks import HandPick
from explorer.pages.instruments.view import instrument_view, sheet
from explorer.pages.server.visitors import data_info, get_service
from explorer.pages.shared import address, widgets
from explorer.pages.shared.escape import plain, warn
from explorer.pages.shared.settings import (
    BALANCED,
    BALANCED_HELP,
    DATA,
    FOLDER_HELP,
    drop_images,
    typed_path,
)
from explorer.pages.shared.sources import SourceNet, offered, source_net
from explorer.pages.shared.weights_form import asks_what_belongs, net_of_weights, what_belongs
from explorer.runs.serve.service import RunService
from explorer.structure.library_nets import TORCHVISION
from explorer.structure.named_nets import WEIGHTS
from explorer.structure.names import NETS
from explorer.structure.specs import MAX_LANES, MAX_SEED, DataSpec, parse
from explorer.writing.formats import IMAGE_SUFFIXES, WEIGHTS_KINDS, endings

_FOLDER_WANTED = "instruments.folder wanted"
LIBRARY_NETS = {
    **{
        f"torchvision_{name};weights=default": f"torchvision {name} · ImageNet"
        for name in TORCHVISION
    },
    **{f"torchvision_{name}": f"torchvision {name} · untrained" for name in TORCHVISION},
}
OWN_DATA = "each net's own"
PATIENCE = 4.0  # seconds for another library's net, the first time it is looked at
NARROW, WIDE = 190, 260  # pixels of a number's box, and of a list
FEW = 4  # options of at most so many values are a row of buttons


def page() -> None:
    """Draws the page from the address; every control writes the address."""
    service = get_service()
    look, problems = from_query(address.present())
    shown, more = scene(service, look, patience=PATIENCE)
    problems += more
    said = st.session_state.pop("instruments.problem", None)
    problems += [said] if said else []
    _leave_last(service, look)

    st.html(sheet())
    st.title("Look inside a net")
    st.html(
        '<p class="sk-lead">Choose nets, trained or not, and a question. The answer is drawn as it '
        "is measured, and the address holds everything chosen.</p>"
    )
    for sentence in problems:
        warn(sentence)
    _nets(service, shown)
    if "instrument" not in look.hide:
        with st.container(key="instruments", gap="xsmall"):
            _picker(shown)
    _instrument(shown)


# ------------------------------------------------------------------------------ state changes


def _update(change: Callable[[Look], Look]) -> None:
    """Applies a change to the address; an impossible one becomes a sentence on the page."""
    try:
        look, _ = from_query(address.present())
        address.write(to_query(change(look)))
    except SkipscopeError as error:
        st.session_state["instruments.problem"] = str(error)


def _leave_last(service: RunService, look: Look) -> None:
    """What this visitor looked at before need not be measured to its end."""
    before: Look | None = st.session_state.get("instruments.look")
    if before is not None and before != look:
        feed.leave(service, before)
    st.session_state["instruments.look"] = look


# --------------------------------------------------------------------------------------- nets


def _nets(service: RunService, shown: Scene) -> None:
    look = shown.look
    if shown.instrument.needs_net:
        with st.container(key="nets"):
            columns = st.columns(max(2, len(shown.nets)), gap="small")
            for index, net in enumerate(shown.nets):
                with (
                    columns[index],
                    st.container(key=f"card-net{index}", border=True, gap="xsmall"),
                ):
                    _net(service, shown, index, net)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        addable = shown.instrument.needs_net and len(look.nets) < MAX_LANES
        if addable and "nets" not in look.hide:
            with widgets.drawer("Add a net", "nets.add.open"):
                _choose_net(service, look, None)
        if "images" not in look.hide:
            with widgets.drawer("Images", "instruments.images.open"):
                _images(shown)
        if not look.hide:  # a lesson's page stays what the teacher made it
            with widgets.drawer("Share", "instruments.share.open"):
                _share(look)
        if "images" not in look.hide and (look.again or feed.can_measure_again(shown)):
            widgets.toggle(
                "Measure again",
                "instruments.again",
                look.again,
                lambda value: _update(lambda now: replace(now, again=value)),
                help="These numbers came with the weights; this measures them here.",
            )


def _share(look: Look) -> None:
    """The link to this page, and to one for a class that leaves some of the controls out."""
    widgets.share_link(
        "nets, images, instrument and seed",
        "instruments.share",
        CONTROLS,
        lambda hidden: to_query(replace(look, hide=hidden)),
    )


def _net(service: RunService, shown: Scene, index: int, net: SourceNet) -> None:
    look = shown.look
    with st.container(
        horizontal=True,
        wrap=False,
        horizontal_alignment="distribute",
        vertical_alignment="center",
    ):
        st.html(
            f'<h2 class="sk-name"><span class="sk-dot sk-dot-{index}"></span>'
            f"{escape(net.name)}</h2>"
        )
        if "nets" not in look.hide:
            with widgets.drawer("Change", f"net{index}.open"):
                _choose_net(service, look, net.token)
                _remove_net(shown, index)
    st.html(f'<p class="sk-origin">{escape(net.origin)}</p>')
    if index in shown.refused:
        st.info(plain(shown.refused[index]))


def _remove_net(shown: Scene, index: int) -> None:
    st.button(
        "Remove this net",
        key=f"net{index}.remove",
        disabled=len(shown.nets) == 1,
        on_click=lambda: _update(
            lambda now: now.with_nets(tuple(t for i, t in enumerate(now.nets) if i != index))
        ),
    )


def _choose_net(service: RunService, look: Look, token: str | None) -> None:
    """A box of all nets that there are; anything else may be typed."""
    words = offered(service)
    tokens = list(dict.fromkeys([*words, *NETS, *LIBRARY_NETS, *([token] if token else [])]))
    key = f"net.choose.{look.nets.index(token) if token in look.nets else 'new'}"
    st.session_state[key] = token

    def chosen() -> None:
        value = (st.session_state[key] or "").strip()
        if not value or value == token:
            return

        _update(lambda now: _with_net(service, now, token, value))

    st.selectbox(
        "Weights shipped or trained here, or an untrained net by its name",
        tokens,
        key=key,
        index=None,
        placeholder="resnet_v2_56, plain_20;batch_norm=false, …",
        accept_new_options=True,
        format_func=lambda name: words.get(name) or LIBRARY_NETS.get(name, f"{name} · untrained"),
        on_change=chosen,
        width=380,
    )
    _upload(service, token, key)


def _with_net(service: RunService, look: Look, token: str | None, value: str) -> Look:
    """The look with another net in the place of ``token``; None adds it."""
    net = source_net(service, value, look.data, look.seed)
    if token is None:
        return replace(look, nets=(*look.nets, net.token)[:MAX_LANES])
    return look.with_nets(tuple(net.token if t == token else t for t in look.nets))


def _upload(service: RunService, token: str | None, key: str) -> None:
    """Weights of the visitor's own, for a net that they name."""
    with st.form(f"{key}.upload", border=False):
        st.caption("Or weights of your own: a state_dict, and the net that it is of.")
        name = st.text_input(
            "The net (empty: told from the file's shapes)",
            placeholder="resnet_v2_20;width=8",
            width=380,
        )
        file = st.file_uploader(
            "Weights", help=f"{WEIGHTS_KINDS}: tensors alone are read", width=380
        )
        belongs = asks_what_belongs(f"{key}.upload")
        if not st.form_submit_button("Use these weights"):
            return
    try:
        if file is None:
            raise SpecError("Choose a file of weights.")
        kept = service.keep_weights(file.name, file.getbuffer(), what_belongs(*belongs))
        look, _ = from_query(address.present())
        name = name.strip() or net_of_weights(service, kept, look.data)
        changed = _with_net(service, look, token, f"{name}{WEIGHTS}{kept}")
    except SkipscopeError as error:
        warn(str(error))
        return
    address.write(to_query(changed))
    st.rerun()


def _images(shown: Scene) -> None:
    look = shown.look
    name = look.data.name if look.data else ""
    wanted = name == "folder" or st.session_state.get(_FOLDER_WANTED, False)

    def other(chosen: str) -> None:
        # A folder is not chosen before its path is.
        st.session_state[_FOLDER_WANTED] = chosen == "folder"
        if chosen != "folder":
            data = parse(DataSpec, {"name": chosen}) if chosen else None
            _update(lambda now: replace(now, data=data))

    words = {"": OWN_DATA, **DATA}
    widgets.select(
        "Measure on",
        "instruments.data",
        list(words),
        "folder" if wanted else name,
        other,
        words=words,
        help="A trained net needs images of the shape and classes that it was trained on.",
    )
    if wanted:
        _folder(look)
    st.session_state["instruments.n"] = look.n_images
    st.number_input(
        "Images",
        min_value=1,
        max_value=MOST_IMAGES,
        value=None,
        key="instruments.n",
        placeholder="as many as the instrument takes",
        help="Each class in its share; more of them make the intervals narrower.",
        on_change=lambda: _update(
            lambda now: replace(now, n_images=st.session_state["instruments.n"])
        ),
    )
    widgets.number(
        "Seed",
        "instruments.seed",
        look.seed,
        lambda value: _update(lambda now: replace(now, seed=int(value))),
        least=0,
        most=MAX_SEED,
        step=1,
        help="Initial weights of untrained nets follow from it, and what is drawn at random.",
    )


def _folder(look: Look) -> None:
    """Path and size of a folder's images."""

    def chosen() -> None:
        path = st.session_state["instruments.path"].strip()
        if not path and look.data is not None and is_kept_zip(look.data.path or ""):
            path = look.data.path or ""
        size = st.session_state["instruments.side"]

        def change(now: Look) -> Look:
            sized = {"image_size": int(size)} if size else {}
            equal = {"balanced": True} if st.session_state["instruments.balanced"] else {}
            data = parse(DataSpec, {"name": "folder", "path": path, **sized, **equal})
            data_info(data)  # a folder that is none is a sentence at once
            return replace(now, data=data)

        if path:
            _update(change)

    def dropped(data: DataSpec) -> None:
        size = st.session_state["instruments.side"]
        sized = {"image_size": int(size)} if size else {}
        given = parse(DataSpec, {"name": "folder", "path": data.path, **sized})
        _update(lambda now: replace(now, data=given))

    def refuse(sentence: str) -> None:
        st.session_state["instruments.problem"] = sentence

    if look.data is not None and look.data.path:
        st.session_state["instruments.path"] = typed_path(look.data)
    st.text_input(
        "Folder or file on this machine",
        key="instruments.path",
        placeholder="/path/to/images",
        help=FOLDER_HELP,
        on_change=chosen,
    )
    drop_images("instruments.zip", dropped, refuse)
    data = look.data
    sized = data is not None and "image_size" in data.model_fields_set
    st.session_state["instruments.side"] = data.image_size if sized and data else None
    st.number_input(
        "Side in pixels",
        min_value=8,
        max_value=512,
        value=None,
        key="instruments.side",
        placeholder="32; 224 for other libraries' nets",
        on_change=chosen,
    )
    st.session_state["instruments.balanced"] = data is not None and data.balanced
    st.toggle(BALANCED, key="instruments.balanced", help=BALANCED_HELP, on_change=chosen)


# --------------------------------------------------------------------------------- instrument


def _picker(shown: Scene) -> None:
    one = shown.instrument
    groups: dict[str, str] = {
        group: words
        for group, words in GROUPS.items()
        if any(other.page.group == group for other in instruments().values())
    }

    def group_chosen(group: str) -> None:
        if group != one.page.group:
            first = next(o for o in instruments().values() if o.page.group == group)
            _update(lambda now: now.with_instrument(first.key))

    widgets.segmented("Kind of question", "instruments.group", groups, one.page.group, group_chosen)
    within = {k: o.page.title for k, o in instruments().items() if o.page.group == one.page.group}
    if len(within) > 1:
        widgets.segmented(
            "Instrument",
            "instruments.key",
            within,
            one.key,
            lambda key: _update(lambda now: now.with_instrument(key)),
        )


def _instrument(shown: Scene) -> None:
    one = shown.instrument
    with st.container(key="card-instrument", border=True, gap="small"):
        st.html(
            f'<h2 class="sk-question">{escape(one.page.question)}</h2>'
            f'<p class="sk-explains">{escape(one.page.explains)}</p>'
        )
        _options(shown)
        if len(shown.refused) == len(shown.subjects):
            _suggest(shown)
        instrument_view(
            "instrument",
            query=urlencode(to_query(shown.look)),
            title=one.page.question,
            papers=one.page.figure_of,
        )
        _see(shown)


def _see(shown: Scene) -> None:
    """Where to go on from here, with the same nets."""
    with st.container(horizontal=True):
        for link, words in shown.instrument.page.see.items():
            key, *options = link.split(";")
            chosen = dict(option.split("=") for option in options)
            st.button(
                words,
                key=f"see.{link}",
                type="tertiary",
                icon=":material/arrow_forward:",
                on_click=lambda key=key, chosen=chosen: _update(
                    lambda now: replace(now.with_instrument(key), chosen=chosen)
                ),
            )


def _suggest(shown: Scene) -> None:
    """A way on, where none of the nets suits the instrument."""
    service = get_service()
    with st.container(horizontal=True):
        for token in shown.instrument.page.suggests:
            net = source_net(service, token, None, shown.look.seed)
            st.button(
                f"Look at {net.name}",
                key=f"suggest.{token}",
                type="primary",
                on_click=lambda token=token: _update(
                    lambda now: replace(now, nets=(token,), data=None)
                ),
            )


def _options(shown: Scene) -> None:
    visible = [o for o in shown.instrument.options if o.when(shown.options)]
    if not visible or "options" in shown.look.hide:
        return
    if any(isinstance(option, HandPick) for option in visible):
        hand_editor(shown, _update)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        for option in visible:
            _option(shown, option)


def _option(shown: Scene, option: Control) -> None:
    key = f"option.{shown.instrument.key}.{option.name}"
    value = shown.options[option.name]

    def chosen(new: Any) -> None:
        text = option.write(new)
        usual = option.write(option.usual(shown.present))
        _update(lambda now: now.with_option(option.name, None if text == usual else text))

    match option:
        case Choice():
            values = dict(option.choices(shown.present))
            if not values:
                return
            if len(values) <= FEW:
                widgets.segmented(
                    option.label, key, values, value, chosen, label_visibility="visible"
                )
            else:
                widgets.select(
                    option.label,
                    key,
                    list(values),
                    value,
                    chosen,
                    words=values,
                    help=option.help,
                    width=WIDE,
                )
        case Several():
            several = dict(option.choices(shown.present))
            if several:
                widgets.pills(option.label, key, several, value, chosen, help=option.help)
        case OwnImage():
            _own_image(option, key, value, chosen)
        case Flag():
            widgets.toggle(option.label, key, value, chosen, help=option.help)
        case Number() if option.slider:
            widgets.slider(
                option.label,
                key,
                value * option.times,
                lambda new: chosen(new / option.times),
                least=option.least * option.times,
                most=option.most * option.times,
                step=option.step * option.times,
                help=option.help,
                width=WIDE,
            )
        case Whole() | Number():
            times = option.times if isinstance(option, Number) else 1
            widgets.number(
                option.label,
                key,
                value * times,
                lambda new: chosen(new / times),
                least=option.least * times,
                most=option.most * times,
                step=option.step * times,
                help=option.help,
                width=NARROW,
            )


def _own_image(option: OwnImage, key: str, value: str, chosen: Callable[[Any], None]) -> None:
    """An image file of the visitor's own, which stands for the test image while it is chosen."""
    with st.popover(option.label):
        with st.form(f"{key}.upload", border=False):
            file = st.file_uploader(
                "An image file", type=endings(IMAGE_SUFFIXES), help=option.help, width=320
            )
            if st.form_submit_button("Look at it") and file is not None:
                try:
                    chosen(get_service().keep_picture(file.getbuffer()))
                except SkipscopeError as error:
                    warn(str(error))
                else:
                    st.rerun()
        if value:
            st.button("Back to the test images", key=f"{key}.none", on_click=lambda: chosen(""))
