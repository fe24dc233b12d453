"""What a form for weights of a person's own asks beside the file: what belongs to them."""

from __future__ import annotations

import streamlit as st

from explorer.errors import RunError, SpecError
from explorer.pages.server.leases import leases, this_viewer
from explorer.pages.shared.escape import plain
from explorer.runs.serve.service import RunService
from explorer.structure.specs import DATASETS, DataSpec
from explorer.structure.trained_on import TrainedOn, told
from explorer.writing.formats import listed


def asks_what_belongs(key: str) -> tuple[str, str, str]:
    """Text fields of a form: mean, deviation and names of the classes."""
    st.caption(
        "What belongs to the weights, where their file does not say it; empty: images are "
        "normalised by their own mean and deviation, and classes go by their places."
    )
    mean, std = st.columns(2)
    return (
        mean.text_input(
            "Mean of each channel", placeholder="0.485, 0.456, 0.406", key=f"{key}.mean"
        ),
        std.text_input("Deviation", placeholder="0.229, 0.224, 0.225", key=f"{key}.std"),
        st.text_input(
            "Classes, in the order of the net's answers",
            placeholder=f"cat, dog, … or {', '.join(DATASETS)}",
            key=f"{key}.classes",
        ),
    )


def what_belongs(mean: str, std: str, classes: str) -> TrainedOn:
    """The fields' values.

    Raises:
        SpecError: One sentence: what is no number, or does not go together.
    """
    names = [name.strip() for name in classes.split(",") if name.strip()]
    return told(_numbers(mean), _numbers(std), names)


PATIENCE = 60.0  # seconds; a cold worker comes first, and images may have to be decoded


def net_of_weights(service: RunService, upload: str, data: DataSpec | None) -> str:
    """The net that uploaded weights are of, told from their shapes, and where these fit several,
    on the images that are looked at; what is to be known of it is shown for a moment.

    Raises:
        SkipscopeError: None fits, or several do.
    """
    values = None if data is None else data.model_dump(mode="json")
    job = leases.hold(service.submit("fits", {"path": upload, "data": values}), this_viewer())
    answer = job.wait(PATIENCE)
    if job.error is not None:
        raise SpecError(job.error)
    if answer is None:
        raise RunError("The worker that reads these weights is busy: try again in a moment.")
    if answer["taken"] is None:
        told = answer["said"] or ["Choose images, so that they can be tried, or name one."]
        raise SpecError(f"These weights fit {listed(answer['nets'])}. {' '.join(told)}")
    for sentence in answer["said"]:
        st.toast(plain(sentence), duration="long")
    taken: str = answer["taken"]
    return taken


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.replace(";", ",").split(",") if part.strip()]
    except ValueError:
        raise SpecError(
            f"{text[:60]!r} are no numbers: give one for each channel on the scale 0 to 1, with "
            "commas between, such as 0.485, 0.456, 0.406."
        ) from None
