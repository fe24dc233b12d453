"""Instruments asked in tests, as every door asks them, with what a worker could do meanwhile; and
their pages, given answers as jobs give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from explorer.data.dataset import Dataset
from explorer.instruments import contract, instrument
from explorer.instruments.contract import OneImage, Style, Theme
from explorer.instruments.doors.calling import Work, measured
from explorer.nets import Net
from explorer.pages import instruments as pages
from explorer.pages.instruments.on_page import Asking, Instrument, Row
from explorer.runs.serve.service import RunService
from explorer.structure.blueprint import Blueprint
from explorer.structure.specs import DATASETS, DataInfo


def asked(
    key: str,
    net: Net | None = None,
    data: Dataset | None = None,
    *,
    image: OneImage | None = None,
    name: str | None = None,
    cancelled: Callable[[], bool] | None = None,
    on_part: Callable[[Any, float, str], None] | None = None,
    known: Any = None,
    **options: Any,
) -> Any:
    """The result of an instrument; ``options`` are its own."""
    one = instrument(key)
    work = Work(name, on_part, cancelled, known)
    return measured(one, one.asked(options), work, net=net, data=data, image=image)


def asked_of(
    key: str,
    net: Net,
    data: Dataset,
    image: Any = 0,
    *,
    deleted: Sequence[str | int] = (),
    on_progress: Callable[[Any, float], None] | None = None,
    **more: Any,
) -> Any:
    """The result of an instrument of one image."""
    on_part = None if on_progress is None else (lambda part, share, _: on_progress(part, share))
    of = OneImage(image, tuple(deleted))
    return asked(key, net, data, image=of, on_part=on_part, **more)


def drawn(
    key: str,
    results: Sequence[Any],
    *,
    nets: Sequence[Net] = (),
    theme: Theme = "light",
    narrow: bool = False,
    alone: bool = False,
    **options: Any,
) -> go.Figure:
    """The figure of some results, side by side.

    Args:
        nets: Of the results, where the figure needs their structure.
    """
    one = instrument(key)
    plans = [net.blueprint for net in nets] or [None] * len(results)
    info = DATASETS["digits"]
    lanes = [
        contract.Lane(index, f"{getattr(result, 'net', key)} {index}", plan, info, result)
        for index, (result, plan) in enumerate(zip(results, plans, strict=True))
    ]
    return one.figure(lanes, one.asked(options), one.shown(options), Style(theme, narrow, alone))


@dataclass(frozen=True)
class Lane:
    """A net on the page with a job's answer: JSON."""

    index: int
    name: str
    plan: Blueprint | None
    info: DataInfo
    result: Mapping[str, Any]
    done: bool = True


class OnPage:
    """An instrument's page, of lanes whose results are JSON; its words are its own attributes."""

    def __init__(self, one: Instrument) -> None:
        self.one = one

    def of(self, lane: Lane) -> contract.Lane[Any]:
        return self.one.lane(lane.index, lane.name, lane.plan, lane.info, lane.result, lane.done)

    def figure(self, lanes: Sequence[Lane], options: Any, theme: Theme) -> go.Figure:
        return self.one.figure([self.of(lane) for lane in lanes], options, theme)

    def caption(self, lanes: Sequence[Lane], options: Any) -> list[str]:
        return self.one.caption([self.of(lane) for lane in lanes], options)

    def formula(self, lanes: Sequence[Lane], options: Any) -> list[str]:
        return self.one.formula([self.of(lane) for lane in lanes], options)

    def pictures(self, lanes: Sequence[Lane], options: Any) -> list[contract.Picture]:
        return self.one.pictures([self.of(lane) for lane in lanes], options)

    def headline(self, lane: Lane, options: Any) -> tuple[str, str]:
        return self.one.headline(self.of(lane), options)

    def own_weights(self, lane: Lane, options: Any) -> bool:
        return self.one.own_weights(self.of(lane), options)

    def mode(self, lane: Lane) -> str:
        return self.one.mode(self.of(lane))

    def chosen(self, lane: Lane, options: Any) -> dict[str, Any]:
        result: contract.Result = self.one.chosen(self.of(lane), options).result
        return result.to_json()

    def table(self, result: Mapping[str, Any]) -> list[Row]:
        return self.one.table(self.one.declared.result.from_json(dict(result)))

    def records(self, result: Mapping[str, Any]) -> list[dict[str, Any]]:
        return self.one.declared.result.from_json(dict(result)).records()

    def recorded(self, service: RunService, asking: Asking) -> dict[str, Any]:
        return self.one.recorded(service, asking.source, asking.options).to_json()

    def __getattr__(self, name: str) -> Any:
        for there in (self.one, self.one.page, self.one.declared.ask):
            if hasattr(there, name):
                return getattr(there, name)
        raise AttributeError(name)


def page_of(key: str) -> OnPage:
    """Raises :class:`SpecError`."""
    return OnPage(pages.instrument(key))


def pages_of_all() -> dict[str, OnPage]:
    return {key: OnPage(one) for key, one in pages.instruments().items()}
