"""A net by its words, in a link, a command or a notebook: the one place that reads them.

- ``digits_plain_56``: weights that come with the program,
- ``run:ID.0``: a lane of a run, ``run:ID.0@120`` with its weights kept at step 120,
- ``resnet_v2_20;width=8``: a net of ours, and ``;weights=NAME`` one with uploaded weights,
- ``torchvision_resnet50``: another library's, and ``;weights=default`` one with its own weights.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Any

from explorer.errors import SpecError
from explorer.structure.cards import Card, shipped
from explorer.structure.library_nets import is_external, read_token
from explorer.structure.names import spec_of, token_of
from explorer.structure.specs import MAX_LANES, MAX_STEPS, NetSpec
from explorer.system.bounded import whole_number
from explorer.writing.formats import WEIGHTS_SUFFIXES, endings

RUN = "run:"
WEIGHTS = ";weights="
_UPLOAD = re.compile(rf"[0-9a-f]{{16}}\.({'|'.join(endings(WEIGHTS_SUFFIXES))})")


@dataclass(frozen=True)
class Shipped:
    """Weights that come with the program."""

    card: Card

    @property
    def token(self) -> str:
        return self.card.name

    @property
    def spec(self) -> NetSpec:
        return self.card.spec

    def source(self, seed: int) -> dict[str, Any]:
        """Where jobs find it (:mod:`explorer.runs.serve.requests`); ``seed`` is of fresh nets."""
        return {"source": "shipped", "name": self.card.name}


@dataclass(frozen=True)
class OfRun:
    """Weights of a lane, counted from 0: the latest, or those kept at a step."""

    run: str
    lane: int
    step: int | None = None

    @property
    def token(self) -> str:
        return f"{RUN}{self.run}.{self.lane}" + ("" if self.step is None else f"@{self.step}")

    def source(self, seed: int) -> dict[str, Any]:
        at = {} if self.step is None else {"step": self.step}
        return {"source": "run", "experiment": self.run, "lane": self.lane, **at}


@dataclass(frozen=True)
class Ours:
    """A net of ours: fresh, or with uploaded weights."""

    spec: NetSpec
    weights: str | None = None

    @property
    def token(self) -> str:
        return _with(token_of(self.spec), self.weights)

    def source(self, seed: int) -> dict[str, Any]:
        spec = self.spec.model_dump(mode="json")
        if self.weights is None:
            return {"source": "fresh", "spec": spec, "seed": seed}
        return {"source": "file", "spec": spec, "path": self.weights}


@dataclass(frozen=True)
class OfLibrary:
    """Another library's net: fresh, with its library's weights (``default``), or uploaded ones."""

    name: str
    weights: str | None = None

    @property
    def token(self) -> str:
        return _with(self.name, self.weights)

    def source(self, seed: int) -> dict[str, Any]:
        return {"source": "external", "name": self.name, "weights": self.weights, "seed": seed}


Named = Shipped | OfRun | Ours | OfLibrary


def named(words: str) -> Named:
    """The net of these words; whether a run or an upload is there is not looked up.

    Raises:
        SpecError: One sentence: what is unknown or impossible, and what is nearest or allowed.
    """
    words = words.strip()
    if words.startswith(RUN):
        return _of_run(words)
    if words in shipped():
        return Shipped(shipped()[words])
    if is_external(words):
        library = OfLibrary(*read_token(words))
        if library.weights not in (None, "default"):
            _check_upload(str(library.weights), words)
        return library
    name, marked, upload = words.partition(WEIGHTS)
    if marked:
        _check_upload(upload, words)
    try:
        return Ours(spec_of(name), upload or None)
    except SpecError:
        near = difflib.get_close_matches(name, shipped(), n=1, cutoff=0.8)
        if not near or marked or ";" in name:
            raise
        raise SpecError(
            f"There is no net named {name[:60]!r}: did you mean the trained {near[0]!r}?"
        ) from None


def is_upload(name: str) -> bool:
    """Whether a text is the name of uploaded weights (:mod:`explorer.runs.serve.uploads`)."""
    return _UPLOAD.fullmatch(name) is not None


def _check_upload(name: str, words: str) -> None:
    if not is_upload(name):
        raise SpecError(
            f"{name[:40]!r} in {words[:60]!r} is not the name of uploaded weights: upload the "
            "file on the Instruments page or the Net page, which names it."
        )


def _of_run(words: str) -> OfRun:
    run, dot, rest = words.removeprefix(RUN).partition(".")
    lane, at, step = rest.partition("@")
    if not dot or not lane.isdecimal() or (at and not step.isdecimal()):
        raise SpecError(
            f"{words[:60]!r} should read run:ID.LANE or run:ID.LANE@STEP, such as run:abcd.0@120."
        )
    return OfRun(
        run,
        whole_number(lane, "the lane", 0, MAX_LANES - 1),
        whole_number(step, "the step", 0, MAX_STEPS) if at else None,
    )


def _with(name: str, weights: str | None) -> str:
    return name if weights is None else f"{name}{WEIGHTS}{weights}"
