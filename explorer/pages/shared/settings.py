"""The controls with which the data and the training are chosen.

Each hands a change of the page's state to ``become``, which applies it and turns what is not
possible into a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from explorer.data.uploaded import is_kept_zip
from explorer.errors import SkipscopeError
from explorer.pages.server.visitors import data_info, get_service
from explorer.pages.shared import widgets
from explorer.pages.shared.escape import warn
from explorer.pages.shared.state import Control, PageState, to_query
from explorer.structure.specs import (
    MAX_SEED,
    MAX_STEPS,
    RECIPES,
    SOURCES,
    DataSpec,
    TrainSpec,
    parse,
)
from explorer.writing.formats import IMAGE_FORMATS, listed

Become = Callable[[Callable[[PageState], PageState]], None]

FOLDER_HELP = (
    f"With train/CLASS/*.png and test/CLASS/*.png ({listed(IMAGE_FORMATS, 'or')}), or a .zip of "
    "it; CIFAR's python batches; a .npz, .npy or .csv file."
)
BALANCED = "Equally many of each class"
BALANCED_HELP = (
    "Of the test images, and wherever only some are taken; else each class in its share."
)
DATA = {
    "digits": "Handwritten digits, 8×8 (built in)",
    "mnist": "MNIST, 28×28 (download)",
    "fashion_mnist": "Fashion-MNIST, 28×28 (download)",
    "cifar10": "CIFAR-10, 32×32 (download)",
    "cifar100": "CIFAR-100, 32×32 (download)",
    "folder": "A folder of images",
}
RECIPE_WORDS = {
    "one_cycle": "One cycle: quick, for 8×8 digits",
    "he15": "He et al. 2015: 64,000 steps",
    "huang16": "Huang et al. 2016: 300 epochs of CIFAR",
    "sgs15": "Srivastava et al. 2015: decaying rate",
    "adam_25": "Adam, 0.001",
}
DECAYS = {
    "all": "all parameters",
    "weights": "weights: no biases, no batch norms",
    "convolutions": "weights of convolutions alone",
}
_FOLDER_WANTED = "data.folder wanted"
_FOLDER_PROBLEM = "data.folder problem"


def data_settings(state: PageState, become: Become) -> None:
    """Data set, folder and augmentation."""
    data = state.data

    def other(name: str) -> None:
        # A folder is not chosen before its path is.
        st.session_state[_FOLDER_WANTED] = name == "folder"
        if name != "folder":
            become(lambda s: s.with_data(parse(DataSpec, {"name": name})))

    def refuse(sentence: str) -> None:  # said beside the box, which keeps what was typed
        st.session_state[_FOLDER_PROBLEM] = sentence

    def folder() -> None:
        path = st.session_state["data.path"].strip()
        try:
            chosen = parse(DataSpec, {"name": "folder", "path": path})
            data_info(chosen)
        except SkipscopeError as error:
            refuse(str(error))
            return
        become(lambda s: s.with_data(chosen))

    wanted = data.name == "folder" or st.session_state.get(_FOLDER_WANTED, False)
    shown = "folder" if wanted else data.name
    widgets.select("Images", "data.name", list(DATA), shown, other, words=DATA)
    if wanted:
        if data.path:
            st.session_state["data.path"] = typed_path(data)
        st.text_input(
            "Folder or file on this machine",
            key="data.path",
            placeholder="/path/to/images",
            help=FOLDER_HELP,
            on_change=folder,
        )
        drop_images("data.zip", lambda chosen: become(lambda s: s.with_data(chosen)), refuse)
        problem = st.session_state.pop(_FOLDER_PROBLEM, None)
        if problem:
            warn(problem)
    if data.name == "folder":
        widgets.toggle(
            BALANCED,
            "data.balanced",
            data.balanced,
            lambda value: become(
                lambda s: s.with_data(s.data.model_copy(update={"balanced": value}))
            ),
            help=BALANCED_HELP,
        )
    widgets.toggle(
        "Augment",
        "data.augment",
        data.augment,
        lambda value: become(lambda s: s.with_data(s.data.model_copy(update={"augment": value}))),
        help="Shift by a pad and a random crop; flip where that keeps the class.",
    )


def typed_path(data: DataSpec) -> str:
    """The path that a person typed; nothing of images that were dropped."""
    return "" if is_kept_zip(data.path or "") else data.path or ""


def drop_images(
    key: str, chosen: Callable[[DataSpec], None], refuse: Callable[[str], None]
) -> None:
    """A .zip of image folders, dropped on the page.

    Args:
        chosen: Takes what stands for it.
        refuse: Shows a sentence on the page.
    """

    def take() -> None:
        file: Any = st.session_state[key]
        if file is None:
            return
        try:
            kept = get_service().keep_images(file.name, file.getbuffer())
            chosen(parse(DataSpec, {"name": "folder", "path": kept}))
        except SkipscopeError as error:
            refuse(str(error))

    st.file_uploader(
        "Or a .zip of such a folder",
        type="zip",
        key=key,
        help="train/CLASS/*.png and test/CLASS/*.png in it; it is kept as it is, not unpacked.",
        on_change=take,
        width=320,
    )


def training_settings(state: PageState, become: Become) -> None:
    """Recipe and its numbers, seed and device."""
    training = state.training

    def field(name: str) -> Callable[[Any], None]:
        return lambda value: become(
            lambda s: replace(
                s, training=parse(TrainSpec, {**s.training.model_dump(), name: value}), run=None
            )
        )

    widgets.select(
        "Recipe",
        "train.recipe",
        list(RECIPES),
        training.recipe,
        lambda value: become(lambda s: replace(s, training=RECIPES[value], run=None)),
        words=RECIPE_WORDS,
    )
    st.caption(SOURCES.get(training.recipe, ""))
    widgets.number(
        "Steps", "train.steps", training.steps, field("steps"), least=1, most=MAX_STEPS, step=10
    )
    widgets.number(
        "Batch size",
        "train.batch_size",
        training.batch_size,
        field("batch_size"),
        least=1,
        most=65_536,
        step=16,
    )
    widgets.number(
        "Learning rate",
        "train.learning_rate",
        training.learning_rate,
        field("learning_rate"),
        least=1e-8,
        most=100.0,
        step=0.01,
        format="%g",
    )
    widgets.number(
        "Weight decay",
        "train.weight_decay",
        training.weight_decay,
        field("weight_decay"),
        least=0.0,
        most=1.0,
        step=1e-4,
        format="%g",
    )
    widgets.number(
        "Clip the gradient at (0: never)",
        "train.gradient_clip",
        training.gradient_clip or 0.0,
        lambda value: field("gradient_clip")(value or None),
        least=0.0,
        most=1e6,
        step=0.5,
        format="%g",
        help="A longer gradient, over all weights together, is shortened to this length. It acts "
        "where gradients explode, above all on deep plain nets: the gradient chart says how much.",
    )
    widgets.select(
        "Decay of",
        "train.decay_on",
        list(DECAYS),
        training.decay_on,
        field("decay_on"),
        words=DECAYS,
        help="What weight decay pulls towards 0.",
    )
    widgets.select(
        "Optimiser",
        "train.optimizer",
        ["sgd", "nesterov", "adam", "adamw"],
        training.optimizer,
        field("optimizer"),
    )
    widgets.number(
        "Seed",
        "seed",
        state.seed,
        lambda value: become(lambda s: replace(s, seed=int(value), run=None)),
        least=0,
        most=MAX_SEED,
        step=1,
        help="Initial weights and the order of the batches follow from it.",
    )
    widgets.select(
        "Device",
        "device",
        ["auto", "cpu", "cuda", "mps"],
        state.device,
        lambda value: become(lambda s: replace(s, device=value, run=None)),
    )


# What a lesson's page can do without, in words.
CONTROLS: dict[Control, str] = {
    "start": "Start from",
    "data": "Data",
    "training": "Training",
    "nets": "changing the nets",
    "play": "Play and the rest of the bar",
    "colour": "colouring the blocks",
    "charts": "the charts",
    "image": "the image",
}


def share(state: PageState) -> None:
    """The link to this page, and to one for a class that leaves some of the controls out."""
    widgets.share_link(
        "nets, data, training, seed and deletions",
        "share.hide",
        CONTROLS,
        lambda hidden: to_query(replace(state, hide=hidden)),
    )
